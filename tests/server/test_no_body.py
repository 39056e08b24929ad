"""A body that is given where there can be none: dropped, and said once."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aiohttp_worker.wsgi.file_wrapper import FileWrapper

from .fakes import FakeServer

WORDS = "WSGI app sent body bytes on a no-body response (method={} status={}); dropping per RFC 9110."


def listed(start_response: Any, status: str, body: bytes) -> Any:
    start_response(status, [])
    return [body]


def several(start_response: Any, status: str, body: bytes) -> Any:
    start_response(status, [])
    return [b"", body, body]


def iterated(start_response: Any, status: str, body: bytes) -> Any:
    start_response(status, [("Content-Length", str(len(body)))])
    return iter([body, body])


def written(start_response: Any, status: str, body: bytes) -> Any:
    start_response(status, [])(body)
    return []


def wrapped(start_response: Any, status: str, body: bytes) -> Any:
    start_response(status, [])
    return FileWrapper(io.BytesIO(body))


SHAPES: list[Callable[[Any, str, bytes], Any]] = [listed, several, iterated, written, wrapped]


def warnings(server: FakeServer) -> list[str]:
    return [line for line in server.logged if line.startswith("WARNING")]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_body_that_is_dropped_is_said_once(shape: Callable[[Any, str, bytes], Any], status: str, asynchronous: bool) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        return shape(start_response, status, environ["PATH_INFO"].encode())

    async def coroutine(environ: dict[str, Any], start_response: Any) -> Any:
        return application(environ, start_response)

    server = FakeServer(coroutine if asynchronous else application)
    for path in ("a", "a", "a", "b"):
        server.receive(f"GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    sent = server.take_sent()
    assert sent.count(b"HTTP/1.1 " + status[:3].encode()) == 4
    assert b"\r\n\r\n/" not in sent
    text = WORDS.format("GET", status[:3])
    assert warnings(server) == [f"WARNING GET /a: {text}", f"WARNING GET /b: {text}"]
    assert not server.transport.closed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("method", "status", "body"), [("GET", "204 No Content", b""), ("HEAD", "200 OK", b"x"), ("GET", "200 OK", b"x")]
)
def test_nothing_is_said_where_nothing_is_wrong(
    shape: Callable[[Any, str, bytes], Any], method: str, status: str, body: bytes
) -> None:
    """HEAD is answered by many frameworks as GET is, and relies on the server."""
    server = FakeServer(lambda environ, start_response: shape(start_response, status, body))
    server.receive(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert server.status_codes() == [int(status[:3])]
    assert warnings(server) == []


def test_a_long_body_is_taken_no_further() -> None:
    taken: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            taken.append(number)
            yield b"x"

    class Iterable:
        def __iter__(self) -> Iterator[bytes]:
            return pieces()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("304 Not Modified", [])
        return Iterable()

    server = FakeServer(application)
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert taken == [0]
    assert len(warnings(server)) == 1
