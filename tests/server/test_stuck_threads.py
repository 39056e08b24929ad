"""Stuck threads, told from their frames, without threads and without waiting."""

from __future__ import annotations

import math
from typing import Any

import pytest

from aiohttp_worker.server.channels import ThreadChannel
from aiohttp_worker.server.stuck_threads import StuckThreads
from aiohttp_worker.server.thread_pool import PoolThread
from aiohttp_worker.wsgi.blocking_reader import BlockingReader

from .fakes import CHUNKED, GET, FakeServer

TIMEOUT = 30.0


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


class Case:
    """A pool whose threads do not run; requests are put into them by hand."""

    def __init__(self, threads: int = 2) -> None:
        self.server = FakeServer(hello, threads=threads)
        pool = self.server.state.pool
        assert pool is not None
        self.pool = pool
        self.said: list[str] = []
        self.stuck = StuckThreads(pool, TIMEOUT, lambda message, *arguments: self.said.append(message % arguments))

    def occupy(self, number: int, since: float, request: bytes = GET % b"a") -> Any:
        """Have a thread begin with a request."""
        server = FakeServer(hello, threads=2)
        server.receive(request)
        exchange = server.connection.exchanges[0]
        member = self.pool.threads[number]
        member.occupant = exchange
        member.since = since
        return exchange

    @property
    def first(self) -> PoolThread:
        return self.pool.threads[0]


def test_idle_threads_do_not_hang() -> None:
    case = Case()
    assert not case.stuck.look(1e6)
    assert case.said == []
    assert case.stuck.due == math.inf
    assert case.stuck.quiet_for(1e6) == 0


def test_one_that_hangs_is_said_once_and_others_go_on() -> None:
    case = Case()
    case.occupy(0, 100.0, GET % b"slow?id=7")
    for now in (101.0, 129.9):
        assert not case.stuck.look(now)
        assert case.said == []
        assert case.stuck.due == 130.0
    for now in (130.0, 131.0, 500.0):
        assert not case.stuck.look(now)
        assert case.stuck.quiet_for(now) == 0
    (entry,) = case.said
    assert entry.startswith("Error handling request GET /slow?id=7 from 192.0.2.1: it has hung for ")
    assert "timeout = 30" in entry
    assert "Traceback (most recent call last):" in entry
    assert case.stuck.due == math.inf


def test_all_of_them() -> None:
    case = Case()
    case.occupy(0, 100.0)
    case.occupy(1, 110.0)
    assert not case.stuck.look(135.0)
    assert case.stuck.quiet_for(135.0) == 25.0
    assert case.stuck.due == 140.0
    assert case.stuck.look(140.0)
    assert len(case.said) == 2


def test_another_request_begins_anew() -> None:
    """Though it be in the same thread, between two looks."""
    case = Case(threads=2)
    case.occupy(0, 100.0)
    case.occupy(1, 100.0)
    assert not case.stuck.look(120.0)
    case.occupy(0, 125.0)
    assert not case.stuck.look(131.0)
    assert len(case.said) == 1
    case.first.occupant = None
    assert not case.stuck.look(200.0)


def test_what_gives_pieces_goes_on() -> None:
    case = Case()
    exchange = case.occupy(0, 100.0)
    case.occupy(1, 100.0)
    for now in range(110, 300, 10):
        exchange.response.sent += 1
        assert not case.stuck.look(float(now))
    assert case.stuck.look(321.0)  # after the last of them


def test_what_reads_its_input_goes_on() -> None:
    case = Case()
    exchange = case.occupy(0, 100.0, CHUNKED % b"a" + b"a\r\n0123456789\r\n")
    reader = exchange.environ["wsgi.input"]
    assert isinstance(reader, BlockingReader)
    case.occupy(1, 100.0)
    now = 100.0
    for _ in range(5):
        now += 20
        reader.read(1)
        assert not case.stuck.look(now)
    assert case.stuck.look(now + 30)


@pytest.mark.parametrize("how", ["reader", "paused", "thread"])
def test_what_waits_for_its_client_does_not_hang(how: str) -> None:
    case = Case()
    exchange = case.occupy(0, 100.0, CHUNKED % b"a")
    case.occupy(1, 100.0)

    def wait(waits: bool) -> None:
        if how == "reader":
            exchange.environ["wsgi.input"].waits = waits
        elif how == "paused":
            exchange.stream.write_queue.paused = waits
        else:
            assert isinstance(exchange.channel, ThreadChannel)
            exchange.channel.put = 1 << 20 if waits else 0

    wait(True)
    assert not case.stuck.look(1000.0)
    wait(False)
    assert not case.stuck.look(1029.0)
    assert case.stuck.look(1030.0)


def test_a_request_that_waited_for_a_thread_can_be_answered() -> None:
    """In the place of an application that was not called."""
    server = FakeServer(hello, threads=2)
    server.receive(GET % b"a")
    pool = server.state.pool
    assert pool is not None
    (job,) = pool.take_waiting()
    assert pool.take_waiting() == []
    exchange = server.connection.exchanges[0]
    assert exchange is not None
    assert getattr(job, "exchange", None) is exchange
    exchange.abandon(503)
    server.connection.exchange_ended(0.0)
    sent = server.take_sent()
    assert sent.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"Connection: close\r\n" in sent
    assert server.transport.closed


def test_an_answer_that_has_begun_is_cut() -> None:
    server = FakeServer(hello, threads=2)
    server.receive(GET % b"a")
    exchange = server.connection.exchanges[0]
    assert exchange is not None
    exchange("200 OK", [])
    exchange.stream.write_queue.send(exchange.piece(b"some"))
    exchange.abandon(500)
    server.connection.exchange_ended(0.0)
    sent = server.take_sent()
    assert sent.endswith(b"\r\n\r\n4\r\nsome\r\n")  # without the last chunk
    assert server.transport.closed
