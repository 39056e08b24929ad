"""Events of the request reader, pipelining, and limits; the rest is in the corpus."""

import itertools
import re

import pytest

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.messages import Limits, RequestHead
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.request_reader import END, NEED_DATA, RequestReader

from .reading import single_bytes, status_of

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def reader() -> RequestReader:
    return RequestReader(HeadParser(Limits()))


# Events


def test_no_bytes() -> None:
    one = reader()
    assert one.next_event() is NEED_DATA
    assert one.between_requests
    one.feed_eof()


def test_a_head_without_body_is_its_own_end() -> None:
    one = reader()
    one.feed(GET)
    assert not one.between_requests
    assert isinstance(one.next_event(), RequestHead)
    assert one.between_requests
    assert one.next_event() is NEED_DATA


def test_data_is_handed_on_as_it_came() -> None:
    one = reader()
    one.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    assert isinstance(one.next_event(), RequestHead)
    assert one.next_event() is NEED_DATA
    piece = b"hel"
    one.feed(piece)
    assert one.next_event() is piece
    assert one.next_event() is NEED_DATA
    one.feed(b"lo")
    assert one.next_event() == b"lo"
    assert one.next_event() is END
    assert one.between_requests


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_a_head_that_is_sent_again_and_again_is_remembered(body: bytes) -> None:
    one = reader()
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    heads = []
    for _ in range(6):
        one.feed(request + body)
        head = one.next_event()
        assert isinstance(head, RequestHead)
        assert head.content_length == len(body)
        heads.append(head)
        if body:
            assert one.next_event() == body
            assert one.next_event() is END
        assert one.next_event() is NEED_DATA
        assert one.between_requests
    assert heads[5] is heads[4] is heads[3]
    assert heads[5].repeated
    assert not heads[0].repeated


def test_a_head_that_begins_like_the_one_before_is_another() -> None:
    one = reader()
    for _ in range(4):
        one.feed(GET)
        assert isinstance(one.next_event(), RequestHead)
    for other in (GET[:-2] + b"B: c\r\n\r\n", GET.replace(b"/", b"/b", 1), b"\r\n" + GET):
        one.feed(other)
        head = one.next_event()
        assert isinstance(head, RequestHead)
        assert (head.target, len(head.headers)) == (("/b", 1) if b"/b" in other else ("/", other.count(b":")))
        assert one.next_event() is NEED_DATA


def test_the_last_head_can_be_forgotten() -> None:
    one = reader()
    heads = []
    for _ in range(5):
        one.feed(GET)
        heads.append(one.next_event())
    one.forget()
    one.feed(GET)
    assert heads[3] is heads[4]
    assert one.next_event() is not heads[4]


def test_pipelined_requests_wait_as_bytes() -> None:
    one = reader()
    one.feed(GET * 3)
    for left in (2, 1, 0):
        assert isinstance(one.next_event(), RequestHead)
        assert one.buffered == left * len(GET)
    assert one.next_event() is NEED_DATA


def test_next_request_is_not_parsed_before_it_is_asked_for() -> None:
    one = reader()
    one.feed(GET + b"\x00\x00\r\n\r\n")
    assert isinstance(one.next_event(), RequestHead)
    with pytest.raises(RemoteProtocolError):
        one.next_event()


def test_bytes_may_come_while_others_wait() -> None:
    one = reader()
    one.feed(GET + GET[:10])
    assert isinstance(one.next_event(), RequestHead)
    one.feed(GET[10:] + GET)
    assert isinstance(one.next_event(), RequestHead)
    assert isinstance(one.next_event(), RequestHead)
    assert one.next_event() is NEED_DATA


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"G", "head"),
        (b"GET / HTTP/1.1\r\n", "head"),
        (GET[:-1], "head"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", "body"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "body"),
    ],
)
def test_the_end_of_the_connection_says_what_it_cut(data: bytes, part: str) -> None:
    one = reader()
    one.feed(data)
    while one.next_event() is not NEED_DATA:
        pass
    with pytest.raises(RemoteProtocolError, match=part) as caught:
        one.feed_eof()
    assert caught.value.status_code == 400


@pytest.mark.parametrize("data", [b"", b"\r\n", GET, GET + b"\r\n", b"\r\n" + GET])
def test_the_end_of_the_connection_between_requests(data: bytes) -> None:
    for pieces in ([data], single_bytes(data)):
        one = reader()
        for piece in pieces:
            one.feed(piece)
            while one.next_event() is not NEED_DATA:
                pass
        one.feed_eof()


# Limits


@pytest.mark.parametrize(("length", "status_code"), [(20, None), (21, 414)])
def test_limit_request_line(length: int, status_code: int | None) -> None:
    line = b"GET /" + b"a" * (length - 14) + b" HTTP/1.1"
    assert len(line) == length
    data = line + b"\r\nHost: a\r\n\r\n"
    assert status_of(data, limits=Limits(request_line=20)) == status_code
    assert status_of(*single_bytes(data), limits=Limits(request_line=20)) == status_code
    assert status_of(data, limits=Limits(request_line=0)) is None


def test_no_limit_of_the_request_line() -> None:
    assert status_of(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", limits=Limits(request_line=0)) is None


@pytest.mark.parametrize(("number", "status_code"), [(3, None), (4, 431)])
def test_limit_request_fields(number: int, status_code: int | None) -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * (number - 1) + b"\r\n"
    assert status_of(data, limits=Limits(fields=3)) == status_code
    assert status_of(*single_bytes(data), limits=Limits(fields=3)) == status_code


@pytest.mark.parametrize(("length", "status_code"), [(20, None), (21, 431)])
def test_limit_request_field_size(length: int, status_code: int | None) -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * (length - 5) + b"\r\n\r\n"
    assert status_of(data, limits=Limits(field_size=20)) == status_code
    assert status_of(*single_bytes(data), limits=Limits(field_size=20)) == status_code


@pytest.mark.parametrize(
    ("start", "more", "status_code"),
    [
        (b"", b"a", 414),
        (b"GET / HTTP/1.1\r\n", b"a", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"A: b\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;aaaaaaaa\r\nx\r\n", 431),
    ],
)
@pytest.mark.parametrize("size", [1, 100, 65536])
def test_endless_parts_are_refused(start: bytes, more: bytes, status_code: int, size: int) -> None:
    """Whatever does not end is refused long before it fills the memory."""
    one = reader()
    one.feed(start)
    data = more * (1 + size // len(more))

    def feed() -> None:
        for _ in range(4_000_000 // len(data)):
            one.feed(data)
            while one.next_event() is not NEED_DATA:
                pass

    with pytest.raises(RemoteProtocolError) as caught:
        feed()
    assert caught.value.status_code == status_code


def test_empty_lines_fill_no_memory() -> None:
    one = reader()
    for _ in range(1000):
        one.feed(b"\r\n" * 100)
        assert one.next_event() is NEED_DATA
        assert one.buffered == 0


def test_a_body_that_came_with_its_head() -> None:
    one = RequestReader(HeadParser(Limits()))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    one.feed(head + b"abc" + head + b"de")
    assert isinstance(one.next_event(), RequestHead)
    assert one.take_whole_body() == b"abc"
    assert isinstance(one.next_event(), RequestHead)
    assert one.take_whole_body() is None
    assert one.next_event() == b"de"
    one.feed(b"f")
    assert one.next_event() == b"f"
    assert one.next_event() is END
    assert one.take_whole_body() is None
    assert one.between_requests


# Many


def test_large_heads_are_refused_while_many_are_coming() -> None:
    """Each is within its limits; together they would take the memory."""
    parser = HeadParser(Limits())
    part = b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (number, bytes(8000).replace(b"\0", b"x")) for number in range(98))
    readers: list[RequestReader] = []
    status = 0
    while not status and len(readers) < 100:
        one = RequestReader(parser)
        readers.append(one)
        one.feed(part)
        try:
            assert one.next_event() is NEED_DATA
        except RemoteProtocolError as error:
            status = error.status_code
    assert status == 431
    assert 32 << 20 < parser.incomplete < 34 << 20
    small = RequestReader(parser)
    small.feed(GET[:20])
    assert small.next_event() is NEED_DATA
    small.feed(GET[20:])
    assert isinstance(small.next_event(), RequestHead)
    one = readers[0]
    one.feed(b"Host: a\r\n\r\n")
    assert isinstance(one.next_event(), RequestHead)  # it is as large as it is going to be
    for one in readers:
        one.forget()
    assert parser.incomplete == 0


@pytest.mark.parametrize("first", [1, 2, 3])
def test_bytes_that_are_no_line_end(first: int) -> None:
    """In every place, and however the bytes come."""
    bare = re.compile(rb"\r(?!\n|\Z)|(?<!\r)\n")
    for letters in itertools.product((b"\r", b"\n", b"a"), repeat=6):
        text = b"".join(letters)
        if b"\r\n\r\n" in b"X" + text:
            continue
        one = reader()
        refused = False
        try:
            for piece in (b"X" + text[:first], text[first:]):
                one.feed(piece)
                assert one.next_event() is NEED_DATA
        except RemoteProtocolError:
            refused = True
        assert refused == bool(bare.search(b"X" + text) or bare.search(b"X" + text[:first])), text
