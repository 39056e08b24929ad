"""Every coding: whole, byte by byte, cut at every point, in steps of bounded size."""

from __future__ import annotations

import gzip
import random
import sys
import zlib
from typing import Any

import pytest

from aiohttp.compression import _compressor
from aiohttp.decompression import STEP, accept_encoding, brotli_module, make_decoder, zstd_module
from aiohttp.errors import ContentEncodingError

SOURCE = random.Random(1)
MIXED = b"".join(SOURCE.randbytes(50) + bytes(500) for _ in range(1000))
ZEROS = bytes(3_000_000)


def bare_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def brotli(data: bytes) -> bytes:
    module = brotli_module()
    if module is None:
        pytest.skip("neither brotli nor brotlicffi is installed")
    return bytes(module.compress(data, quality=5))


def zstd(data: bytes) -> bytes:
    module = zstd_module()
    if module is None:
        pytest.skip(f"no zstd in Python {sys.version_info[0]}.{sys.version_info[1]} without backports.zstd")
    return bytes(module.compress(data))


CODERS: dict[str, tuple[str, Any]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip members": ("gzip", lambda data: gzip.compress(data[:7]) + gzip.compress(b"") + gzip.compress(data[7:])),
    "zlib": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "br": ("br", brotli),
    "zstd": ("zstd", zstd),
    "zstd frames": ("zstd", lambda data: zstd(data[:7]) + zstd(data[7:])),
    "br in gzip": ("br, gzip", lambda data: gzip.compress(brotli(data))),
}


def undo(coding: str, *pieces: bytes) -> bytes:
    decoder = make_decoder(coding)
    assert decoder is not None
    found = b""
    for piece in pieces:
        data = decoder.decode(piece)
        assert len(data) <= 2 * STEP
        found += data
        while not decoder.needs_input:
            data = decoder.decode(b"")
            assert len(data) <= 2 * STEP
            found += data
    return found + decoder.finish()


@pytest.mark.parametrize("name", CODERS)
@pytest.mark.parametrize("data", [b"", b"x", b"hello" * 100, MIXED, ZEROS], ids=["empty", "one", "small", "mixed", "zeros"])
def test_round_trip(name: str, data: bytes) -> None:
    coding, encode = CODERS[name]
    coded = encode(data)
    assert undo(coding, coded) == data
    size = max(1, len(coded) // 97)
    assert undo(coding, *[coded[at : at + size] for at in range(0, len(coded), size)]) == data
    if len(coded) < 2000:
        assert undo(coding, *[coded[at : at + 1] for at in range(len(coded))]) == data


@pytest.mark.parametrize("name", [name for name in CODERS if "members" not in name and "frames" not in name])
def test_cut_short(name: str) -> None:
    coding, encode = CODERS[name]
    coded = encode(b"hello, hello, hello and more of it")
    for cut in range(1, len(coded)):
        with pytest.raises(EOFError):
            undo(coding, coded[:cut])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_garbage(coding: str) -> None:
    if make_decoder(coding) is None:
        pytest.skip(f"nothing that undoes {coding} is installed")
    with pytest.raises(ContentEncodingError, match=coding):
        undo(coding, b"\xff\xfe\xfd" * 100)


@pytest.mark.parametrize("coding", ["", "identity", "rot13", "gzip, rot13", " , "])
def test_nothing_to_undo(coding: str) -> None:
    assert make_decoder(coding) is None


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "rot13"])
def test_offered_is_what_can_be_undone(coding: str) -> None:
    offered = accept_encoding().split(", ")
    assert (coding in offered) is (make_decoder(coding) is not None)


@pytest.mark.parametrize("coding", ["deflate", "gzip", "br", "zstd"])
def test_compressors(coding: str) -> None:
    """What each makes, in pieces, is taken apart by the decoder of the same name."""
    if (coding == "br" and brotli_module() is None) or (coding == "zstd" and zstd_module() is None):
        pytest.skip(f"no package for {coding} is installed")
    compressor = _compressor(coding)
    packed = b"".join([compressor.compress(b"one "), compressor.compress(b"two"), compressor.flush()])
    assert undo(coding, packed) == b"one two"


def test_compressor_of_an_unknown_coding() -> None:
    with pytest.raises(ValueError, match="no compressor for 'lzma' is installed"):
        _compressor("lzma")
