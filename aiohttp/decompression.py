"""Decoders for content codings, in steps of bounded size (RFC 9110 section 8.4.1)."""

from __future__ import annotations

import sys
import zlib
from functools import lru_cache
from typing import Any, Final

from .errors import ContentEncodingError
from .incoming import Decoder

__all__ = ["accept_encoding", "make_decoder"]

STEP: Final = 131072
"""Bytes that one step may produce."""
_MOST_CODINGS: Final = 4


class _Gzip:
    """Decoder for gzip, all its members (RFC 1952 section 2.2); bytes behind them that are no member are ignored."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)
        self._rest = b""
        self.needs_input = True
        self._started = False
        self._between = False

    def decode(self, data: bytes) -> bytes:
        rest = self._rest + data if self._rest else data
        if self._between:
            rest = self._next_member(rest)
            if not rest:
                return b""
        self._started = self._started or bool(rest)
        try:
            out = self._member.decompress(rest, STEP)
        except zlib.error as error:
            raise ContentEncodingError(f"not gzip: {error}") from None
        if self._member.eof:
            self._between = True
            self._rest = self._member.unused_data
            self.needs_input = len(self._rest) <= 1
        else:
            self._rest = self._member.unconsumed_tail
            self.needs_input = not self._rest and len(out) < STEP
        return out

    def _next_member(self, rest: bytes) -> bytes:
        self.needs_input = True
        rest = rest.lstrip(b"\0")  # padding
        if rest[:2] == b"\x1f\x8b":
            self._member = zlib.decompressobj(31)
            self._between = False
            return rest
        self._rest = rest if rest == b"\x1f" else b""
        return b""

    def finish(self) -> bytes:
        if self._started and not self._between:
            raise EOFError
        return b""


class _Deflate:
    """Decoder for deflate: in the zlib format of RFC 9110 section 8.4.1.2, and bare, as many servers send it."""

    def __init__(self) -> None:
        self._stream: Any = None
        self._rest = b""
        self.needs_input = True

    def decode(self, data: bytes) -> bytes:
        rest = self._rest + data if self._rest else data
        if self._stream is None:
            if len(rest) < 2:
                self._rest = rest
                return b""
            is_zlib = rest[0] & 0x0F == 8 and ((rest[0] << 8) | rest[1]) % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        if self._stream.eof:
            self._rest = b""
            self.needs_input = True
            return b""
        try:
            out: bytes = self._stream.decompress(rest, STEP)
        except zlib.error as error:
            raise ContentEncodingError(f"not deflate: {error}") from None
        self._rest = self._stream.unconsumed_tail
        self.needs_input = self._stream.eof or (not self._rest and len(out) < STEP)
        return out

    def finish(self) -> bytes:
        if (self._stream is None and self._rest) or (self._stream is not None and not self._stream.eof):
            raise EOFError
        return b""


class _Brotli:
    """Decoder for br (RFC 7932), by the package brotli or brotlicffi."""

    def __init__(self, module: Any) -> None:
        self._stream = module.Decompressor()
        self._error = module.error
        self._started = False
        self.needs_input = True

    def decode(self, data: bytes) -> bytes:
        self._started = self._started or bool(data)
        if self._stream.is_finished():
            self.needs_input = True
            return b""
        try:
            out: bytes = self._stream.process(data, output_buffer_limit=STEP)
        except self._error as error:
            raise ContentEncodingError(f"not br: {error}") from None
        # The decompressor does not tell whether it holds output back when it has taken all input; a full step is the sign.
        full = len(out) >= STEP or not self._stream.can_accept_more_data()
        self.needs_input = not full or self._stream.is_finished()
        return out

    def finish(self) -> bytes:
        if self._started and not self._stream.is_finished():
            raise EOFError
        return b""


class _Zstd:
    """Decoder for zstd (RFC 8878), all its frames, by Python 3.14 or backports.zstd."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._frame: Any = None
        self._rest = b""
        self.needs_input = True
        self._started = False

    def decode(self, data: bytes) -> bytes:
        rest = self._rest + data if self._rest else data
        self._rest = b""
        self.needs_input = True
        if self._frame is None:
            if not rest:
                return b""
            # RFC 9659 section 3: a window of more than 8 MiB is nothing that a server may ask of us.
            parameter = self._module.DecompressionParameter.window_log_max
            self._frame = self._module.ZstdDecompressor(options={parameter: 23})
        self._started = True
        try:
            out: bytes = self._frame.decompress(rest, STEP)
        except self._module.ZstdError as error:
            raise ContentEncodingError(f"not zstd: {error}") from None
        if self._frame.eof:
            self._rest = self._frame.unused_data
            self._frame = None
            self.needs_input = not self._rest
        else:
            self.needs_input = self._frame.needs_input
        return out

    def finish(self) -> bytes:
        if self._frame is not None or self._rest:
            raise EOFError
        return b""


class _Chain:
    """Decoder for a coding on top of another one.

    :param outer: decodes what the server sent.
    :param inner: decodes what `outer` gives.
    """

    def __init__(self, outer: Decoder, inner: Decoder) -> None:
        self._outer = outer
        self._inner = inner

    @property
    def needs_input(self) -> bool:
        return self._inner.needs_input and self._outer.needs_input

    def decode(self, data: bytes) -> bytes:
        if not data and not self._inner.needs_input:
            return self._inner.decode(b"")
        between = self._outer.decode(data)
        return self._inner.decode(between) if between else b""

    def finish(self) -> bytes:
        self._outer.finish()
        return self._inner.finish()


def brotli_module() -> Any:
    """Return the module that decodes br, None if none is installed."""
    try:
        import brotli
    except ImportError:
        try:
            import brotlicffi as brotli
        except ImportError:
            return None
    return brotli


def zstd_module() -> Any:
    """Return the module that decodes zstd, None if none is installed."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        return None
    return zstd


@lru_cache(maxsize=1)
def accept_encoding() -> str:
    """Return the value of an Accept-Encoding field: the content codings that `make_decoder` can undo here."""
    codings = "gzip, deflate"
    if brotli_module() is not None:
        codings += ", br"
    if zstd_module() is not None:
        codings += ", zstd"
    return codings


def _decoder(coding: str) -> Decoder | None:
    if coding in ("gzip", "x-gzip"):
        return _Gzip()
    if coding == "deflate":
        return _Deflate()
    if coding == "br" and (module := brotli_module()) is not None:
        return _Brotli(module)
    if coding == "zstd" and (module := zstd_module()) is not None:
        return _Zstd(module)
    return None


def make_decoder(codings: str) -> Decoder | None:
    """Return a decoder for the value of a Content-Encoding field; None without a coding, or with one that cannot be decoded here.

    :raises ContentEncodingError: there is an unreasonable number of codings.
    """
    names = [name for part in codings.split(",") if (name := part.strip().lower()) and name != "identity"]
    if len(names) > _MOST_CODINGS:
        raise ContentEncodingError(f"{len(names)} content codings on top of each other")
    chain: Decoder | None = None
    for name in names:  # the last one named is the outermost
        decoder = _decoder(name)
        if decoder is None:
            return None
        chain = decoder if chain is None else _Chain(decoder, chain)
    return chain
