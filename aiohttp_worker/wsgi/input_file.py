"""``wsgi.input`` of ordinary callables and generators: a file whose reads can also be awaited and delegated to."""

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
_MOST_EMPTY_READS: Final = 3  # after the end of the body, before EofStream is raised


class InputBytes(bytes):
    """Result of a read: ``bytes`` which ``await`` and ``yield from`` give again.

    ``yield from`` asks for an iterator as ``for`` does, and gets another one: delegating to a row of integers has no use in
    an application, so code that does it treats the input as a stream.
    """

    _file: InputFile | None = None  # set on an empty read at the end

    def __iter__(self) -> Iterator[int]:
        if delegates_now(sys._getframe(1)):
            return self.__await__()
        return super().__iter__()

    def __await__(self) -> Generator[Any, Any, bytes]:
        if self._file is not None:
            self._file.count_empty()
        return _outcome(bytes(self))

    # A copy may outlive the request or leave the process, and is plain bytes.
    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return bytes, (bytes(self),)


def _outcome(data: bytes) -> Generator[Any, Any, bytes]:
    return data
    yield


@io.BufferedIOBase.register
class InputFile:
    """File of bytes for both dialects: ``data = file.read()`` and ``data = yield from file.read()``.

    It has the methods of a file and those of a stream. A read gives plain ``bytes`` to all code that can neither await nor
    delegate, and with that to every library.

    :param file: the file that is read: a collected body, or a :class:`BlockingReader`.
    :ivar is_driven: the generator that reads the file is driven by the loop.
    """

    __slots__ = ("_empty_reads", "file", "is_driven")

    closed = False

    def __init__(self, file: Any) -> None:
        self.file = file
        self._empty_reads = 0
        self.is_driven = False

    def count_empty(self) -> None:
        """Count an empty read after the end of the body.

        :raises EofStream: at the third one.
        """
        self._empty_reads += 1
        if self._empty_reads >= _MOST_EMPTY_READS:
            raise EofStream("the body of the request was read to its end")

    def _read(self, read: Callable[..., bytes], *arguments: Any, counted: bool = True) -> Any:
        """Read, with a result that suits its use in the caller's caller."""
        if self._blocks:
            # A coroutine on the loop that would feed the file, or on one that a thread runs.
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
        """True if a read may block a running loop: the body has not arrived completely, and a loop runs in this thread."""
        file = self.file
        return isinstance(file, BlockingReader) and not file.ended and asyncio._get_running_loop() is not None

    # Methods of a file.

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def isatty(self) -> bool:
        return False

    def flush(self) -> None:
        """Do nothing, as every file open for reading only."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __iter__(self) -> InputFile:
        return self

    def close(self) -> None:
        """Do nothing: a wrapper that is deleted would close the file for all others. The worker closes it."""

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

    # Methods of a stream.

    def readany(self) -> bytes:
        """Read the bytes that have arrived."""
        data: bytes = self._read(self.file.read1, -1)
        return data

    def readexactly(self, size: int) -> bytes:
        """Read exactly *size* bytes.

        :raises asyncio.IncompleteReadError: the body is shorter.
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
        """Read up to and including *separator*.

        :raises asyncio.IncompleteReadError: the body ends before it.
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
        """Return whether the body has been read to its end."""
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
    """Wrap ``wsgi.input`` in an :class:`InputFile`, if it is a file that the worker made.

    :param driven: the generator that reads the file is driven by the loop.
    """
    file = environ.get("wsgi.input")
    if isinstance(file, _FILES):
        environ["wsgi.input"] = file = InputFile(file)
    if driven and isinstance(file, InputFile):
        file.is_driven = True


class InputLines(list[bytes]):
    """Result of ``readlines``: a list which ``await`` gives again; ``yield from`` sends its lines."""

    def __await__(self) -> Generator[Any, Any, list[bytes]]:
        return list(self)
        yield
