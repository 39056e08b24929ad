"""Connections that are ended when all are in use: the idle before the slow, and the latest first."""

from __future__ import annotations

import pytest

from aiohttp_worker.server.overload import make_room
from aiohttp_worker.server.settings import OverloadLimits

LIMITS = OverloadLimits(idle=1.0)
NOW = 100.0


class Connection:
    """Is idle, or slow, by a number of seconds."""

    def __init__(self, idle: float = 0.0, late: float = -1.0) -> None:
        self.idle = idle
        self.late = late
        self.ended = False

    def idle_for(self, now: float) -> float:
        assert now == NOW
        return self.idle

    def outstays(self, limits: OverloadLimits, now: float) -> float:
        assert limits is LIMITS and now == NOW
        return self.late

    def make_room(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    ("connections", "ended"),
    [
        ([], []),
        ([Connection(), Connection(idle=0.9)], []),
        # The latest of those that are idle, however slow others are.
        ([Connection(idle=1.0), Connection(idle=3.0), Connection(idle=2.0), Connection(late=9.0)], [1, 2]),
        ([Connection(late=0.0), Connection(late=2.0), Connection(late=-0.1)], [0, 1]),
        # Two that are late by the same time: which of them does not matter, but they are not compared.
        ([Connection(late=2.0), Connection(late=2.0)], [0, 1]),
        ([Connection(idle=0.5, late=2.0)], [0]),
    ],
    ids=["none", "nobody-late", "idle-first", "slow", "equally-late", "idle-not-long-enough"],
)
def test_who_is_ended(connections: list[Connection], ended: list[int]) -> None:
    make_room(connections, LIMITS, 2, NOW)
    assert [number for number, connection in enumerate(connections) if connection.ended] == ended


def test_no_more_than_asked_for() -> None:
    connections = [Connection(idle=float(seconds)) for seconds in range(10)]
    make_room(connections, LIMITS, 3, NOW)
    assert [connection.idle for connection in connections if connection.ended] == [7.0, 8.0, 9.0]
