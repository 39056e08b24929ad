"""Waiting for sockets to take more, beside the transports that own them."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Any, Final

_EPOLLOUT: Final = int(getattr(select, "EPOLLOUT", 0))


class WritableSockets:
    """Sockets that something but their transport writes to, and whom to call when they take more.

    A loop lets nobody but a transport wait for the transport's socket. So these
    are in an epoll instance of their own, which the loop watches like a file.

    :param loop_is_slow: says whether the loop may take long to come back to a socket.
    """

    __slots__ = ("_callbacks", "_epoll", "loop", "loop_is_slow")

    available: Final = hasattr(select, "epoll")  # on Linux

    def __init__(self, loop: asyncio.AbstractEventLoop, loop_is_slow: Callable[[], bool]) -> None:
        self.loop = loop
        self.loop_is_slow = loop_is_slow
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._epoll: Any = None

    def fileno(self) -> int:
        """Return the descriptor of the epoll instance, -1 as long as there is none."""
        return -1 if self._epoll is None else int(self._epoll.fileno())

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """Have *callback* called in each turn in which the socket takes more, or has failed, until :meth:`remove`."""
        if self._epoll is None:
            self._epoll = select.epoll()
        if not self._callbacks:
            self.loop.add_reader(self._epoll.fileno(), self._call)
        self._callbacks[fd] = callback
        self._epoll.register(fd, _EPOLLOUT)

    def remove(self, fd: int) -> None:
        """Call nobody any more for this socket, which is still open."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)
        if not self._callbacks:
            self.loop.remove_reader(self._epoll.fileno())

    def _call(self) -> None:
        for fd, _ in self._epoll.poll(0):
            # One callback may have removed another's socket.
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback()
