"""The rules of one connection, without sockets: every phase, and every event in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aiohttp_worker.server.lifetime import Phase
from aiohttp_worker.server.overload import make_room
from aiohttp_worker.server.settings import OverloadLimits, TimeLimits

from .fakes import GET, POST, FakeClock, FakeServer, clock

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
        assert server.connection.stream.disconnected
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
    assert connection.stream.disconnected
    assert connection.stream.client_disconnected()
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
