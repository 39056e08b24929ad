"""Each argument of request() and each kind of value, as the server receives it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import re
import zlib
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from multidict import MultiDict

import aiohttp

from .raw_server import RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def sent(run: Any) -> Any:
    """What one request looks like: request line, fields by small name, body."""

    def send(method: str = "GET", path: str = "/", **options: Any) -> tuple[str, dict[str, str], bytes, RawServer]:
        async def main() -> RawServer:
            async with RawServer(OK) as server:
                made = {
                    name: value() if callable(value) and name in ("data", "files") else value for name, value in options.items()
                }
                response = await aiohttp.request(method, server.url + path, **made)
                assert await response.read_and_close() == b"ok"
                return server

        server = run(main)
        line, *fields = server.heads[-1].decode("latin-1").split("\r\n")[:-2]
        return line, {f.split(": ", 1)[0].lower(): f.split(": ", 1)[1] for f in fields}, server.bodies[-1], server

    return send


def test_defaults(sent: Any) -> None:
    line, fields, body, server = sent()
    assert line == "GET / HTTP/1.1"
    assert fields["host"] == f"127.0.0.1:{server.port}"
    assert fields["accept"] == "*/*"
    assert fields["accept-encoding"].startswith("gzip, deflate")
    assert fields["connection"] == "close"
    assert fields["user-agent"].startswith("aiohttp-worker/")
    assert not body
    assert "content-length" not in fields


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Range": "bytes=0-4"}, "identity"),
        ([("range", "bytes=-5"), ("If-Range", '"tag"')], "identity"),
        ({"Range": "bytes=0-4", "Accept-Encoding": "gzip"}, "gzip"),
        ({"Range": "bytes=0-4", "Accept-Encoding": None}, None),
        ({"Range": None}, "gzip, deflate"),
    ],
)
def test_a_part_is_asked_for_without_coding(sent: Any, headers: Any, expected: str | None) -> None:
    fields = sent(headers=headers)[1]
    if expected is None:
        assert "accept-encoding" not in fields
    else:
        assert fields["accept-encoding"].startswith(expected)


@pytest.mark.parametrize("method", ["get", "Post", "PUT", "x-odd!"])
def test_method_in_capitals(sent: Any, method: str) -> None:
    assert sent(method)[0].split()[0] == method.upper()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_length_zero_where_a_body_is_expected(sent: Any, method: str) -> None:
    assert sent(method)[1]["content-length"] == "0"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/"),
        ("?a=b", "/?a=b"),
        ("/a%2Fb%27'", "/a%2Fb%27'"),
        ("/a b", "/a%20b"),
        ("/ä?ö=ü", "/%C3%A4?%C3%B6=%C3%BC"),
        ("/100%", "/100%25"),
        ("/%zz", "/%25zz"),
        ('/"<>`{|}\\^', "/%22%3C%3E%60%7B%7C%7D%5C%5E"),
        ("/a#b", "/a"),
        ("/a;b=c,d@e:f[]", "/a;b=c,d@e:f[]"),
        ("//double", "//double"),
        ("/./dots/../x", "/./dots/../x"),
    ],
)
def test_path_byte_for_byte(sent: Any, path: str, expected: str) -> None:
    assert sent(path=path)[0] == f"GET {expected} HTTP/1.1"


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("/", {"a": "b c", "d": 1}, "/?a=b+c&d=1"),
        ("/", {"a": [1, "2"], "b": ()}, "/?a=1&a=2"),
        ("/", [("a", "1"), ("a", "2")], "/?a=1&a=2"),
        ("/", MultiDict([("a", "1"), ("a", "2")]), "/?a=1&a=2"),
        ("/", "a=b&c=d%20e f", "/?a=b&c=d%20e%20f"),
        ("/", b"a=b\xff", "/?a=b%FF"),
        ("/", {}, "/"),
        ("/?x=y", {"a": "&="}, "/?x=y&a=%26%3D"),
        ("/?", {"a": "b"}, "/?a=b"),
        ("/?x=y#f", {"a": "b"}, "/?x=y&a=b"),
        ("/", {"ä": "ü"}, "/?%C3%A4=%C3%BC"),
    ],
)
def test_params(sent: Any, path: str, params: Any, expected: str) -> None:
    assert sent(path=path, params=params)[0] == f"GET {expected} HTTP/1.1"


OCTETS, FORM = "application/octet-stream", "application/x-www-form-urlencoded"


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("data", "body", "kind"),
    [
        (b"\0abc", b"\0abc", OCTETS),
        (bytearray(b"abc"), b"abc", OCTETS),
        (memoryview(b"abcd")[1:], b"bcd", OCTETS),
        ("a=ü", "a=ü".encode(), FORM),
        ({"a": "b c", "n": 1}, b"a=b+c&n=1", FORM),
        ({"a": ["1", 2]}, b"a=1&a=2", FORM),
        ([("a", "1"), ("a", "2")], b"a=1&a=2", FORM),
        (MultiDict([("a", "1"), ("a", "2")]), b"a=1&a=2", FORM),
        (b"", b"", OCTETS),
        (lambda: io.BytesIO(b"abc"), b"abc", OCTETS),
    ],
)
def test_data(sent: Any, method: str, data: Any, body: bytes, kind: str) -> None:
    line, fields, received, _ = sent(method, data=data)
    assert line == f"{method} / HTTP/1.1"
    assert received == body
    assert fields["content-type"] == kind
    assert fields["content-length"] == str(len(body))
    assert "transfer-encoding" not in fields


def test_encoding_of_text_and_fields(sent: Any) -> None:
    assert sent("POST", data="ü", encoding="latin-1")[2] == b"\xfc"
    assert sent("POST", data={"ü": "ä"}, encoding="latin-1")[2] == b"%FC=%E4"


def test_json(sent: Any) -> None:
    _, fields, body, _ = sent("POST", json={"a": [1, "ü"]})
    assert json.loads(body) == {"a": [1, "ü"]}
    assert fields["content-type"] == "application/json"
    assert sent("POST", json=[], headers={"Content-Type": "application/x+json"})[1]["content-type"] == "application/x+json"


def a_generator() -> Any:
    loop = asyncio.get_running_loop()
    later = loop.create_future()
    loop.call_soon(later.set_result, b"two")
    yield b"one"
    yield (yield later)
    third = loop.create_future()
    loop.call_soon(third.set_result, b"three")
    yield (yield from third)
    yield b""
    return b"last"


async def an_async_generator() -> Any:
    yield b"one"
    await asyncio.sleep(0)
    yield b"two"


def a_reader() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(b"onetwo")
    reader.feed_eof()
    return reader


async def a_coroutine() -> bytes:
    await asyncio.sleep(0)
    return b"onetwo"


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (a_generator, b"onetwothreelast"),
        (an_async_generator, b"onetwo"),
        (a_reader, b"onetwo"),
        (a_coroutine, b"onetwo"),
        (lambda: iter([b"one", b"two"]), b"onetwo"),
        (lambda: io.StringIO("ünetwo"), "ünetwo".encode()),
    ],
)
def test_streamed_data(sent: Any, data: Any, body: bytes) -> None:
    _, fields, received, _ = sent("POST", data=data)
    assert received == body
    assert fields["transfer-encoding"] == "chunked"
    assert "content-length" not in fields


def test_generator_with_a_length(sent: Any) -> None:
    _, fields, body, _ = sent("POST", data=a_generator, headers={"Content-Length": "15"})
    assert (body, fields["content-length"]) == (b"onetwothreelast", "15")
    assert "transfer-encoding" not in fields


@pytest.mark.parametrize("size", [10, 300_000])
def test_files_as_data(sent: Any, tmp_path: Path, size: int) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * (size // 256 + 1))
    whole = path.read_bytes()
    with path.open("rb") as file:
        file.seek(3)
        _, fields, body, _ = sent("PUT", data=file)
        assert body == whole[3:]
        assert fields["content-length"] == str(len(whole) - 3)
    path.write_text("ünet", "utf-8")
    with path.open(encoding="utf-8") as text:
        assert sent("PUT", data=text, encoding="latin-1")[2] == "ünet".encode("latin-1")


def test_chunked_sizes(sent: Any) -> None:
    _, fields, body, server = sent("POST", data=b"x" * 25, chunked=10)
    assert (server.chunks, len(body), fields["transfer-encoding"]) == ([10, 10, 5], 25, "chunked")
    assert "content-length" not in fields
    assert sent("POST", data=b"x" * 20000, chunked=True)[3].chunks == [8196, 8196, 3608]
    assert sent("POST", data=a_generator, chunked=4)[3].chunks == [4, 4, 4, 3]
    assert sent("POST", data=b"abc", headers={"Transfer-Encoding": "chunked"})[3].chunks == [3]
    assert sent("POST", data=b"", chunked=True)[3].chunks == []


def test_headers(sent: Any) -> None:
    fields = sent(headers={"X-One": "1", "accept": "text/html", "User-Agent": None, "Number": 5, b"X-Bytes": b"\xfc"})[1]
    assert (fields["x-one"], fields["accept"], fields["number"], fields["x-bytes"]) == ("1", "text/html", "5", "ü")
    assert "user-agent" not in fields
    head = sent(headers=[("A", "1"), ("A", "2"), ("Host", "example.org")])[3].heads[0]
    assert b"\r\nA: 1\r\nA: 2\r\n" in head
    assert b"\r\nHost: example.org\r\n" in head
    assert head.count(b"Host:") == 1
    for headers in ({"Connection": "Upgrade", "Upgrade": "chat"}, {"Upgrade": "chat"}):
        fields = sent(headers=headers)[1]
        assert (fields["connection"].lower(), fields["upgrade"]) == ("upgrade", "chat")


@pytest.mark.parametrize(
    ("headers", "lines"),
    [
        ({"TE": "trailers"}, ["TE: trailers", "Connection: close, te"]),
        ({"TE": "Trailers", "Connection": "TE, X-Mine"}, ["TE: Trailers", "X-Other: 1", "Connection: close, te, x-mine"]),
        ({"Keep-Alive": "timeout=5"}, ["Keep-Alive: timeout=5"]),
        ({"Proxy-Connection": "keep-alive"}, ["Proxy-Connection: keep-alive"]),
        ({"Proxy-Authenticate": "x"}, ["Proxy-Authenticate: x"]),
        ({"Upgrade": "chat", "TE": "trailers"}, ["Upgrade: chat", "Connection: upgrade, te"]),
        ({"Connection": "close"}, ["Connection: close"]),
        ({"Content-Length": "0"}, ["Content-Length: 0"]),
        ({"Transfer-Encoding": "chunked"}, ["Transfer-Encoding: chunked"]),
    ],
)
def test_fields_of_the_connection_are_not_dropped(sent: Any, headers: dict[str, str], lines: list[str]) -> None:
    head = sent(headers={**headers, "X-Other": "1"})[3].heads[0]
    for line in lines:
        assert head.count(f"\r\n{line}\r\n".encode()) == 1, head
    assert head.count(b"Connection: ") - head.count(b"Proxy-Connection: ") == 1
    assert b"Content-Type" not in head


def test_options_of_the_connection_follow_a_redirect(run: Any) -> None:
    async def main() -> None:
        moved = b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"
        async with RawServer([moved, OK]) as server:
            async with aiohttp.request("GET", server.url, headers={"TE": "trailers", "Upgrade": "chat"}):
                assert b"\r\nConnection: close, te\r\n" in server.heads[1]
                assert b"Upgrade" not in server.heads[1]

    run(main)


def test_cookies(sent: Any) -> None:
    assert sent(cookies={"a": "1", "b": 'x"y z'})[1]["cookie"] == 'a=1; b=x"y z'
    assert sent(cookies={"a": "1"}, headers={"Cookie": "c=2"})[1]["cookie"] == "c=2; a=1"
    assert sent(cookies=SimpleCookie('m="q w"'))[1]["cookie"] == 'm="q w"'
    assert sent(cookies=[("a", "1"), ("b", "2")])[1]["cookie"] == "a=1; b=2"


def test_auth(sent: Any) -> None:
    def basic(text: bytes) -> str:
        return "Basic " + base64.b64encode(text).decode()

    assert sent(auth=("user", "pä"))[1]["authorization"] == basic("user:pä".encode("latin-1"))
    assert sent(auth=["user", "€"])[1]["authorization"] == basic("user:€".encode())
    assert sent(auth=("a", "b"), headers={"Authorization": "x"})[1]["authorization"] == basic(b"a:b")
    assert sent(auth=lambda method, url: f"Token {method}")[1]["authorization"] == "Token GET"


def test_auth_in_the_url(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            url = f"http://us%40er:p%3Ass@127.0.0.1:{server.port}/"
            response = await aiohttp.request("GET", url)
            assert response.url == f"http://127.0.0.1:{server.port}/"
            await response.read_and_close()
            assert b"Authorization: Basic " + base64.b64encode(b"us@er:p:ss") in server.heads[0]
            response = await aiohttp.request("GET", url, auth=("a", "b"))
            await response.read_and_close()
            assert b"Authorization: Basic " + base64.b64encode(b"a:b") in server.heads[1]
            assert server.heads[1].count(b"Authorization") == 1

    run(main)


def test_version(sent: Any) -> None:
    assert sent(version="1.1")[0] == "GET / HTTP/1.1"
    for version in ((1, 0), "1.0"):
        line, fields, body, _ = sent("POST", data=an_async_generator, version=version)
        assert line == "POST / HTTP/1.0"
        assert (body, fields["content-length"]) == (b"onetwo", "6")
        assert "transfer-encoding" not in fields


@pytest.mark.parametrize(
    ("compress", "name", "undo"),
    [(True, "deflate", zlib.decompress), ("deflate", "deflate", zlib.decompress), ("gzip", "gzip", gzip.decompress)],
)
def test_compress(sent: Any, compress: Any, name: str, undo: Any) -> None:
    _, fields, body, _ = sent("POST", data=b"hello" * 100, compress=compress)
    assert (undo(body), fields["content-encoding"]) == (b"hello" * 100, name)
    assert fields["content-length"] == str(len(body))
    _, fields, body, _ = sent("POST", data=an_async_generator, compress=compress)
    assert (undo(body), fields["transfer-encoding"]) == (b"onetwo", "chunked")
    _, fields, body, _ = sent("POST", data=b"x" * 2_000_000, compress=compress)
    assert undo(body) == b"x" * 2_000_000


def test_content_encoding_means_already_encoded(sent: Any) -> None:
    _, fields, body, _ = sent("POST", data=b"abc", headers={"Content-Encoding": "gzip"}, compress="gzip")
    assert (body, fields["content-encoding"]) == (b"abc", "gzip")


def part_names(body: bytes) -> list[str]:
    return re.findall(r"Content-Disposition: form-data; (.*)\r\n", body.decode("latin-1"))


def test_files(sent: Any, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("hello")
    with path.open("rb") as file:
        _, fields, body, _ = sent("POST", files={"up": file}, data={"a": "1", "b": ["2", "3"]})
    assert fields["content-type"].startswith("multipart/form-data; boundary=")
    assert fields["content-length"] == str(len(body))
    assert part_names(body) == ['name="a"', 'name="b"', 'name="b"', 'name="up"; filename="note.txt"']
    assert b"Content-Type: text/plain\r\n\r\nhello\r\n--" in body
    boundary = fields["content-type"].partition("boundary=")[2].encode()
    assert body.endswith(b"\r\n--" + boundary + b"--\r\n")


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        ([io.BytesIO(b"x")], ['name="unknown"; filename="unknown"']),
        (io.BytesIO(b"x"), ['name="unknown"; filename="unknown"']),
        ([("f", io.BytesIO(b"x"))], ['name="f"; filename="f"']),
        ([("f", b"x"), ("g", "y")], ['name="f"; filename="f"', 'name="g"; filename="g"']),
        ([("f", b"x", "image/x")], ['name="f"; filename="f"']),
        ({"f": ("name.png", b"x")}, ['name="f"; filename="name.png"']),
        ([("f", ("name.bin", b"x", "image/x", {"X-A": "b"}))], ['name="f"; filename="name.bin"']),
        ({'a"\r\nb': ('c"d\r\n', b"x")}, ['name="a%22%0D%0Ab"; filename="c%22d%0D%0A"']),
    ],
)
def test_kinds_of_files(sent: Any, files: Any, parts: list[str]) -> None:
    body = sent("POST", files=files)[2]
    assert part_names(body) == parts


def test_a_file_of_unknown_length_makes_chunks(sent: Any) -> None:
    _, fields, body, _ = sent("POST", files=lambda: {"f": an_async_generator()})
    assert fields["transfer-encoding"] == "chunked"
    assert b"onetwo" in body


BAD: list[tuple[dict[str, Any], str]] = [
    ({"method": "GE T"}, "GE T"),
    ({"method": ""}, "''"),
    ({"method": "GET\r\n"}, "GET"),
    ({"url": "http://127.0.0.1:1/a\r\nb"}, "a"),
    ({"url": "http://127.0.0.1:1/\0"}, "control"),
    ({"url": "http://exa mple/"}, "exa mple"),
    ({"url": "http://127.0.0.1:99999/"}, "99999"),
    ({"url": "http://127.0.0.1:x/"}, "port"),
    ({"url": "http://"}, "http://"),
    ({"url": "http:///path"}, "path"),
    ({"url": "ftp://127.0.0.1/"}, "ftp"),
    ({"url": "/only/a/path"}, "/only/a/path"),
    ({"url": "http://[::1/"}, "[::1"),
    ({"url": "http://[::zz]/"}, "::zz"),
    ({"url": "http://xn--\u2028/"}, "host"),
    ({"headers": {"A": "b\r\nc: d"}}, "field A cannot have '\\r', which is its character 2"),
    ({"headers": {"A": "b\0"}}, "field A cannot have '\\x00'"),
    ({"headers": {"A b": "c"}}, "A b"),
    ({"headers": {"": "c"}}, "''"),
    ({"headers": {"A:": "c"}}, "A:"),
    ({"headers": {"A": "\ud800"}}, "field A cannot have '\\ud800'"),
    ({"headers": {"Content-Length": "+5"}}, "+5"),
    ({"headers": {"Transfer-Encoding": "gzip"}}, "gzip"),
    ({"headers": {"Host": "a\nb"}}, "field Host cannot have"),
    ({"headers": {"TE": "gzip"}}, "gzip"),
    ({"headers": {"Trailer": "X-Sum"}}, "Trailer"),
    ({"headers": {"Connection": "upgrade"}}, "Upgrade"),
    ({"headers": {"Connection": "a b"}}, "a b"),
    ({"headers": {"Content-Length": "5"}}, "Content-Length is 5, but the body has 0 bytes"),
    ({"params": {"a": None}}, "a value for 'a' is None"),
    ({"cookies": {"a": None}}, "a value for 'a' is None"),
    ({"data": {"a": None}}, "a value for 'a' is None"),
    ({"json": [float("nan")]}, "json cannot be sent"),
    ({"headers": [("Host", "a"), ("Host", "b")]}, "one Host field"),
    ({"auth": lambda method, url: None}, "str, not NoneType"),
    ({"data": {"a": "€"}, "encoding": "latin-1"}, "a value for 'a' has the character '€', which is not in latin-1"),
    ({"data": "x€", "encoding": "latin-1"}, "the text of the body has the character '€', which is not in latin-1"),
    ({"data": {"a": "€"}, "files": {"f": b"x"}, "encoding": "latin-1"}, "a value for 'a' has the character '€'"),
    ({"files": {"f": "€"}, "encoding": "latin-1"}, "the field 'f' has the character '€'"),
    ({"files": {"f": ("€", b"x")}, "encoding": "latin-1"}, "the name '€' has the character '€'"),
    ({"data": b"abc", "headers": {"Content-Length": "5"}}, "5"),
    ({"data": 5}, "int"),
    ({"data": "x", "encoding": "utf-99"}, "utf-99"),
    ({"data": b"x", "compress": "lzma"}, "lzma"),
    ({"data": b"x", "chunked": -1}, "-1"),
    ({"data": b"x", "chunked": "yes"}, "yes"),
    ({"data": b"x", "chunked": True, "version": (1, 0)}, "chunked"),
    ({"version": (2, 0)}, "(2, 0)"),
    ({"version": "1.2"}, "1.2"),
    ({"version": "x"}, "x"),
    ({"cookies": {"a b": "c"}}, "a b"),
    ({"cookies": {"a": "b;c"}}, "cookie a cannot have ';'"),
    ({"cookies": {"a": "b\r\n"}}, "cookie a cannot have '\\r'"),
    ({"auth": ("only",)}, "not (str)"),
    ({"auth": "user"}, "not str"),
    ({"auth": ("a:b", "c")}, "colon"),
    ({"files": [("a", "b", "c", "d")]}, "not as (str, str, str, str)"),
    ({"files": {"a": 5}}, "int"),
    ({"files": {"a": b"x"}, "data": b"raw"}, "bytes"),
    ({"files": {"a": ("n", b"x", "text/\r\nplain")}}, "Content-Type cannot have"),
    ({"timeout": -1}, "-1"),
    ({"timeout": "5"}, "'5'"),
    ({"timeout": float("nan")}, "nan"),
    ({"max_redirects": -1}, "-1"),
    ({"timeout": (1,)}, "(1,)"),
    ({"json": {}, "data": b"x"}, "json"),
    ({"proxy": "ftp://x"}, "ftp://x"),
    ({"proxy": "http://x:y"}, "http://x:***"),
    ({"proxy": "http://x:1", "proxy_auth": "user"}, "user and password, not str"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD)
def test_bad_arguments(run: Any, arguments: dict[str, Any], named: str) -> None:
    """ValueError that names the value, and not a byte is sent."""

    async def main() -> None:
        async with RawServer(OK) as server:
            options = {"method": "POST", "url": server.url, **arguments}
            with pytest.raises(ValueError) as caught:
                await aiohttp.request(options.pop("method"), options.pop("url"), **options)
            assert named in str(caught.value)
            assert server.peers == []

    run(main)


@pytest.mark.parametrize("argument", ["headers", "cookies", "params", "data"])
@pytest.mark.parametrize("given", [["ab"], ["a=b"], [("a", "b", "c")], [{"a", "b"}], [5]])
def test_what_is_no_pair(run: Any, argument: str, given: Any) -> None:
    """Two letters are no name and value."""

    async def main() -> None:
        with pytest.raises(TypeError, match="a pair of name and value is needed, not"):
            await aiohttp.request("POST", "http://127.0.0.1:1/", **{argument: given})

    run(main)


def test_loop_must_be_the_running_one(run: Any) -> None:
    async def main() -> None:
        other = asyncio.new_event_loop()
        try:
            with pytest.raises(ValueError, match="loop"):
                await aiohttp.request("GET", "http://127.0.0.1:1/", loop=other)
        finally:
            other.close()
        async with RawServer(OK) as server:
            async with aiohttp.request("GET", server.url, loop=asyncio.get_running_loop()) as response:
                assert response.status == 200

    run(main)


class Odd:
    def __init__(self, url: str) -> None:
        self.url = url

    def __str__(self) -> str:
        return self.url


def test_url_of_another_type(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            async with aiohttp.request("GET", Odd(server.url)) as response:
                assert response.status == 200

    run(main)


def test_a_body_that_fails_while_it_is_sent(run: Any) -> None:
    def bad() -> Any:
        yield b"one"
        yield 5

    async def short() -> Any:
        yield b"one"

    async def broken() -> Any:
        yield b"one"
        raise KeyError("mine")

    async def main() -> None:
        async with RawServer(OK) as server, aiohttp.SocketConnector(limit=1) as connector:
            with pytest.raises(ValueError, match="must be bytes, not int"):
                await aiohttp.request("POST", server.url, data=bad(), connector=connector)
            with pytest.raises(KeyError, match="mine"):
                await aiohttp.request("POST", server.url, data=broken(), connector=connector)
            for length in (1, 9):
                with pytest.raises(ValueError, match=str(length)):
                    headers = {"Content-Length": str(length)}
                    await aiohttp.request("POST", server.url, data=short(), headers=headers, connector=connector)
            response = await aiohttp.request("GET", server.url, connector=connector)
            assert await response.read_and_close() == b"ok"

    run(main)


@pytest.mark.parametrize("size", [-1, "1", 1.5, True])
def test_a_limit_that_is_none(run: Any, size: Any) -> None:
    """It was found out when the body arrived, as a broken connection."""
    with pytest.raises(ValueError, match="max_body_size is a number of bytes, or None"):
        aiohttp.SocketConnector(max_body_size=size)

    async def main() -> None:
        async with RawServer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as server:
            with pytest.raises(ValueError, match="max_body_size is a number of bytes, or None"):
                await aiohttp.request("GET", server.url, max_body_size=size)
            assert server.peers == []

    run(main)


@pytest.mark.parametrize("path", [None, "", 5])
def test_a_unix_socket_without_a_path(path: Any) -> None:
    """None connected over TCP."""
    with pytest.raises(ValueError, match="path is that of a Unix socket, not"):
        aiohttp.UnixSocketConnector(path)
