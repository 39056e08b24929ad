"""The rules of one connection, without sockets: every phase, and every event in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aiohttp_worker.server.lifetime import Phase
from aiohttp_worker.server.overload import make_room
from aiohttp_worker.server.proxy_protocol import ProxyProtocol
from aiohttp_worker.server.settings import OverloadLimits, TimeLimits
from aiohttp_worker.wsgi.forwarded import AddressList

from .fakes import CHUNKED, GET, POST, FakeClock, FakeServer, clock, hello

__all__ = ["clock"]  # a fixture

TIMES = TimeLimits(head=20, body=30, write=60, keep_alive=5, linger=2, disconnect_grace=0, body_rate=500)


async def wait_for_ever(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    await asyncio.get_running_loop().create_future()
    return []


def large(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [bytes(100_000)]


def failing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise ValueError("no luck")


# Each brings a new connection into a phase.


def new() -> FakeServer:
    return FakeServer(times=TIMES)


def idle() -> FakeServer:
    server = FakeServer(times=TIMES)
    server.receive(GET % b"a")
    server.take_sent()
    return server


def head() -> FakeServer:
    server = FakeServer(times=TIMES)
    server.receive(b"GET / HT")
    return server


def collect() -> FakeServer:
    server = FakeServer(times=TIMES)
    server.receive(POST % (b"a", 6) + b"abc")
    return server


def run() -> FakeServer:
    server = FakeServer(wait_for_ever, times=TIMES)
    server.receive(GET % b"a")
    return server


def run_with_body() -> FakeServer:
    server = FakeServer(wait_for_ever, times=TIMES)
    server.receive(POST % (b"a", 6) + b"abc")
    return server


async def answer_at_once(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"early"]


def held() -> FakeServer:
    server = FakeServer(large, times=TIMES)
    server.transport.stuck = True
    server.receive(GET % b"a" + GET % b"b")
    return server


def skip() -> FakeServer:
    server = FakeServer(answer_at_once, times=TIMES)
    server.receive(POST % (b"a", 6) + b"abc")
    server.take_sent()
    return server


def closing() -> FakeServer:
    server = FakeServer(times=TIMES)
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    server.take_sent()
    return server


def linger() -> FakeServer:
    server = FakeServer(times=TIMES)
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
    server.take_sent()
    return server


def closed() -> FakeServer:
    server = FakeServer(times=TIMES)
    server.lose()
    return server


STATES: dict[str, tuple[Callable[[], FakeServer], Phase]] = {
    "new": (new, Phase.NEW),
    "idle": (idle, Phase.IDLE),
    "head": (head, Phase.HEAD),
    "collect": (collect, Phase.COLLECT),
    "run": (run, Phase.RUN),
    "run-with-body": (run_with_body, Phase.RUN),
    "held": (held, Phase.HELD),
    "skip": (skip, Phase.SKIP),
    "closing": (closing, Phase.CLOSING),
    "linger": (linger, Phase.LINGER),
    "closed": (closed, Phase.CLOSED),
}


@pytest.mark.parametrize("state", STATES)
def test_states(state: str) -> None:
    make, phase = STATES[state]
    assert make().connection.lifetime.phase is phase


# The rest of what was begun in a state comes, and then one request more.
REST = {
    "new": (b"", [200]),
    "idle": (b"", [200]),
    "head": (b"TP/1.1\r\nHost: a\r\n\r\n", [200, 200]),
    "collect": (b"def", [200, 200]),
    "run": (b"", []),
    "run-with-body": (b"def", []),
    "held": (b"", []),  # the client reads nothing
    "skip": (b"def", [200]),
    "closing": (b"", []),
    "linger": (b"", []),
    "closed": (b"", []),
}


@pytest.mark.parametrize("state", STATES)
def test_the_next_request(state: str) -> None:
    server = STATES[state][0]()
    rest, expected = REST[state]
    server.receive(rest + GET % b"b")
    assert server.status_codes() == expected


@pytest.mark.parametrize("state", STATES)
def test_the_next_request_byte_by_byte(state: str) -> None:
    server = STATES[state][0]()
    rest, expected = REST[state]
    for byte in rest + GET % b"b":
        server.receive(bytes([byte]))
    assert server.status_codes() == expected


#: state → whether the transport stays open after the end of the client's side, and the phase then
AT_EOF = {
    "new": (False, Phase.CLOSING),
    "idle": (False, Phase.CLOSING),
    "head": (False, Phase.CLOSING),
    "collect": (False, Phase.CLOSING),
    "held": (True, Phase.HELD),
    "skip": (False, Phase.CLOSING),
    "closing": (False, Phase.CLOSING),
    "linger": (False, Phase.LINGER),
    "run": (True, Phase.CLOSING),  # the task is cancelled
    "run-with-body": (True, Phase.CLOSING),
}


@pytest.mark.parametrize("state", AT_EOF)
def test_the_client_ends_its_side(state: str) -> None:
    server = STATES[state][0]()
    kept, phase = AT_EOF[state]
    assert server.receive_eof() is kept
    assert server.connection.lifetime.phase is phase
    if state in ("run", "run-with-body"):
        assert server.connection.disconnected
    server.lose()
    assert server.connection.lifetime.phase is Phase.CLOSED
    assert not server.state.connections


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_the_connection_is_lost(state: str, error: Exception | None) -> None:
    """Whatever goes on ends, and the worker's accounts are as before."""
    server = STATES[state][0]()
    server.lose(error)
    connection = server.connection
    assert connection.lifetime.phase is Phase.CLOSED
    assert connection.disconnected
    assert connection.client_disconnected()
    assert connection.write_queue.closed
    assert not server.state.connections
    assert server.state.collected == 0
    assert server.state.unsent == 0
    assert server.take_sent() == b""
    assert not [line for line in server.logged if line.startswith("ERROR")]


#: state → seconds until its time limit, and what happens then: status codes, phase
AT_DEADLINE: dict[str, tuple[float, list[int], Phase]] = {
    "new": (20, [], Phase.CLOSING),
    "idle": (5, [], Phase.CLOSING),
    "head": (20, [408], Phase.LINGER),
    "collect": (30, [408], Phase.LINGER),
    "skip": (30, [], Phase.LINGER),
    "closing": (60, [], Phase.CLOSING),
    "linger": (2, [], Phase.LINGER),
}


@pytest.mark.parametrize("state", AT_DEADLINE)
def test_time_limits(state: str, clock: FakeClock) -> None:
    server = STATES[state][0]()
    seconds, status_codes, phase = AT_DEADLINE[state]
    before = server.connection.lifetime.phase
    clock.now += seconds - 0.5
    server.connection.check_time(clock.now)
    assert (server.status_codes(), server.connection.lifetime.phase) == ([], before)
    assert not server.transport.aborted
    clock.now += 1
    server.connection.check_time(clock.now)
    assert (server.status_codes(), server.connection.lifetime.phase) == (status_codes, phase)
    if state in ("closing", "linger"):
        assert server.transport.aborted


@pytest.mark.parametrize("state", ["run", "closed"])
def test_without_a_time_limit(state: str, clock: FakeClock) -> None:
    """An application takes the time that it takes."""
    server = STATES[state][0]()
    clock.now += 1e6
    phase = server.connection.lifetime.phase
    server.connection.check_time(clock.now)
    assert server.connection.lifetime.phase is phase
    assert not server.transport.aborted


def test_a_body_that_is_awaited_has_a_time_limit(clock: FakeClock) -> None:
    errors: list[BaseException] = []

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            await environ["wsgi.input"].read()
        except Exception as error:
            errors.append(error)
            raise
        return []

    server = FakeServer(application, times=TIMES)
    server.receive(POST % (b"a", 6) + b"abc")
    clock.now += 31
    server.connection.check_time(clock.now)
    server.loop.run_ready()
    assert [str(error) for error in errors] == ["the body did not come in time"]
    assert server.status_codes() == [408]
    assert server.connection.lifetime.phase is Phase.LINGER


def test_the_least_rate_of_a_body(clock: FakeClock) -> None:
    """A piece in time is not enough, if all together is too slow."""
    server = FakeServer(times=TIMES)
    server.receive(POST % (b"a", 100_000))
    for _ in range(8):
        clock.now += 5
        server.receive(b"x")
        server.connection.check_time(clock.now)
    assert server.status_codes() == [408]


def test_a_body_at_the_least_rate(clock: FakeClock) -> None:
    server = FakeServer(times=TIMES)
    server.receive(POST % (b"a", 20_000))
    for _ in range(8):
        clock.now += 5
        server.receive(b"x" * 2500)
        server.connection.check_time(clock.now)
    assert server.status_codes() == [200]


def test_a_body_that_stood_still_while_the_client_read_nothing(clock: FakeClock) -> None:
    """Its time limit begins anew when the client reads: an upload and its answer may share one congested way."""
    bodies: list[Any] = []

    async def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])(bytes(100_000))
        try:
            bodies.append(await environ["wsgi.input"].read())
        except Exception as error:
            bodies.append(error)
        return []

    server = FakeServer(application, times=TIMES)
    server.transport.stuck = True
    server.receive(POST % (b"a", 6) + b"abc")
    clock.now += 40
    server.connection.check_time(clock.now)
    server.transport.take_all()
    server.loop.run_ready()
    server.connection.check_time(clock.now + 1)
    server.receive(b"def")
    assert bodies == [b"abcdef"]


def test_what_nobody_reads_has_its_time_limit_from_the_answer_on(clock: FakeClock) -> None:
    """However long the application took."""
    futures: list[Any] = []

    async def application(environ: dict[str, Any], start_response: Any) -> Any:
        futures.append(asyncio.get_running_loop().create_future())
        await futures[0]
        start_response("200 OK", [])
        return [b"late"]

    server = FakeServer(application, times=TIMES)
    server.receive(POST % (b"a", 500_000) + bytes(300_000))
    clock.now += 100
    server.connection.check_time(clock.now)
    futures[0].set_result(None)
    server.loop.run_ready()
    assert server.connection.lifetime.phase is Phase.SKIP
    server.connection.check_time(clock.now + 29)
    assert server.connection.lifetime.phase is Phase.SKIP
    server.connection.check_time(clock.now + 31)
    assert server.connection.lifetime.phase is Phase.LINGER


@pytest.mark.parametrize("state", STATES)
def test_a_graceful_stop(state: str, clock: FakeClock) -> None:
    """What is on its way is answered, with the word that the connection ends; idle ones end soon."""
    server = STATES[state][0]()
    server.state.drain()
    rest, expected = REST[state]
    if state in ("new", "idle"):
        clock.now += TIMES.linger + 0.1
        server.connection.check_time(clock.now)
        assert server.connection.lifetime.phase is Phase.CLOSING
        return
    server.receive(rest + GET % b"b")
    sent = server.take_sent()
    answers = sent.count(b"HTTP/1.1 200")
    assert answers == min(1, len(expected))
    assert sent.count(b"Connection: close\r\n") == answers


@pytest.mark.parametrize("state", STATES)
def test_cut(state: str) -> None:
    server = STATES[state][0]()
    server.connection.cut()
    assert server.transport.aborted


#: state → what an idle or slow client is told when its connection is needed by others
MAKES_ROOM = {"new": [], "idle": [], "head": [408], "collect": [408]}


@pytest.mark.parametrize("state", MAKES_ROOM)
def test_room_for_others(state: str, clock: FakeClock) -> None:
    server = STATES[state][0]()
    limits = OverloadLimits()
    make_room(server.state.connections, limits, 10, clock.now)
    assert not server.transport.is_closing()
    clock.now += max(limits.idle, limits.head, limits.body) + 1
    connection = server.connection
    assert connection.idle_for(clock.now) > limits.idle or connection.outstays(limits, clock.now) > 0
    connection.make_room()
    assert server.status_codes() == MAKES_ROOM[state]
    assert server.transport.is_closing()


@pytest.mark.parametrize("state", ["run", "run-with-body", "skip", "closing", "linger", "closed"])
def test_those_who_are_served_keep_their_connection(state: str, clock: FakeClock) -> None:
    server = STATES[state][0]()
    clock.now += 1000
    assert server.connection.idle_for(clock.now) == 0
    assert server.connection.outstays(OverloadLimits(), clock.now) < 0


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
    server.connection.early_hints([("Link", "</c.css>; rel=preload")])  # between two requests nobody is told
    assert server.take_sent() == b""


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


# The peer's name, as logs have it


@pytest.mark.parametrize(
    ("peername", "shown"),
    [(("192.0.2.9", 1), "192.0.2.9"), (("::1", 1, 0, 0), "::1"), ("", "a unix socket"), (b"\0name", "\0name"), ("/a", "/a")],
)
def test_peer(peername: Any, shown: str) -> None:
    server = new()
    server.connection.peername = peername
    assert server.connection.peer == shown
