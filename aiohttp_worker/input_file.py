"""``wsgi.input`` of a body that is stepped through: a file of bytes, which may also be awaited and delegated to."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Generator, Iterator
from typing import Any, Final, Self

from .environ import Environ
from .generators import delegates_now
from .http1.errors import EofStream
from .input import BlockingReader

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

    :param file: what is read: a collected body, or one that blocks until it comes.
    """

    __slots__ = ("_empty_reads", "file")

    closed = False

    def __init__(self, file: Any) -> None:
        self.file = file
        self._empty_reads = 0

    def count_empty(self) -> None:
        """Count an empty read behind the end.

        :raises EofStream: it is the third one.
        """
        self._empty_reads += 1
        if self._empty_reads >= _MOST_EMPTY_READS:
            raise EofStream("the body of the request was read to its end")

    def _result(self, data: bytes, size: int | None) -> InputBytes:
        result = InputBytes(data)
        if not data and size != 0:
            result._file = self
        return result

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

    def read(self, size: int | None = -1, /) -> InputBytes:
        return self._result(self.file.read(size), size)

    def read1(self, size: int = -1, /) -> InputBytes:
        return self._result(self.file.read1(size), size)

    def readline(self, size: int | None = -1, /) -> InputBytes:
        return self._result(self.file.readline(-1 if size is None else size), size)

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

    def readlines(self, hint: int | None = -1, /) -> InputLines:
        return InputLines(self.file.readlines(-1 if hint is None else hint))

    def __getattr__(self, name: str) -> Any:
        # getvalue(), peek() and the like, where the file has them.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.file, name)

    # A stream.

    def readany(self) -> InputBytes:
        """Read what has arrived."""
        return self.read1(-1)

    def readexactly(self, size: int) -> InputBytes:
        """Read exactly *size* bytes.

        :raises asyncio.IncompleteReadError: the body ended before.
        """
        if size < 0:
            raise ValueError(f"size must not be negative: {size}")
        data = self.file.read(size)
        if len(data) < size:
            raise asyncio.IncompleteReadError(data, size)
        return InputBytes(data)

    def readuntil(self, separator: bytes = b"\n") -> InputBytes:
        """Read up to and with *separator*.

        :raises asyncio.IncompleteReadError: the body ended before.
        """
        if not separator:
            raise ValueError("the separator must not be empty")
        read = self.file.readline if separator.endswith(b"\n") else lambda: self.file.read(1)
        data = bytearray()
        while not data.endswith(separator):
            part = read()
            if not part:
                raise asyncio.IncompleteReadError(bytes(data), None)
            data += part
        return InputBytes(data)

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
        line: bytes = self.file.readline()
        if not line:
            raise StopAsyncIteration
        return line


def let_delegate(environ: Environ) -> None:
    """Make ``wsgi.input`` serve both dialects, if it is a file that the worker made."""
    file = environ.get("wsgi.input")
    if isinstance(file, _FILES):
        environ["wsgi.input"] = InputFile(file)


class InputLines(list[bytes]):
    """What ``readlines`` gave: a list, and with ``await`` this list again; ``yield from`` sends its lines."""

    def __await__(self) -> Generator[Any, Any, list[bytes]]:
        return list(self)
        yield
