"""Requests on streams: applications of every kind, bodies, answers that wait, ends."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiohttp_worker.errors import ClientDisconnectedError, IncompleteBodyError
from aiohttp_worker.http2.settings import HTTP2Settings
from tests.http2 import frames as f
from tests.http2.frames import GET, POST, data, headers, rst_stream, settings, window_update

from .http2_fakes import FakeHTTP2Server

OPEN = f.END_HEADERS


def start(start_response: Any, *fields: tuple[str, str], status: str = "200 OK") -> None:
    start_response(status, [("Content-Type", "text/plain"), *fields])


# The environ.


def environ_of(*fields: tuple[bytes, bytes], **settings: Any) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        start(start_response)
        return []

    server = FakeHTTP2Server(application, **settings)
    server.receive(headers([*GET, *fields]))
    assert server.statuses() == [200]
    return seen[0]


def test_environ() -> None:
    environ = environ_of((b"x-a", b"1"), (b"x-a", b"2"), (b"cookie", b"a=b"), (b"cookie", b"c=d"), (b"x_b", b"3"))
    assert environ["SERVER_PROTOCOL"] == "HTTP/2.0"
    assert (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("GET", "/", "")
    assert environ["HTTP_HOST"] == "a"
    assert environ["HTTP_X_A"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=b; c=d"
    assert "HTTP_X_B" not in environ
    assert environ["wsgi.url_scheme"] == "http"
    assert (environ["REMOTE_ADDR"], environ["SERVER_PORT"]) == ("192.0.2.1", "80")
    assert not [name for name in environ if ":" in name]


def test_what_only_front_ends_may_say() -> None:
    assert environ_of((b"x-forwarded-proto", b"https"))["wsgi.url_scheme"] == "http"


# Answers.


def test_list() -> None:
    server = FakeHTTP2Server(lambda environ, start_response: start(start_response) or [b"a", b"b"])
    server.receive(headers(GET))
    assert (server.statuses(), server.body(), server.complete()) == ([200], b"ab", True)
    assert server.heads[0][1][b"content-length"] == b"2"
    assert server.connection.streams == {}
    assert len(server.ended) == 1


def test_generator() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start(start_response)
        yield b"a"
        yield b""
        yield b"b"

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    assert (server.statuses(), server.body(), server.complete()) == ([200], b"ab", True)
    assert b"content-length" not in server.heads[0][1]


def test_a_piece_is_sent_before_the_next_is_computed() -> None:
    sent: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start(start_response)
        yield b"first"
        sent.append(len(server.transport.sent))
        yield b"second"

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    assert sent[0] > 0
    assert server.body() == b"firstsecond"


def test_the_end_is_sent_before_close() -> None:
    """What close() does may take its time, and the answer does not wait for it (PEP 3333)."""
    complete: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a", b"b"])

        def close(self) -> None:
            server.take()
            complete.append(server.complete())

    def application(environ: dict[str, Any], start_response: Any) -> Body:
        start(start_response)
        return Body()

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    assert complete == [True]


def test_write() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"a")
        write(b"b")
        return [b"c"]

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    assert (server.body(), server.complete()) == (b"abc", True)


def test_more_is_written_than_the_client_reads(tmp_path: Path) -> None:
    """What is beyond a megabyte goes to a file, and is sent when the client reads."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        for _ in range(40):
            write(bytes(100_000))
        return [b"end"]

    server = FakeHTTP2Server(application, body_directory=str(tmp_path))
    server.receive(headers(GET))
    assert server.statuses() == [200]
    assert server.connection.core.unsent(1) < 1_500_000
    for _ in range(100):
        server.receive(window_update(100_000) + window_update(100_000, 1))
        if server.complete():
            break
    assert (len(server.body()), server.body()[-3:]) == (4_000_003, b"end")


async def coroutine_application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    await asyncio.sleep(0)
    read = await environ["wsgi.input"].read()
    start(start_response)
    return [b"got ", read]


def test_coroutine() -> None:
    server = FakeHTTP2Server(coroutine_application)
    server.receive(headers(POST, flags=OPEN), data(b"abc", end=True))
    assert (server.body(), server.complete()) == (b"got abc", True)


def test_asynchronous_body() -> None:
    async def application(environ: dict[str, Any], start_response: Any) -> Any:
        start(start_response)

        async def pieces() -> Any:
            for piece in (b"a", b"b"):
                await asyncio.sleep(0)
                yield piece

        return pieces()

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    assert (server.body(), server.complete()) == (b"ab", True)


@pytest.mark.parametrize(
    ("method", "status"),
    [(b"HEAD", "200 OK"), (b"GET", "204 No Content"), (b"GET", "205 Reset Content"), (b"GET", "304 Not Modified")],
)
def test_answers_without_a_body(method: bytes, status: str) -> None:
    server = FakeHTTP2Server(lambda environ, start_response: start(start_response, status=status) or [b"dropped"])
    server.receive(headers([(b":method", method), *GET[1:]]))
    assert (server.body(), server.complete()) == (b"", True)
    assert server.of(f.DATA) == []
    assert server.resets == []


def test_early_hints() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        start(start_response)
        return [b"ok"]

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    assert server.statuses() == [103, 200]
    assert server.heads[0][1][b"link"] == b"</a.css>; rel=preload"


def test_a_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 2000
    path = tmp_path / "file"
    path.write_bytes(content)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start(start_response)
        return environ["wsgi.file_wrapper"](path.open("rb"))

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    assert server.heads[0][1][b"content-length"] == b"512000"
    for _ in range(20):
        server.receive(window_update(60_000) + window_update(60_000, 1))
    assert (server.body(), server.complete()) == (content, True)


# Answers that wait for the client.


def counting(made: list[int]) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start(start_response)
        for number in range(100):
            made.append(number)
            yield bytes(50_000)

    return application


def test_an_application_waits_for_the_window() -> None:
    made: list[int] = []
    server = FakeHTTP2Server(counting(made))
    server.receive(headers(GET))
    assert len(made) == 3
    assert server.state.unsent > 64 * 1024
    server.receive(window_update(200_000) + window_update(200_000, 1))
    assert 3 < len(made) < 10
    assert server.state.unsent < 200_000


def test_a_slow_reader_does_not_hold_up_others() -> None:
    made: list[int] = []
    large = counting(made)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/large":
            return large(environ, start_response)
        start(start_response)
        return [b"small"]

    server = FakeHTTP2Server(application)
    server.receive(settings((f.INITIAL_WINDOW_SIZE, 20_000)))
    server.receive(headers([*GET[:2], (b":path", b"/large"), GET[3]]), headers(GET, 3))
    assert (server.body(3), server.complete(3)) == (b"small", True)
    assert not server.complete(1)


def test_who_reads_nothing_for_a_moment_has_its_time() -> None:
    """Also of an answer that is small, so that nobody was paused for it."""
    server = FakeHTTP2Server(lambda environ, start_response: start(start_response) or [b"small"])
    server.receive(settings((f.INITIAL_WINDOW_SIZE, 0)), headers(GET))
    now = time.monotonic()
    for seconds in (0, 1, 59):
        server.connection.check_time(now + seconds)
        server.run()
    assert server.resets == []
    server.connection.check_time(now + 61)
    server.run()
    assert server.resets == [(1, f.CANCEL)]


def test_who_reads_nothing_is_reset() -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([bytes(200_000)] * 5)

        def close(self) -> None:
            closed.append(True)

    def application(environ: dict[str, Any], start_response: Any) -> Body:
        start(start_response)
        return Body()

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    now = time.monotonic()
    for seconds in (1, 59, 62):
        server.connection.check_time(now + seconds)
        server.run()
    assert server.resets == [(1, f.CANCEL)]
    assert closed == [True]
    assert server.connection.streams == {}


# Bodies.


def test_a_body_is_collected() -> None:
    server = FakeHTTP2Server()
    server.receive(headers(POST, flags=OPEN), data(b"a" * 10_000))
    assert server.statuses() == []
    server.receive(data(b"b", end=True))
    assert server.body() == b"/" + b"a" * 10_000 + b"b"


def test_a_body_without_a_length_has_one_when_it_was_collected() -> None:
    seen: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ.get("CONTENT_LENGTH"))
        start(start_response)
        return []

    server = FakeHTTP2Server(application)
    server.receive(headers(POST, flags=OPEN), data(b"12345", end=True))
    assert seen == ["5"]


def test_a_large_body_goes_to_a_file(tmp_path: Path) -> None:
    files: list[bool] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        files.append(isinstance(environ["wsgi.input"], io.BytesIO))
        start(start_response)
        return [b"%d" % len(environ["wsgi.input"].read())]

    server = FakeHTTP2Server(application, body_memory_size=100_000, body_directory=str(tmp_path))
    server.receive(headers(POST, flags=OPEN), *[data(bytes(16_000))] * 20, data(b"", end=True))
    assert (server.body(), files) == (b"320000", [False])
    assert server.state.collected == 0


def test_credit_follows_what_the_application_reads() -> None:
    """It has read nothing: the client may send as much as is kept for it, and no more."""
    go_on = asyncio.Event()

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        await go_on.wait()
        read = await environ["wsgi.input"].read()
        start(start_response)
        return [b"%d" % len(read)]

    server = FakeHTTP2Server(application)
    server.receive(headers(POST, flags=OPEN))
    allowed = 65535
    sent = 0
    while sent + 16_000 <= allowed:
        server.receive(data(bytes(16_000)))
        sent += 16_000
        allowed = 65535 + sum(int.from_bytes(one.payload, "big") for one in server.of(f.WINDOW_UPDATE, 1))
        assert sent < 1_000_000
    assert 65_000 < sent < 200_000
    go_on.set()
    server.run()
    assert sum(int.from_bytes(one.payload, "big") for one in server.of(f.WINDOW_UPDATE, 1)) >= sent - 65535
    server.receive(data(b"", end=True))
    assert server.body() == b"%d" % sent


def test_continue() -> None:
    """It is sent when the body is wanted, and before the answer."""
    server = FakeHTTP2Server()
    server.receive(headers([*POST, (b"expect", b"100-continue")], flags=OPEN))
    assert server.statuses() == [100]
    server.receive(data(b"abc", end=True))
    assert server.statuses() == [100, 200]


def test_no_continue_for_who_does_not_read() -> None:
    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start(start_response, status="403 Forbidden")
        return [b"no"]

    server = FakeHTTP2Server(application)
    server.receive(headers([*POST, (b"expect", b"100-continue")], flags=OPEN))
    assert server.statuses() == [403]
    assert server.resets == [(1, f.NO_ERROR)]


def test_an_early_answer() -> None:
    """RFC 9113 section 8.1: all of it, and then the client is told that the rest is not wanted."""

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start(start_response)
        return [b"early"]

    server = FakeHTTP2Server(application)
    server.receive(headers(POST, flags=OPEN) + data(b"a"))
    assert (server.body(), server.complete(), server.resets) == (b"early", True, [(1, f.NO_ERROR)])
    server.receive(data(b"on its way", end=True), headers(GET, 3))
    assert server.complete(3)
    assert server.logged == []


def test_a_body_that_is_too_long() -> None:
    server = FakeHTTP2Server(max_body_size=1000)
    server.receive(headers([*POST, (b"content-length", b"2000")], flags=OPEN))
    server.receive(headers(POST, 3, OPEN), data(bytes(2000), 3))
    assert (server.statuses(1), server.statuses(3)) == ([413], [413])
    assert server.refused == [413, 413]
    assert server.resets == [(1, f.NO_ERROR), (3, f.NO_ERROR)]
    assert server.connection.streams == {}


def test_a_slow_body() -> None:
    server = FakeHTTP2Server()
    server.receive(headers(POST, flags=OPEN), data(b"a"))
    server.connection.check_time(time.monotonic() + 31)
    server.take()
    assert server.statuses() == [408]
    assert server.connection.streams == {}


def test_a_slow_body_that_is_read_as_it_comes() -> None:
    errors: list[int] = []

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            await environ["wsgi.input"].read()
        except IncompleteBodyError as error:
            errors.append(error.status_code)
            raise
        return []

    server = FakeHTTP2Server(application)
    server.receive(headers(POST, flags=OPEN), data(b"a"))
    server.connection.check_time(time.monotonic() + 31)
    server.run()
    assert errors == [408]
    assert server.statuses() == [408]


# Ends.


def test_an_application_that_fails() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise ZeroDivisionError

    server = FakeHTTP2Server(application)
    server.receive(headers(GET), headers(GET, 3))
    assert (server.statuses(1), server.statuses(3)) == ([500], [500])
    assert server.complete(1)
    assert len(server.logged) == 2
    assert not server.transport.is_closing()


def test_an_application_that_fails_in_the_middle() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start(start_response)
        yield b"part"
        raise ZeroDivisionError

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    assert (server.body(), server.complete()) == (b"part", False)
    assert server.resets == [(1, f.INTERNAL_ERROR)]
    assert server.connection.streams == {}


def test_an_answer_that_is_too_short() -> None:
    server = FakeHTTP2Server(lambda environ, start_response: start(start_response, ("Content-Length", "9")) or [b"part"])
    server.receive(headers(GET))
    assert server.resets == [(1, f.INTERNAL_ERROR)]
    assert any("5 bytes shorter" in line for line in server.logged)
    assert not server.transport.is_closing()


def test_the_client_resets_while_an_answer_is_made() -> None:
    made: list[int] = []
    server = FakeHTTP2Server(counting(made))
    server.receive(headers(GET), rst_stream())
    server.receive(window_update(1_000_000))
    assert len(made) == 3
    assert server.connection.streams == {}
    assert server.state.unsent == 0


def test_the_client_resets_and_a_coroutine_is_cancelled() -> None:
    ends: list[str] = []

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append(f"cancelled, disconnected: {environ['aiohttp_worker.client_disconnected']()}")
            raise
        return []

    server = FakeHTTP2Server(application)
    server.receive(headers(GET), rst_stream())
    assert len(server.connection.streams) == 1  # it is still at work
    server.loop.fire_timers()
    assert ends == ["cancelled, disconnected: True"]
    assert server.connection.streams == {}


def test_the_client_resets_while_a_body_is_read() -> None:
    errors: list[BaseException] = []

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            await environ["wsgi.input"].read()
        except IncompleteBodyError as error:
            errors.append(error)
        return []

    server = FakeHTTP2Server(application)
    server.receive(headers(POST, flags=OPEN), data(b"a"), rst_stream())
    assert [str(error) for error in errors] == ["the client has reset the stream"]


def test_the_client_resets_while_a_body_is_collected() -> None:
    server = FakeHTTP2Server()
    server.receive(headers(POST, flags=OPEN), data(bytes(10_000)))
    assert server.state.collected > 0
    server.receive(rst_stream())
    assert (server.state.collected, server.connection.streams) == (0, {})


def test_a_body_whose_length_is_wrong() -> None:
    errors: list[str] = []

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            await environ["wsgi.input"].read()
        except IncompleteBodyError as error:
            errors.append(str(error))
        return []

    server = FakeHTTP2Server(application)
    server.receive(headers([*POST, (b"content-length", b"5")], flags=OPEN), data(b"a", end=True))
    assert errors == ["the stream is closed: PROTOCOL_ERROR"]
    assert any(line.startswith("WARNING Invalid request from 192.0.2.1: stream 1") for line in server.logged)


def test_writing_to_a_client_that_has_gone() -> None:
    errors: list[BaseException] = []

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"a")
        while not environ["aiohttp_worker.client_disconnected"]():
            await asyncio.sleep(0)
        try:
            write(b"b")
        except ClientDisconnectedError as error:
            errors.append(error)
            raise
        return []

    server = FakeHTTP2Server(application)
    with server.loop.running():
        server.connection.data_received(headers(GET))
    for _ in range(5):
        server.loop.turn()
    with server.loop.running():
        server.connection.data_received(rst_stream())
    server.loop.run_ready()
    assert len(errors) == 1


# Threads.


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_threads(body: bytes) -> None:
    """The pool's threads run, and what they have for the loop is called by the test."""
    done = threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        read = environ["wsgi.input"].read()
        start(start_response)
        yield b"got "
        yield read
        done.set()

    server = FakeHTTP2Server(application, threads=2)
    assert server.state.pool is not None
    server.state.pool.start()
    try:
        server.receive(headers(POST, flags=OPEN), data(body, end=True))
        assert done.wait(10)
        limit = time.monotonic() + 10
        while not server.complete() and time.monotonic() < limit:
            server.run()
        assert (server.statuses(), server.body()) == ([200], b"got " + body)
    finally:
        server.state.pool.stop()


def test_streams_that_are_at_work_count() -> None:
    """CVE-2023-44487: the client resets, and asks for more, while the application is still at work."""

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        await asyncio.Event().wait()
        return []

    server = FakeHTTP2Server(application, HTTP2Settings(max_concurrent_streams=10))
    for number in range(1, 101, 2):
        server.receive(headers(GET, number) + rst_stream(number))
        assert len(server.connection.streams) <= 10
    server.loop.fire_timers()
    assert server.connection.streams == {}
