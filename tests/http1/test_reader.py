"""The reader beside the corpus: its events, its limits and flags, what it remembers, and what it costs."""

import pytest

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.head import Limits, RequestHead
from aiohttp_worker.http1.reader import END, NEED_DATA, HeadParser, RequestReader

from .reading import read_requests, single_bytes

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def status_of(*pieces: bytes, limits: Limits | None = None) -> int | None:
    result = read_requests(pieces, head_parser=HeadParser(limits or Limits()))
    return result[-1] if result and isinstance(result[-1], int) else None


def reader() -> RequestReader:
    return RequestReader(HeadParser(Limits()))


# Events


def test_nothing() -> None:
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


def test_pipelined_requests_wait_as_bytes() -> None:
    one = reader()
    one.feed(GET * 3)
    for left in (2, 1, 0):
        assert isinstance(one.next_event(), RequestHead)
        assert one.buffered == left * len(GET)
    assert one.next_event() is NEED_DATA


def test_what_follows_is_not_looked_at_before_it_is_asked_for() -> None:
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
def test_nothing_goes_on_for_ever(start: bytes, more: bytes, status_code: int, size: int) -> None:
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


# Gunicorn's flags


@pytest.mark.parametrize(
    ("flag", "data"),
    [
        ("permit_obsolete_folding", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\t c\r\n\r\n"),
        ("strip_header_spaces", b"GET / HTTP/1.1\r\nHost: a\r\nA \t: b\r\n\r\n"),
        ("permit_unconventional_http_method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("permit_unconventional_http_method", b"X / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("permit_unconventional_http_version", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        ("casefold_http_method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ],
)
def test_a_flag_allows_what_is_refused_without_it(flag: str, data: bytes) -> None:
    assert status_of(data) in (400, 505)
    assert status_of(data, limits=Limits(**{flag: True})) is None


def one_head(data: bytes, limits: Limits) -> RequestHead:
    one = RequestReader(HeadParser(limits))
    one.feed(data)
    head = one.next_event()
    assert isinstance(head, RequestHead)
    return head


def test_folded_lines_become_one() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\t c\r\n  d\r\n\r\n"
    assert one_head(data, Limits(permit_obsolete_folding=True)).headers[1] == ("A", "b c d")


def test_spaces_before_a_colon_go() -> None:
    data = b"GET / HTTP/1.1\r\nHost : a\r\nA \t: b : c\r\n\r\n"
    assert one_head(data, Limits(strip_header_spaces=True)).headers == [("Host", "a"), ("A", "b : c")]


def test_method_in_upper_case() -> None:
    assert one_head(b"get / HTTP/1.1\r\nHost: a\r\n\r\n", Limits(casefold_http_method=True)).method == "GET"


@pytest.mark.parametrize("flag", ["permit_obsolete_folding", "strip_header_spaces"])
@pytest.mark.parametrize(
    "lines",
    [
        b"A: b\rc",
        b"A: b\nc",
        b"A: b\x00",
        b"A B: c",
        b": c",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nContent-Length : 6\r\nContent-Length: 7",
    ],
)
def test_a_flag_allows_nothing_else(flag: str, lines: bytes) -> None:
    assert status_of(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n", limits=Limits(**{flag: True})) == 400


# What is remembered


def test_equal_heads_share_what_was_parsed() -> None:
    parser = HeadParser(Limits())
    one = RequestReader(parser)
    other = RequestReader(parser)
    one.feed(GET)
    other.feed(GET)
    first, second = one.next_event(), other.next_event()
    assert isinstance(first, RequestHead)
    assert isinstance(second, RequestHead)
    assert first is not second
    assert first.line is second.line
    assert first.fields is second.fields


def test_what_is_remembered_is_bounded() -> None:
    parser = HeadParser(Limits())
    one = RequestReader(parser)
    for number in range(3000):
        one.feed(b"GET /%d HTTP/1.1\r\nHost: a\r\nA: %d\r\n\r\n" % (number, number))
        assert isinstance(one.next_event(), RequestHead)
    one.feed(b"GET /%s HTTP/1.1\r\nHost: a\r\nA: %s\r\n\r\n" % (b"a" * 3000, b"b" * 3000))
    assert isinstance(one.next_event(), RequestHead)
    for remembered in (parser._lines, parser._sections):
        assert len(remembered) <= 512
        assert max(map(len, remembered)) <= 2048


@pytest.mark.parametrize(
    "refused",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 30\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 30\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: <\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\nc\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 30\r\nExpect: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nA: \x00\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_a_refused_request_leaves_no_trace(refused: bytes) -> None:
    """One parser serves all connections: what one client sends must not change what another one's bytes mean."""
    parser = HeadParser(Limits())
    good = b"POST /good HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    expected = read_requests([good], head_parser=HeadParser(Limits()))
    for _ in range(2):
        read_requests([refused], head_parser=parser)
        assert read_requests([good], head_parser=parser) == expected


@pytest.mark.parametrize(
    "first",
    [b"Connection: close", b"Connection: upgrade\r\nUpgrade: h2c", b"Content-Length: 40000", b"Transfer-Encoding: chunked"],
)
def test_a_request_leaves_no_trace(first: bytes) -> None:
    parser = HeadParser(Limits())
    one = RequestReader(parser)
    one.feed(b"POST /first HTTP/1.1\r\nHost: a\r\n" + first + b"\r\n\r\n")
    assert isinstance(one.next_event(), RequestHead)
    other = RequestReader(parser)
    other.feed(GET)
    head = other.next_event()
    assert isinstance(head, RequestHead)
    assert head.path == "/"
    assert head.keep_alive
    assert not head.has_body


# Host


@pytest.mark.parametrize(
    ("target", "host", "status_code"),
    [
        ("http://a/", "a", None),
        ("http://a/", "A", None),
        ("http://a:80/", "a", None),
        ("http://a/", "a:80", None),
        ("https://a:443/", "a", None),
        ("http://a:/", "a", None),
        ("http://a/", "b", 400),
        ("http://a:81/", "a", 400),
        ("http://a/", "", 400),
        ("http://a@a/", "a", 400),
        ("ftp://a/", "a", 400),
    ],
)
def test_host_beside_an_absolute_target(target: str, host: str, status_code: int | None) -> None:
    """The same but for case and default ports (RFC 9110 section 4.2.3)."""
    assert status_of(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) == status_code


@pytest.mark.parametrize(("target", "path"), [("http://a", "*"), ("http://a/", "/"), ("http://a?b", "/")])
def test_options_for_a_whole_server(target: str, path: str) -> None:
    """RFC 9112 section 3.2.4."""
    assert one_head(f"OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), Limits()).path == path
