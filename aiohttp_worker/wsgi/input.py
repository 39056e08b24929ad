"""``wsgi.input`` on the event loop: a request body as a stream whose reads return futures.

:class:`StreamReader` serves coroutines and generators that read a body while it arrives; :class:`FileReader` has the same
methods over a body that was collected before. The other kinds of ``wsgi.input`` are in
:mod:`~aiohttp_worker.wsgi.body_collector` (a plain file), :mod:`~aiohttp_worker.wsgi.blocking_reader` (in a thread) and
:mod:`~aiohttp_worker.wsgi.input_file` (a file whose reads can also be awaited and delegated to).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Generator
from typing import Any, BinaryIO, Final, NoReturn, TypeVar

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.buffer import Buffer, separator_bytes, size_to_read
from aiohttp_worker.http1.errors import EofStream

from .call_sites import iterates_now

# Unread bytes of a body: at the high mark reading from the socket is paused, below the low mark it is resumed.
HIGH_MARK = 256 * 1024
LOW_MARK = 64 * 1024

_T = TypeVar("_T")
_MOST_EMPTY_READS: Final = 3  # after the end of the body, before EofStream is raised
_TURN_SECONDS: Final = 0.001  # of reads that are served at once, before other tasks get a turn
_monotonic: Final = time.monotonic

WHAT_TO_WRITE: Final = (
    "wsgi.input is a stream here, and a read gives its bytes when it is waited for: write"
    ' `data = yield from environ["wsgi.input"].read()` in a generator, `data = await environ["wsgi.input"].read()` in a coroutine'
)


class ReadFuture(asyncio.Future[_T]):
    """Future of a read; used as if it were the bytes, it raises an error that says what to write instead."""

    def __iter__(self) -> Generator[Any, None, _T]:
        if iterates_now(sys._getframe(1)):
            _refuse()
        return super().__iter__()

    def __bool__(self) -> bool:  # noqa: PLE0304
        _refuse()

    def __len__(self) -> int:  # noqa: PLE0303
        _refuse()

    def __getitem__(self, place: Any) -> NoReturn:
        _refuse()

    def __contains__(self, part: Any) -> bool:
        _refuse()

    def __add__(self, other: Any) -> NoReturn:
        _refuse()

    __radd__ = __add__

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} has no {name}: {WHAT_TO_WRITE}" if hasattr(bytes, name) else name)


def _nothing() -> None:
    pass


def _refuse() -> NoReturn:
    raise TypeError(WHAT_TO_WRITE)


def explain_misuse(error: BaseException) -> None:
    """Add a note to the error of a function that was passed a :class:`ReadFuture` instead of bytes."""
    if isinstance(error, TypeError | ValueError) and ReadFuture.__name__ in str(error) and not hasattr(error, "__notes__"):
        error.add_note(WHAT_TO_WRITE)


class _Read:
    """A pending read.

    :ivar take: returns the result, ``None`` while there is not enough data.
    :ivar counted: an empty result counts towards ``EofStream``.
    """

    __slots__ = ("counted", "future", "take")

    def __init__(self, take: Callable[[], Any], future: ReadFuture[Any], counted: bool) -> None:
        self.take = take
        self.future = future
        self.counted = counted


class LiveBody:
    """Bytes of a request body that arrived and were not read yet, as kept by every reader of a live body.

    :param on_want: called at the first read, when ``100 Continue`` is due (RFC 9110 section 10.1.1).
    :param on_taken: called when reading made room, so that the socket may be read again.
    """

    _on_want: Callable[[], None] | None

    def __init__(self, on_want: Callable[[], None], on_taken: Callable[[], None]) -> None:
        self._buffer = Buffer()
        self._ended = False
        self._error: IncompleteBodyError | None = None
        self._on_want = on_want
        self._on_taken = on_taken

    @property
    def buffered(self) -> int:
        """Number of bytes that have arrived and were not read."""
        return len(self._buffer)

    @property
    def was_read(self) -> bool:
        """True once the application has read, or tried to."""
        return self._on_want is None

    def _announce_read(self) -> None:
        """Call ``on_want``, at the first read only."""
        if self._on_want is not None:
            want, self._on_want = self._on_want, None
            want()


class StreamReader(LiveBody):
    """``wsgi.input`` of coroutines and streaming generators: a body read while it arrives.

    The methods are those of :class:`asyncio.StreamReader` and return futures:
    ``await`` them, or ``yield from`` them in a plain generator.

    :param on_want: as in :class:`LiveBody`.
    :param on_taken: called after each read that took bytes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_want: Callable[[], None],
        on_taken: Callable[[], None],
    ) -> None:
        super().__init__(on_want, on_taken)
        self._loop = loop
        self._waiting: _Read | None = None
        self._empty_reads = 0  # after the end
        self._turn_ends = 0.0
        self._deferred = False  # the pending read has its data, and waits for a turn of the loop only

    # Called by the server.

    @property
    def wanted(self) -> bool:
        """True while a read waits for data to arrive."""
        return self._waiting is not None and not self._deferred

    def feed(self, data: bytes) -> None:
        """Append received data."""
        self._buffer.feed(data)
        self._serve()

    def feed_end(self) -> None:
        """Mark the body as complete."""
        self._ended = True
        self._serve()

    def fail(self, error: IncompleteBodyError) -> None:
        """Make the pending read, and those to come, raise *error* once the buffer is empty."""
        if not self._ended:
            self._error = error
            self._serve()

    # Called by the application.

    def read(self, size: int | None = -1) -> ReadFuture[bytes]:
        """Read up to *size* bytes as soon as any have arrived, or the whole body when *size* is -1 or ``None``.

        :return: future of ``bytes``, empty at the end of the body.
        :raises IncompleteBodyError: the client disconnected before the end of the body.
        :raises EofStream: at the third read after the end of the body.
        """
        count = size_to_read(size)
        if count == 0:
            return self._done(b"")
        if count < 0:
            return self._read(self._take_all)
        return self._read(lambda: self._take_some(count))

    def readany(self) -> ReadFuture[bytes]:
        """Read the bytes that have arrived, as soon as there are any."""
        return self._read(self._take_any)

    def readline(self) -> ReadFuture[bytes]:
        r"""Read one line with its ``\n``, or the rest of the body."""
        return self._read(lambda: self._take_line(b"\n"))

    def readlines(self) -> ReadFuture[list[bytes]]:
        r"""Read all lines, each with its ``\n``."""
        return self._read(self._take_lines, counted=False)

    def readuntil(self, separator: bytes = b"\n") -> ReadFuture[bytes]:
        """Read up to and including *separator*.

        :raises asyncio.IncompleteReadError: the body ends before it.
        """
        wanted = separator_bytes(separator)
        return self._read(lambda: self._take_line(wanted, exact=True))

    def readexactly(self, size: int) -> ReadFuture[bytes]:
        """Read exactly *size* bytes.

        :raises asyncio.IncompleteReadError: the body is shorter.
        """
        count = size_to_read(size)
        if count < 0:
            raise ValueError(f"the size to read exactly must not be negative: {size}")
        if count == 0:
            return self._done(b"")
        return self._read(lambda: self._take_exactly(count))

    def at_eof(self) -> bool:
        """Return whether the body has been read to its end."""
        return self._ended and not len(self._buffer)

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "wsgi.input is a stream here, whose lines come one after the other: write"
            ' `while line := (yield from environ["wsgi.input"].readline()):` in a generator,'
            ' `async for line in environ["wsgi.input"]:` in a coroutine'
        )

    def __aiter__(self) -> StreamReader:
        return self

    async def __anext__(self) -> bytes:
        line: bytes = await self._read(lambda: self._take_line(b"\n"), counted=False)
        if not line:
            raise StopAsyncIteration
        return line

    def _done(self, data: bytes) -> ReadFuture[bytes]:
        future: ReadFuture[bytes] = ReadFuture(loop=self._loop)
        future.set_result(data)
        return future

    def _read(self, take: Callable[[], Any], counted: bool = True) -> ReadFuture[Any]:
        if self._waiting is not None and not self._waiting.future.done():
            raise RuntimeError("wsgi.input is read by someone else already")
        self._announce_read()
        future: ReadFuture[Any] = ReadFuture(loop=self._loop)
        self._waiting = _Read(take, future, counted)
        now = _monotonic()
        if not self._turn_ends:
            self._turn_ends = now + _TURN_SECONDS
        elif now > self._turn_ends:
            # A task whose reads are all served from the buffer would never give the loop back by itself.
            self._turn_ends = 0.0
            self._deferred = True
            self._loop.call_soon(self._turn_over)
            return future
        self._serve()
        if self.wanted:
            self._on_taken()
        return future

    def _turn_over(self) -> None:
        self._deferred = False
        self._serve()
        if self.wanted:
            self._on_taken()

    def _serve(self) -> None:
        """Resolve the pending read, if there is enough data."""
        waiting = self._waiting
        if waiting is None or self._deferred:
            return
        if waiting.future.done():  # cancelled: no bytes were taken for it
            self._waiting = None
            return
        try:
            data = waiting.take()
            if data is not None and not data and waiting.counted:
                self._count_empty()
        except Exception as error:
            self._waiting = None
            waiting.future.set_exception(error)
            return
        if data is not None:
            self._waiting = None
            waiting.future.set_result(data)
            self._on_taken()
        elif self._error is not None:
            self._waiting = None
            waiting.future.set_exception(self._error)

    def _count_empty(self) -> None:
        self._empty_reads += 1
        if self._empty_reads >= _MOST_EMPTY_READS:
            raise EofStream("the body of the request was read to its end")

    def _take_all(self) -> bytes | None:
        return self._buffer.take_all() if self._ended else None

    def _take_lines(self) -> list[bytes] | None:
        if not self._ended:
            return None
        lines = []
        while line := self._take_line(b"\n"):
            lines.append(line)
        return lines

    def _take_any(self) -> bytes | None:
        if len(self._buffer):
            return self._buffer.take_any()
        return b"" if self._ended else None

    def _take_some(self, size: int) -> bytes | None:
        if len(self._buffer):
            return self._buffer.take(size)
        return b"" if self._ended else None

    def _take_line(self, separator: bytes, exact: bool = False) -> bytes | None:
        line = self._buffer.take_until(separator)
        if line is not None or not self._ended:
            return line
        rest = self._buffer.take_all()
        if exact:
            raise asyncio.IncompleteReadError(rest, None)
        return rest

    def _take_exactly(self, size: int) -> bytes | None:
        if len(self._buffer) >= size:
            return self._buffer.take(size)
        if self._ended:
            raise asyncio.IncompleteReadError(self._buffer.take_all(), size)
        return None


class EmptyReader(StreamReader):
    """A :class:`StreamReader` of a request without a body.

    Sets its attributes itself, because every request without a body may get one, and none needs a buffer of its own.
    """

    _shared_buffer = Buffer()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buffer = self._shared_buffer
        self._ended = True
        self._error = None
        self._waiting = None
        self._on_want = None
        self._on_taken = _nothing
        self._empty_reads = 0
        self._turn_ends = 0.0
        self._deferred = False


class FileReader(StreamReader):
    """A :class:`StreamReader` over a body that was collected before the application was called.

    For a coroutine or asynchronous generator that an ordinary callable returns: by the time it is awaited, the body is
    complete.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, file: BinaryIO) -> None:
        super().__init__(loop, _nothing, _nothing)
        self._source = file

    def _read(self, take: Callable[[], Any], counted: bool = True) -> ReadFuture[Any]:
        if not self._ended:
            self._buffer.feed(self._source.read())
            self._ended = True
        return super()._read(take, counted)
