"""Rules of RFC 6455, each as the bytes of a client: fed whole, byte by byte, and cut at every place."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from aiohttp_worker.websocket.handshake import accept
from aiohttp_worker.websocket.messages import Closed, Pong
from aiohttp_worker.websocket.server_connection import ServerConnection
from aiohttp_worker.websocket.terms import Terms

from .frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, deflated, frame

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "RAW_URI": "/",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_UPGRADE": "websocket",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}
DEFLATE = {**ENVIRON, "HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate; client_max_window_bits"}
TERMS = Terms(max_message_size=1000, idle_frames=10, idle_frame_rate=1)
SNOWMAN = "☃".encode()


def opened(environ: dict[str, str] = ENVIRON, terms: Terms = TERMS) -> ServerConnection:
    return ServerConnection(accept(environ, terms, 0.0)[0])


def cuts(data: bytes) -> Iterator[list[bytes]]:
    yield [data]
    yield [data[place : place + 1] for place in range(len(data))]
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]


def fed(pieces: list[bytes], environ: dict[str, str] = ENVIRON) -> tuple[list[Any], bytes, bool]:
    connection = opened(environ)
    events: list[Any] = []
    sent = b""
    for piece in pieces:
        events += connection.receive_data(piece, 0.0)
        sent += b"".join(connection.data_to_send())
    return events, sent, connection.ended


def server_close(code: int | None) -> bytes:
    """Beginning of the close frame of a server; its reason is the library's."""
    return b"\x88" if code is None else struct.pack("!H", code)


MESSAGES: dict[str, tuple[bytes, list[Any]]] = {
    "text": (frame(TEXT, b"hello"), ["hello"]),
    "empty text": (frame(TEXT), [""]),
    "binary": (frame(BINARY, b"\0\xff"), [b"\0\xff"]),
    "empty binary": (frame(BINARY), [b""]),
    "126 bytes": (frame(BINARY, b"x" * 126), [b"x" * 126]),
    "as long as may be": (frame(BINARY, b"x" * 1000), [b"x" * 1000]),
    "fragments": (
        frame(TEXT, b"he", final=False) + frame(CONTINUATION, b"l", final=False) + frame(CONTINUATION, b"lo"),
        ["hello"],
    ),
    "binary fragments": (frame(BINARY, b"he", final=False) + frame(CONTINUATION, b"llo"), [b"hello"]),
    "empty fragments": (frame(TEXT, final=False) + frame(CONTINUATION, final=False) + frame(CONTINUATION), [""]),
    "a character in two fragments": (frame(TEXT, SNOWMAN[:1], final=False) + frame(CONTINUATION, SNOWMAN[1:]), ["☃"]),
    "a ping between fragments": (frame(TEXT, b"a", final=False) + frame(PING, b"p") + frame(CONTINUATION, b"b"), ["ab"]),
    "a text after binary fragments": (
        frame(BINARY, b"\xff", final=False) + frame(CONTINUATION, b"\xff") + frame(TEXT, b"a"),
        [b"\xff\xff", "a"],
    ),
    "binary after text fragments": (
        frame(TEXT, b"a", final=False) + frame(CONTINUATION, b"b") + frame(BINARY, b"\xff", final=False) + frame(CONTINUATION),
        ["ab", b"\xff"],
    ),
    "a pong that nobody asked for": (frame(PONG, b"x"), [Pong(b"x")]),
    "two messages": (frame(TEXT, b"one") + frame(BINARY, b"two"), ["one", b"two"]),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(case: str) -> None:
    data, expected = MESSAGES[case]
    for pieces in cuts(data):
        events, sent, ended = fed(pieces)
        assert events == expected
        assert sent == (b"\x8a\x01p" if "ping" in case else b"")
        assert not ended


REFUSED: dict[str, tuple[bytes, int, list[Any]]] = {
    "not masked": (frame(TEXT, b"hello", masked=False), 1002, []),
    "reserved bit 1 without an extension": (frame(TEXT, b"hello", reserved=4), 1002, []),
    "reserved bit 2": (frame(TEXT, b"hello", reserved=2), 1002, []),
    "reserved bit 3": (frame(PING, reserved=1), 1002, []),
    "reserved data opcode": (frame(3, b"x"), 1002, []),
    "reserved control opcode": (frame(11), 1002, []),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002, []),
    "a message within another": (frame(TEXT, b"a", final=False) + frame(TEXT, b"b"), 1002, []),
    "a fragmented ping": (frame(PING, b"a", final=False), 1002, []),
    "a long ping": (frame(PING, b"x" * 126), 1002, []),
    "a long close": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002, []),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002, []),
    "a close within fragments": (frame(TEXT, b"a", final=False) + close(1000), 1002, []),
    "a reason that is no UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007, []),
    "text that is no UTF-8": (frame(TEXT, b"\xff"), 1007, []),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007, []),
    "text that ends within a character": (frame(TEXT, SNOWMAN[:2]), 1007, []),
    "fragments that end within a character": (frame(TEXT, SNOWMAN[:2], final=False) + frame(CONTINUATION), 1007, []),
    "a first fragment that is no UTF-8": (frame(TEXT, b"\xff", final=False), 1007, []),
    "bad text, and a close behind it": (frame(TEXT, b"\xff") + close(1000), 1007, []),
    "good text, then bad": (frame(TEXT, b"a") + frame(TEXT, b"\xff") + frame(TEXT, b"b"), 1007, ["a"]),
    "one byte too long": (frame(BINARY, b"x" * 1001), 1009, []),
    "a length of 63 bits": (frame(BINARY, size=2**63 - 1), 1009, []),
    "fragments that are too long": (frame(BINARY, b"x" * 600, final=False) + frame(CONTINUATION, b"x" * 401), 1009, []),
    **{f"code {code}": (close(code), 1002, []) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)},
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    data, code, before = REFUSED[case]
    every = list(cuts(data))
    for pieces in every if len(data) < 200 else [*every[:2], *every[2:20], every[-1]]:
        events, sent, ended = fed(pieces)
        assert events[:-1] == before
        assert isinstance(events[-1], Closed) and events[-1].code == code
        assert sent[0] == 0x88 and sent[2:4] == struct.pack("!H", code)
        assert ended


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999])
def test_client_that_closes(code: int) -> None:
    """It is answered with its own words, and nothing behind them is read (sections 1.4 and 5.5.1)."""
    data = close(code, "bye") + frame(TEXT, b"late") + frame(7)
    for pieces in cuts(data):
        events, sent, ended = fed(pieces)
        assert events == [Closed(code, "bye")]
        assert sent == b"\x88\x05" + struct.pack("!H", code) + b"bye"
        assert ended


def test_client_that_closes_without_a_code() -> None:
    for pieces in cuts(frame(CLOSE)):
        assert fed(pieces) == ([Closed(1005, "")], b"\x88\x00", True)


def test_client_that_leaves() -> None:
    for data in (b"", frame(TEXT, b"a", final=False), frame(TEXT, b"hello")[:-1]):
        connection = opened()
        assert connection.receive_data(data, 0.0) == []
        assert connection.receive_eof() == [Closed(1006, "")]
        assert connection.data_to_send() == [] and connection.ended and not connection.open
        assert connection.receive_eof() == connection.receive_data(b"x", 0.0) == []


def test_server_that_closes() -> None:
    connection = opened()
    connection.close(1001, "going")
    assert connection.data_to_send() == [b"\x88\x07\x03\xe9going"]
    assert not connection.open and not connection.ended
    connection.send("late")
    connection.ping(b"late")
    connection.close()
    assert connection.data_to_send() == []
    # What the client has sent before it knew is still received.
    assert connection.receive_data(frame(TEXT, b"crossed") + close(1001), 0.0) == ["crossed", Closed(1001, "")]
    assert connection.data_to_send() == [] and connection.ended


def test_what_is_sent() -> None:
    connection = opened()
    for message in ("ü", b"\xff", "", b"x" * 126):
        connection.send(message)
    connection.ping(b"p")
    sent = b"".join(connection.data_to_send())
    assert sent == b"\x81\x02\xc3\xbc" + b"\x82\x01\xff" + b"\x81\x00" + b"\x82\x7e\x00\x7e" + b"x" * 126 + b"\x89\x01p"


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_codes_that_must_not_be_sent(code: int) -> None:
    connection = opened()
    with pytest.raises(ValueError, match=f"^{code} is no code to close with"):
        connection.close(code)
    with pytest.raises(ValueError, match="123 bytes, not 124"):
        connection.close(1000, "x" * 124)
    with pytest.raises(ValueError, match="125 bytes, not 126"):
        connection.ping(b"x" * 126)
    assert connection.open and connection.data_to_send() == []


# Compression.


def test_compressed_messages() -> None:
    text = b"hello " * 100
    data = frame(TEXT, deflated(text), reserved=4) + frame(TEXT, b"plain")
    for pieces in cuts(data):
        assert fed(pieces, DEFLATE)[0] == [text.decode(), "plain"]
    packed = deflated(text)
    data = frame(TEXT, packed[:5], reserved=4, final=False) + frame(PING) + frame(CONTINUATION, packed[5:])
    for pieces in cuts(data):
        assert fed(pieces, DEFLATE)[0] == [text.decode()]


COMPRESSED_WRONGLY = {
    "a bomb": (frame(BINARY, deflated(bytes(10_000_000)), reserved=4), 1009),
    "a bomb in fragments": (
        frame(BINARY, deflated(bytes(900))[:4], reserved=4, final=False) + frame(CONTINUATION, deflated(bytes(100_000))),
        None,
    ),
    "no deflate": (frame(TEXT, b"\xff\xff\xff\xff", reserved=4), 1002),
    "the bit within a message": (frame(TEXT, b"a", final=False) + frame(CONTINUATION, b"b", reserved=4), 1002),
    "the bit of a ping": (frame(PING, reserved=4), 1002),
    "text that is no UTF-8": (frame(TEXT, deflated(b"\xff"), reserved=4), 1007),
}


@pytest.mark.parametrize("case", COMPRESSED_WRONGLY)
def test_compressed_wrongly(case: str) -> None:
    data, code = COMPRESSED_WRONGLY[case]
    for pieces in ([data], [data[place : place + 1] for place in range(len(data))]):
        events, _, ended = fed(pieces, DEFLATE)
        (event,) = events
        assert event.code == code if code else event.code in (1002, 1009)
        assert ended


def test_what_is_sent_is_compressed() -> None:
    connection = opened(DEFLATE)
    connection.send("hello " * 1000)
    assert len(b"".join(connection.data_to_send())) < 100


# Floods. Time stands, unless a test moves it on.


@pytest.mark.parametrize(
    "one", [frame(PING, b"x"), frame(PONG), frame(TEXT), frame(BINARY)], ids=["ping", "pong", "text", "binary"]
)
def test_flood(one: bytes) -> None:
    for pieces in ([one * 1000], [one] * 1000):
        events, sent, ended = fed(pieces)
        assert events[-1] == Closed(1002, "too many frames that carry nothing") and ended
        assert len(sent) < 200


def test_endless_fragments() -> None:
    connection = opened()
    events = connection.receive_data(frame(TEXT, final=False) + frame(CONTINUATION, final=False) * 1000, 0.0)
    assert events == [Closed(1002, "too many frames that carry nothing")]


def test_pings_at_leisure() -> None:
    connection = opened()
    for second in range(1000):
        assert connection.receive_data(frame(PING, b"x"), float(second)) == []
        assert connection.data_to_send() == [b"\x8a\x01x"]


def test_noise_ends() -> None:
    """Random bytes are no conversation; whatever they are, nothing is raised, and little is kept."""
    for _ in range(300):
        connection = opened(DEFLATE)
        events = connection.receive_data(os.urandom(300), 0.0)
        assert all(isinstance(one, str | bytes | Pong | Closed) for one in events)
        assert connection.closed or connection.receive_eof() == [Closed(1006, "")]
