"""Connections of HTTP/2: time limits, ends, hostile peers, and what the worker asks of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aiohttp_worker.http2.settings import HTTP2Settings
from aiohttp_worker.server import http2_connection
from aiohttp_worker.server.lifetime import CLOSED, IDLE, LINGER, NEW, RUN
from aiohttp_worker.server.proxy_protocol import ProxyProtocol
from aiohttp_worker.server.settings import OverloadLimits, TimeLimits
from aiohttp_worker.wsgi.forwarded import AddressList
from tests.http2 import frames as f
from tests.http2.frames import GET, POST, data, headers, ping, window_update
from tests.http2.serving import OPENING

from .http2_fakes import FakeHTTP2Server

OPEN = f.END_HEADERS


async def forever(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers when the test says so."""
    await environ["wsgi.input"].read()
    await asyncio.Event().wait()
    return []


def large(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [bytes(300_000)]


def goaways(server: FakeHTTP2Server) -> list[tuple[int, int]]:
    """Last stream and error code of each GOAWAY."""
    server.take()
    return [(int.from_bytes(one.payload[:4], "big"), one.error_code) for one in server.of(f.GOAWAY)]


def test_several_requests_at_once() -> None:
    server = FakeHTTP2Server()
    server.receive(b"".join(headers(GET, number) for number in range(1, 65, 2)))
    assert [server.body(number) for number in range(1, 65, 2)] == [b"/"] * 32
    assert server.connection.requests == 32
    assert server.connection.lifetime.phase is IDLE


def test_octet_by_octet() -> None:
    server = FakeHTTP2Server()
    sent = headers(POST, flags=OPEN) + data(b"abc") + data(b"d", end=True) + headers(GET, 3)
    server.receive(*[sent[at : at + 1] for at in range(len(sent))])
    assert (server.body(1), server.body(3)) == (b"/abcd", b"/")


def test_a_refused_request() -> None:
    server = FakeHTTP2Server()
    server.receive(headers([*GET, (b"host", b"b")]), headers(GET, 3))
    assert (server.statuses(1), server.statuses(3)) == ([400], [200])
    assert b"Host" in server.body(1)
    assert server.refused == [400]
    assert len([line for line in server.logged if line.startswith("WARNING Invalid request from 192.0.2.1: Host")]) == 1
    assert not server.transport.is_closing()


def test_malformed_requests_are_logged_once() -> None:
    server = FakeHTTP2Server()
    server.receive(*[headers([*GET, (b"X", b"y")], number) for number in range(1, 11, 2)])
    assert [line.partition(" ")[0] for line in server.logged] == ["WARNING", *["DEBUG"] * 4]
    assert server.resets == [(number, f.PROTOCOL_ERROR) for number in range(1, 11, 2)]


def test_a_flood_ends_the_connection() -> None:
    server = FakeHTTP2Server()
    server.receive(*[ping() * 400] * 4)
    assert goaways(server) == [(0, f.ENHANCE_YOUR_CALM)]
    assert server.logged == ["WARNING Invalid HTTP/2 from 192.0.2.1: too many frames that ask for nothing"]
    assert server.transport.ended


def test_a_mistake_ends_the_connection_and_its_requests() -> None:
    server = FakeHTTP2Server(forever)
    server.receive(headers(GET), f.frame(f.PING, b"short"))
    assert goaways(server) == [(1, f.FRAME_SIZE_ERROR)]
    assert server.connection.lifetime.phase is LINGER
    server.receive(b"whatever follows")
    server.lose()
    server.loop.fire_timers()
    assert server.connection.streams == {}


def test_with_tls_the_transport_waits_for_the_client() -> None:
    """Its one side does not end alone, and it waits after that by itself."""
    server = FakeHTTP2Server()
    server.transport.can_write_eof = lambda: False  # type: ignore[attr-defined, method-assign, unused-ignore]
    server.receive(f.frame(f.PING, b"short"))
    assert (server.transport.closed, server.transport.ended) == (True, False)
    assert server.connection.lifetime.phase is LINGER


def test_what_is_sent_behind_the_end_is_limited() -> None:
    server = FakeHTTP2Server()
    server.receive(f.frame(f.PING, b"short"), bytes(1024 * 1024))
    assert not server.transport.aborted
    server.receive(b"more")
    assert server.transport.aborted


# Time.


def test_an_idle_connection_is_ended() -> None:
    server = FakeHTTP2Server(times=TimeLimits(keep_alive=5))
    server.receive(headers(GET))
    connection = server.connection
    assert connection.lifetime.phase is IDLE
    assert not connection.watched
    assert 4.5 < connection.deadline - time.monotonic() <= 5
    connection.check_time(time.monotonic() + 6)
    assert goaways(server) == [(1, f.NO_ERROR)]
    assert (server.transport.ended, connection.lifetime.phase) == (True, LINGER)
    connection.check_time(time.monotonic() + 9)
    assert server.transport.aborted


def test_a_silent_connection_is_ended() -> None:
    server = FakeHTTP2Server(opening=b"")
    assert server.connection.lifetime.phase is NEW
    assert 19 < server.connection.deadline - time.monotonic() <= 20
    server.connection.check_time(time.monotonic() + 21)
    assert server.transport.ended


def test_a_head_that_comes_slowly_has_its_time() -> None:
    """Each part of it is a sign of life, but not for longer than a head may take."""
    server = FakeHTTP2Server(times=TimeLimits(keep_alive=2, head=20))
    server.receive(headers(GET))
    head = headers(GET, 3)
    before = server.connection.deadline
    server.receive(head[:10])
    assert server.connection.deadline > before
    server.connection._idle_since -= 30
    before = server.connection.deadline
    server.receive(head[10:20])
    assert server.connection.deadline == before
    server.receive(head[20:])
    assert server.complete(3)


def test_a_request_under_way_has_no_limit() -> None:
    server = FakeHTTP2Server(forever)
    server.receive(headers(GET))
    assert server.connection.lifetime.phase is RUN
    server.connection.check_time(time.monotonic() + 10_000)
    assert not server.transport.is_closing()
    assert len(server.connection.exchanges) == 1


def test_a_client_that_does_not_read_the_connection() -> None:
    server = FakeHTTP2Server(large)
    server.receive(window_update(1_000_000) + f.settings((f.INITIAL_WINDOW_SIZE, 1_000_000)))
    server.transport.stuck = True
    server.receive(headers(GET))
    connection = server.connection
    assert connection.write_queue.paused
    assert connection.core.unsent(1) > 0
    assert server.state.unsent >= 300_000
    now = time.monotonic()
    connection.check_time(now)
    connection.check_time(now + 61)
    assert server.transport.aborted
    server.lose()
    assert server.state.unsent == 0


def test_a_client_that_reads_on() -> None:
    server = FakeHTTP2Server(large)
    server.receive(window_update(1_000_000) + f.settings((f.INITIAL_WINDOW_SIZE, 1_000_000)))
    server.transport.stuck = True
    server.receive(headers(GET))
    server.transport.take_all()
    server.run()
    assert (len(server.body()), server.complete()) == (300_000, True)


# The end of the worker.


def test_goaway_twice() -> None:
    """RFC 9113 section 6.8: what was on its way is served."""
    server = FakeHTTP2Server()
    server.state.drain()
    server.take()
    assert goaways(server) == [(0x7FFFFFFF, f.NO_ERROR)]
    (asked,) = server.of(f.PING)
    server.receive(headers(GET))
    assert server.complete()
    server.receive(ping(asked.payload, f.ACK))
    assert goaways(server) == [(0x7FFFFFFF, f.NO_ERROR), (1, f.NO_ERROR)]
    assert server.transport.ended


def test_a_client_that_does_not_answer_the_ping() -> None:
    server = FakeHTTP2Server()
    server.state.drain()
    server.state.drain()
    server.loop.fire_timers()
    assert goaways(server) == [(0x7FFFFFFF, f.NO_ERROR), (0, f.NO_ERROR)]
    assert server.transport.ended


def test_a_request_under_way_is_answered_before_the_end() -> None:
    go_on = asyncio.Event()

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        await go_on.wait()
        start_response("200 OK", [])
        return [b"late"]

    server = FakeHTTP2Server(application)
    server.receive(headers(GET))
    server.state.drain()
    server.loop.fire_timers()
    assert not server.transport.ended
    go_on.set()
    server.run()
    assert (server.body(), server.complete()) == (b"late", True)
    assert server.transport.ended
    server.lose()
    assert server.connection.lifetime.phase is CLOSED
    assert server.state.connections == set()


def test_a_connection_that_is_accepted_by_a_worker_that_stops() -> None:
    server = FakeHTTP2Server(opening=b"")
    server.state.draining = True
    second = type(server.connection)(server.state, server.connection.tables, None, ("192.0.2.1", 1), ("192.0.2.2", 80))
    second.connection_made(server.transport)
    assert goaways(server)[0] == (0x7FFFFFFF, f.NO_ERROR)


def test_cut() -> None:
    server = FakeHTTP2Server(forever)
    server.receive(headers(GET))
    server.state.abort()
    assert server.transport.aborted


def test_the_connection_is_lost() -> None:
    errors: list[str] = []

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            await environ["wsgi.input"].read()
        except ConnectionError as error:
            errors.append(str(error))
        return []

    server = FakeHTTP2Server(application)
    server.receive(headers(POST, flags=OPEN), headers(POST, 3, OPEN))
    assert not server.connection.eof_received()
    server.lose()
    assert errors == ["the client closed the connection"] * 2
    assert server.connection.streams == {}


def test_a_forked_process_sends_nothing() -> None:
    server = FakeHTTP2Server(forever)
    server.receive(headers(POST, flags=OPEN))
    server.connection.forsake()
    (stream,) = server.connection.streams.values()
    assert stream.write_queue.closed
    assert stream.client_disconnected()


# Others wait for a connection.


def test_who_is_ended_for_others() -> None:
    limits = OverloadLimits()
    now = time.monotonic()
    idle = FakeHTTP2Server()
    idle.receive(headers(GET))
    assert idle.connection.idle_for(now + 10) >= 9
    assert idle.connection.outstays(limits, now + 10) < 0
    idle.connection.make_room()
    assert goaways(idle) == [(1, f.NO_ERROR)]

    busy = FakeHTTP2Server(forever)
    busy.receive(headers(GET))
    assert busy.connection.idle_for(now + 10) == 0
    assert busy.connection.outstays(limits, now + 100) < 0

    slow = FakeHTTP2Server()
    slow.receive(headers(POST, flags=OPEN), data(b"a"))
    assert slow.connection.outstays(limits, now + 100) > 0
    slow.connection.make_room()
    assert slow.transport.aborted


# The PROXY protocol.


def proxied(opening: bytes) -> tuple[FakeHTTP2Server, list[Any]]:
    seen: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append((environ["REMOTE_ADDR"], environ.get("PROXY_PROTOCOL")))
        start_response("200 OK", [])
        return []

    server = FakeHTTP2Server(
        application, opening=opening, proxy_protocol=ProxyProtocol.V1, proxy_allowed=AddressList.parse(["*"])
    )
    return server, seen


def test_proxy_header() -> None:
    server, seen = proxied(b"PROXY TCP4 198.51.100.7 192.0.2.2 4711 80\r\n" + OPENING + headers(GET))
    assert server.connection.lifetime.phase is IDLE
    assert seen == [("198.51.100.7", "TCP4")]
    assert server.connection.peer == "198.51.100.7"


def test_a_broken_proxy_header() -> None:
    server, _ = proxied(b"PROXY nonsense\r\n" + OPENING)
    assert server.transport.ended
    assert server.logged[0].startswith("WARNING Invalid request")


@pytest.mark.parametrize("number", [1, 5])
def test_inline_answers_leave_together(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One write for all that come at once, where the application is quick."""
    if http2_connection.__file__.endswith(".so"):
        pytest.skip("a compiled module keeps its clock")
    monkeypatch.setattr(http2_connection, "_monotonic", lambda: 1000.0)
    server = FakeHTTP2Server()
    writes: list[int] = []
    original = server.transport.writelines
    server.transport.writelines = lambda pieces: writes.append(1) or original(pieces)  # type: ignore[func-returns-value, method-assign]
    write = server.transport.write
    server.transport.write = lambda data: writes.append(1) or write(data)  # type: ignore[func-returns-value, method-assign]
    server.receive(b"".join(headers(GET, 2 * one + 1) for one in range(number)))
    assert all(server.complete(2 * one + 1) for one in range(number))
    assert len(writes) <= 2


def test_other_connections_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many requests that come at once, those that take longer than a turn wait for the next turn of the loop."""
    if http2_connection.__file__.endswith(".so"):
        pytest.skip("a compiled module keeps its clock")
    called: list[int] = []
    monkeypatch.setattr(http2_connection, "_monotonic", lambda: 1000.0 + len(called))

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        called.append(turns)
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    server = FakeHTTP2Server(application)
    turns = 0
    with server.loop.running():
        server.connection.data_received(b"".join(headers(GET, number) for number in (1, 3, 5)) + headers(POST, 7, OPEN))
    assert called == [0]
    assert not server.transport.reading
    with server.loop.running():
        server.connection.data_received(data(b"body", 7, end=True))  # as TLS has more at once
    while server.loop.ready:
        turns += 1
        server.loop.turn()
    server.take()
    assert called == sorted(set(called))
    assert (len(called), server.body(7)) == (4, b"body")
    assert server.transport.reading


def test_streams_share_a_connection_fairly() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(20):
            yield bytes(20_000)

    server = FakeHTTP2Server(application, HTTP2Settings())
    server.receive(*[headers(GET, number) for number in (1, 3, 5)])
    for _ in range(40):
        server.receive(window_update(5_000) + b"".join(window_update(5_000, number) for number in (1, 3, 5)))
    sizes = [len(server.body(number)) for number in (3, 5)]
    assert max(sizes) - min(sizes) <= 20_000
