"""Request bodies made from ``data=``: known bytes, a file, or something that is produced while it is sent."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import stat
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Generator, Iterable, Mapping
from typing import IO, Any, Final

from .body import READ_SIZE, Body, BytesBody, single_octets
from .url import encode_text, form_urlencode

__all__ = ["FileBody", "StreamBody", "make_body", "measure", "plain_file"]


class FileBody(Body):
    """An open file from its current position on. It is read in a thread, because a disk can be slow.

    Only a plain file has a length. What unpacks, filters or waits is read to its end, whatever its descriptor says of the file
    below.
    """

    def __init__(self, file: IO[Any], content_type: str | None, encoding: str) -> None:
        self.file = file
        self.content_type = content_type
        self._encoding = encoding
        name = getattr(file, "name", None)
        self._name = repr(name) if isinstance(name, str | bytes) else f"a {type(file).__name__}"
        if getattr(file, "closed", False) is True:
            raise ValueError(f"{self._name} cannot be sent: the file is closed")
        if _denies(file, "readable"):
            raise ValueError(f"{self._name} cannot be sent: the file is not open for reading")
        self._plain = plain_file(file)
        try:
            self._start: int | None = file.tell()
        except (OSError, AttributeError, ValueError):
            self._start = None
        self.replayable = self._start is not None and hasattr(file, "seek") and not _denies(file, "seekable")
        size = self._size()
        self.length = None if size is None else max(0, size - self.start)

    def _size(self) -> int | None:
        """The bytes of the whole file, if that can be measured."""
        if self._plain is None or self._start is None:
            return None
        return measure(self._plain)

    @property
    def start(self) -> int:
        """Offset of the body in the file."""
        return self._start or 0

    def kernel_file(self) -> IO[bytes] | None:
        """The file as the kernel can send it by itself, if it can."""
        return None if self.length is None or isinstance(self._plain, io.BytesIO) else self._plain

    def check_size(self, sent: int) -> None:
        """Raise ValueError if the file is no longer as long as it was; ``sent`` bytes of it have been read."""
        size = self._size() or 0
        if size - self.start != self.length and (size > self.start or self.length):
            raise self.changed(sent)

    def changed(self, sent: int) -> ValueError:
        """The error for a file that shrank or grew."""
        had, has = self.start + (self.length or 0), self._size()
        return ValueError(
            f"{self._name} changed while it was sent: it had {had} bytes, then {has}; {sent} of {self.length} bytes were read"
        )

    async def _pieces(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        file = self.file
        in_memory = isinstance(self._plain, io.BytesIO) or type(file) is io.StringIO
        if self.replayable:
            if self._plain is not None or in_memory:
                file.seek(self.start)
            else:
                await loop.run_in_executor(None, file.seek, self.start)  # a packed one is unpacked up to there
        sent = 0
        while self.length is None or sent < self.length:
            size = READ_SIZE if self.length is None else min(READ_SIZE, self.length - sent)
            data = file.read(size) if in_memory else await loop.run_in_executor(None, file.read, size)
            if data is None:
                raise ValueError(f"{self._name} cannot be sent: it does not block, and has nothing to read now")
            if isinstance(data, str):
                data = encode_text(data, self._encoding, f"the text of {self._name}")
            data = _octets(data)
            if not len(data):
                break
            sent += len(data)
            if sent == self.length:
                self.check_size(sent)  # before the last piece: afterwards the request would be complete
            yield data
        if self.length is not None and sent < self.length:
            raise self.changed(sent)
        if self.length == 0:
            self.check_size(0)

    def pieces(self) -> AsyncIterator[bytes]:
        return self._pieces()


def _denies(file: Any, ability: str) -> bool:
    """True if the file says that it is not readable, or not seekable."""
    asked = getattr(file, ability, None)
    try:
        return callable(asked) and asked() is False
    except (AttributeError, OSError, ValueError):
        return ability == "seekable"  # a member of a streamed tar file has nobody to ask


def plain_file(file: Any) -> Any:
    """The file, without the wrappers of tempfile, if its bytes are those of its descriptor or of its memory; else None.

    A subclass may have a ``read()`` of its own, so none counts.
    """
    tempfile: Any = sys.modules.get("tempfile")
    if tempfile is not None:
        if type(file) is tempfile.SpooledTemporaryFile:
            file = file._file
        elif type(file) is tempfile._TemporaryFileWrapper:
            file = file.file
    kind = type(file)
    if kind is io.BufferedReader or kind is io.BufferedRandom:
        plain = type(file.raw) is io.FileIO and "read" not in file.__dict__ and "read" not in file.raw.__dict__
    else:
        plain = kind is io.BytesIO or kind is io.FileIO
        plain = plain and "read" not in file.__dict__
    return file if plain else None


def measure(file: Any) -> int | None:
    """The bytes of a plain file from its beginning; None for a pipe, a device, or a file of ``/proc`` or ``/sys``."""
    if isinstance(file, io.BytesIO):
        position = file.tell()
        size = file.seek(0, os.SEEK_END)
        file.seek(position)
        return size
    if isinstance(file, io.BufferedRandom):
        file.flush()
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return None
    if not status.st_blocks and not os.fstatvfs(file.fileno()).f_blocks:
        return None  # what the kernel makes up while it is read says 0 or 4096, whatever it has
    return status.st_size


class StreamBody(Body):
    """A generator, an async iterator or a reader: produced while it is sent, and only once."""

    replayable = False

    def __init__(self, pieces: AsyncIterator[bytes], content_type: str | None) -> None:
        self._pieces = pieces
        self.content_type = content_type

    def pieces(self) -> AsyncIterator[bytes]:
        return self._pieces


OCTETS: Final = "application/octet-stream"
FORM: Final = "application/x-www-form-urlencoded"


def make_body(data: Any, encoding: str) -> Body:
    """The body for any value of ``data``. Raises ValueError for a value of a kind that cannot be sent."""
    if isinstance(data, Body):
        return data
    if isinstance(data, bytes | bytearray | memoryview):
        return BytesBody(data, OCTETS)
    if isinstance(data, str):
        return BytesBody(encode_text(data, encoding, "the text of the body"), FORM)
    if isinstance(data, Mapping):
        return BytesBody(form_urlencode(data, encoding).encode("ascii"), FORM)
    if isinstance(data, types.GeneratorType):
        return StreamBody(_drive(data), OCTETS)
    if hasattr(data, "__aiter__") and not hasattr(data, "readany"):
        return StreamBody(_checked(data.__aiter__()), OCTETS)
    if hasattr(data, "read"):
        if inspect.iscoroutinefunction(data.read) or hasattr(data, "readany") or hasattr(data, "at_eof"):
            return StreamBody(_read_stream(data), OCTETS)
        return FileBody(data, OCTETS, encoding)
    if isinstance(data, Awaitable):
        return StreamBody(_await_once(data, encoding), OCTETS)
    if isinstance(data, list | tuple) or hasattr(data, "items"):
        return BytesBody(form_urlencode(data, encoding).encode("ascii"), FORM)
    if isinstance(data, Iterable):
        return StreamBody(_iterate(data), OCTETS)
    raise ValueError(f"what is sent cannot be of the type {type(data).__name__}")


def _octets(piece: Any) -> bytes:
    if isinstance(piece, bytes | bytearray):
        return piece  # type: ignore[return-value]
    if isinstance(piece, memoryview):
        return single_octets(piece)  # type: ignore[return-value]
    raise ValueError(f"a piece of a body must be bytes, not {type(piece).__name__}")


async def _iterate(pieces: Iterable[Any]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield _octets(piece)


async def _checked(pieces: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield _octets(piece)


async def _read_stream(stream: Any) -> AsyncIterator[bytes]:
    read = stream.readany if hasattr(stream, "readany") else None
    while True:
        piece = await (read() if read is not None else stream.read(READ_SIZE))
        if not piece:
            return
        yield _octets(piece)


async def _await_once(awaitable: Awaitable[Any], encoding: str) -> AsyncIterator[bytes]:
    body = make_body(await awaitable, encoding)
    async for piece in body.pieces():
        yield piece


# -- generators ---------------------------------------------------------------------------------------------------------


class _Piece:
    __slots__ = ("data", "last")

    def __init__(self, data: Any, last: bool) -> None:
        self.data = data
        self.last = last


@types.coroutine
def _step(generator: Generator[Any, Any, Any]) -> Generator[Any, Any, _Piece]:
    """Run a generator up to its next piece; futures that come out of it are awaited and their results sent in."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            if error is not None:
                pending, error = error, None
                item = generator.throw(pending)
            else:
                item = generator.send(value)
        except StopIteration as stop:
            return _Piece(stop.value, True)
        value = None
        if isinstance(item, bytes | bytearray | memoryview):
            return _Piece(item, False)
        try:
            if item is None:
                yield
            elif getattr(item, "_asyncio_future_blocking", None) is True:
                value = yield item  # it came through ``yield from``, the task takes it as it is
            elif isinstance(item, Awaitable):
                value = yield from asyncio.ensure_future(item).__await__()
            else:
                raise ValueError(f"a piece of a body must be bytes, not {type(item).__name__}")
        except GeneratorExit:
            raise
        except BaseException as caught:
            error = caught


async def _drive(generator: Generator[Any, Any, Any]) -> AsyncIterator[bytes]:
    try:
        while True:
            piece = await _step(generator)
            if piece.data is not None or not piece.last:
                data = _octets(piece.data)
                if data:
                    yield data
            if piece.last:
                return
    finally:
        generator.close()
