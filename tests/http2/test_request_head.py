"""Heads of HTTP/2 requests: valid fields, and malformed ones (RFC 9113 section 8.3.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.messages import Limits, RequestHead
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http2.request_head import check_trailers, header_list_size, read_request_head

from .frames import GET, POST, Fields


def read(fields: Fields, *, ended: bool = True, limits: Limits | None = None) -> RequestHead:
    parser = HeadParser(limits or Limits())
    return read_request_head(parser, tuple(fields), ended, parser.base.copy())


def changed(**pseudo: bytes | None) -> Fields:
    """The fields of a GET, with other pseudo-header fields."""
    fields = dict(GET)
    for name, value in pseudo.items():
        fields.pop(b":" + name.encode())
        if value is not None:
            fields[b":" + name.encode()] = value
    return list(fields.items())


def refused(fields: Fields, *, ended: bool = True, limits: Limits | None = None) -> int:
    with pytest.raises(RemoteProtocolError) as caught:
        read(fields, ended=ended, limits=limits)
    return caught.value.status_code


def test_request() -> None:
    head = read([*changed(path=b"/a%20b?c=d"), (b"accept", b"text/html"), (b"accept", b"*/*")])
    assert (head.method, head.target, head.path, head.query) == ("GET", "/a%20b?c=d", "/a%20b", "c=d")
    assert head.version == (2, 0)
    assert head.headers == [("host", "a"), ("accept", "text/html"), ("accept", "*/*")]
    assert head.table["host"] == "a"
    assert not head.has_body
    assert head.keep_alive


def test_a_body_is_what_the_frames_say() -> None:
    """A length is not needed, and does not make a body."""
    assert read(POST, ended=False).has_body
    assert read(POST, ended=False).content_length is None
    head = read([*POST, (b"content-length", b"0")])
    assert (head.has_body, head.content_length) == (False, 0)
    assert read([*POST, (b"content-length", b"5")], ended=False).content_length == 5


def test_expectation() -> None:
    expects = [*POST, (b"expect", b"100-continue")]
    assert read(expects, ended=False).expect_continue
    assert not read(expects).expect_continue
    assert refused([*POST, (b"expect", b"tea")]) == 417


def test_cookies_are_joined() -> None:
    """RFC 9113 section 8.2.3. They count as the one field that they are."""
    crumbs = [(b"cookie", b"c%d=v" % number) for number in range(150)]
    head = read([*GET, *crumbs, (b"x", b"y")])
    joined = dict(head.headers)["cookie"]
    assert joined.startswith("c0=v; c1=v; ")
    assert joined.count(";") == 149
    assert len(head.headers) == 3


def test_cookies_together_are_as_long_as_a_field_may_be() -> None:
    assert refused([*GET, *[(b"cookie", b"c=" + b"v" * 100)] * 100]) == 431


def test_the_host_is_the_authority() -> None:
    """RFC 9113 section 8.3.1."""
    assert read(changed(authority=b"example.org:8443")).table["host"] == "example.org:8443"
    assert read([*changed(authority=None), (b"host", b"example.org")]).table["host"] == "example.org"
    assert read([*changed(authority=b"Example.org"), (b"host", b"example.org")]).headers == [("host", "example.org")]


@pytest.mark.parametrize(
    "fields",
    [
        [*changed(authority=b"a"), (b"host", b"b")],
        changed(authority=None),
        changed(authority=b""),
        changed(authority=b"user@a"),
        changed(authority=b"a b"),
        changed(authority=b"a/b"),
        changed(authority=b"a:port"),
        changed(authority=b"a:123456"),
    ],
    ids=["contradiction", "neither", "empty", "user", "space", "path", "port", "port-long"],
)
def test_refused_hosts(fields: Fields) -> None:
    assert refused(fields) == 400


@pytest.mark.parametrize(
    ("pseudo", "status_code"),
    [
        ({"path": b""}, 400),
        ({"path": b"a"}, 400),
        ({"path": b"http://a/"}, 400),
        ({"path": b"*"}, 400),
        ({"path": b"/#fragment"}, 400),
        ({"path": b"/a b"}, 400),
        ({"path": b"/a HTTP/1.1\r\nx: y"}, 400),
        ({"path": b"/\xe4"}, 400),
        ({"path": b"/" + b"a" * 5000}, 414),
        ({"method": b""}, 400),
        ({"method": b"get"}, 400),
        ({"method": b"G T"}, 400),
        ({"method": b"GET /other HTTP/1.1\r\nx: y\r\nz:"}, 400),
        ({"method": b"CONNECT"}, 501),
        ({"method": b"CONNECT", "scheme": None, "path": None}, 501),
        ({"scheme": b"ftp"}, 400),
        ({"scheme": None}, 400),
    ],
    ids=str,
)
def test_refused_request_lines(pseudo: dict[str, bytes | None], status_code: int) -> None:
    assert refused(changed(**pseudo)) == status_code


def test_options_of_the_server() -> None:
    assert read(changed(method=b"OPTIONS", path=b"*")).path == "*"


def test_the_scheme_says_nothing() -> None:
    """Only a front end that is trusted may say that TLS was used, and in other fields."""
    secure, plain = read(changed(scheme=b"https")), read(changed(scheme=b"http"))
    assert secure.target == plain.target == "/"


@pytest.mark.parametrize(
    ("field", "status_code"),
    [
        ((b"x", b"a\r\nb: c"), 400),
        ((b"x", b"a\nb: c"), 400),
        ((b"x", b"a\rb"), 400),
        ((b"x", b"a\0b"), 400),
        ((b"x", b"a\x7fb"), 400),
        ((b"x:y", b"a"), 400),
        ((b"x y", b"a"), 400),
        ((b"", b"a"), 400),
        ((b"x\r\ny", b"a"), 400),
        ((b"x\xe4", b"a"), 400),
        ((b":test", b"a"), 400),
        ((b"transfer-encoding", b"chunked"), 400),
        ((b"connection", b"close"), 400),
        ((b"connection", b"keep-alive"), 400),
        ((b"content-length", b"1,1"), 400),
        ((b"content-length", b"+1"), 400),
        ((b"x", b"a" * 8190), 431),
    ],
    ids=str,
)
def test_refused_fields(field: tuple[bytes, bytes], status_code: int) -> None:
    """Whatever the engine lets through of them."""
    assert refused([*GET, field]) == status_code


@pytest.mark.parametrize("name", [b"content-type", b"content-length"])
def test_fields_that_may_be_there_once(name: bytes) -> None:
    assert refused([*POST, (name, b"1"), (name, b"1")]) == 400


def test_obs_text_and_tabs_are_kept() -> None:
    assert read([*GET, (b"x", b"a\tb\xe4")]).headers[-1] == ("x", "a\tb\xe4")


def test_limits_are_those_of_http1() -> None:
    limits = Limits(request_line=50, fields=3, field_size=100)
    assert refused(changed(path=b"/" + b"a" * 50), limits=limits) == 414
    assert refused([*GET, (b"x", b"y"), (b"x", b"y"), (b"x", b"y")], limits=limits) == 431
    assert refused([*GET, (b"x", b"y" * 100)], limits=limits) == 431
    assert read([*GET, (b"x", b"y" * 90), (b"x", b"y")], limits=limits).headers[-1] == ("x", "y")


def test_what_mends_heads_of_http1_mends_nothing() -> None:
    limits = replace(Limits(), permit_obsolete_folding=True, strip_header_spaces=True)
    assert read(GET, limits=limits).headers == [("host", "a")]
    assert refused([*GET, (b"x ", b"y")], limits=limits) == 400
    assert refused([*GET, (b"x", b"a\r\n b")], limits=limits) == 400


def test_heads_that_are_known_differ_in_what_the_frames_say() -> None:
    """The parser remembers lines and fields, not whether there is a body."""
    parser = HeadParser(Limits())
    bodies = [read_request_head(parser, tuple(POST), ended, parser.base.copy()).has_body for ended in (True, False, True, False)]
    assert bodies == [False, True, False, True]


def test_size_of_a_header_list() -> None:
    """RFC 9113 section 10.5.1."""
    assert header_list_size(((b"abc", b"de"), (b"f", b""))) == 3 + 2 + 32 + 1 + 32


@pytest.mark.parametrize("name", [b"content-length", b"host", b"authorization", b"te", b"trailer", b"transfer-encoding"])
def test_refused_trailers(name: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="in a trailer section"):
        check_trailers(Limits(), ((name, b"1"),))


def test_limits_of_trailers() -> None:
    limits = Limits(fields=2, field_size=20)
    check_trailers(limits, ((b"a", b"b" * 15), (b"c", b"d")))
    for fields in (((b"a", b"b" * 16),), ((b"a", b"b"),) * 3):
        with pytest.raises(RemoteProtocolError) as caught:
            check_trailers(limits, fields)
        assert caught.value.status_code == 431
