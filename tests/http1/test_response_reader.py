"""Reader of responses: heads, data and ends of bodies, bytes after the end, limits, and faults."""

from __future__ import annotations

import copy
import pickle

import pytest

from aiohttp_worker.http1.response_reader import (
    END,
    ResponseCutError,
    ResponseEvent,
    ResponseHead,
    ResponseLimits,
    ResponseReader,
    ResponseSyntaxError,
    ResponseTooLargeError,
)

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = 100_000


def reader_for(method: str = "GET", head_size: int = 65536) -> ResponseReader:
    reader = ResponseReader(ResponseLimits(head_size))
    reader.start(method)
    return reader


def head_of(events: list[ResponseEvent]) -> ResponseHead:
    head = events[0]
    assert isinstance(head, ResponseHead)
    return head


def data_of(events: list[ResponseEvent]) -> bytes:
    return b"".join(event for event in events if isinstance(event, bytes))


def test_head_data_and_end() -> None:
    reader = reader_for()
    events = reader.feed(HELLO)
    head = head_of(events)
    assert events[1:] == [b"hello", END]
    assert (head.version, head.status_code, head.reason) == ((1, 1), 200, b"OK")
    assert head.headers == [(b"Content-Length", b"5")]
    assert (head.content_length, head.chunked, head.keep_alive) == (5, False, True)
    assert reader.reusable


def test_one_reader_for_many_responses() -> None:
    reader = reader_for()
    for _ in range(3):
        assert data_of(reader.feed(HELLO)) == b"hello"
        assert reader.reusable
        reader.start("GET")


@pytest.mark.parametrize(
    ("method", "head", "reusable"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", True),
        ("HEAD", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", False),
        ("HEAD", b"HTTP/1.0 200 OK\r\n\r\n", False),
        ("CONNECT", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", True),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", True),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_responses_without_a_body(method: str, head: bytes, reusable: bool) -> None:
    """RFC 9112 section 6.3."""
    reader = reader_for(method)
    events = reader.feed(head)
    assert events[1:] == [END]
    assert reader.reusable is reusable


def test_body_until_the_end_of_the_connection() -> None:
    reader = reader_for()
    events = reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    assert head_of(events).content_length is None
    assert data_of(events + reader.feed(b"lo")) == b"hello"
    assert reader.feed_eof() == [END]
    assert not reader.reusable
    assert reader.feed_eof() == []


def test_large_body_bypasses_the_parser() -> None:
    """Also when bytes come behind it, which no request asked for."""
    for rest in (b"", b"HTTP/1.1 200 OK\r\n\r\n"):
        reader = reader_for()
        reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        part = bytes(LARGE // 2)
        assert reader.feed(part)[0] is part
        assert reader.feed(part + rest) == [part, END]
        assert reader.reusable is (not rest)


def test_upgrade_is_handed_on_until_the_connection_ends() -> None:
    reader = reader_for()
    events = reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw")
    assert head_of(events).status_code == 101
    assert events[1:] == [b"raw"]
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\n") == [b"HTTP/1.1 200 OK\r\n\r\n"]
    assert reader.feed_eof() == [END]


def test_interim_responses() -> None:
    reader = reader_for()
    events = reader.feed(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: close\r\n\r\n" + HELLO)
    assert [event.status_code for event in events if isinstance(event, ResponseHead)] == [103, 200]
    assert data_of(events) == b"hello"
    assert not reader.reusable  # "close" in the interim response is about the final one


def test_trailers() -> None:
    reader = reader_for()
    events = reader.feed(CHUNKED + b"5\r\nhello\r\n0\r\nSum: 1\r\n\r\n")
    assert head_of(events).chunked
    assert events[1:] == [b"hello", END]
    assert reader.trailers == [(b"Sum", b"1")]


def test_fields_of_the_body() -> None:
    events = reader_for().feed(
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\nContent-Encoding: gzip\r\ncontent-encoding: br\r\n\r\n",
    )
    head = head_of(events)
    assert head.headers[0] == (b"Content-Length", b"0")
    assert head.content_codings == b"gzip,br"


@pytest.mark.parametrize("rest", [b"x", HELLO, b"HTTP/1.1 101 Switching\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\nc"])
@pytest.mark.parametrize("together", [True, False])
def test_bytes_after_the_end(rest: bytes, together: bool) -> None:
    """They belong to no request: the connection is not used again, and the response stands."""
    reader = reader_for()
    events = reader.feed(HELLO + rest) if together else reader.feed(HELLO) + reader.feed(rest)
    assert data_of(events) == b"hello"
    assert events.count(END) == 1
    assert not reader.reusable


@pytest.mark.parametrize(
    ("data", "started", "head_complete", "missing"),
    [
        (b"", False, False, None),
        (b"HTTP/1.1 200 OK\r\nContent-Le", True, False, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", True, True, 4),
        (CHUNKED + b"5\r\nhello\r\n", True, True, None),
    ],
)
def test_connection_that_ends_inside_a_response(data: bytes, started: bool, head_complete: bool, missing: int | None) -> None:
    reader = reader_for()
    if data:
        reader.feed(data)
    with pytest.raises(ResponseCutError) as caught:
        reader.feed_eof()
    assert (caught.value.started, caught.value.head_complete, caught.value.missing) == (started, head_complete, missing)
    assert caught.value.status_code == 502


@pytest.mark.parametrize(
    ("data", "message", "status_line_seen"),
    [
        (b"220 mail ready\r\n", "", False),
        (b"HTTP/2.0 200 OK\r\n\r\n", "", False),
        (b"HTTP/1.1 20x OK\r\n\r\n", "", False),
        (b"HTTP/1.1 200\r\nA B: c\r\n\r\n", "", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "unknown transfer coding b'gzip'", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "chunked twice", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "b'gzip' after chunked", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: a\r\nTransfer-Encoding: b\r\n\r\n", "unknown transfer coding b'a'", True),
        (b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: gzip\r\n\r\n", "in an interim response", True),
        (b"HTTP/0.9 200 OK\r\n\r\n", "unknown version of HTTP", False),
    ],
)
def test_faults(data: bytes, message: str, status_line_seen: bool) -> None:
    reader = reader_for()
    with pytest.raises(ResponseSyntaxError) as caught:
        reader.feed(data)
    assert message in str(caught.value)
    assert str(caught.value)
    assert reader.status_line_seen is status_line_seen
    assert not reader.reusable
    assert not isinstance(caught.value, ResponseTooLargeError)


def test_fault_keeps_the_events_before_it() -> None:
    with pytest.raises(ResponseSyntaxError) as caught:
        reader_for().feed(CHUNKED + b"5\r\nhello\r\nxyz\r\n")
    assert data_of(caught.value.events) == b"hello"


@pytest.mark.parametrize(
    ("head", "data", "part"),
    [
        (b"", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 300, "the head"),
        (b"", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 60 + b"Content-Length: 0\r\n\r\n", "the fields"),
        (b"", CHUNKED + b"0\r\n" + b"A: b\r\n" * 60, "the fields"),
        (CHUNKED, b"5;" + b"x" * 300, "the framing of a chunk"),
    ],
)
@pytest.mark.parametrize("step", [1, 10_000])
def test_limits(head: bytes, data: bytes, part: str, step: int) -> None:
    reader = reader_for(head_size=200)
    if head:
        reader.feed(head)
    with pytest.raises(ResponseTooLargeError, match="longer than 200 bytes") as caught:
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
    if step > 1:
        assert str(caught.value).startswith(part)


def test_limit_is_not_for_data() -> None:
    reader = reader_for(head_size=200)
    events = reader.feed(CHUNKED)
    for _ in range(100):
        events += reader.feed(b"5;x=y\r\nhello\r\n")
    events += reader.feed(b"0\r\n\r\n")
    assert data_of(events) == b"hello" * 100
    assert events[-1] is END


def test_head_is_copied_and_pickled() -> None:
    head = head_of(reader_for().feed(HELLO))
    for other in (copy.copy(head), copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert repr(other) == repr(head) == "<ResponseHead 200 b'OK'>"
        assert (other.headers, other.version, other.content_length) == (head.headers, head.version, head.content_length)
