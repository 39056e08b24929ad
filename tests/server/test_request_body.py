"""A body on its way to the application: accounts, back-pressure, limits and ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiohttp_worker.server import request_body
from aiohttp_worker.wsgi.input import HIGH_MARK

from .fakes import CHUNKED, POST, FakeServer, hello


class Held:
    """A coroutine application that gives its input away, and answers when it is told to."""

    def __init__(self) -> None:
        self.input: Any = None
        self.future: Any = None

    def served(self, data: bytes, **settings: Any) -> FakeServer:
        async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            import asyncio

            self.input = environ["wsgi.input"]
            self.future = asyncio.get_running_loop().create_future()
            await self.future
            start_response("200 OK", [])
            return [b"done"]

        server = FakeServer(application, **settings)
        server.receive(data)
        return server


def test_what_is_collected_is_counted() -> None:
    server = FakeServer(hello)
    server.receive(POST % (b"a", 10) + b"abc")
    assert server.state.collected == 3
    server.receive(b"defg")
    assert server.state.collected == 7
    server.receive(b"hij")
    assert server.status_codes() == [200]
    assert server.state.collected == 0


def test_a_body_that_was_given_up_is_not_counted() -> None:
    server = FakeServer(hello)
    server.receive(POST % (b"a", 10) + b"abc")
    server.lose()
    assert server.state.collected == 0


def test_bodies_go_to_files_when_all_together_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer(hello, body_directory=str(tmp_path))
    server.state.collected = request_body._MOST_COLLECTED
    server.receive(POST % (b"a", 10) + b"abc")
    assert server.state.collected == request_body._MOST_COLLECTED  # this one is in a file
    server.receive(b"defghij")
    assert server.take_sent().endswith(b"/aabcdefghij")


def test_a_body_that_cannot_be_stored(tmp_path: Path) -> None:
    server = FakeServer(hello, body_directory=str(tmp_path / "missing"), body_memory_size=4)
    server.receive(POST % (b"a", 10) + b"abcdef")
    assert server.status_codes() == [507]
    error = next(line for line in server.logged if line.startswith("ERROR"))
    assert str(tmp_path / "missing") in error


def test_a_length_for_a_chunked_body() -> None:
    seen: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append((environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING")))
        return hello(environ, start_response)

    server = FakeServer(application)
    server.receive(CHUNKED % b"a" + b"3\r\nabc\r\n0\r\n\r\n")
    assert server.status_codes() == [200]
    assert seen == [("3", None)]


def test_nobody_reads() -> None:
    """The socket is not read either, until there is room again."""
    held = Held()
    server = held.served(POST % (b"a", 2 * HIGH_MARK))
    server.receive(bytes(HIGH_MARK + 1))
    assert not server.transport.reading
    held.input.read(10)
    assert not server.transport.reading
    held.input.read(HIGH_MARK)
    assert server.transport.reading


def test_a_read_that_waits_for_much_opens_the_socket() -> None:
    held = Held()
    server = held.served(POST % (b"a", 2 * HIGH_MARK))
    server.receive(bytes(HIGH_MARK + 1))
    assert not server.transport.reading
    reading = held.input.read()
    assert server.transport.reading
    server.receive(bytes(HIGH_MARK - 1))
    assert len(reading.result()) == 2 * HIGH_MARK


def test_continue_is_asked_for_by_the_first_read() -> None:
    held = Held()
    server = held.served(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert server.take_sent() == b""
    reading = held.input.read()
    assert server.status_codes() == [100]
    server.receive(b"abc")
    assert reading.result() == b"abc"
    assert server.take_sent() == b""


def test_no_continue_for_a_body_that_comes_without() -> None:
    held = Held()
    server = held.served(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nab")
    held.input.read()
    assert server.take_sent() == b""


def test_a_body_that_is_too_long_is_an_error_of_the_read() -> None:
    held = Held()
    server = held.served(CHUNKED % b"a", max_body_size=5)
    reading = held.input.read()
    server.receive(b"6\r\nabcdef\r\n")
    assert "longer than 5 bytes" in str(reading.exception())
    held.future.set_result(None)
    server.loop.run_ready()
    assert b"Connection: close" in server.take_sent()


def test_a_body_that_breaks_the_rules_is_an_error_of_the_read() -> None:
    held = Held()
    server = held.served(CHUNKED % b"a")
    reading = held.input.read()
    server.receive(b"x\r\n")
    assert reading.exception() is not None
    assert [line for line in server.logged if line.startswith("WARNING Invalid request")]


def test_the_client_leaves_within_the_body() -> None:
    held = Held()
    server = held.served(POST % (b"a", 10) + b"abc")
    reading = held.input.readexactly(10)
    server.lose()
    assert "client" in str(reading.exception())


def test_the_rest_is_thrown_away_when_the_answer_is_given() -> None:
    held = Held()
    server = held.served(POST % (b"a", 10) + b"abc")
    first = held.future
    first.set_result(None)
    server.loop.run_ready()
    assert server.status_codes() == [200]
    server.receive(b"defghij" + POST % (b"b", 0))
    assert held.future is not first  # the next request is there
    assert not server.transport.is_closing()
