"""State that connections share: accounts, posts from threads, the sweep, and warnings that are logged once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from aiohttp_worker.server.settings import TimeLimits
from tests.server.fakes import GET, FakeClock, FakeServer, clock, hello

__all__ = ["clock"]  # a fixture


async def coroutine(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return []


@pytest.mark.parametrize(
    ("application", "settings", "pool", "awaits"),
    [
        (hello, {}, False, False),
        (hello, {"threads": 4}, True, False),
        (coroutine, {}, False, True),
        (coroutine, {"threads": 4}, False, True),
        (coroutine, {"stream": False}, False, False),
    ],
)
def test_who_calls_the_application(application: Any, settings: dict[str, Any], pool: bool, awaits: bool) -> None:
    state = FakeServer(application, **settings).state
    assert (state.pool is not None) is pool
    assert state.awaits_input is awaits


def test_half_of_the_threads_may_read_bodies_as_they_come() -> None:
    assert FakeServer(hello, threads=8).state.most_bodies_in_threads == 4
    assert FakeServer(hello, threads=8, stream=False).state.most_bodies_in_threads == 0
    assert FakeServer(hello).state.most_bodies_in_threads == 0


def test_tick_looks_at_those_whose_time_is_up(clock: FakeClock) -> None:
    server = FakeServer(times=TimeLimits(keep_alive=5))
    server.receive(GET % b"a")
    server.state.tick()
    assert not server.transport.closed
    clock.now += 6
    server.state.tick()
    assert server.transport.closed


def test_calls_from_threads_come_in_order() -> None:
    server = FakeServer()
    called: list[int] = []

    def call() -> None:
        for number in range(100):
            server.state.call_on_loop(lambda number=number: called.append(number))  # type: ignore[misc]

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    server.loop.run_ready()
    assert called == list(range(100))


def test_calls_to_a_loop_that_is_closed() -> None:
    """A thread may outlive the worker's loop."""
    server = FakeServer()

    def closed(callback: Any) -> None:
        raise RuntimeError("Event loop is closed")

    server.loop.call_soon_threadsafe = closed  # type: ignore[assignment, method-assign]
    server.state.call_on_loop(lambda: None)


def test_drain_and_abort_reach_every_connection() -> None:
    server = FakeServer()
    server.state.drain()
    assert server.state.draining
    server.state.abort()
    assert server.transport.aborted


@pytest.mark.parametrize("exiting", [True, False])
def test_exits(exiting: bool) -> None:
    """One that a signal asked for passes; an application's own is an error like another."""
    server = FakeServer()
    server.state.observers.exiting = lambda: exiting
    if exiting:
        with pytest.raises(SystemExit):
            server.state.check_exit(SystemExit(1))
    else:
        server.state.check_exit(SystemExit(1))
    server.state.check_exit(ValueError())


@pytest.mark.parametrize("grace", [0, 3])
def test_cancel_later(grace: int) -> None:
    server = FakeServer(times=TimeLimits(disconnect_grace=grace))

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    task = server.loop.create_task(wait())
    server.loop.run_ready()
    server.state.cancel_later(task)
    server.loop.run_ready()
    assert task.cancelled() is (grace == 0)
    server.loop.fire_timers()
    assert task.cancelled()


def test_cancel_later_of_a_task_that_ends_in_time() -> None:
    server = FakeServer(times=TimeLimits(disconnect_grace=3))
    future = server.loop.create_future()

    async def wait() -> str:
        return await future  # type: ignore[no-any-return]

    task = server.loop.create_task(wait())
    server.loop.run_ready()
    server.state.cancel_later(task)
    future.set_result("done")
    server.loop.run_ready()
    server.loop.fire_timers()
    assert task.result() == "done"


def test_posts_are_called_in_order_and_wake_the_loop_once() -> None:
    server = FakeServer()
    told: list[str] = []
    server.state.on_posts = lambda: told.append("posts")
    for name in ("a", "b"):
        server.state.post(lambda name=name: told.append(name))  # type: ignore[misc]
    assert len(server.loop.ready) == 1
    server.loop.run_ready()
    server.state.post_end(lambda: told.append("end"))
    server.loop.run_ready()
    assert told == ["posts", "a", "b", "end"]  # what is told of posts is told once


def test_in_a_forked_process_the_end_of_a_piece_is_the_end() -> None:
    server = FakeServer()
    left: list[BaseException | None] = []
    server.state.forsake(left.append)
    server.state.post_end(lambda: None)
    error = ValueError()
    server.state.check_exit(error)
    assert left == [None, error]
    assert server.connection.write_queue.closed
    assert not server.loop.ready


def test_warnings_are_given_once_per_path() -> None:
    server = FakeServer(coroutine)
    server.receive(GET % b"a")
    (exchange,) = server.ended
    for _ in range(2):
        server.state.warn_slow_call(exchange.head, 0.3)
        server.state.warn_dropped_body(exchange.head, 204)
    assert [line for line in server.logged if line.startswith("WARNING GET /a took 300 ms")] != []
    assert len([line for line in server.logged if line.startswith("WARNING")]) == 2
