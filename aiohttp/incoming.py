"""The body of a response while it arrives, between the connection and whoever reads.

Received pieces are kept as they came. A content coding is undone when somebody reads, in steps of bounded size, so a small
body that unpacks into a huge one costs no more memory than any other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

from aiohttp_worker.http1.buffer import Buffer
from aiohttp_worker.http1.errors import EofStream

from .errors import BodyTooLargeError, ClientConnectionError, ContentEncodingError, IncompleteRead

__all__ = ["Decoder", "Flow", "Incoming", "check_body_size"]

EMPTY_READS = 3
"""The empty read behind the end that raises EofStream, because somebody reads in a loop that nothing else ends."""
HIGH_MARK = 131072
"""Bytes that may wait unread before the socket is not read any further; half of it resumes."""


def check_body_size(size: Any) -> None:
    """Raise ValueError for a ``max_body_size`` that is none: it would be found out when the first byte arrives."""
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
        raise ValueError(f"max_body_size is a number of bytes, or None for no limit, not {size!r}")


class Decoder(Protocol):
    """Decoder for a content coding, in steps of bounded size."""

    @property
    def needs_input(self) -> bool:
        """False while ``decode(b"")`` gives more output."""

    def decode(self, data: bytes) -> bytes:
        """Decode more input; return one step's worth of output, at most."""

    def finish(self) -> bytes:
        """Return the output that was held back.

        :raises EOFError: the coded data is not complete.
        """


class Flow(Protocol):
    """The side that can be asked to read less."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Incoming:
    """Body of one response while it arrives.

    One reader at a time: a second one that waits at the same time gets RuntimeError.
    """

    __slots__ = (
        "_buffer", "_deadline", "_decoder", "_empty_reads", "_ended", "_eof", "_error", "_flow", "_loop", "_max_size", "_paused",
        "_raw", "_raw_size", "_read_timeout", "_total", "_unread", "_waiter", "label",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, flow: Flow | None, read_timeout: float | None, max_size: int | None
    ) -> None:
        self.label = ""  # what was asked of whom, for errors
        self._loop = loop
        self._flow = flow
        self._read_timeout = read_timeout
        self._max_size = max_size
        self._buffer = Buffer()
        self._decoder: Decoder | None = None
        self._raw: deque[bytes] | None = None
        self._raw_size = 0
        self._total = 0
        self._empty_reads = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._eof = False
        self._paused = False
        self._error: BaseException | None = None
        self._ended = False  # whether the reader knows that it has everything
        self._unread: str | None = None
        self._waiter: asyncio.Future[None] | None = None

    # -- the connection's side --------------------------------------------------------------------------------------

    def set_decoder(self, decoder: Decoder) -> None:
        """Undo a content coding; to be called before the first data."""
        self._decoder = decoder
        self._raw = deque()

    def feed_data(self, data: bytes) -> None:
        """Take a piece that arrived. Raises BodyTooLargeError when that is more than is wanted."""
        if self._raw is None:
            if self._max_size is not None:
                self._count(data)
            self._buffer.feed(data)
        else:
            self._raw.append(data)
            self._raw_size += len(data)
        if not self._paused and self._flow is not None and len(self._buffer) + self._raw_size > HIGH_MARK:
            self._paused = True
            self._flow.pause_reading()
        if self._waiter is not None:
            self._wake()

    def feed_eof(self) -> None:
        """The body is complete; its connection is no longer ours."""
        self._eof = True
        self._resume()  # the next exchange on it must not find it paused
        self._flow = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._waiter is not None:
            self._wake()

    def set_deadline(self, deadline: asyncio.TimerHandle) -> None:
        """Cancel this when the body is complete."""
        self._deadline = deadline

    def set_error(self, error: BaseException) -> None:
        """The body is not complete: ``error`` is raised when what did arrive has been read."""
        self._error = error
        self.feed_eof()

    @property
    def paused(self) -> bool:
        """True if the connection was asked to stop reading."""
        return self._paused

    def complete(self) -> bool:
        """True if the last byte has arrived, read or not."""
        return self._eof

    def discard(self) -> None:
        """Nobody will read: drop what is there, and what comes."""
        self._buffer.clear()
        if self._raw is not None:
            self._raw.clear()
            self._raw_size = 0
            self._decoder = None
        self._resume()

    def end_without_body(self) -> None:
        """There is no body, or none is wanted: what is read is empty."""
        self.discard()
        self._ended = True
        self.feed_eof()

    def read_out(self, sized: bool) -> bool:
        """True if the reader has everything.

        That must not depend on how much has arrived, so it is a reader who saw the end, or who has taken as many bytes as a
        ``sized`` body announced.
        """
        return self._ended or (sized and self._raw is None and self.at_eof())

    def refuse(self, what: str) -> None:
        """Let reading raise from now on; ``what`` says in the error what happened."""
        if self._unread is None:
            self.discard()
            self._unread = what
            if self._waiter is not None:
                self._wake()

    def buffered(self) -> int:
        """Bytes that arrived and are not read."""
        return len(self._buffer) + self._raw_size

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._flow is not None:
                self._flow.resume_reading()

    # -- filling the buffer -----------------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Move something into the buffer without waiting; False when that needs more data from the connection."""
        decoder = self._decoder
        if decoder is None:
            return False
        try:
            return self._decode(decoder)
        except ContentEncodingError as error:
            self._decoder = None
            self._error = ContentEncodingError(f"{self.label}: {error}")
            raise self._error from None

    def _decode(self, decoder: Decoder) -> bool:
        before = len(self._buffer)
        while len(self._buffer) == before:
            if not decoder.needs_input:
                data = decoder.decode(b"")
            elif self._raw:  # it is there since the decoder is
                piece = self._raw.popleft()
                self._raw_size -= len(piece)
                data = decoder.decode(piece)
            elif self._eof:
                self._decoder = None
                self._finish(decoder)
                return len(self._buffer) > before
            else:
                return False
            self._count(data)
            self._buffer.feed(data)
        return True

    def _finish(self, decoder: Decoder) -> None:
        if self._error is not None:
            return
        try:
            data = decoder.finish()
        except EOFError:
            self._error = IncompleteRead(b"", None, f"{self.label}: the coded body ended too early")
        else:
            self._count(data)
            self._buffer.feed(data)

    def _count(self, data: bytes) -> None:
        self._total += len(data)
        if self._max_size is not None and self._total > self._max_size:
            self._decoder = None
            self._error = BodyTooLargeError(f"{self.label}: the body is longer than {self._max_size} bytes")
            raise self._error

    async def _wait(self) -> bool:
        """Wait for more in the buffer; False at the end. Raises the error that ended the body."""
        self._refuse_unread()
        if self._fill():
            return True
        while not self._eof:
            if self._waiter is not None:
                raise RuntimeError("somebody else is waiting for this body already")
            self._resume()
            before = len(self._buffer)
            waiter = self._waiter = self._loop.create_future()
            try:
                if self._read_timeout is None:
                    await waiter
                else:
                    await self._wait_in_time(waiter, self._read_timeout)
            finally:
                self._waiter = None
            self._refuse_unread()
            if self._fill() or len(self._buffer) > before:
                return True
        if self._fill():
            return True
        if self._error is not None:
            error = self._error
            if isinstance(error, IncompleteRead):
                raise IncompleteRead(b"", error.expected, error.message)
            raise error
        self._ended = True
        return False

    def _refuse_unread(self) -> None:
        if self._unread is not None:
            raise ClientConnectionError(f"{self.label}: {self._unread} before its body was read")

    async def _wait_in_time(self, waiter: asyncio.Future[None], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds) as deadline:
                await waiter
        except TimeoutError:
            if deadline.expired():
                raise TimeoutError(f"{self.label}: nothing more of the body within {seconds} s") from None
            raise

    def _taken(self, data: bytes) -> bytes:
        if self._paused and len(self._buffer) + self._raw_size <= HIGH_MARK // 2:
            self._resume()
        return data

    # -- the reader's side -------------------------------------------------------------------------------------------

    def at_eof(self) -> bool:
        """True if everything has been read."""
        if self._eof and not self._buffer and self._decoder is not None:
            try:
                self._fill()  # only the decoder knows whether anything is left
            except (ContentEncodingError, BodyTooLargeError):
                return False
        if self._complete_and_taken():
            self._ended = True
            return True
        return False

    def _complete_and_taken(self) -> bool:
        if not self._eof or self._buffer or self._raw:
            return False
        return self._error is None and self._decoder is None and self._unread is None

    def _nothing(self, stream: object) -> bytes:
        """The end, for a reader of the body or for the stream of the user's, who may not know an end when he sees it."""
        if stream is not None:
            self._empty_reads += 1
            if self._empty_reads >= EMPTY_READS:
                raise EofStream(f"{self.label}: read {self._empty_reads} times behind the end of the body")
        return b""

    async def read(self, n: int, stream: object = None) -> bytes:
        """Up to ``n`` bytes, everything for -1. The user's ``stream``, if there is one, stays alive until the read is over."""
        if n == 0:
            return b""
        if n < 0:
            return await self.read_all() or self._nothing(stream)
        if not self._buffer and not await self._wait():
            return self._nothing(stream)
        return self._taken(self._buffer.take(n))

    async def read_all(self) -> bytes:
        """Everything up to the end."""
        parts = []
        try:
            while True:
                if self._buffer:
                    parts.append(self._taken(self._buffer.take_all()))
                if self._complete_and_taken():
                    self._ended = True
                    break
                if not await self._wait():
                    break
        except (IncompleteRead, BodyTooLargeError) as error:
            error.partial = b"".join(parts) + error.partial
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read_any(self, stream: object = None) -> bytes:
        """Return the bytes that have arrived, or the next piece."""
        if not self._buffer and not await self._wait():
            return self._nothing(stream)
        return self._taken(self._buffer.take_any())

    async def read_exactly(self, n: int, _stream: object = None) -> bytes:
        """Exactly ``n`` bytes."""
        if n < 0:
            raise ValueError(f"cannot read {n} bytes")
        buffer = self._buffer
        while len(buffer) < n:
            try:
                more = await self._wait()
            except IncompleteRead as error:
                error.partial = buffer.take_all()
                raise
            if not more:
                partial = buffer.take_all()
                raise IncompleteRead(partial, n - len(partial))
        return self._taken(buffer.take(n))

    async def read_line(self, stream: object = None) -> bytes:
        """One line."""
        try:
            return await self.read_until(b"\n")
        except IncompleteRead as error:
            if self._error is None:
                return error.partial or self._nothing(stream)
            raise

    async def read_until(self, separator: bytes, _stream: object = None) -> bytes:
        """Up to and with ``separator``."""
        if not separator:
            raise ValueError("the separator is empty")
        buffer = self._buffer
        while True:
            found = buffer.take_until(separator)
            if found is not None:
                return self._taken(found)
            try:
                more = await self._wait()
            except IncompleteRead as error:
                error.partial = buffer.take_all()
                raise
            if not more:
                raise IncompleteRead(buffer.take_all(), None)
