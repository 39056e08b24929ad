"""Sockets below the transports: whether bytes wait to be read, and the bytes that a broken transport has not read."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Iterator
from typing import Final

__all__ = ["is_readable", "rest_of"]

_MOST_REST: Final = 1 << 24  # bytes; more than a kernel keeps for one connection
_READ_SIZE: Final = 1 << 16


def is_readable(transport: asyncio.BaseTransport, *, lost: bool = False) -> bool:
    """Return True if bytes, or the end of the connection, wait in the socket of a transport.

    :param lost: the answer for a transport without a socket.
    """
    sock = transport.get_extra_info("socket")
    if sock is None:
        return lost
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def rest_of(transport: asyncio.BaseTransport) -> Iterator[bytes]:
    """Read what a server had sent before its connection broke: a transport that fails to write does not read any more."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    descriptor = sock.fileno()
    received = 0
    while received < _MOST_REST:
        try:
            data = os.read(descriptor, _READ_SIZE)
        except OSError:
            return
        if not data:
            return
        received += len(data)
        yield data
