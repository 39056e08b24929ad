"""Overload: which connections are ended while all ``worker_connections`` are in use and others wait for one."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Protocol

from .settings import OverloadLimits


class Candidate(Protocol):
    """Pace of a connection's client, for the choice of the slowest."""

    def idle_for(self, now: float) -> float:
        """Return for how many seconds nothing has been on its way."""

    def outstays(self, limits: OverloadLimits, now: float) -> float:
        """Return by how many seconds the client is slower than *limits* allow, negative if it is not."""

    def make_room(self) -> None:
        """End the connection for the sake of others."""


def make_room(connections: Iterable[Candidate], limits: OverloadLimits, most: int, now: float) -> None:
    """End connections that are idle for too long, or if none is, those whose clients are too slow.

    Idle ones come first because nothing is lost with them: their clients open another.

    :param most: so many at a time, those first that are furthest past their limit.
    :param now: the time of the monotonic clock, in seconds.
    """
    past = [(connection.idle_for(now) - limits.idle, connection) for connection in connections]
    late = [one for one in past if one[0] >= 0]
    if not late:
        past = [(connection.outstays(limits, now), connection) for connection in connections]
        late = [one for one in past if one[0] >= 0]
    for _, connection in heapq.nlargest(most, late, key=_seconds):
        connection.make_room()


def _seconds(one: tuple[float, Candidate]) -> float:
    return one[0]
