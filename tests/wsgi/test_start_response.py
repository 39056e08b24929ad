"""Responses as bytes: what is remembered of one colours no other."""

import re

import pytest

from aiohttp_worker.http1.errors import LocalProtocolError
from aiohttp_worker.http1.messages import Limits, RequestLine
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.response_encoder import HeadEncoder, Headers
from aiohttp_worker.http1.server_connection import CloseReason, ServerConnection
from aiohttp_worker.wsgi.start_response import StartResponse

TEXT = ("Content-Type", "text/plain")


def started(
    encoder: HeadEncoder,
    status: str,
    headers: Headers,
    method: str = "GET",
    version: tuple[int, int] = (1, 1),
    keep_alive: bool = True,
) -> StartResponse:
    connection = ServerConnection(HeadParser(Limits()), encoder)
    connection.expect(RequestLine(method, "/", None, "/", "", version))
    if not keep_alive:
        connection.close_after(CloseReason.CLIENT)
    start_response = StartResponse(connection)
    start_response(status, headers)
    return start_response


def whole(
    encoder: HeadEncoder,
    headers: Headers,
    data: bytes = b"hello",
    *,
    status: str = "200 OK",
    method: str = "GET",
    version: tuple[int, int] = (1, 1),
    keep_alive: bool = True,
) -> bytes:
    return b"".join(started(encoder, status, headers, method, version, keep_alive).whole(data))


def fields(data: bytes) -> list[tuple[str, str]]:
    lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


@pytest.fixture
def encoder() -> HeadEncoder:
    return HeadEncoder("me")


CASES: list[tuple[dict[str, object], set[str], set[str]]] = [
    ({}, {"Content-Length: 5"}, {"Connection"}),
    ({"keep_alive": False}, {"Content-Length: 5", "Connection: close"}, set()),
    ({"version": (1, 0)}, {"Content-Length: 5", "Connection: keep-alive"}, set()),
    ({"version": (1, 0), "keep_alive": False}, {"Content-Length: 5", "Connection: close"}, set()),
    ({"method": "HEAD"}, {"Content-Length: 5"}, {"Connection"}),
    ({"status": "204 No Content"}, set(), {"Content-Length", "Connection"}),
    ({"status": "205 Reset Content"}, {"Content-Length: 0"}, {"Connection"}),
    ({"status": "404 Not Found"}, {"Content-Length: 5"}, {"Connection"}),
]


@pytest.mark.parametrize("length", [[], [("Content-Length", "5")]], ids=["without", "with"])
def test_the_same_headers_in_all_kinds_of_responses(encoder: HeadEncoder, length: Headers) -> None:
    headers = [TEXT, *length, ("X-A", "b")]
    for _ in range(4):
        for arguments, has, has_not in CASES:
            data = whole(encoder, list(headers), **arguments)  # type: ignore[arg-type]
            found = fields(data)
            lines = [": ".join(field) for field in found]
            assert data.startswith(b"HTTP/1.1 " + str(arguments.get("status", "200 OK")).encode())
            assert lines.count("Content-Type: text/plain") == lines.count("X-A: b") == lines.count("Server: me") == 1
            assert has <= set(lines), arguments
            assert len([name for name, _ in found if name == "Content-Length"]) <= 1
            assert not has_not & {name for name, _ in found}, arguments
            body = data.partition(b"\r\n\r\n")[2]
            bare = arguments.get("method") == "HEAD" or str(arguments.get("status", "")).startswith("20")
            assert body == (b"" if bare else b"hello")


def test_304_does_not_say_the_length_of_nothing(encoder: HeadEncoder) -> None:
    for _ in range(3):
        assert "Content-Length" not in dict(fields(whole(encoder, [TEXT], b"", status="304 Not Modified")))
        assert dict(fields(whole(encoder, [("Content-Length", "7")], b"", status="304 Not Modified")))["Content-Length"] == "7"


def test_the_date_goes_on(encoder: HeadEncoder) -> None:
    for seconds, date in ((0, "Thu, 01 Jan 1970 00:00:00 GMT"), (951782400, "Tue, 29 Feb 2000 00:00:00 GMT")):
        encoder.set_time(seconds)
        for headers in ([TEXT], [TEXT, ("Content-Length", "5")]):
            for _ in range(3):
                assert dict(fields(whole(encoder, headers)))["Date"] == date


def test_the_applications_own_server_and_date(encoder: HeadEncoder) -> None:
    for _ in range(4):
        for headers in ([("server", "mine")], [("DATE", "today")], [("server", "mine"), ("DATE", "today")], [TEXT]):
            found = fields(whole(encoder, [*headers, ("Content-Length", "5")]))
            names = [name.lower() for name, _ in found]
            assert names.count("server") == names.count("date") == 1
            assert set(headers) <= set(found)


def test_status_lines_do_not_mix(encoder: HeadEncoder) -> None:
    headers = [TEXT, ("Content-Length", "5")]
    for status in ("200 OK", "404 Not Found", "200 OK", "404 Not Found", "404 Gone fishing", "200 OK"):
        assert whole(encoder, headers, status=status).startswith(f"HTTP/1.1 {status}\r\n".encode())


def test_connection_close_of_the_application(encoder: HeadEncoder) -> None:
    for _ in range(4):
        one = started(encoder, "200 OK", [("Connection", "Close"), ("Content-Length", "5")])
        assert b"Connection: close\r\n" in b"".join(one.whole(b"hello"))
        assert one.response.close_reason is CloseReason.APPLICATION


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([["Content-Type", "text/plain", "more"]], TypeError),
        ([("A", ["b"])], TypeError),
        ([("A", "b", "c")], TypeError),
        ([("A", 1)], TypeError),
        ([("A b", "c")], LocalProtocolError),
        ([("A", "b\r\nC: d")], LocalProtocolError),
        ([("Content-Length", "5"), ("Content-Length", "6")], LocalProtocolError),
        ([("Content-Length", "-5")], LocalProtocolError),
    ],
)
def test_wrong_headers_are_refused_each_time(encoder: HeadEncoder, headers: Headers, error: type[Exception]) -> None:
    for _ in range(4):
        with pytest.raises(error):
            whole(encoder, headers)


def test_a_length_said_twice_is_sent_once(encoder: HeadEncoder) -> None:
    for _ in range(4):
        data = whole(encoder, [("Content-Length", "5"), TEXT, ("content-length", "5")])
        assert len(re.findall(rb"(?i)content-length", data)) == 1


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 20_000])
def test_bodies_of_all_sizes(encoder: HeadEncoder, size: int) -> None:
    data = b"x" * size
    for _ in range(3):
        assert whole(encoder, [("Content-Length", str(size))], data).endswith(b"\r\n\r\n" + data)
        assert whole(encoder, [], data).endswith(b"\r\n\r\n" + data)


def test_the_tables_are_bounded(encoder: HeadEncoder) -> None:
    for number in range(3000):
        for _ in range(2):
            whole(encoder, [("X-Number", str(number)), ("Content-Length", "5")])
    assert len(encoder._blocks) <= 512
    assert len(encoder._lines) <= 1024
