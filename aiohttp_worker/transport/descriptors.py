"""Descriptors that a forked process shares with its parent, made its own or harmless.

To close one leaves the other's alone, and so does to put something else in its place. To use one does not: what one process
writes, reads, seeks or unregisters from an epoll instance is written, read and gone for both.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterable

# Their other ends would tell that nobody listens.
_nowhere: list[socket.socket] = []


def detach(sockets: Iterable[int], epolls: Iterable[int]) -> None:
    """Put sockets that lead nowhere, and epoll instances that watch nothing, in the place of shared ones.

    What still holds the numbers can go on using them.
    """
    try:
        end, other = socket.socketpair()
        end.setblocking(False)
        _nowhere.append(other)
        for fd in sockets:
            os.dup2(end.fileno(), fd, inheritable=False)
        end.close()
    except OSError:  # no descriptor is left
        _close(sockets)
    for fd in epolls:
        try:
            with select.epoll() as fresh:
                os.dup2(fresh.fileno(), fd, inheritable=False)
        except OSError:
            _close([fd])


def _close(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        try:
            os.close(fd)
        except OSError:
            continue


def reopen(fd: int) -> None:
    """Give an open file a position of its own, where it is; only Linux can, elsewhere nothing happens."""
    try:
        position = os.lseek(fd, 0, os.SEEK_CUR)
        fresh = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    os.lseek(fresh, position, os.SEEK_SET)
    os.dup2(fresh, fd, inheritable=False)
    os.close(fresh)
