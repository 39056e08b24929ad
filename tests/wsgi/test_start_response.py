"""``start_response``: status, headers and bodies as bytes, the delayed head, replaced responses, and refused arguments."""

import inspect
import re
from typing import Any

import pytest

from aiohttp_worker.http1.errors import LocalProtocolError
from aiohttp_worker.http1.messages import Limits
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.response_encoder import HeadEncoder, Headers
from aiohttp_worker.http1.server_connection import CloseReason, ServerConnection
from aiohttp_worker.wsgi.start_response import StartResponse, error_response
from tests.http1.reading import new_request

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
    connection.expect(new_request(method, version))
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
def test_equal_headers_in_all_kinds_of_responses(encoder: HeadEncoder, length: Headers) -> None:
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


def test_304_has_no_length_of_an_empty_body(encoder: HeadEncoder) -> None:
    for _ in range(3):
        assert "Content-Length" not in dict(fields(whole(encoder, [TEXT], b"", status="304 Not Modified")))
        assert dict(fields(whole(encoder, [("Content-Length", "7")], b"", status="304 Not Modified")))["Content-Length"] == "7"


def test_date_is_not_cached(encoder: HeadEncoder) -> None:
    for seconds, date in ((0, "Thu, 01 Jan 1970 00:00:00 GMT"), (951782400, "Tue, 29 Feb 2000 00:00:00 GMT")):
        encoder.set_time(seconds)
        for headers in ([TEXT], [TEXT, ("Content-Length", "5")]):
            for _ in range(3):
                assert dict(fields(whole(encoder, headers)))["Date"] == date


def test_server_and_date_of_the_application(encoder: HeadEncoder) -> None:
    for _ in range(4):
        for headers in ([("server", "mine")], [("DATE", "today")], [("server", "mine"), ("DATE", "today")], [TEXT]):
            found = fields(whole(encoder, [*headers, ("Content-Length", "5")]))
            names = [name.lower() for name, _ in found]
            assert names.count("server") == names.count("date") == 1
            assert set(headers) <= set(found)


def test_cached_status_lines_do_not_mix(encoder: HeadEncoder) -> None:
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


def test_repeated_length_is_sent_once(encoder: HeadEncoder) -> None:
    for _ in range(4):
        data = whole(encoder, [("Content-Length", "5"), TEXT, ("content-length", "5")])
        assert len(re.findall(rb"(?i)content-length", data)) == 1


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 20_000])
def test_bodies_of_all_sizes(encoder: HeadEncoder, size: int) -> None:
    data = b"x" * size
    for _ in range(3):
        assert whole(encoder, [("Content-Length", str(size))], data).endswith(b"\r\n\r\n" + data)
        assert whole(encoder, [], data).endswith(b"\r\n\r\n" + data)


def test_caches_are_bounded(encoder: HeadEncoder) -> None:
    for number in range(3000):
        for _ in range(2):
            whole(encoder, [(f"X-{number}", "\xe9"), ("Content-Length", "5")], status=f"200 {number}")
    assert 0 < len(encoder._names) <= 1024
    assert 0 < len(encoder._statuses) <= 1024


# From start_response to the end, piece by piece.


def test_head_waits_for_the_first_byte(encoder: HeadEncoder) -> None:
    """PEP 3333, "Handling the Content-Length Header"."""
    response = started(encoder, "200 OK", [TEXT])
    assert response.piece(b"") == []
    first = b"".join(response.piece(b"abc"))
    assert b"Transfer-Encoding: chunked\r\n" in first
    assert first.endswith(b"\r\n\r\n3\r\nabc\r\n")
    assert b"".join(response.piece(b"de")) == b"2\r\nde\r\n"
    assert b"".join(response.end()) == b"0\r\n\r\n"


def test_end_without_a_body_sends_the_head(encoder: HeadEncoder) -> None:
    assert b"Content-Length: 0\r\n" in b"".join(started(encoder, "200 OK", [TEXT]).end())


def test_subclass_of_bytes_is_sent_as_it_is_in_memory(encoder: HeadEncoder) -> None:
    class Odd(bytes):
        def __bytes__(self) -> bytes:
            return b"other"

    response = started(encoder, "200 OK", [("Content-Length", "3")])
    assert b"".join(response.piece(Odd(b"abc"))).endswith(b"\r\n\r\nabc")


def test_body_of_the_kernel(encoder: HeadEncoder) -> None:
    response = started(encoder, "200 OK", [TEXT])
    head, length = response.start_file(7)
    assert length == 7
    assert b"Content-Length: 7\r\n" in head
    assert response.start_file(7) == (b"", None)


def test_facts_of_the_application(encoder: HeadEncoder) -> None:
    response = started(encoder, "404 Not Found", [TEXT])
    assert (response.status, response.status_code, response.headers) == ("404 Not Found", 404, [TEXT])
    assert response.headers is not response.headers
    assert response.__name__ == "start_response"
    assert str(inspect.signature(response)) == "(status, headers, exc_info=None)"
    with pytest.raises(NotImplementedError):
        response.write(b"")


def test_body_without_start_response(encoder: HeadEncoder) -> None:
    response = started(encoder, "200 OK", [])
    fresh = StartResponse(response.response)
    assert (fresh.status, fresh.status_code, fresh.headers) == (None, 0, [])
    fresh.forget_no_length()
    for send in (lambda: fresh.piece(b"a"), lambda: fresh.whole(b"a"), fresh.end, lambda: fresh.start_file(1)):
        with pytest.raises(AssertionError, match="without a start_response"):
            send()


@pytest.mark.parametrize(("length", "kept"), [("0", False), ("5", True)])
def test_length_of_0_is_dropped(encoder: HeadEncoder, length: str, kept: bool) -> None:
    response = started(encoder, "200 OK", [TEXT, ("content-length", length)])
    response.forget_no_length()
    assert [name for name, _ in response.headers] == ["Content-Type", *(["content-length"] if kept else [])]


# Called again.


def test_second_call_needs_exc_info(encoder: HeadEncoder) -> None:
    response = started(encoder, "200 OK", [TEXT])
    for exc_info in (None, (), 0):
        with pytest.raises(AssertionError, match="called again, and without exc_info"):
            response("500 Error", [], exc_info)
    assert response.status == "200 OK"


def test_exc_info_replaces_what_is_not_sent(encoder: HeadEncoder) -> None:
    response = started(encoder, "200 OK", [TEXT])
    error = ValueError("broken")
    response("500 Error", [("X-A", "b")], (type(error), error, None))
    assert b"".join(response.whole(b"")).startswith(b"HTTP/1.1 500 Error\r\n")


def test_replaced_by_the_server(encoder: HeadEncoder) -> None:
    response = started(encoder, "200 OK", [TEXT])
    status, headers, body = error_response(413, "limit: 5 bytes")
    response.replace(status, headers)
    assert (response.status, body) == ("413 Content Too Large", b"413 Content Too Large\nlimit: 5 bytes\n")
    assert error_response(418, "")[::2] == ("418 Error", b"418 Error\n")


def broken() -> ValueError:
    try:
        raise ValueError("broken")
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "exc_info",
    [
        lambda error: error,
        lambda error: (type(error), error, error.__traceback__),
        lambda error: [type(error), error],
        lambda error: (ValueError, None, error.__traceback__),
        lambda error: (ValueError, None, "no traceback"),
    ],
)
def test_exc_info_is_raised_once_the_head_is_sent(encoder: HeadEncoder, exc_info: Any) -> None:
    response = started(encoder, "200 OK", [TEXT])
    response.piece(b"abc")
    with pytest.raises(ValueError):
        response("500 Error", [], exc_info(broken()))


@pytest.mark.parametrize("exc_info", ["text", (None, None, None), (1,), (ValueError, "no error", None)])
def test_exc_info_without_an_exception(encoder: HeadEncoder, exc_info: Any) -> None:
    response = started(encoder, "200 OK", [TEXT])
    response.piece(b"abc")
    with pytest.raises(TypeError, match="exc_info has no exception to raise"):
        response("500 Error", [], exc_info)
