"""The watchdog, with a loop and no server: what it says ends what it complains of."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from aiohttp_worker.server import watchdog
from aiohttp_worker.server.settings import Observers, ServerSettings
from aiohttp_worker.server.state import State
from aiohttp_worker.server.watchdog import Watchdog, describe_hung, exchange_at
from aiohttp_worker.wsgi.async_body import declare_server
from tests.loops import LOOPS, new_loop

from .fakes import GET, FakeServer, FakeTransport

PATIENCE = 10.0


class Watched:
    """A worker's loop with a watchdog; `answer` serves one request and returns what was warned of."""

    def __init__(self, loop_name: str, application: Any, slow_call: float = 0.05, tick: float = 0.1) -> None:
        self.loop = new_loop(loop_name)
        self.said: list[str] = []
        self.reported = threading.Event()
        self.slow: list[str] = []
        observers = Observers(
            log_error=self._note,
            log_warning=lambda message, *arguments: self.slow.append(message % arguments),
            log_debug=self._note,
            log_exception=lambda error, message: self.said.append(f"{message}: {error!r}"),
            on_end=lambda exchange: self.loop.call_soon(self.loop.stop),
        )
        self.state = State(self.loop, application, ServerSettings(slow_call=slow_call), {"test.watched": self}, observers)
        self.watchdog = Watchdog(self.state, slow_call, tick, Watched._run.__code__, self._warn)
        self.tick = tick

    def _note(self, message: str, *arguments: object, **_: object) -> None:
        pass

    def _warn(self, message: str, *arguments: object) -> None:
        self.said.append(message % arguments)
        self.reported.set()

    def _tick(self) -> None:
        self.watchdog.tick()
        self.loop.call_later(self.tick, self._tick)

    def _run(self) -> None:
        self.loop.run_forever()

    def __enter__(self) -> Watched:
        self.watchdog.start()
        self.loop.call_soon(self._tick)
        self.state.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.watchdog.stop()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        declare_server(None)  # later tests run without a worker

    def answer(self, path: str = "a") -> list[str]:
        from aiohttp_worker.server.http1_connection import HTTP1Connection

        self.reported.clear()
        said = len(self.said)
        transport = FakeTransport()
        connection = HTTP1Connection(self.state, None, ("192.0.2.1", 1), ("192.0.2.2", 80))  # type: ignore[arg-type]
        transport.protocol = connection
        connection.connection_made(transport)
        self.loop.call_soon(connection.data_received, GET % path.encode())
        self._run()
        connection.connection_lost(None)
        return self.said[said:]


def watched(environ: dict[str, Any]) -> Watched:
    one: Watched = environ["test.watched"]
    return one


async def blocks(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    await asyncio.sleep(0)
    watched(environ).reported.wait(1.0)
    start_response("200 OK", [])
    return [b"done"]


def blocks_inline(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    watched(environ).reported.wait(PATIENCE)
    start_response("200 OK", [])
    return [b"done"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_coroutine_is_reported_once_for_each_path(loop: str) -> None:
    with Watched(loop, blocks) as one:
        (line,) = one.answer("a?b=c")
        assert line.startswith("GET /a has kept the event loop busy for ")
        assert "blocks() (" in line
        assert "watched(environ).reported.wait(1.0)" in line
        assert one.answer("a?b=d") == []
        assert len(one.answer("b")) == 1


def test_a_line_is_reported_for_a_few_paths() -> None:
    """Paths may hold the number of an item."""
    with Watched("asyncio", blocks) as one:
        for number in range(10):
            one.answer(f"items/{number}")
        assert len(one.said) == 10
        one.reported.set()
        one.watchdog._reported.clear()
        assert one.watchdog._is_new("/items/11", _place(one)) is False


def _place(one: Watched) -> Any:
    from aiohttp_worker.server.whereabouts import Place

    (filename, line) = next(iter(one.watchdog._paths))
    return Place(filename, line, "blocks", "")


def test_a_call_is_reported_while_it_goes_on_and_at_its_end() -> None:
    with Watched("asyncio", blocks_inline) as one:
        (line,) = one.answer("a")
        assert "GET /a has kept" in line
        assert "--threads N" in line
        assert len(one.slow) == 1
        assert "GET /a took " in one.slow[0]


def test_what_does_not_block_is_not_reported() -> None:
    """However long it waits, and however many there are."""

    async def waits(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        await asyncio.sleep(0.3)  # several times what is slow
        start_response("200 OK", [])
        return [b"done"]

    with Watched("asyncio", waits) as one:
        assert one.answer() == []


@pytest.mark.slow
def test_a_loop_that_is_busy_with_many_is_not_blamed_on_one() -> None:
    """All turns together last long, and so does one turn of many small steps.

    Each step is far from being slow: on a busy machine it takes many times as long.
    """

    async def small_steps(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        end = time.monotonic() + 1.5

        async def step() -> None:
            while time.monotonic() < end:
                pause = time.monotonic() + 0.016
                while time.monotonic() < pause:
                    pass
                await asyncio.sleep(0)

        await asyncio.gather(*(step() for _ in range(40)))
        start_response("200 OK", [])
        return [b"done"]

    with Watched("asyncio", small_steps, slow_call=0.5) as one:
        assert one.answer() == []


def test_a_callback_of_the_application() -> None:
    async def schedules(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def callback() -> None:
            watched(environ).reported.wait(PATIENCE)
            done.set_result(None)

        loop.call_soon(callback)
        await done
        start_response("200 OK", [])
        return [b"done"]

    with Watched("asyncio", schedules) as one:
        (line,) = one.answer()
        assert line.startswith("A callback has kept")
        assert "callback() (" in line


def test_a_task_without_a_request() -> None:
    async def leaves(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        async def background() -> None:
            await asyncio.sleep(0)
            watched(environ).reported.wait(PATIENCE)

        environ["test.watched"].task = asyncio.create_task(background(), name="refresh")
        await asyncio.sleep(0.01)
        start_response("200 OK", [])
        return [b"done"]

    with Watched("asyncio", leaves) as one:
        (line,) = one.answer()
        assert line.startswith("The task refresh (")
        assert "background) has kept" in line


@pytest.mark.slow
def test_the_child_of_a_fork_has_no_watchdog() -> None:
    """And comes to no harm, whatever it does on the loop; the parent keeps its own."""

    def forks(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                one = watched(environ)
                one.watchdog.tick()
                one.watchdog._task_begins()
                one.watchdog._beat()
                one.watchdog.stop()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        start_response("200 OK", [])
        return [b"%d" % os.waitstatus_to_exitcode(status)]

    with Watched("asyncio", forks) as one:
        one.answer()
        assert one.said == []
        assert not one.watchdog._stopped


def steps(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])

    def body() -> Iterator[bytes]:
        yield bytes(2 << 20)
        time.sleep(0.1)  # a slow step is the subject
        yield b"end"

    return body()


@pytest.mark.slow
def test_a_slow_later_step_is_logged_at_its_end() -> None:
    class Iterable:
        def __init__(self, iterator: Iterator[bytes]) -> None:
            self._iterator = iterator

        def __iter__(self) -> Iterator[bytes]:
            return self._iterator

    with Watched("asyncio", lambda environ, start_response: Iterable(steps(environ, start_response))) as one:
        assert one.answer("steps") == []
        assert len(one.slow) == 1
        assert re.search(r"GET /steps took [1-9]\d\d+ ms", one.slow[0]), one.slow


def test_the_loop_shows_itself_often_only_while_tasks_go_on() -> None:
    async def quick(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"done"]

    with Watched("asyncio", quick) as one:
        assert not one.watchdog._beats
        one.answer()
        assert one.watchdog._beats
        assert one.state.tasks == 0
        one.watchdog._busy_until = 1e-9  # the time of rest is over
        one.watchdog._beat()
        assert not one.watchdog._beats
        one.answer()
        assert one.watchdog._beats


class Turns:
    """The lock that the thread waits for: each wait moves a clock on instead, and after some of them the watchdog stops."""

    def __init__(self, dog: Watchdog, clock: list[float], most: int) -> None:
        self.dog = dog
        self.clock = clock
        self.left = most
        self.waited: list[float] = []

    def acquire(self, timeout: float) -> bool:
        self.waited.append(round(timeout, 3))
        self.clock[0] += timeout
        self.left -= 1
        if not self.left:
            self.dog._stopped = True
        return False


def look_here(monkeypatch: pytest.MonkeyPatch, turns: int, occupant: Any = None) -> tuple[list[str], list[float]]:
    """Run the thread's code in this thread, whose loop never turns; return what is said, and the waits."""
    if watchdog.__file__.endswith(".so"):
        pytest.skip("a compiled module keeps its clock")
    said: list[str] = []
    clock = [1000.0]
    monkeypatch.setattr(watchdog, "_monotonic", lambda: clock[0])
    state = FakeServer().state
    state.running_loop.occupant = occupant
    dog = Watchdog(state, 0.1, 1.0, look_here.__code__, lambda message, *arguments: said.append(message % arguments))
    dog._watched = threading.get_ident()
    dog._expected = 1001.0
    wake = Turns(dog, clock, turns)
    monkeypatch.setattr(dog, "_wake", wake)

    def step() -> None:
        dog._watch()

    step()
    state.running_loop.occupant = None
    return said, wake.waited


def test_looks_of_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is half of the time late, the second all of it; what stands there at both is reported, once."""
    said, waited = look_here(monkeypatch, 5)
    assert waited == [1.05, 0.05, 0.05, 0.05, 0.05]
    (line,) = said
    assert line.startswith("A callback has kept the event loop busy for 100 ms and goes on, in ")
    assert "step() (" in line


def test_an_ordinary_call_is_given_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is measured when it returns."""
    said, waited = look_here(monkeypatch, 30, occupant=object())
    assert sum(waited[1:-1]) + 0.01 >= 1.0
    (line,) = said
    assert "Give it threads of its own: --threads N" in line


def test_a_loop_that_turns_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    said, _ = look_here(monkeypatch, 1)
    assert said == []


def test_exchange_of_a_blocked_loop() -> None:
    """The occupant's; else that of the task that awaits the current one, through other tasks."""
    server = FakeServer()
    server.receive(GET % b"a")
    (exchange,) = server.ended
    state = server.state
    state.running_loop.occupant = exchange
    assert exchange_at(state, []) is exchange
    state.running_loop.occupant = None

    async def scenario() -> list[Any]:
        loop = asyncio.get_running_loop()
        asked: list[Any] = []
        go_on = asyncio.Event()

        async def innermost() -> None:
            await go_on.wait()
            asked.append(exchange_at(SimpleNamespace(running_loop=state.running_loop, loop=loop, connections=connections), []))

        async def outer() -> None:
            await asyncio.gather(asyncio.sleep(0), innermost())

        task = loop.create_task(outer())
        exchanges = (SimpleNamespace(task=None), SimpleNamespace(task=task))
        connections = [SimpleNamespace(exchanges=[one]) for one in exchanges]
        for _ in range(3):
            await asyncio.sleep(0)
        go_on.set()
        await task
        asked.append(exchange_at(SimpleNamespace(running_loop=state.running_loop, loop=loop, connections=connections), []))
        return [one is not None and one is exchanges[1] for one in asked]

    assert asyncio.run(scenario()) == [True, False]
    sentence = describe_hung(exchange, "somewhere")
    assert re.fullmatch(r"Error handling request GET /a from 192\.0\.2\.1: it has hung for \d+\.\d s somewhere", sentence)
