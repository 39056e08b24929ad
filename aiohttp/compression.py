"""Request bodies in a content coding (RFC 9110 section 8.4)."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

from .body import Body, BytesBody
from .decompression import brotli_module, zstd_module
from .turns import Turns

__all__ = ["compress_body"]

_SMALL: Final = 1 << 20
_CODINGS: Final = ("deflate", "gzip", "br", "zstd")


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Brotli:
    def __init__(self, module: Any) -> None:
        self._stream = module.Compressor(quality=5)

    def compress(self, data: bytes) -> bytes:
        return bytes(self._stream.process(data))

    def flush(self) -> bytes:
        return bytes(self._stream.finish())


def _compressor(coding: str) -> _Compressor:
    if coding == "deflate":
        return zlib.compressobj()
    if coding == "gzip":
        return zlib.compressobj(wbits=31)
    if coding == "br" and (module := brotli_module()) is not None:
        return _Brotli(module)
    if coding == "zstd" and (module := zstd_module()) is not None:
        made: _Compressor = module.ZstdCompressor()
        return made
    raise ValueError(f"no compressor for {coding!r} is installed")


class _CompressedBody(Body):
    """A body that is compressed while it is sent."""

    def __init__(self, body: Body, coding: str) -> None:
        self._body = body
        self.content_coding = coding
        self.content_type = body.content_type
        self.replayable = body.replayable

    async def _pieces(self) -> AsyncIterator[bytes]:
        compressor = _compressor(self.content_coding or "")
        turns = Turns()
        async for piece in self._body.pieces():
            data = compressor.compress(piece)
            if turns.over():  # a compressor may take much before it gives anything
                await asyncio.sleep(0)
            if data:
                yield data
        yield compressor.flush()

    def pieces(self) -> AsyncIterator[bytes]:
        return self._pieces()


def compress_body(body: Body, compress: bool | str) -> Body:
    """The body in a content coding; True is deflate in the zlib format. Raises ValueError for a coding we lack."""
    coding = "deflate" if compress is True else compress
    if not isinstance(coding, str) or coding.lower() not in _CODINGS:
        raise ValueError(f"compress must be True or one of {', '.join(_CODINGS)}, not {compress!r}")
    coding = coding.lower()
    compressor = _compressor(coding)  # fails now if at all
    if isinstance(body, BytesBody) and (body.length or 0) <= _SMALL:
        small = BytesBody(compressor.compress(bytes(body.data)) + compressor.flush(), body.content_type)
        small.content_coding = coding
        return small
    return _CompressedBody(body, coding)
