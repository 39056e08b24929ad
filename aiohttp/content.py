"""The body of a response as a stream, after asyncio's StreamReader."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp_worker.http1.buffer import separator_bytes, size_to_read
from aiohttp_worker.http1.errors import EofStream

from .coroutines import Call
from .incoming import Incoming

__all__ = ["EofStream", "StreamReader"]


class StreamReader:
    """The body, to be read as it arrives. Every method works with ``await`` and with ``yield from``.

    The end is ``b""``. Whoever goes on all the same is told so: the third time that ``read``, ``readany`` or ``readline`` has
    nothing to give, it raises EofStream.

    One reader at a time: a second one that waits at the same time gets RuntimeError. The response is not forgotten as long as
    somebody has its stream or reads from it.
    """

    __slots__ = ("_incoming", "_response")

    def __init__(self, incoming: Incoming, response: object) -> None:
        self._incoming = incoming
        self._response = response

    def at_eof(self) -> bool:
        """True if everything has been read."""
        return self._incoming.at_eof()

    def buffered(self) -> int:
        """Number of bytes that have arrived and are not read, before decompression."""
        return self._incoming.buffered()

    def read(self, n: int | None = -1) -> Call[bytes]:
        """Everything up to the end, or up to ``n`` bytes as soon as there are any; ``b""`` at the end.

        Raises IncompleteRead, with what arrived as ``partial``, if the body is cut short.
        """
        return Call(self._incoming.read(size_to_read(n), self))

    def readany(self) -> Call[bytes]:
        """Return the bytes that have arrived, or the next piece; ``b""`` at the end."""
        return Call(self._incoming.read_any(self))

    def readexactly(self, n: int) -> Call[bytes]:
        """Exactly ``n`` bytes. Raises IncompleteRead with what there was if the body ends before."""
        return Call(self._incoming.read_exactly(size_to_read(n), self))

    def readline(self) -> Call[bytes]:
        """One line with its line feed, or what is left at the end."""
        return Call(self._incoming.read_line(self))

    def readuntil(self, separator: bytes = b"\n") -> Call[bytes]:
        """Up to and with ``separator``. Raises IncompleteRead with what there was if the body ends before."""
        return Call(self._incoming.read_until(separator_bytes(separator), self))

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The lines of the body."""
        return self._lines()

    async def _lines(self) -> AsyncIterator[bytes]:
        while line := await self._incoming.read_line():
            yield line

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Pieces of at most ``n`` bytes, as they come."""
        size = size_to_read(n)
        while piece := await self._incoming.read(size):
            yield piece

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Pieces as they come."""
        while piece := await self._incoming.read_any():
            yield piece
