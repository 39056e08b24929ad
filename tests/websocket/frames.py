"""Frames of clients, by the layout of RFC 6455 section 5.2, written down without the library that is tested."""

from __future__ import annotations

import struct
import zlib

KEY = b"\x01\x02\x03\x04"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(
    opcode: int, data: bytes = b"", *, final: bool = True, reserved: int = 0, masked: bool = True, size: int | None = None
) -> bytes:
    """A frame; `size` is what it says of its length, where that is a lie."""
    length = len(data) if size is None else size
    first = (0x80 if final else 0) | reserved << 4 | opcode
    mask = 0x80 if masked else 0
    if length < 126:
        head = bytes([first, mask | length])
    elif length < 65536:
        head = struct.pack("!BBH", first, mask | 126, length)
    else:
        head = struct.pack("!BBQ", first, mask | 127, length)
    if not masked:
        return head + data
    return head + KEY + bytes(byte ^ KEY[place % 4] for place, byte in enumerate(data))


def close(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


def deflated(data: bytes) -> bytes:
    """Data as in RFC 7692 section 7.2.1."""
    compressor = zlib.compressobj(wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
