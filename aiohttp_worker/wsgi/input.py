"""The kinds of ``wsgi.input``.

A collected body is a file (:class:`BodyCollector`). What the worker drives on
the loop, and reads its input as that comes, awaits a :class:`StreamReader`; an application in a
thread reads a :class:`BlockingReader` over the same live stream. What is stepped through
reads either file through an :class:`~aiohttp_worker.wsgi.input_file.InputFile`.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, BinaryIO, Final, NoReturn, TypeVar, cast

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.buffer import SMALL, Buffer, separator_bytes, size_to_read
from aiohttp_worker.http1.errors import EofStream

from .generators import iterates_now

# While nobody reads, so many bytes are kept before the socket is paused.
HIGH_MARK = 256 * 1024
LOW_MARK = 64 * 1024

_T = TypeVar("_T")
_MOST_EMPTY_READS: Final = 3  # behind the end, for those who wait for EofStream
_TURN_SECONDS: Final = 0.001  # for reads that need not wait, before others get their turn

WHAT_TO_WRITE: Final = (
    "wsgi.input is a stream here, and a read gives its bytes when it is waited for: write"
    ' `data = yield from environ["wsgi.input"].read()` in a generator, `data = await environ["wsgi.input"].read()` in a coroutine'
)


class BodyCollector:
    """Collects a body: in memory, beyond a size in a temporary file.

    :param memory_size: bytes kept in memory.
    :param directory: for the temporary file, ``None`` for the system's.
    """

    __slots__ = ("_directory", "_file", "_memory_size", "_pieces", "size")

    def __init__(self, memory_size: int, directory: str | None) -> None:
        self._memory_size = memory_size
        self._directory = directory
        self._pieces: list[bytes] = []
        self._file: io.FileIO | None = None
        self.size = 0  # bytes so far

    def feed(self, data: bytes) -> None:
        """Append *data*.

        :raises OSError: the temporary file cannot be made or written.
        """
        self.size += len(data)
        if self._file is not None:
            _write_all(self._file, data)
            return
        pieces = self._pieces
        if len(data) < SMALL and pieces and len(pieces[-1]) < SMALL:
            pieces[-1] += data
        else:
            pieces.append(data)
        if self.size > self._memory_size:
            self.spill()

    @property
    def in_memory(self) -> int:
        """Bytes that are in memory."""
        return self.size if self._file is None else 0

    def spill(self) -> None:
        """Move what is in memory to the temporary file.

        :raises OSError: it cannot be made or written.
        """
        # Unbuffered: the pieces are large already.
        self._file = tempfile.TemporaryFile(buffering=0, dir=self._directory)
        for piece in self._pieces:
            _write_all(self._file, piece)
        self._pieces.clear()

    def finish(self) -> BinaryIO:
        """Return the body as a file at its start."""
        if self._file is not None:
            file, self._file = self._file, None
            file.seek(0)
            return cast("BinaryIO", _CollectedFile(file, 65536))
        pieces = self._pieces
        return io.BytesIO(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def close(self) -> None:
        """Throw everything away."""
        self._pieces.clear()
        if self._file is not None:
            self._file.close()
            self._file = None


def _write_all(file: io.FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


class _CollectedFile(io.BufferedReader):
    """A body on disk: takes the sizes that one in memory takes."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size_to_read(size))


class ReadFuture(asyncio.Future[_T]):
    """What a read of a stream returns: a future that tells those who take it for the bytes what to write."""

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


def _refuse() -> NoReturn:
    raise TypeError(WHAT_TO_WRITE)


def explain_misuse(error: BaseException) -> None:
    """Add to what others say of a :class:`ReadFuture` that they were given for bytes."""
    if isinstance(error, TypeError | ValueError) and ReadFuture.__name__ in str(error) and not hasattr(error, "__notes__"):
        error.add_note(WHAT_TO_WRITE)


class _Read:
    """A read that waits: how to serve it, and whom to tell."""

    __slots__ = ("counted", "future", "take")

    def __init__(self, take: Callable[[], Any], future: ReadFuture[Any], counted: bool) -> None:
        self.take = take
        self.future = future
        self.counted = counted


class StreamReader:
    """``wsgi.input`` of coroutines and generators: a body as it arrives.

    The methods are those of :class:`asyncio.StreamReader` and return futures:
    ``await`` them, or ``yield from`` them in a plain generator.

    :param on_want: called at the first read (``100 Continue`` is due then).
    :param on_taken: called when a read took something.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_want: Callable[[], None],
        on_taken: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._buffer = Buffer()
        self._ended = False
        self._error: IncompleteBodyError | None = None
        self._waiting: _Read | None = None
        self._on_want: Callable[[], None] | None = on_want
        self._on_taken = on_taken
        self._empty_reads = 0  # behind the end
        self._turn_ends = 0.0
        self._deferred = False  # the read that waits needs nothing but a turn of the loop

    # The worker's side.

    @property
    def buffered(self) -> int:
        """Bytes that nobody has read yet."""
        return len(self._buffer)

    @property
    def was_read(self) -> bool:
        """Whether the application has asked for anything."""
        return self._on_want is None

    @property
    def wanted(self) -> bool:
        """Whether a read waits for more."""
        return self._waiting is not None and not self._deferred

    def feed(self, data: bytes) -> None:
        """Append received data."""
        self._buffer.feed(data)
        self._serve()

    def feed_end(self) -> None:
        """Take up the end of the body."""
        self._ended = True
        self._serve()

    def fail(self, error: IncompleteBodyError) -> None:
        """Make the reads to come, and the one that waits, raise *error*."""
        if not self._ended:
            self._error = error
            self._serve()

    # The application's side.

    def read(self, size: int | None = -1) -> ReadFuture[bytes]:
        """Read up to *size* bytes as soon as there are any; all, when -1.

        :return: future of ``bytes``, empty at the end of the body.
        :raises IncompleteBodyError: the client went away before the end.
        :raises EofStream: the third time that there is nothing, because the body has ended.
        """
        count = size_to_read(size)
        if count == 0:
            return self._done(b"")
        if count < 0:
            return self._read(self._take_all)
        return self._read(lambda: self._take_some(count))

    def readany(self) -> ReadFuture[bytes]:
        """Read what has arrived, as soon as something has."""
        return self._read(self._take_any)

    def readline(self) -> ReadFuture[bytes]:
        r"""Read one line with its ``\n``, or what is left."""
        return self._read(lambda: self._take_line(b"\n"))

    def readlines(self) -> ReadFuture[list[bytes]]:
        r"""Read all lines, each with its ``\n``."""
        return self._read(self._take_lines, counted=False)

    def readuntil(self, separator: bytes = b"\n") -> ReadFuture[bytes]:
        """Read up to and with *separator*.

        :raises asyncio.IncompleteReadError: the body ended before.
        """
        wanted = separator_bytes(separator)
        return self._read(lambda: self._take_line(wanted, exact=True))

    def readexactly(self, size: int) -> ReadFuture[bytes]:
        """Read exactly *size* bytes.

        :raises asyncio.IncompleteReadError: the body ended before.
        """
        count = size_to_read(size)
        if count < 0:
            raise ValueError(f"the size to read exactly must not be negative: {size}")
        if count == 0:
            return self._done(b"")
        return self._read(lambda: self._take_exactly(count))

    def at_eof(self) -> bool:
        """Say whether everything has been read."""
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
        if self._on_want is not None:
            want, self._on_want = self._on_want, None
            want()
        future: ReadFuture[Any] = ReadFuture(loop=self._loop)
        self._waiting = _Read(take, future, counted)
        now = _monotonic()
        if not self._turn_ends:
            self._turn_ends = now + _TURN_SECONDS
        elif now > self._turn_ends:
            # Who reads what is there already, over and over, never comes back to the loop by itself.
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
        """Serve the read that waits, if it can be served."""
        waiting = self._waiting
        if waiting is None or self._deferred:
            return
        if waiting.future.done():  # cancelled: nothing was taken for it
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
    """A :class:`StreamReader` of a request without a body."""

    _nothing_in_it = Buffer()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buffer = self._nothing_in_it
        self._ended = True
        self._error = None
        self._waiting = None
        self._on_want = None
        self._on_taken = _nothing
        self._empty_reads = 0
        self._turn_ends = 0.0
        self._deferred = False


class FileReader(StreamReader):
    """A :class:`StreamReader` over a body that was collected before.

    For what an ordinary callable returns: by the time the worker awaits it, the
    body is complete.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, file: BinaryIO) -> None:
        super().__init__(loop, _nothing, _nothing)
        self._source = file

    def _read(self, take: Callable[[], Any], counted: bool = True) -> ReadFuture[Any]:
        if not self._ended:
            self._buffer.feed(self._source.read())
            self._ended = True
        return super()._read(take, counted)


_monotonic: Final = time.monotonic


def _nothing() -> None:
    pass


class BlockingReader(io.BufferedIOBase):
    """``wsgi.input`` of an application in a thread: blocks until data comes.

    Made on the loop that feeds it. A thread may read it within a loop of its own,
    as asynchronous views of Flask do: that loop waits, and the one that feeds does not.

    :param on_want: called in the thread at the first read.
    :param on_taken: called in the thread when the buffer has shrunk below the
        low mark.
    :ivar waits: whether the thread waits for the client.
    """

    def __init__(self, on_want: Callable[[], None], on_taken: Callable[[], None]) -> None:
        self._buffer = Buffer()
        self._changed = threading.Condition(threading.Lock())
        self._loops_thread = threading.get_ident()
        self._ended = False
        self.waits = False
        self._error: IncompleteBodyError | None = None
        self._on_want: Callable[[], None] | None = on_want
        self._on_taken = on_taken

    # The loop's side.

    @property
    def buffered(self) -> int:
        """Bytes that nobody has read yet."""
        return len(self._buffer)

    @property
    def was_read(self) -> bool:
        """Whether the application has asked for anything."""
        return self._on_want is None

    @property
    def wanted(self) -> bool:
        """Always false: what a thread waits for is bounded by the marks too."""
        return False

    def feed(self, data: bytes) -> None:
        """Append received data."""
        with self._changed:
            self._buffer.feed(data)
            self._changed.notify()

    def feed_end(self) -> None:
        """Take up the end of the body."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: IncompleteBodyError) -> None:
        """Make the reads to come, and the one that waits, raise *error*."""
        with self._changed:
            if not self._ended:
                self._error = error
                self._changed.notify_all()

    def forsake(self, error: IncompleteBodyError) -> None:
        """Fail in a forked process, where the lock may be held by a thread that is not there."""
        self._changed = threading.Condition(threading.Lock())
        self.fail(error)

    def hand_over(self, stream: StreamReader) -> None:
        """Give everything that was not read to *stream*, which is fed from now on."""
        with self._changed:
            stream.feed(self._buffer.take_all())
            if self._ended:
                stream.feed_end()
            elif self._error is not None:
                stream.fail(self._error)
            self._ended = True

    # The application's side.

    def readable(self) -> bool:
        return True

    @property
    def ended(self) -> bool:
        """Whether all of the body has come, so that nothing blocks."""
        with self._changed:
            return self._ended

    @property
    def is_on_loop(self) -> bool:
        """Whether the caller runs on the loop that feeds this."""
        return asyncio._get_running_loop() is not None and threading.get_ident() == self._loops_thread

    def at_eof(self) -> bool:
        """Say whether everything has been read, without waiting."""
        with self._changed:
            return self._ended and not len(self._buffer)

    def read(self, size: int | None = -1) -> bytes:
        count = size_to_read(size)
        if count < 0:
            parts = []
            while piece := self._take(HIGH_MARK):
                parts.append(piece)
            return b"".join(parts)
        data = self._take(count)
        if len(data) == count or not data:
            return data
        parts = [data]
        missing = count - len(data)
        while missing and (piece := self._take(missing)):
            parts.append(piece)
            missing -= len(piece)
        return b"".join(parts)

    def read1(self, size: int | None = -1) -> bytes:
        count = size_to_read(size)
        return self._take(HIGH_MARK if count < 0 else count)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        if view.readonly:  # known before anything is taken for it
            raise TypeError(f"readinto() takes a buffer that can be written, not {type(buffer).__name__}")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1) -> bytes:
        limit = size_to_read(size)
        if limit == 0:
            return b""
        parts: list[bytes] = []
        while True:
            part = self._take_line(limit)
            parts.append(part)
            if limit > 0:
                limit -= len(part)
            if not part or part.endswith(b"\n") or limit == 0:
                return b"".join(parts)

    def _wait(self) -> None:
        """Wait for data, the end, or an error; the lock is held."""
        if self._on_want is not None:
            want, self._on_want = self._on_want, None
            want()
        while not len(self._buffer) and not self._ended:
            if self._error is not None:
                raise self._error
            if self.is_on_loop:
                # It would wait for the loop, which would wait for it.
                raise RuntimeError(
                    "wsgi.input is a file that blocks, and cannot be read on the loop: read it in the thread before"
                )
            self.waits = True
            self._changed.wait()
            self.waits = False

    def _take(self, size: int) -> bytes:
        if size == 0:
            return b""
        with self._changed:
            self._wait()
            before = len(self._buffer)
            data = self._buffer.take(size)
        self._tell(before, len(data))
        return data

    def _take_line(self, limit: int) -> bytes:
        with self._changed:
            self._wait()
            before = len(self._buffer)
            line = self._buffer.take_line(limit)
            if line is None:
                line = self._buffer.take_all()
        self._tell(before, len(line))
        return line

    def _tell(self, before: int, taken: int) -> None:
        if before > LOW_MARK >= before - taken:
            self._on_taken()
