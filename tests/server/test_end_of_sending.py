"""A client that ends its side gets the answer to what it asked; then nothing is waited for, since nothing can come."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import pytest

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.server.lifetime import Phase
from aiohttp_worker.server.settings import TimeLimits

from .fakes import CHUNKED, GET, POST, FakeServer

TIMES = TimeLimits(head=20, body=30, write=60, keep_alive=5, linger=2, disconnect_grace=3, body_rate=500)

LENGTH = POST % (b"a", 6) + b"abc"
CUT = {
    "length": LENGTH,
    "nothing-of-it": POST % (b"a", 6),
    "chunked": CHUNKED % b"a" + b"3\r\nabc\r\n",
    "within-a-chunk": CHUNKED % b"a" + b"6\r\nabc",
    "within-a-chunk-line": CHUNKED % b"a" + b"3\r\nabc\r\n6",
    "within-the-last-chunk": CHUNKED % b"a" + b"3\r\nabc\r\n0\r\n",
    "too-much-is-missing": POST % (b"a", 1_000_000) + b"abc",
}


def unread(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"unread"]


class Waiting:
    """A coroutine application that answers when the test says so, and reads nothing."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[None]] = []

    async def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        await future
        return unread(environ, start_response)


def run_thread(server: FakeServer) -> None:
    """Do, here, what a thread of the pool does next."""
    pool = server.state.pool
    assert pool is not None
    pool._here.thread = member = pool.threads[0]
    (member.own.popleft() if member.own else pool._waiting.popleft())()
    server.loop.run_ready()


@pytest.fixture(params=["thread", "task"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Case:
    """A request that is being answered, and whose application goes on when the test says so."""

    def __init__(self, kind: str) -> None:
        self._waiting = Waiting()
        self._in_thread = kind == "thread"
        self.server = FakeServer(unread, times=TIMES, threads=4) if self._in_thread else FakeServer(self._waiting, times=TIMES)

    def answer(self) -> None:
        if self._in_thread:
            run_thread(self.server)
        else:
            self._waiting.futures.pop(0).set_result(None)
            self.server.loop.run_ready()


@pytest.mark.parametrize("cut", CUT)
def test_within_a_body_that_nobody_reads(kind: str, cut: str) -> None:
    case = Case(kind)
    server = case.server
    server.receive(CUT[cut])
    assert server.connection.lifetime.phase is Phase.RUN
    assert server.receive_eof()
    case.answer()
    sent = server.take_sent()
    assert sent.count(b"HTTP/1.1 200 OK") == 1
    assert sent.count(b"Connection: close") == 1
    assert server.connection.lifetime.phase is Phase.CLOSING
    assert server.transport.closed


@pytest.mark.parametrize("cut", CUT)
def test_after_the_answer(kind: str, cut: str) -> None:
    """While the rest of the body is thrown away, or the client is given time to notice."""
    case = Case(kind)
    server = case.server
    server.receive(CUT[cut])
    case.answer()
    assert server.status_codes() == [200]
    assert server.connection.lifetime.phase in (Phase.SKIP, Phase.LINGER)
    assert not server.receive_eof()
    assert server.transport.closed


def test_after_the_head_of_the_answer(kind: str) -> None:
    """That it said that the connection stays open changes nothing."""
    case = Case(kind)
    server = case.server
    server.receive(LENGTH)
    exchange = server.connection.exchange
    assert exchange is not None
    if kind == "thread":
        pool = server.state.pool
        assert pool is not None
        pool._here.thread = pool.threads[0]
        pool._waiting.popleft()()  # the loop has not taken up that it has run
    else:
        case._waiting.futures.pop(0).set_result(None)
        server.loop.turn()
    server.connection.eof_received()
    server.loop.run_ready()
    assert server.status_codes() == [200]
    assert server.transport.closed


def test_of_whole_requests(kind: str) -> None:
    """All of them are answered, and the last one's answer says that it is the last."""
    case = Case(kind)
    server = case.server
    server.receive(GET % b"1" + GET % b"2")
    assert server.receive_eof()
    for number, closes in ((1, 0), (2, 1)):
        case.answer()
        sent = server.take_sent()
        assert (sent.count(b"HTTP/1.1 200 OK"), sent.count(b"Connection: close")) == (1, closes), number
    assert server.transport.closed


@pytest.mark.parametrize("cut", CUT)
def test_within_the_body_of_a_pipelined_request(kind: str, cut: str) -> None:
    """The end comes before that request has had its turn."""
    case = Case(kind)
    server = case.server
    server.receive(GET % b"1" + CUT[cut])
    assert server.receive_eof()
    case.answer()
    assert server.status_codes() == [200]
    if server.connection.lifetime.phase is Phase.RUN:
        case.answer()
        sent = server.take_sent()
        assert (sent.count(b"HTTP/1.1 200 OK"), sent.count(b"Connection: close")) == (1, 1)
    assert server.transport.closed


class Reading:
    """Reads its body, in a thread or in a task."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def read(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except IncompleteBodyError as error:
            self.errors.append(error)
        return unread(environ, start_response)

    async def await_(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            await asyncio.sleep(0)
            return unread(environ, start_response)
        try:
            await environ["wsgi.input"].read()
        except IncompleteBodyError as error:
            self.errors.append(error)
        return unread(environ, start_response)


@pytest.mark.parametrize("cut", ["length", "chunked"])
def test_a_pipelined_request_that_reads_is_told(kind: str, cut: str) -> None:
    """It does not wait for what cannot come."""
    reading = Reading()
    if kind == "thread":
        server = FakeServer(reading.read, times=TIMES, threads=4)
        server.receive(GET % b"1" + CUT[cut])
        server.receive_eof()
        run_thread(server)
        run_thread(server)
    else:
        server = FakeServer(reading.await_, times=TIMES)
        server.connection.data_received(GET % b"1" + CUT[cut])
        server.receive_eof()
    assert server.status_codes() == [200, 200]
    assert len(reading.errors) == 1
    assert server.transport.closed


@pytest.mark.parametrize("cut", CUT)
def test_while_a_body_is_collected(cut: str) -> None:
    """The application is not called, and nothing is waited for."""
    called = io.StringIO()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        called.write("called")
        return unread(environ, start_response)

    server = FakeServer(application, times=TIMES)
    server.receive(CUT[cut])
    assert server.connection.lifetime.phase is Phase.COLLECT
    assert not server.receive_eof()
    assert (called.getvalue(), server.take_sent()) == ("", b"")
    assert server.transport.closed


def steps(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])

    def body() -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(2 << 20)  # more than what one turn may send

    return body()


def test_inline_in_several_turns() -> None:
    server = FakeServer(steps, times=TIMES, stream=False)
    server.connection.data_received(GET % b"1")
    assert server.connection.lifetime.phase is Phase.RUN
    assert server.connection.eof_received()
    server.loop.run_ready()
    sent = server.take_sent()
    assert sent.endswith(b"0\r\n\r\n")
    assert server.transport.closed


def test_tls_does_not_wait_either() -> None:
    """One side of a TLS connection does not end alone: the transport ends it at once."""
    case = Case("thread")
    server = case.server
    server.transport.can_write_eof = lambda: False  # type: ignore[method-assign]
    server.receive(LENGTH)
    assert not server.receive_eof()
    server.lose()
    run_thread(server)
    assert server.take_sent() == b""
    assert server.connection.lifetime.phase is Phase.CLOSED
    assert server.state.bodies_in_threads == 0
