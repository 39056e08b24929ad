"""What ``data=`` becomes: a body of known bytes, a file, or something that is produced while it is sent."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import stat
import types
from collections.abc import AsyncIterator, Awaitable, Generator, Iterable, Mapping
from typing import IO, Any, Final

from .body import READ_SIZE, Body, BytesBody
from .url import form_urlencode

__all__ = ["FileBody", "StreamBody", "make_body"]


class FileBody(Body):
    """An open file from its current position on. It is read in a thread, because a disk can be slow."""

    def __init__(self, file: IO[Any], content_type: str | None, encoding: str) -> None:
        self.file = file
        self.content_type = content_type
        self._encoding = encoding
        self.text = isinstance(file, io.TextIOBase)
        try:
            self._start: int | None = file.tell()
        except (OSError, AttributeError, ValueError):
            self._start = None
        self.replayable = self._start is not None
        self.length = None if self.text or self._start is None else self._measure(self._start)

    def _measure(self, start: int) -> int | None:
        """What is left of the file; the position stays."""
        file = self.file
        try:
            if isinstance(file, io.BytesIO):
                return max(0, len(file.getbuffer()) - start)
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and isinstance(file, io.BufferedIOBase | io.RawIOBase):
                return max(0, status.st_size - start)
        except (OSError, AttributeError, ValueError):
            pass
        try:
            end = file.seek(0, os.SEEK_END)
            file.seek(start)
            return None if end is None else max(0, end - start)
        except (OSError, AttributeError, ValueError, TypeError):
            return None

    @property
    def start(self) -> int:
        """Where the body begins in the file."""
        return self._start or 0

    def regular_file(self) -> int | None:
        """The descriptor, where the kernel can send the file by itself."""
        if self.text or self.length is None or self.content_coding:
            return None
        if not isinstance(self.file, io.BufferedReader | io.FileIO):
            return None
        try:
            return self.file.fileno()
        except (OSError, ValueError):
            return None

    async def _pieces(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        file = self.file
        if self._start is not None:
            file.seek(self._start)
        in_memory = isinstance(file, io.BytesIO | io.StringIO)
        missing = self.length
        while missing is None or missing > 0:
            size = READ_SIZE if missing is None else min(READ_SIZE, missing)
            data = file.read(size) if in_memory else await loop.run_in_executor(None, file.read, size)
            if not data:
                break
            if isinstance(data, str):
                data = data.encode(self._encoding)
            if missing is not None:
                missing -= len(data)
            yield data

    def pieces(self) -> AsyncIterator[bytes]:
        return self._pieces()


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
        return BytesBody(data.encode(encoding), FORM)
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
    raise ValueError(f"data cannot be a {type(data).__name__}: {data!r}")


def _octets(piece: Any) -> bytes:
    if isinstance(piece, bytes | bytearray | memoryview):
        return piece  # type: ignore[return-value]
    raise ValueError(f"a piece of a body must be bytes, not {piece!r}")


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
                raise ValueError(f"a piece of a body must be bytes, not {item!r}")
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
