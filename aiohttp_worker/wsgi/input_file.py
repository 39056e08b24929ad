"""``wsgi.input`` of a body that is stepped through: a file of bytes, which may also be awaited and delegated to."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, Self

from aiohttp_worker.http1.buffer import separator_bytes
from aiohttp_worker.http1.errors import EofStream

from .blocking_reader import BlockingReader
from .call_sites import Use, delegates_now, use_of_call
from .environ import Environ

_FILES: Final = (io.BytesIO, io.BufferedReader, BlockingReader)
_MOST_EMPTY_READS: Final = 3  # behind the end, for those who wait for EofStream


class InputBytes(bytes):
    """What a read gave: ``bytes``, and with ``await`` or ``yield from`` these bytes again.

    ``yield from`` asks for an iterator as ``for`` does, and gets another one: to delegate to a number of integers has no use in
    an application, so whoever does it reads in the dialect of the streams.
    """

    _file: InputFile | None = None  # of an empty read at the end

    def __iter__(self) -> Iterator[int]:
        if delegates_now(sys._getframe(1)):
            return self.__await__()
        return super().__iter__()

    def __await__(self) -> Generator[Any, Any, bytes]:
        if self._file is not None:
            self._file.count_empty()
        return _outcome(bytes(self))

    # A copy that outlives the request, or leaves the process, is plain.
    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return bytes, (bytes(self),)


def _outcome(data: bytes) -> Generator[Any, Any, bytes]:
    return data
    yield


@io.BufferedIOBase.register
class InputFile:
    """A file of bytes for both dialects: ``data = file.read()`` and ``data = yield from file.read()``.

    Beside the methods of a file it has those of a stream, which give what can be awaited.

    What is read is plain ``bytes`` to all code that can neither await nor delegate, and with that to every library.

    :param file: what is read: a collected body, or one that blocks until it comes.
    :ivar is_driven: the generator that reads it sees the loop.
    """

    __slots__ = ("_empty_reads", "file", "is_driven")

    closed = False

    def __init__(self, file: Any) -> None:
        self.file = file
        self._empty_reads = 0
        self.is_driven = False

    def count_empty(self) -> None:
        """Count an empty read behind the end.

        :raises EofStream: it is the third one.
        """
        self._empty_reads += 1
        if self._empty_reads >= _MOST_EMPTY_READS:
            raise EofStream("the body of the request was read to its end")

    def _read(self, read: Callable[..., bytes], *arguments: Any, counted: bool = True) -> Any:
        """Read for the caller of the method that called this."""
        if self._blocks:
            # A coroutine, with which a generator goes on that is stepped in a thread.
            if self.file.is_on_loop or use_of_call(sys._getframe(2)) is Use.AWAITED:
                return asyncio.get_running_loop().run_in_executor(None, read, *arguments)
        data = read(*arguments)
        use = use_of_call(sys._getframe(2))
        if use is Use.PLAIN or (use is Use.PASSED and not self.is_driven):
            return data
        result = InputBytes(data)
        if counted and not data:
            result._file = self
        return result

    @property
    def _blocks(self) -> bool:
        """Whether a read would wait for the loop, on which it is called."""
        file = self.file
        return isinstance(file, BlockingReader) and not file.ended and asyncio._get_running_loop() is not None

    # A file.

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def isatty(self) -> bool:
        return False

    def flush(self) -> None:
        """Do nothing: there is nothing to write."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __iter__(self) -> InputFile:
        return self

    def close(self) -> None:
        """Leave that to the worker: whoever wraps the file, and goes, would close it for the others."""

    def seekable(self) -> bool:
        return bool(self.file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        position: int = self.file.seek(offset, whence)
        return position

    def tell(self) -> int:
        position: int = self.file.tell()
        return position

    def fileno(self) -> int:
        number: int = self.file.fileno()
        return number

    def read(self, size: int | None = -1, /) -> bytes:
        data: bytes = self._read(self.file.read, size, counted=size != 0)
        return data

    def read1(self, size: int = -1, /) -> bytes:
        data: bytes = self._read(self.file.read1, size, counted=size != 0)
        return data

    def readline(self, size: int | None = -1, /) -> bytes:
        data: bytes = self._read(self.file.readline, -1 if size is None else size, counted=size != 0)
        return data

    def readinto(self, buffer: Any, /) -> int:
        count: int = self.file.readinto(buffer)
        return count

    def readinto1(self, buffer: Any, /) -> int:
        count: int = self.file.readinto1(buffer)
        return count

    def __next__(self) -> bytes:
        line: bytes = self.file.readline()
        if not line:
            raise StopIteration
        return line

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        if self._blocks and (self.file.is_on_loop or use_of_call(sys._getframe(1)) is Use.AWAITED):
            return self._read(self.file.readlines, -1 if hint is None else hint)  # type: ignore[no-any-return]
        lines: list[bytes] = self.file.readlines(-1 if hint is None else hint)
        return InputLines(lines) if use_of_call(sys._getframe(1)) is Use.AWAITED else lines

    def __getattr__(self, name: str) -> Any:
        # getvalue(), peek() and the like, where the file has them.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.file, name)

    # A stream.

    def readany(self) -> bytes:
        """Read what has arrived."""
        data: bytes = self._read(self.file.read1, -1)
        return data

    def readexactly(self, size: int) -> bytes:
        """Read exactly *size* bytes.

        :raises asyncio.IncompleteReadError: the body ended before.
        """
        if size < 0:
            raise ValueError(f"the size to read exactly must not be negative: {size}")
        data: bytes = self._read(self._exactly, size, counted=False)
        return data

    def _exactly(self, size: int) -> bytes:
        data: bytes = self.file.read(size)
        if len(data) < size:
            raise asyncio.IncompleteReadError(data, size)
        return data

    def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Read up to and with *separator*.

        :raises asyncio.IncompleteReadError: the body ended before.
        """
        data: bytes = self._read(self._until, separator_bytes(separator), counted=False)
        return data

    def _until(self, separator: bytes) -> bytes:
        read = self.file.readline if separator.endswith(b"\n") else lambda: self.file.read(1)
        data = bytearray()
        while not data.endswith(separator):
            part = read()
            if not part:
                raise asyncio.IncompleteReadError(bytes(data), None)
            data += part
        return bytes(data)

    def at_eof(self) -> bool:
        """Say whether everything has been read."""
        if not self.file.seekable():
            return bool(self.file.at_eof())
        position = self.file.tell()
        at_end = not self.file.read(1)
        self.file.seek(position)
        return at_end

    def __aiter__(self) -> InputFile:
        return self

    async def __anext__(self) -> bytes:
        line: bytes = await self.readline()  # type: ignore[misc]
        if not line:
            raise StopAsyncIteration
        return line


def let_delegate(environ: Environ, driven: bool = False) -> None:
    """Make ``wsgi.input`` serve both dialects, if it is a file that the worker made.

    :param driven: by a generator that sees the loop.
    """
    file = environ.get("wsgi.input")
    if isinstance(file, _FILES):
        environ["wsgi.input"] = file = InputFile(file)
    if driven and isinstance(file, InputFile):
        file.is_driven = True


class InputLines(list[bytes]):
    """What ``readlines`` gave: a list, and with ``await`` this list again; ``yield from`` sends its lines."""

    def __await__(self) -> Generator[Any, Any, list[bytes]]:
        return list(self)
        yield
