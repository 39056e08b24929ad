"""Requests on one HTTP/1 connection, without sockets: order, limits, refusals, clients that do not read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiohttp_worker.server.lifetime import Phase
from aiohttp_worker.server.proxy_protocol import ProxyProtocol
from aiohttp_worker.wsgi.forwarded import AddressList

from .fakes import CHUNKED, GET, POST, FakeClock, FakeServer, clock, hello
from .test_connection import TIMES, answer_at_once, failing, large, linger, run

__all__ = ["clock"]  # a fixture


# Requests


def test_pipelined_requests_are_answered_in_order() -> None:
    server = FakeServer()
    server.receive(b"".join(GET % b"%d" % number for number in range(5)))
    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in server.take_sent().split(b"HTTP/1.1 ")[1:]]
    assert bodies == [b"/%d" % number for number in range(5)]


@pytest.mark.parametrize("application", [hello, answer_at_once])
@pytest.mark.parametrize(
    "request_", [GET % b"a", POST % (b"a", 6) + b"abcdef", CHUNKED % b"a" + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"]
)
def test_every_split(application: Any, request_: bytes) -> None:
    data = request_ + GET % b"b"
    for cut in range(1, len(data)):
        server = FakeServer(application)
        server.receive(data[:cut])
        server.receive(data[cut:])
        assert server.status_codes() == [200, 200], cut


def test_what_comes_behind_a_request_waits_in_the_socket() -> None:
    server = run()
    server.receive(b"x" * 70_000)
    assert not server.transport.reading


def test_a_length_that_is_too_long() -> None:
    server = FakeServer(max_body_size=5)
    server.receive(POST % (b"a", 6) + b"abc")
    assert server.status_codes() == [413]
    assert server.refused == [413]
    assert server.connection.lifetime.phase is Phase.LINGER
    assert server.transport.ended


def test_chunks_that_are_too_long() -> None:
    server = FakeServer(max_body_size=5)
    server.receive(CHUNKED % b"a" + b"6\r\nabcdef\r\n")
    assert server.status_codes() == [413]


def test_a_request_that_is_refused_is_logged() -> None:
    server = linger()
    assert server.refused == [400]
    assert [line for line in server.logged if line.startswith("WARNING Invalid request from 192.0.2.1")]


def test_what_a_refused_client_sends_is_thrown_away_up_to_a_limit() -> None:
    server = linger()
    server.receive(bytes(1024 * 1024))
    assert not server.transport.aborted
    server.receive(b"x")
    assert server.transport.aborted


def test_tls_on_a_port_without_it() -> None:
    server = FakeServer()
    server.receive(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert server.transport.aborted
    assert server.take_sent() == b""
    assert "this is TLS" in server.logged[-1]


def test_continue_is_sent_before_a_body_is_collected() -> None:
    server = FakeServer()
    server.receive(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert server.status_codes() == [100]
    server.receive(b"ab")
    assert server.status_codes() == [200]


def test_continue_is_not_sent_to_whom_nobody_reads() -> None:
    """The answer says that the connection ends, since the body may never come (RFC 9110 section 10.1.1)."""
    server = FakeServer(answer_at_once)
    server.receive(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    sent = server.take_sent()
    assert sent.startswith(b"HTTP/1.1 200") and b"Connection: close" in sent
    assert server.connection.lifetime.phase is Phase.LINGER


def test_a_large_body_that_nobody_reads_ends_the_connection() -> None:
    server = FakeServer(answer_at_once)
    server.receive(POST % (b"a", 10_000_000) + b"abc")
    assert b"Connection: close" in server.take_sent()
    assert server.connection.lifetime.phase is Phase.LINGER


def test_an_application_that_fails() -> None:
    server = FakeServer(failing)
    server.receive(GET % b"a")
    assert server.status_codes() == [500]
    assert server.transport.closed
    assert "no luck" in server.logged[-1]
    assert len(server.ended) == 1


def test_early_hints_and_the_answer() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        start_response("200 OK", [])
        environ["wsgi.early_hints"]([("Link", "</b.css>; rel=preload")])
        return [b"x"]

    server = FakeServer(application)
    server.receive(GET % b"a")
    assert server.status_codes()[0] == 103
    server.connection.stream.early_hints([("Link", "</c.css>; rel=preload")])  # between two requests nobody is told
    assert server.take_sent() == b""


def test_what_is_pipelined_behind_a_last_answer_is_not_answered() -> None:
    """Also where the answer came later than the request behind it."""
    futures: list[Any] = []

    async def application(environ: dict[str, Any], start_response: Any) -> Any:
        futures.append(asyncio.get_running_loop().create_future())
        await futures[-1]
        start_response("200 OK", [("Connection", "close")])
        return [b"last"]

    server = FakeServer(application, times=TIMES)
    server.receive(GET % b"a" + GET % b"b")
    futures[0].set_result(None)
    server.loop.run_ready()
    assert server.status_codes() == [200]
    assert server.connection.lifetime.phase is Phase.LINGER
    server.receive(GET % b"c")
    assert server.status_codes() == []
    assert server.connection.lifetime.phase is Phase.LINGER


@pytest.mark.parametrize(
    ("request_", "headers", "reason"),
    [
        (b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", [], "the client asked for it"),
        (GET % b"a", [("Connection", "close")], "the application sent Connection: close"),
        (GET % b"a", [("Content-Length", "9")], "the body is shorter than its Content-Length"),
    ],
)
def test_why_a_connection_ends_is_logged(request_: bytes, headers: Any, reason: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", headers)
        return [b"x"]

    server = FakeServer(application)
    server.receive(request_)
    assert f"192.0.2.1: the connection ends with this answer: {reason}" in server.debugged


def test_the_phase_while_the_application_is_called() -> None:
    seen: list[Phase] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(server.connection.lifetime.phase)
        return hello(environ, start_response)

    server = FakeServer(application)
    server.receive(GET % b"a")
    assert seen == [Phase.CALL]
    assert server.connection.lifetime.phase is Phase.IDLE


# Clients that do not read


def test_a_client_that_does_not_read_holds_its_next_requests() -> None:
    server = FakeServer(large)
    server.transport.stuck = True
    server.receive(GET % b"a" + GET % b"b")
    assert len(server.transport.waiting) < 101_000
    assert server.state.unsent == len(server.transport.waiting)
    assert not server.transport.reading
    assert server.connection.watched
    server.transport.take_all()
    server.loop.run_ready()
    assert server.status_codes() == [200, 200]
    assert server.transport.reading
    assert server.state.unsent == 0


def test_a_client_that_never_reads_is_cut(clock: FakeClock) -> None:
    server = FakeServer(large, times=TIMES)
    server.transport.stuck = True
    server.receive(GET % b"a")
    server.connection.check_time(clock.now)
    clock.now += 59
    server.connection.check_time(clock.now)
    assert not server.transport.aborted
    clock.now += 2
    server.connection.check_time(clock.now)
    assert server.transport.aborted


def test_an_iterable_waits_for_a_client_that_does_not_read() -> None:
    steps: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        for number in range(10):
            steps.append(number)
            yield bytes(50_000)

    class Iterable:
        def __init__(self, environ: dict[str, Any], start_response: Any) -> None:
            self.pieces = application(environ, start_response)

        def __iter__(self) -> Any:
            return self.pieces

    server = FakeServer(Iterable)
    server.transport.stuck = True
    server.receive(GET % b"a")
    assert len(steps) < 5
    for _ in range(20):
        server.transport.take_all()
        server.transport.stuck = True
        server.loop.run_ready()
    server.transport.take_all()
    assert len(steps) == 10
    assert server.take_sent().endswith(b"0\r\n\r\n")


# PROXY protocol


def proxied() -> FakeServer:
    return FakeServer(proxy_protocol=ProxyProtocol("auto"), proxy_allowed=AddressList.parse("*"))


def test_proxy_header_before_a_request() -> None:
    seen: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append((environ["REMOTE_ADDR"], environ["REMOTE_PORT"]))
        return hello(environ, start_response)

    data = b"PROXY TCP4 198.51.100.7 192.0.2.2 4321 80\r\n" + GET % b"a"
    for cut in range(1, len(data)):
        server = FakeServer(application, proxy_protocol=ProxyProtocol("auto"), proxy_allowed=AddressList.parse("*"))
        server.receive(data[:cut])
        server.receive(data[cut:])
        assert server.status_codes() == [200]
    assert set(seen) == {("198.51.100.7", "4321")}


def test_a_wrong_proxy_header() -> None:
    server = proxied()
    server.receive(b"PROXY TCP4 nonsense\r\n")
    assert server.status_codes() in ([400], [403])
    assert server.refused
