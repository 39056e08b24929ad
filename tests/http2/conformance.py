"""Requirements of RFC 9113 and RFC 7541 for a server, as frames that a client sends and their outcome.

The list follows h2spec's sections 3 to 8, its generic ones and those of HPACK.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GET,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    Fields,
    block,
    data,
    frame,
    goaway,
    headers,
    hpack_integer,
    hpack_string,
    ping,
    rst_stream,
    settings,
    window_update,
)


class Outcome(enum.Enum):
    """What a client's frames lead to."""

    SERVED = "so many requests are answered, and nothing else is done"
    STREAM = "a stream is reset, or the connection ended, with one of the codes"
    CONNECTION = "the connection is ended with GOAWAY and one of the codes"
    CLOSED = "the connection is ended, whether a GOAWAY can be sent or not"


@dataclass(frozen=True)
class Case:
    """What a client sends after its preface and an empty SETTINGS, and what comes of it.

    :ivar opening: what comes in their place.
    :ivar codes: of errors, any of which is right.
    :ivar served: so many requests are answered; where errors are expected, none is, so that streams stay open for them.
    """

    name: str
    section: str
    sent: bytes
    outcome: Outcome
    codes: tuple[int, ...] = ()
    served: int = 1
    opening: bytes = PREFACE + settings()


SERVED, STREAM, CONNECTION, CLOSED = Outcome

_WITHOUT_END = END_HEADERS
_OPEN = headers(POST, flags=_WITHOUT_END)  # a request whose body is to come
_BLOCK = block(GET)


def _request(*fields: tuple[bytes, bytes], stream_id: int = 1) -> bytes:
    return headers([*GET, *fields], stream_id)


def _without(name: bytes) -> Fields:
    return [field for field in GET if field[0] != name]


def _literal_name_index(index: int) -> bytes:
    return hpack_integer(index, 4, 0) + hpack_string(b"x")


# RFC 7541 section 5.2 and appendix B: "a" is 00011, and what is missing of an octet are ones.
_HUFFMAN_A_PADDED_BY_ZERO = bytes([0x81, 0b00011000])
_HUFFMAN_A_PADDED_TOO_FAR = bytes([0x82, 0b00011111, 0xFF])
_HUFFMAN_EOS = bytes([0x84, 0xFF, 0xFF, 0xFF, 0xFF])

CASES: tuple[Case, ...] = (
    # RFC 9113 section 3.4
    Case("preface", "9113 3.4", headers(GET), SERVED),
    Case("preface-invalid", "9113 3.4", b"", CLOSED, (PROTOCOL_ERROR,), 0, b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + settings()),
    Case("preface-without-settings", "9113 3.4", headers(GET), CLOSED, (PROTOCOL_ERROR,), 0, PREFACE),
    # Section 4
    Case("unknown-type", "9113 4.1", frame(0x7F, b"12345678") + headers(GET), SERVED),
    Case("undefined-flags", "9113 4.1", ping(flags=0xFE) + headers(GET), SERVED),
    Case("reserved-bit", "9113 4.1", frame(PING, b"12345678", 0x80000000) + headers(GET), SERVED),
    Case("data-of-16384", "9113 4.2", _OPEN + data(bytes(16384), end=True), SERVED),
    Case("data-too-large", "9113 4.2", _OPEN + data(bytes(16385)), CONNECTION, (FRAME_SIZE_ERROR,), 0),
    Case(
        "headers-too-large",
        "9113 4.2",
        _request(*[(b"x", b"a" * 1000)] * 17),
        CONNECTION,
        (FRAME_SIZE_ERROR, COMPRESSION_ERROR),
        0,
    ),
    Case("frame-too-large-on-connection", "9113 4.2", frame(SETTINGS, bytes(16386)), CONNECTION, (FRAME_SIZE_ERROR,), 0),
    Case("block-invalid", "9113 4.3", frame(HEADERS, b"\xff" * 8, 1, 5), CONNECTION, (COMPRESSION_ERROR,), 0),
    Case(
        "block-interrupted-by-priority",
        "9113 4.3",
        frame(HEADERS, _BLOCK, 1, END_STREAM) + frame(PRIORITY, bytes(5), 1) + frame(CONTINUATION, b"", 1, END_HEADERS),
        CONNECTION,
        (PROTOCOL_ERROR,),
        0,
    ),
    Case(
        "block-interrupted-by-another-stream",
        "9113 4.3",
        frame(HEADERS, _BLOCK, 1, END_STREAM) + headers(GET, 3),
        CONNECTION,
        (PROTOCOL_ERROR,),
        0,
    ),
    Case("block-cut", "9113 4.3", frame(HEADERS, _BLOCK[:-1], 1, 5), CONNECTION, (COMPRESSION_ERROR,), 0),
    # Section 5.1
    Case("idle-data", "9113 5.1", data(b"test"), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("idle-rst-stream", "9113 5.1", rst_stream(), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("idle-window-update", "9113 5.1", window_update(100, 1), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("idle-continuation", "9113 5.1", frame(CONTINUATION, _BLOCK, 1, END_HEADERS), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("half-closed-data", "9113 5.1", headers(GET) + data(b"test"), STREAM, (STREAM_CLOSED,), 0),
    Case("half-closed-headers", "9113 5.1", headers(GET) + headers(GET), STREAM, (STREAM_CLOSED,), 0),
    Case(
        "half-closed-continuation",
        "9113 5.1",
        headers(GET) + frame(CONTINUATION, _BLOCK, 1, END_HEADERS),
        CONNECTION,
        (PROTOCOL_ERROR, STREAM_CLOSED),
        0,
    ),
    # RFC 9113 lets a server treat these as errors; libnghttp2 drops them.
    Case("reset-then-data", "9113 5.1", _OPEN + rst_stream() + data(b"test") + headers(GET, 3), SERVED),
    Case("reset-then-headers", "9113 5.1", _OPEN + rst_stream() + headers(POST) + headers(GET, 3), SERVED),
    Case(
        "reset-then-continuation",
        "9113 5.1",
        _OPEN + rst_stream() + frame(CONTINUATION, _BLOCK, 1, END_HEADERS),
        CONNECTION,
        (PROTOCOL_ERROR, STREAM_CLOSED),
        0,
    ),
    Case("reset-then-priority", "9113 5.1", _OPEN + rst_stream() + frame(PRIORITY, bytes(5), 1) + headers(GET, 3), SERVED),
    Case("reset-then-window-update", "9113 5.1", _OPEN + rst_stream() + window_update(1, 1) + headers(GET, 3), SERVED),
    Case("reset-twice", "9113 5.1", _OPEN + rst_stream() + rst_stream() + headers(GET, 3), SERVED),
    Case("stream-even", "9113 5.1.1", headers(GET, 2), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case(
        "stream-smaller", "9113 5.1.1", headers(GET, 5) + headers(GET, 3), SERVED
    ),  # stream 3 is closed then, and its frames are dropped
    Case("streams-skipped", "9113 5.1.1", headers(GET, 1) + headers(GET, 101), SERVED, served=2),
    Case(
        "streams-too-many",
        "9113 5.1.2",
        b"".join(headers(POST, number, _WITHOUT_END) for number in range(1, 203, 2)),
        STREAM,
        (REFUSED_STREAM, PROTOCOL_ERROR),
        0,
    ),
    # Section 5.3 of RFC 7540, which RFC 9113 deprecates but for the size of what it left
    Case("priority-on-itself", "9113 5.3.2", frame(PRIORITY, b"\0\0\0\x01\x10", 1) + headers(GET, 3), SERVED),
    Case("headers-prioritized", "9113 6.2", frame(HEADERS, b"\0\0\0\0\x10" + _BLOCK, 1, 5 | PRIORITIZED), SERVED),
    # Sections 5.4 and 5.5
    Case("ping-of-6-octets", "9113 5.4.1", frame(PING, b"123456"), CONNECTION, (FRAME_SIZE_ERROR,), 0),
    Case("extension-frame", "9113 5.5", frame(0x16, b"12345678", 0) + headers(GET), SERVED),
    Case(
        "extension-frame-in-block",
        "9113 5.5",
        frame(HEADERS, _BLOCK, 1, END_STREAM) + frame(0x16, b"12345678", 0) + frame(CONTINUATION, b"", 1, END_HEADERS),
        CONNECTION,
        (PROTOCOL_ERROR,),
        0,
    ),
    # Section 6.1
    Case("data-on-connection", "9113 6.1", _OPEN + data(b"test", 0), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("data-after-end", "9113 6.1", _OPEN + data(b"", end=True) + data(b"test"), STREAM, (STREAM_CLOSED,), 0),
    Case("data-padded", "9113 6.1", _OPEN + frame(DATA, b"\x04test\0\0\0\0", 1, END_STREAM | PADDED), SERVED),
    Case(
        "data-padded-too-far",
        "9113 6.1",
        _OPEN + frame(DATA, b"\x05test", 1, END_STREAM | PADDED),
        CONNECTION,
        (PROTOCOL_ERROR,),
        0,
    ),
    Case(
        "data-padding-without-length",
        "9113 6.1",
        _OPEN + frame(DATA, b"", 1, END_STREAM | PADDED),
        CONNECTION,
        (PROTOCOL_ERROR, FRAME_SIZE_ERROR),
        0,
    ),
    # Section 6.2
    Case("headers-on-connection", "9113 6.2", headers(GET, 0), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("headers-padded", "9113 6.2", frame(HEADERS, b"\x02" + _BLOCK + b"\0\0", 1, 5 | PADDED), SERVED),
    Case(
        "headers-padded-too-far",
        "9113 6.2",
        frame(HEADERS, bytes([len(_BLOCK) + 1]) + _BLOCK, 1, 5 | PADDED),
        CONNECTION,
        (PROTOCOL_ERROR,),
        0,
    ),
    # Section 6.3
    Case("priority", "9113 6.3", frame(PRIORITY, b"\0\0\0\0\x10", 1) + headers(GET), SERVED),
    # It ought to be a connection error. libnghttp2 drops every PRIORITY, and counts it (RFC 9113 deprecates them).
    Case("priority-on-connection", "9113 6.3", frame(PRIORITY, bytes(5), 0) + headers(GET), SERVED),
    Case("priority-of-4-octets", "9113 6.3", headers(GET) + frame(PRIORITY, bytes(4), 1), STREAM, (FRAME_SIZE_ERROR,), 0),
    # Section 6.4
    Case("rst-stream", "9113 6.4", _OPEN + rst_stream(), SERVED, served=0),
    Case("rst-stream-on-connection", "9113 6.4", rst_stream(0), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("rst-stream-of-3-octets", "9113 6.4", _OPEN + frame(RST_STREAM, bytes(3), 1), CONNECTION, (FRAME_SIZE_ERROR,), 0),
    # Section 6.5
    Case("settings-ack", "9113 6.5", frame(SETTINGS, b"", 0, ACK) + headers(GET), SERVED),
    Case("settings-ack-with-payload", "9113 6.5", frame(SETTINGS, bytes(6), 0, ACK), CONNECTION, (FRAME_SIZE_ERROR,), 0),
    Case("settings-on-stream", "9113 6.5", frame(SETTINGS, b"", 1), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("settings-of-3-octets", "9113 6.5", frame(SETTINGS, bytes(3)), CONNECTION, (FRAME_SIZE_ERROR,), 0),
    Case("enable-push-2", "9113 6.5.2", settings((ENABLE_PUSH, 2)), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case(
        "initial-window-too-large", "9113 6.5.2", settings((INITIAL_WINDOW_SIZE, 1 << 31)), CONNECTION, (FLOW_CONTROL_ERROR,), 0
    ),
    Case("max-frame-size-too-small", "9113 6.5.2", settings((MAX_FRAME_SIZE, 16383)), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("max-frame-size-too-large", "9113 6.5.2", settings((MAX_FRAME_SIZE, 1 << 24)), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("setting-unknown", "9113 6.5.2", settings((0xFF, 1)) + headers(GET), SERVED),
    Case(
        "settings-in-their-order",
        "9113 6.5.3",
        settings((INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 2)) + headers(GET),
        SERVED,
    ),
    # Section 6.6: a client does not push
    Case("push-promise", "9113 8.4", _OPEN + frame(PUSH_PROMISE, b"\0\0\0\x02" + _BLOCK, 1, 4), CONNECTION, (PROTOCOL_ERROR,), 0),
    # Section 6.7
    Case("ping", "9113 6.7", ping() + headers(GET), SERVED),
    Case("ping-ack", "9113 6.7", ping(flags=ACK) + headers(GET), SERVED),
    Case("ping-on-stream", "9113 6.7", frame(PING, b"12345678", 1), CONNECTION, (PROTOCOL_ERROR,), 0),
    # Section 6.8
    Case("goaway", "9113 6.8", goaway() + ping(), SERVED, served=0),
    Case("goaway-on-stream", "9113 6.8", frame(GOAWAY, bytes(8), 1), CONNECTION, (PROTOCOL_ERROR,), 0),
    # Section 6.9
    Case("window-update-of-0", "9113 6.9", window_update(0), CONNECTION, (PROTOCOL_ERROR,), 0),
    Case("window-update-of-0-on-stream", "9113 6.9", _OPEN + window_update(0, 1), STREAM, (PROTOCOL_ERROR,), 0),
    Case("window-update-of-3-octets", "9113 6.9", frame(WINDOW_UPDATE, bytes(3)), CONNECTION, (FRAME_SIZE_ERROR,), 0),
    Case("window-of-1", "9113 6.9.1", settings((INITIAL_WINDOW_SIZE, 1)) + headers(GET), SERVED),
    Case("window-overflow", "9113 6.9.1", window_update(0x7FFFFFFF) * 2, CONNECTION, (FLOW_CONTROL_ERROR,), 0),
    Case("window-overflow-on-stream", "9113 6.9.1", _OPEN + window_update(0x7FFFFFFF, 1) * 2, STREAM, (FLOW_CONTROL_ERROR,), 0),
    Case(
        "window-grown-by-settings",
        "9113 6.9.2",
        settings((INITIAL_WINDOW_SIZE, 0)) + headers(GET) + settings((INITIAL_WINDOW_SIZE, 100)),
        SERVED,
    ),
    Case(
        "window-negative",
        "9113 6.9.2",
        settings((INITIAL_WINDOW_SIZE, 3)) + headers(GET) + settings((INITIAL_WINDOW_SIZE, 2)) + window_update(2, 1),
        SERVED,
    ),
    Case(
        "window-exceeded-by-data",
        "9113 6.9.1",
        _OPEN + data(bytes(16384)) * 4,
        STREAM,
        (FLOW_CONTROL_ERROR,),
        0,
    ),
    # Section 6.10
    Case(
        "continuations",
        "9113 6.10",
        frame(HEADERS, _BLOCK[:9], 1, END_STREAM)
        + frame(CONTINUATION, _BLOCK[9:20], 1)
        + frame(CONTINUATION, _BLOCK[20:], 1, END_HEADERS),
        SERVED,
    ),
    Case(
        "continuation-followed-by-data",
        "9113 6.10",
        frame(HEADERS, _BLOCK[:9], 1, 0) + frame(CONTINUATION, _BLOCK[9:], 1) + data(b"test"),
        CONNECTION,
        (PROTOCOL_ERROR,),
        0,
    ),
    Case(
        "continuation-on-connection",
        "9113 6.10",
        frame(HEADERS, _BLOCK[:9], 1, END_STREAM) + frame(CONTINUATION, _BLOCK[9:], 0, END_HEADERS),
        CONNECTION,
        (PROTOCOL_ERROR,),
        0,
    ),
    Case(
        "continuation-after-continuation-that-ends",
        "9113 6.10",
        frame(HEADERS, _BLOCK[:9], 1, END_STREAM)
        + frame(CONTINUATION, _BLOCK[9:], 1, END_HEADERS)
        + frame(CONTINUATION, _BLOCK, 1, END_HEADERS),
        CONNECTION,
        (PROTOCOL_ERROR, STREAM_CLOSED),
        0,
    ),
    Case(
        "continuation-after-data",
        "9113 6.10",
        _OPEN + data(b"test") + frame(CONTINUATION, _BLOCK, 1, END_HEADERS),
        CONNECTION,
        (PROTOCOL_ERROR,),
        0,
    ),
    # Section 7
    Case("goaway-with-unknown-code", "9113 7", goaway(0, 0xFF) + ping(), SERVED, served=0),
    Case("rst-stream-with-unknown-code", "9113 7", _OPEN + rst_stream(1, 0xFF) + headers(GET, 3), SERVED),
    # Section 8
    Case("headers-in-the-middle", "9113 8.1", _OPEN + headers(POST, flags=_WITHOUT_END), STREAM, (PROTOCOL_ERROR,), 0),
    Case("trailers", "9113 8.1", _OPEN + data(b"test") + headers([(b"x-sum", b"1")]), SERVED),
    Case("trailers-with-pseudo-header", "9113 8.1", _OPEN + headers([(b":method", b"GET")]), STREAM, (PROTOCOL_ERROR,), 0),
    Case("uppercase-name", "9113 8.2.1", _request((b"X-Test", b"ok")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("name-with-space", "9113 8.2.1", _request((b"x test", b"ok")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("name-with-colon", "9113 8.2.1", _request((b"x:test", b"ok")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("name-with-obs-text", "9113 8.2.1", _request((b"x\xe4", b"ok")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("name-empty", "9113 8.2.1", _request((b"", b"ok")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("value-with-lf", "9113 8.2.1", _request((b"x", b"a\nb: c")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("value-with-cr", "9113 8.2.1", _request((b"x", b"a\rb")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("value-with-nul", "9113 8.2.1", _request((b"x", b"a\0b")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("value-with-space-first", "9113 8.2.1", _request((b"x", b" a")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("value-with-tab-last", "9113 8.2.1", _request((b"x", b"a\t")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("connection-field", "9113 8.2.2", _request((b"connection", b"keep-alive")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("keep-alive-field", "9113 8.2.2", _request((b"keep-alive", b"timeout=5")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("proxy-connection-field", "9113 8.2.2", _request((b"proxy-connection", b"keep-alive")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("transfer-encoding-field", "9113 8.2.2", _request((b"transfer-encoding", b"chunked")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("upgrade-field", "9113 8.2.2", _request((b"upgrade", b"h2c")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("te-other-than-trailers", "9113 8.2.2", _request((b"te", b"trailers, deflate")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("te-trailers", "9113 8.2.2", _request((b"te", b"trailers")), SERVED),
    Case("cookies-apart", "9113 8.2.3", _request((b"cookie", b"a=b"), (b"cookie", b"c=d")), SERVED),
    Case("pseudo-header-unknown", "9113 8.3", _request((b":test", b"ok")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("pseudo-header-of-responses", "9113 8.3", _request((b":status", b"200")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("pseudo-header-after-field", "9113 8.3", headers([(b"x", b"y"), *GET]), STREAM, (PROTOCOL_ERROR,), 0),
    Case("path-empty", "9113 8.3.1", headers([*_without(b":path"), (b":path", b"")]), STREAM, (PROTOCOL_ERROR,), 0),
    Case("method-missing", "9113 8.3.1", headers(_without(b":method")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("scheme-missing", "9113 8.3.1", headers(_without(b":scheme")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("path-missing", "9113 8.3.1", headers(_without(b":path")), STREAM, (PROTOCOL_ERROR,), 0),
    Case("method-twice", "9113 8.3.1", headers([GET[0], *GET]), STREAM, (PROTOCOL_ERROR,), 0),
    Case("scheme-twice", "9113 8.3.1", headers([GET[1], *GET]), STREAM, (PROTOCOL_ERROR,), 0),
    Case("path-twice", "9113 8.3.1", headers([GET[2], *GET]), STREAM, (PROTOCOL_ERROR,), 0),
    Case("authority-twice", "9113 8.3.1", headers([GET[3], *GET]), STREAM, (PROTOCOL_ERROR,), 0),
    Case("host-instead-of-authority", "9113 8.3.1", headers([*_without(b":authority"), (b"host", b"a")]), SERVED),
    Case(
        "length-too-long",
        "9113 8.1.1",
        headers([*POST, (b"content-length", b"4")], flags=4) + data(b"test!"),
        STREAM,
        (PROTOCOL_ERROR,),
        0,
    ),
    Case(
        "length-too-short",
        "9113 8.1.1",
        headers([*POST, (b"content-length", b"9")], flags=4) + data(b"test") + data(b"!", end=True),
        STREAM,
        (PROTOCOL_ERROR,),
        0,
    ),
    Case("length-without-body", "9113 8.1.1", headers([*POST, (b"content-length", b"1")]), STREAM, (PROTOCOL_ERROR,), 0),
    Case(
        "length-twice",
        "9110 8.6",
        headers([*POST, (b"content-length", b"0"), (b"content-length", b"0")]),
        STREAM,
        (PROTOCOL_ERROR,),
        0,
    ),
    Case("length-malformed", "9110 8.6", headers([*POST, (b"content-length", b"+0")]), STREAM, (PROTOCOL_ERROR,), 0),
    # RFC 7541
    Case(
        "index-beyond-tables",
        "7541 2.3.3",
        frame(HEADERS, _BLOCK + hpack_integer(70, 7, 0x80), 1, 5),
        CONNECTION,
        (COMPRESSION_ERROR,),
        0,
    ),
    Case(
        "name-index-beyond-tables",
        "7541 2.3.3",
        frame(HEADERS, _BLOCK + _literal_name_index(70), 1, 5),
        CONNECTION,
        (COMPRESSION_ERROR,),
        0,
    ),
    Case(
        "table-size-last",
        "7541 4.2",
        frame(HEADERS, _BLOCK + hpack_integer(0, 5, 0x20), 1, 5),
        CONNECTION,
        (COMPRESSION_ERROR,),
        0,
    ),
    Case("table-size-first", "7541 4.2", frame(HEADERS, hpack_integer(0, 5, 0x20) + _BLOCK, 1, 5), SERVED),
    Case(
        "integer-too-long",
        "7541 5.1",
        frame(HEADERS, b"\x7f" + b"\xff" * 12 + b"\x01", 1, 5),
        CONNECTION,
        (COMPRESSION_ERROR,),
        0,
    ),
    Case("huffman", "7541 5.2", frame(HEADERS, _BLOCK + b"\0\x01x" + bytes([0x81, 0b00011111]), 1, 5), SERVED),
    Case(
        "huffman-padded-by-zero",
        "7541 5.2",
        frame(HEADERS, _BLOCK + b"\0\x01x" + _HUFFMAN_A_PADDED_BY_ZERO, 1, 5),
        CONNECTION,
        (COMPRESSION_ERROR,),
        0,
    ),
    Case(
        "huffman-padded-too-far",
        "7541 5.2",
        frame(HEADERS, _BLOCK + b"\0\x01x" + _HUFFMAN_A_PADDED_TOO_FAR, 1, 5),
        CONNECTION,
        (COMPRESSION_ERROR,),
        0,
    ),
    Case(
        "huffman-eos", "7541 5.2", frame(HEADERS, _BLOCK + b"\0\x01x" + _HUFFMAN_EOS, 1, 5), CONNECTION, (COMPRESSION_ERROR,), 0
    ),
    Case("index-0", "7541 6.1", frame(HEADERS, _BLOCK + b"\x80", 1, 5), CONNECTION, (COMPRESSION_ERROR,), 0),
    Case("index-static", "7541 6.1", frame(HEADERS, b"\x82\x86\x84" + b"\x01\x01a", 1, 5), SERVED),
    Case(
        "literal-indexed-then-used",
        "7541 6.2.1",
        frame(HEADERS, b"\x82\x86\x84\x41\x01a", 1, 5) + frame(HEADERS, b"\x82\x86\x84\xbe", 3, 5),
        SERVED,
        served=2,
    ),
    Case("literal-never-indexed", "7541 6.2.3", frame(HEADERS, _BLOCK + b"\x10\x01x\x01y", 1, 5), SERVED),
    Case(
        "table-size-too-large",
        "7541 6.3",
        frame(HEADERS, hpack_integer(4097, 5, 0x20) + _BLOCK, 1, 5),
        CONNECTION,
        (COMPRESSION_ERROR,),
        0,
    ),
)
