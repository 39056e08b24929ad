"""Parsing of whole heads: Gunicorn's flags, learned names, and Host. Refused heads are in the corpus."""

import itertools

import pytest

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.head_flags import ALL, MEANINGS
from aiohttp_worker.http1.messages import Limits, RequestHead
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.request_reader import RequestReader

from .reading import read_requests, status_of

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


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


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET /\r\n HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET : HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_a_request_line_is_not_put_right(head: bytes) -> None:
    assert status_of(head, limits=Limits(permit_obsolete_folding=True, strip_header_spaces=True)) == 400


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
        b"A: b\r\n\x00 c",
    ],
)
def test_a_flag_allows_nothing_else(flag: str, lines: bytes) -> None:
    assert status_of(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n", limits=Limits(**{flag: True})) == 400


# What is learned


def test_what_is_learned_is_bounded() -> None:
    """Of names that come once each, of long ones, and of two that take the place of each other."""
    learned: list[str] = []

    def learn(name: str) -> tuple[str, int]:
        learned.append(name)
        return name.lower(), MEANINGS.get(name.lower(), 0)

    one = RequestReader(HeadParser(Limits(), learn))
    long = "A" * 3000
    for number in (count // 2 for count in range(6000)):
        one.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX-%d: b\r\n%s: c\r\n\r\n" % (number, long.encode()))
        head = one.next_event()
        assert isinstance(head, RequestHead)
        assert (head.table["host"], head.table[f"x-{number}"], head.table[long.lower()]) == ("a", "b", "c")
    assert learned.count(long) == 6000
    assert learned.count("Host") < 20
    assert 3000 <= len(learned) - learned.count(long) - learned.count("Host") < 3100


@pytest.mark.parametrize(
    "lines",
    [
        [b"A: b", b" c"],
        [b"A: b", b"\tTransfer-Encoding: chunked"],
        [b"A: b\nC: d", b" e"],
        [b"A: b", b": c"],
        [b"A: b", b"C"],
        [b"A: b\rC: d"],
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Host: b", b"A: b"],
    ],
)
def test_lines_that_came_alone_make_nothing_good(lines: list[bytes]) -> None:
    """Each line that can stand alone was seen before, alone; together they are refused as ever."""
    start = b"GET / HTTP/1.1\r\nHost: a\r\n"
    whole = start + b"\r\n".join(lines) + b"\r\n\r\n"
    expected = read_requests([whole], head_parser=HeadParser(Limits()))
    assert expected == [400]
    parser = HeadParser(Limits())
    for line in [*lines, *lines]:
        read_requests([start + line + b"\r\n\r\n"], head_parser=parser)
    for _ in range(3):
        assert read_requests([whole], head_parser=parser) == expected
    for order in itertools.permutations(lines):
        some = start + b"\r\n".join(order) + b"\r\n\r\n"
        assert read_requests([some], head_parser=parser) == read_requests([some], head_parser=HeadParser(Limits()))


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
    for _ in range(3):
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


# Connection


@pytest.mark.parametrize(
    ("version", "values", "keep_alive"),
    [
        ("1.1", [], True),
        ("1.1", ["close"], False),
        ("1.1", ["CLOSE"], False),
        ("1.1", ["keep-alive"], True),
        ("1.1", ["keep-alive, close"], False),
        ("1.1", ["te", "\tclose "], False),
        ("1.1", ["closed", "x-close", "close;a"], True),
        ("1.1", [""], True),
        ("1.0", [], False),
        ("1.0", ["Keep-Alive"], True),
        ("1.0", ["te,keep-alive"], True),
        ("1.0", ["keep-alive", "close"], False),
        ("1.0", ["close", "keep-alive"], False),
    ],
)
def test_connection(version: str, values: list[str], keep_alive: bool) -> None:
    """RFC 9110 section 7.6.1: a list of options, whatever their case, in one line or several."""
    lines = "".join(f"Connection: {value}\r\n" for value in values)
    head = one_head(f"GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n".encode(), Limits())
    assert head.keep_alive is keep_alive


LENIENT = Limits(permit_unconventional_http_method=True, permit_unconventional_http_version=True)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"GET / HTTP/1.1", ("GET", "/", (1, 1))),
        (b"a /b HTTP/0.9", ("a", "/b", (0, 9))),
        (b"X /a?b HTTP/2.0", ("X", "/a?b", (2, 0))),
        (b"OPTIONS * HTTP/1.0", ("OPTIONS", "*", (1, 0))),
        (b'GET /|{}^`[]\\"<>%20 HTTP/1.1', ("GET", '/|{}^`[]\\"<>%20', (1, 1))),
        (b"GET http://a/b HTTP/1.1", ("GET", "http://a/b", (1, 1))),
    ],
)
def test_request_line(line: bytes, parts: tuple[str, str, tuple[int, int]]) -> None:
    head = one_head(line + b"\r\nHost: a\r\n\r\n", LENIENT)
    assert (head.method, head.target, head.version) == parts


@pytest.mark.parametrize(
    "line",
    [
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/1.1\r",
        b"GET /\tHTTP/1.1",
        b"GET / http/1.1",
        b"G(T / HTTP/1.1",
        b"G\xe9T / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET /\xe9 HTTP/1.1",
        b"GET / HTTP/1.\xb9",
        b"GET\xa0/ HTTP/1.1",
        b"",
    ],
)
def test_malformed_request_line(line: bytes) -> None:
    one = HeadParser(LENIENT)
    for _ in range(3):
        with pytest.raises(RemoteProtocolError) as caught:
            table: dict[str, object] = {}
            raw = line + b"\r\nHost: a\r\n\r\n"
            one.parse(raw, table, one.scan(raw, 0, table) & ALL)
        assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"Cookie: secret=1\x00", "invalid character in the value of the field Cookie"),
        (b"Cookie secret", "a field without a colon"),
        (b" Cookie: secret", "malformed field name: ' Cookie'"),
        (b"A\xe9: secret", "malformed field name: 'A\\xe9'"),
    ],
)
def test_reason_of_a_malformed_field(line: bytes, reason: str) -> None:
    """The fault is told, the value is not: it may be a secret, and the reason is logged."""
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n"
    with pytest.raises(RemoteProtocolError) as caught:
        one_head(raw, Limits())
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("lines", "status_code"),
    [
        (b"Expect: x\r\nContent-Length: x", 400),
        (b"Expect: x\r\nContent-Length: 5\r\nContent-Length: 5", 400),
        (b"Expect: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", 400),
        (b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 5", 400),
        (b"Transfer-Encoding:\r\nTransfer-Encoding: chunked", 400),
        (b"Expect: x\r\nTransfer-Encoding: gzip, chunked", 417),
    ],
)
def test_of_two_faults_the_worse_is_told(lines: bytes, status_code: int) -> None:
    assert status_of(b"POST / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n") == status_code
