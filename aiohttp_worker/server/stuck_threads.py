"""Requests that hang in their threads, and the state in which all threads do.

A thread of the pool cannot be interrupted. When each of them is in a request that gives no sign of life, nobody is
served any more, while the event loop goes on and the master sees nothing wrong.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from typing import Final

from .exchange import Exchange
from .thread_pool import PoolThread, ThreadPool
from .watchdog import describe_hung
from .whereabouts import frames_inside, traceback_text

_OUTSIDE: Final = threading.Thread.run.__code__


class _Stay:
    """A piece of application code that was seen in a thread.

    :ivar began: on the monotonic clock; tells it from every other piece in that thread.
    :ivar quiet_since: it has given nothing and taken nothing, and did not wait for its client.
    """

    __slots__ = ("began", "progress", "quiet_since", "reported")

    def __init__(self, began: float, progress: int) -> None:
        self.began = began
        self.progress = progress
        self.quiet_since = began
        self.reported = False


class StuckThreads:
    """Looks after the threads of a pool, from the loop.

    What waits for its client is not stuck: an upload that is slow to come, an answer that is slowly read. Nor is what
    gives a piece of its answer, or reads a piece of its input, now and then.

    :param timeout: seconds without a sign of life, more than 0.
    :param log_error: for one entry for each request.
    """

    def __init__(self, pool: ThreadPool, timeout: float, log_error: Callable[..., None]) -> None:
        self._pool = pool
        self._timeout = timeout
        self._log_error = log_error
        self._stays: dict[PoolThread, _Stay] = {}

    def look(self, now: float) -> bool:
        """Log each request that has hung for too long, once.

        :param now: on the monotonic clock.
        :return: whether every thread is in such a one.
        """
        stuck = 0
        for member in self._pool.threads:
            exchange = member.occupant
            if not isinstance(exchange, Exchange):
                self._stays.pop(member, None)
                continue
            stay = self._stays.get(member)
            progress = exchange.progress
            if stay is None or stay.began != member.since:
                stay = self._stays[member] = _Stay(member.since, progress)
            if stay.progress != progress or exchange.waits_for_client:
                stay.progress = progress
                stay.quiet_since = now
            if now - stay.quiet_since < self._timeout:
                continue
            stuck += 1
            if not stay.reported:
                stay.reported = True
                self._report(member, exchange)
        return stuck == self._pool.size

    @property
    def due(self) -> float:
        """Time, on the monotonic clock, at which the next request will have hung for too long."""
        return min((stay.quiet_since + self._timeout for stay in self._stays.values() if not stay.reported), default=math.inf)

    def quiet_for(self, now: float) -> float:
        """For how many seconds no thread has given a sign of life; 0 while one is free."""
        if len(self._stays) < self._pool.size:
            return 0.0
        return now - max(stay.quiet_since for stay in self._stays.values())

    def _report(self, member: PoolThread, exchange: Exchange) -> None:
        frame = sys._current_frames().get(member.thread.ident or 0)
        frames = frames_inside(frame, _OUTSIDE)
        if member.occupant is exchange:
            where = f"in its thread, without a sign of life (timeout = {self._timeout:g})"
            self._log_error("%s\n%s", describe_hung(exchange, where), traceback_text(frames))
