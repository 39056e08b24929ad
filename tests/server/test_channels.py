"""Channels of answers, inline, from a thread and from a task, without an exchange."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiohttp_worker.errors import ClientDisconnectedError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.server import channels
from aiohttp_worker.server.channels import InlineChannel, Next, TaskChannel, ThreadChannel, ThreadJob, check_connected
from aiohttp_worker.transport.write_batch import MOST_HELD
from aiohttp_worker.transport.write_queue import WRITE_HIGH_MARK, WriteQueue

from .fakes import GET, FakeServer, FakeTransport

COMPILED = channels.__file__.endswith(".so")


def received_head() -> RequestHead:
    """The head of a request, as a connection reads it: compiled channels take no other."""

    async def wait_for_ever(environ: Any, start_response: Any) -> None:
        await asyncio.get_running_loop().create_future()

    server = FakeServer(wait_for_ever)
    server.receive(GET % b"a")
    head: RequestHead = server.connection.exchange.head
    server.lose()
    server.loop.fire_timers()
    return head


HEAD = received_head()


class Request:
    """What a channel asks of an exchange."""

    head = HEAD

    def __init__(self) -> None:
        self.followed: list[Next] = []

    def go_on(self, following: Next, now: float) -> None:
        self.followed.append(following)


class Site:
    """A worker's state, and the output of one client."""

    def __init__(self, **settings: Any) -> None:
        self.server = FakeServer(**settings)
        self.state = self.server.state
        self.loop = self.server.loop
        self.transport = FakeTransport()
        self.write_queue = WriteQueue(self.transport, None)  # type: ignore[arg-type]
        self.request = Request()

    def inline(self) -> InlineChannel:
        channel = InlineChannel(self.state, self.write_queue)
        channel.started = 1.0
        return channel

    def thread(self) -> ThreadChannel:
        return ThreadChannel(self.state, self.write_queue)

    def task(self) -> TaskChannel:
        return TaskChannel(self.state, self.write_queue, self.inline())


def end(request: Request) -> Next:
    return Next.END


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.write_queue.close()


# Inline


def test_inline_a_piece_runs_in_its_context_and_without_a_loop(site: Site) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()
    seen: list[Any] = []

    def piece(request: Request) -> Next:
        variable.set(1)
        seen.append((request, site.state.running_loop.occupant, asyncio._get_running_loop()))
        return Next.TURN

    with site.loop.running():
        channel = site.inline()
        assert channel.run(piece, site.request, context) is Next.TURN
        assert asyncio._get_running_loop() is site.loop
    assert seen == [(site.request, site.request, None)]
    assert (variable.get(), context[variable]) == (0, 1)
    assert not channel.started
    assert site.request.followed == []  # it is returned


def test_inline_the_loop_is_shown_again_after_an_exit(site: Site) -> None:
    def piece(request: Request) -> Next:
        raise SystemExit(3)

    with site.loop.running():
        with pytest.raises(SystemExit):
            site.inline().run(piece, site.request, contextvars.copy_context())
        assert asyncio._get_running_loop() is site.loop


def test_inline_a_slow_piece_is_warned_of() -> None:
    site = Site(slow_call=0.1)
    with site.loop.running():
        site.inline().run(end, site.request, contextvars.copy_context())  # it was called at 1.0
    assert [line for line in site.server.logged if "in the event loop" in line]


def test_inline_small_whole_answers_leave_together(site: Site) -> None:
    channel = site.inline()
    channel.send_whole([b"a", b"b"], 2, HEAD)
    assert site.transport.sent == b""
    site.loop.run_ready()
    assert site.transport.sent == b"ab"
    channel.send_whole([bytes(MOST_HELD + 1)], MOST_HELD + 1, HEAD)
    assert len(site.transport.sent) == 2 + MOST_HELD + 1  # at once


@pytest.mark.parametrize("channel", ["inline", "thread", "task"])
def test_pieces_are_sent_in_order(site: Site, channel: str) -> None:
    one = getattr(site, channel)()
    one.send([b"a", b"b"])
    one.send([])
    one.write([b"c"])
    one.send_last([b"d"], 1, False)
    site.loop.run_ready()
    assert site.transport.sent == b"abcd"


@pytest.mark.parametrize("channel", ["inline", "thread", "task"])
@pytest.mark.parametrize("size", [1, MOST_HELD + 1])
def test_a_whole_answer_is_sent(site: Site, channel: str, size: int) -> None:
    getattr(site, channel)().send_whole([bytes(size)], size, HEAD)
    site.loop.run_ready()
    assert len(site.transport.sent) == size


def test_inline_write_puts_into_a_file_what_nobody_reads(site: Site) -> None:
    site.transport.stuck = True
    channel = site.inline()
    channel.write([bytes(500_000)])
    assert site.write_queue.spill is None
    channel.write([bytes(700_000)])
    assert site.write_queue.spill is not None
    assert site.write_queue.spill.size == 700_000
    # What such a piece leaves is to be sent before anything follows.
    with site.loop.running():
        channel.run(end, site.request, contextvars.copy_context())
    assert not channel.started


def test_inline_write_keeps_less_where_much_waits_already(site: Site) -> None:
    site.state.unsent = 1 << 30
    site.transport.stuck = True
    site.inline().write([bytes(WRITE_HIGH_MARK + 1)])
    assert site.write_queue.spill is not None


@pytest.mark.parametrize("channel", ["inline", "thread", "task"])
def test_a_long_answer_goes_to_a_file_where_much_waits_already(site: Site, channel: str) -> None:
    site.state.unsent = 1 << 30
    site.transport.stuck = True
    getattr(site, channel)().send_whole([bytes(200_000)], 200_000, HEAD)
    site.loop.run_ready()
    assert site.write_queue.spill is not None
    assert site.transport.waiting == b""


@pytest.mark.parametrize("channel", ["inline", "thread", "task"])
def test_a_long_answer_that_cannot_be_stored_is_logged(channel: str, tmp_path: Path) -> None:
    site = Site(body_directory=str(tmp_path / "missing"))
    site.state.unsent = 1 << 30
    getattr(site, channel)().send_whole([bytes(200_000)], 200_000, HEAD)
    site.loop.run_ready()
    assert [line for line in site.server.logged if "GET /a: the answer cannot be stored: No such file" in line]
    assert site.transport.aborted


@pytest.mark.parametrize("channel", ["inline", "thread"])
def test_write_for_nobody(site: Site, channel: str) -> None:
    site.write_queue.close()
    with pytest.raises(ClientDisconnectedError):
        getattr(site, channel)().write([b"a"])
    with pytest.raises(ClientDisconnectedError):
        check_connected(site.write_queue)


# Threads


@pytest.fixture
def threads() -> Iterator[Site]:
    site = Site(threads=2)
    assert site.state.pool is not None
    site.state.pool.start()
    yield site
    site.state.pool.stop()


def run_until(site: Site, number: int) -> None:
    limit = time.perf_counter() + 10
    while len(site.request.followed) < number:
        assert time.perf_counter() < limit, site.server.logged
        site.loop.run_ready()


def test_all_pieces_run_in_one_thread(threads: Site) -> None:
    seen: list[Any] = []
    channel = threads.thread()

    def piece(request: Request) -> Next:
        assert threads.state.pool is not None
        member = threads.state.pool.current()
        seen.append(threading.get_ident())
        assert member.occupant is request
        channel.send([b"%d" % len(seen)])
        return Next.TURN

    for number in range(1, 6):
        channel.run(piece, threads.request, contextvars.copy_context())
        run_until(threads, number)
    assert len(set(seen)) == 1
    assert seen[0] != threading.get_ident()
    assert threads.transport.sent == b"12345"
    assert threads.request.followed == [Next.TURN] * 5


def test_what_a_piece_left_is_sent_before_what_follows(threads: Site) -> None:
    channel = threads.thread()
    sent: list[bytes] = []

    class Following(Request):
        def go_on(self, following: Next, now: float) -> None:
            sent.append(threads.transport.sent)
            super().go_on(following, now)

    def piece(request: Request) -> Next:
        channel._put([b"left"])  # and no post of its own
        return Next.END

    threads.request = Following()
    channel.run(piece, threads.request, contextvars.copy_context())
    run_until(threads, 1)
    assert sent == [b"left"]


def test_a_thread_waits_while_the_client_does_not_read(threads: Site) -> None:
    channel = threads.thread()

    def piece(request: Request) -> Next:
        for _ in range(4):
            channel.write([bytes(WRITE_HIGH_MARK)])
        return Next.END

    channel.run(piece, threads.request, contextvars.copy_context())
    run_until(threads, 1)
    assert len(threads.transport.sent) == 4 * WRITE_HIGH_MARK


def test_how_much_waits(site: Site) -> None:
    channel = site.thread()
    assert not channel.full
    channel.send([bytes(WRITE_HIGH_MARK + 1)])
    assert channel.full
    site.loop.run_ready()
    assert (channel.put, channel.taken) == (WRITE_HIGH_MARK + 1, WRITE_HIGH_MARK + 1)
    assert not channel.full


def test_whose_job_it_is(site: Site) -> None:
    job = ThreadJob(site.thread(), end, site.request, contextvars.copy_context())
    assert job.exchange is site.request


# Tasks


def test_a_task_runs_and_goes_home(site: Site) -> None:
    channel = site.task()
    done: list[asyncio.Task[Any]] = []

    async def answer() -> str:
        assert site.state.tasks == 1
        await asyncio.sleep(0)
        return "answer"

    with site.loop.running():
        channel.run(answer(), None, contextvars.copy_context(), done.append, True)
    assert channel.task is not None
    site.loop.run_ready()
    assert [task.result() for task in done] == ["answer"]
    assert channel.end() is channel.home
    assert (channel.task, site.state.tasks) == (None, 0)


class Done:
    """A task that was done at its first step, as from Python 3.12 on."""

    def done(self) -> bool:
        return True


@pytest.mark.skipif(COMPILED, reason="a compiled class takes no other method")
@pytest.mark.parametrize("at_once", [True, False])
def test_a_task_that_is_done_at_once(site: Site, monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    monkeypatch.setattr(type(site.state), "new_task", lambda *_: Done())
    done: list[Any] = []
    site.task().run(None, None, contextvars.copy_context(), done.append, at_once)
    assert len(done) == at_once
    site.loop.run_ready()
    assert len(done) == 1


def test_what_a_cancelled_task_would_have_awaited_is_closed(site: Site) -> None:
    closed: list[bool] = []

    class Within:
        def close(self) -> None:
            closed.append(True)

    async def never() -> None:
        raise AssertionError("it was cancelled before")

    channel = site.task()
    channel.run(never(), Within(), contextvars.copy_context(), lambda task: None, True)
    assert channel.task is not None
    channel.task.cancel()
    site.loop.run_ready()
    channel.end()
    assert closed == [True]


def test_a_task_gives_others_their_turn(site: Site) -> None:
    channel = site.task()
    assert channel.turn_is_over()  # it has had none
    channel.turn_begins()
    assert not channel.turn_is_over()
    assert channel.send_piece([b"a"]) is False
    site.transport.stuck = True
    site.write_queue.paused = True
    assert channel.send_piece([b"b"]) is True
    assert site.transport.sent + site.transport.waiting == b"ab"
