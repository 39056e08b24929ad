"""HTTP/2 frames written by hand (RFC 9113 section 4.1), and HPACK without its tables (RFC 7541 section 6.2.2).

Nothing here comes from a library that the server uses, so that a mistake of one is not made by the other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR = range(7)
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(7, 12)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)

Fields = list[tuple[bytes, bytes]]

GET: Fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
POST: Fields = [(b":method", b"POST"), *GET[1:]]


@dataclass(frozen=True)
class Frame:
    """One frame as it was sent."""

    type: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def error_code(self) -> int:
        """That of RST_STREAM or GOAWAY."""
        position = 4 if self.type == GOAWAY else 0
        return int.from_bytes(self.payload[position : position + 4], "big")


def frame(kind: int, payload: bytes = b"", stream_id: int = 0, flags: int = 0, length: int | None = None) -> bytes:
    """Return a frame.

    :param length: what its head says, if that is not the payload's.
    """
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream_id) + payload


def parse(data: bytes) -> list[Frame]:
    """Return the frames of *data*, which has to be nothing but whole ones."""
    frames = []
    while data:
        size = int.from_bytes(data[:3], "big")
        kind, flags, stream_id = struct.unpack(">BBI", data[3:9])
        assert len(data) >= 9 + size, "a frame was cut"
        frames.append(Frame(kind, flags, stream_id, data[9 : 9 + size]))
        data = data[9 + size :]
    return frames


def hpack_integer(value: int, bits: int, first: int) -> bytes:
    """Return an integer with a prefix of *bits* (RFC 7541 section 5.1).

    :param first: the bits before it, as they stand in their octet.
    """
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    octets = bytearray([first | most])
    value -= most
    while value >= 128:
        octets.append(value % 128 + 128)
        value //= 128
    octets.append(value)
    return bytes(octets)


def hpack_string(text: bytes) -> bytes:
    """Return a string literal, without the Huffman code (RFC 7541 section 5.2)."""
    return hpack_integer(len(text), 7, 0) + text


def block(fields: Fields) -> bytes:
    """Return a field block whose lines are literals without indexing."""
    return b"".join(b"\0" + hpack_string(name) + hpack_string(value) for name, value in fields)


def settings(*pairs: tuple[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def headers(fields: Fields, stream_id: int = 1, flags: int = END_HEADERS | END_STREAM) -> bytes:
    """Return a HEADERS frame, which as a rule is a whole request."""
    return frame(HEADERS, block(fields), stream_id, flags)


def data(content: bytes, stream_id: int = 1, end: bool = False) -> bytes:
    """Return a DATA frame."""
    return frame(DATA, content, stream_id, END_STREAM if end else 0)


def rst_stream(stream_id: int = 1, error_code: int = CANCEL) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(RST_STREAM, struct.pack(">I", error_code), stream_id)


def window_update(increment: int, stream_id: int = 0) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, struct.pack(">I", increment), stream_id)


def goaway(last_stream_id: int = 0, error_code: int = NO_ERROR) -> bytes:
    """Return a GOAWAY frame."""
    return frame(GOAWAY, struct.pack(">II", last_stream_id, error_code))


def ping(opaque: bytes = b"12345678", flags: int = 0) -> bytes:
    """Return a PING frame."""
    return frame(PING, opaque, 0, flags)
