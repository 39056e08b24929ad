"""Pool of kept connections: the choice of one for a request, and the limit on opening another.

Every operation takes constant time: idle connections lie in dictionaries, waiters in two queues, and a connection that
dies takes itself out. Nothing here scans, and nothing here knows sockets.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

__all__ = ["ConnectionPool", "Pooled"]


class Pooled(Protocol):
    """A connection as the pool sees it."""

    key: Hashable
    idle_since: float

    def close(self) -> None: ...


C = TypeVar("C", bound=Pooled)


class _Waiters:
    """Futures in the order they came; those that were cancelled meanwhile are passed over."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: deque[asyncio.Future[None]] = deque()

    def __bool__(self) -> bool:
        queue = self._queue
        while queue and queue[0].done():
            queue.popleft()
        return bool(queue)

    def append(self, waiter: asyncio.Future[None]) -> None:
        self._queue.append(waiter)

    def wake_first(self) -> None:
        self._queue.popleft().set_result(None)

    def refuse_all(self, make_error: Callable[[], Exception]) -> None:
        while self:
            self._queue.popleft().set_exception(make_error())


def _granted(waiter: asyncio.Future[None]) -> bool:
    """True if a waiter that does not wait any more was given what it waited for."""
    return waiter.done() and not waiter.cancelled() and waiter.exception() is None


class ConnectionPool(Generic[C]):
    """Slots and idle connections. 0 as a limit means no limit.

    A request passes two gates in order, that of its host and that of the whole pool, each first come, first served. What it
    holds afterwards is a slot; ``release_slot`` gives it back, exactly once.
    """

    def __init__(self, limit: int, limit_per_host: int) -> None:
        self.limit = limit
        self.limit_per_host = limit_per_host
        self.in_use = 0
        self._in_use_per_host: dict[Hashable, int] = {}
        self._waiters = _Waiters()
        self._waiters_per_host: dict[Hashable, _Waiters] = {}
        self._idle: OrderedDict[C, None] = OrderedDict()
        self._idle_per_key: dict[Hashable, dict[C, None]] = {}

    # -- slots ------------------------------------------------------------------------------------------------------

    def try_acquire(self, key: Hashable) -> bool:
        """Take a slot if that needs no waiting."""
        if self.limit and (self.in_use >= self.limit or self._waiters):
            return False
        if self.limit_per_host:
            held = self._in_use_per_host.get(key, 0)
            if held >= self.limit_per_host or self._waiters_per_host.get(key):
                return False
            self._in_use_per_host[key] = held + 1
        self.in_use += 1
        return True

    async def acquire(self, key: Hashable) -> None:
        """Wait for a slot. Cancelling gives back whatever was reserved."""
        loop = asyncio.get_running_loop()
        if self.limit_per_host:
            held = self._in_use_per_host.get(key, 0)
            waiters = self._waiters_per_host.get(key)
            if held >= self.limit_per_host or waiters:
                if waiters is None:
                    waiters = self._waiters_per_host[key] = _Waiters()
                waiter = loop.create_future()
                waiters.append(waiter)
                try:
                    await waiter
                except BaseException:
                    if _granted(waiter):
                        self._release_host(key)
                    raise
            else:
                self._in_use_per_host[key] = held + 1
        if self.limit and (self.in_use >= self.limit or self._waiters):
            waiter = loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                if _granted(waiter):
                    self._release_total()
                self._release_host(key)
                raise
        else:
            self.in_use += 1

    def refuse_waiters(self, make_error: Callable[[], Exception]) -> None:
        """Give everybody who waits for a slot an error of their own instead."""
        self._waiters.refuse_all(make_error)
        for waiters in list(self._waiters_per_host.values()):
            waiters.refuse_all(make_error)

    def release_slot(self, key: Hashable) -> None:
        """Give a slot back; it goes to the one that waits longest."""
        self._release_host(key)
        self._release_total()

    def _release_host(self, key: Hashable) -> None:
        if not self.limit_per_host:
            return
        waiters = self._waiters_per_host.get(key)
        if waiters is not None:
            if waiters:
                waiters.wake_first()  # the slot passes on, the count stays
                return
            del self._waiters_per_host[key]
        held = self._in_use_per_host[key] - 1
        if held:
            self._in_use_per_host[key] = held
        else:
            del self._in_use_per_host[key]

    def _release_total(self) -> None:
        if self._waiters:
            self._waiters.wake_first()
        else:
            self.in_use -= 1

    # -- idle connections -------------------------------------------------------------------------------------------

    def take_idle(self, key: Hashable) -> C | None:
        """The idle connection that was used last, so that the others grow old and go."""
        connections = self._idle_per_key.get(key)
        if connections is None:
            return None
        connection, _ = connections.popitem()
        if not connections:
            del self._idle_per_key[key]
        del self._idle[connection]
        return connection

    def add_idle(self, connection: C) -> C | None:
        """Keep a connection for later. Returns the oldest one if there are too many now; it is to be closed."""
        self._idle[connection] = None
        connections = self._idle_per_key.get(connection.key)
        if connections is None:
            connections = self._idle_per_key[connection.key] = {}
        connections[connection] = None
        if self.limit and len(self._idle) > self.limit:
            return self.pop_oldest()
        return None

    def discard_idle(self, connection: C) -> None:
        """Forget a connection that ended; nothing happens if it was not idle."""
        if connection in self._idle:
            del self._idle[connection]
            connections = self._idle_per_key[connection.key]
            del connections[connection]
            if not connections:
                del self._idle_per_key[connection.key]

    def oldest(self) -> C | None:
        """The connection that has been idle for the longest time."""
        return next(iter(self._idle), None)

    def pop_oldest(self) -> C | None:
        """Take that connection out."""
        connection = self.oldest()
        if connection is not None:
            self.discard_idle(connection)
        return connection

    def crowded(self) -> bool:
        """True if opening one more connection would make more than ``limit``, the idle ones counted."""
        return bool(self.limit) and self.in_use + len(self._idle) > self.limit and bool(self._idle)
