"""Detection of requests that hang in threads of the pool, and of a pool whose threads all hang.

A thread cannot be interrupted. When each thread of the pool runs a request that makes no progress, no other request is served any
more, while the event loop goes on and the master sees nothing wrong.
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
    """Occupation of a thread by one piece of application code.

    :ivar began: its beginning on the monotonic clock, which tells it from every other piece in that thread.
    :ivar quiet_since: the time since when it has sent nothing, read nothing and not waited for its client.
    """

    __slots__ = ("began", "progress", "quiet_since", "reported")

    def __init__(self, began: float, progress: int) -> None:
        self.began = began
        self.progress = progress
        self.quiet_since = began
        self.reported = False


class StuckThreads:
    """Checks the threads of a pool for progress, on the loop.

    A request that waits for its client is not stuck: its upload may arrive slowly, its response may be read slowly. Nor is one
    that sends a piece of its response, or reads a piece of its input, now and then.

    :param timeout: seconds without progress after which a request counts as stuck, more than 0.
    :param log_error: logs an error, once for each request.
    """

    def __init__(self, pool: ThreadPool, timeout: float, log_error: Callable[..., None]) -> None:
        self._pool = pool
        self._timeout = timeout
        self._log_error = log_error
        self._stays: dict[PoolThread, _Stay] = {}

    def look(self, now: float) -> bool:
        """Log each request that is stuck, once.

        :param now: time on the monotonic clock.
        :return: True if every thread runs a request that is stuck.
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
        """Time on the monotonic clock at which the next request will count as stuck, unless it makes progress."""
        return min((stay.quiet_since + self._timeout for stay in self._stays.values() if not stay.reported), default=math.inf)

    def quiet_for(self, now: float) -> float:
        """Return the seconds since any thread has made progress; 0 while one is free."""
        if len(self._stays) < self._pool.size:
            return 0.0
        return now - max(stay.quiet_since for stay in self._stays.values())

    def _report(self, member: PoolThread, exchange: Exchange) -> None:
        frame = sys._current_frames().get(member.thread.ident or 0)
        frames = frames_inside(frame, _OUTSIDE)
        if member.occupant is exchange:
            where = f"in its thread, without a sign of life (timeout = {self._timeout:g})"
            self._log_error("%s\n%s", describe_hung(exchange, where), traceback_text(frames))
