"""Coroutines that run an asynchronous application: awaiting, sending, closing and raising."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from aiohttp_worker.server.coroutines import call_application, drive, guard, respond, send_awaited
from aiohttp_worker.wsgi.environ import Environ

from .fakes import GET, FakeServer

HEADERS = [("Content-Type", "text/plain")]


class Pieces:
    """Takes what a generator yields, and a number of pieces at most."""

    def __init__(self, most: int = 100, turn_is_over: bool = False) -> None:
        self.taken: list[bytes] = []
        self.most = most
        self.turns = 0
        self._over = turn_is_over

    async def send(self, data: bytes) -> bool:
        self.taken.append(data)
        return len(self.taken) < self.most

    def turn_begins(self) -> None:
        self.turns += 1

    def turn_is_over(self) -> bool:
        return self._over


def driven(generator: Any, pieces: Pieces) -> Any:
    async def run() -> Any:
        return await drive(generator, pieces)  # type: ignore[arg-type]

    return asyncio.run(run())


async def later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def test_what_a_driven_generator_yields() -> None:
    def application() -> Generator[Any, Any, str]:
        yield b"bytes"
        yield None
        yield from asyncio.sleep(0).__await__()
        value = yield later("sent in")
        yield value.encode()
        yield later(b"a piece")  # nobody takes what is sent in
        value = yield asyncio.get_running_loop().run_in_executor(None, lambda: "from a future")
        assert value == "from a future"
        return "returned"

    pieces = Pieces()
    assert driven(application(), pieces) == "returned"
    assert pieces.taken == [b"bytes", b"sent in", b"a piece"]
    assert pieces.turns


def test_others_have_their_turn_between_quick_awaitables() -> None:
    def application() -> Generator[Any, Any, None]:
        value = yield later(1)
        assert value == 1

    pieces = Pieces(turn_is_over=True)
    driven(application(), pieces)
    assert pieces.turns == 1


@pytest.mark.parametrize("item", [b"a", "awaitable"])
def test_a_generator_is_closed_when_no_more_can_be_sent(item: Any) -> None:
    closed: list[bool] = []

    def application() -> Generator[Any, Any, None]:
        try:
            while True:
                yield later(b"a") if item == "awaitable" else item
        finally:
            closed.append(True)

    pieces = Pieces(most=2)
    assert driven(application(), pieces) is None
    assert (pieces.taken, closed) == ([b"a", b"a"], [True])


def test_errors_are_raised_where_the_generator_waits() -> None:
    caught: list[str] = []

    async def fail() -> None:
        raise ValueError("awaited")

    def application() -> Generator[Any, Any, None]:
        for item in (fail(), "text"):
            try:
                yield item
            except Exception as error:
                caught.append(f"{type(error).__name__}: {error}")
        yield b"done"

    pieces = Pieces()
    driven(application(), pieces)
    assert caught[0] == "ValueError: awaited"
    assert caught[1].startswith("TypeError: the application yielded str")
    assert pieces.taken == [b"done"]


def test_a_driven_generator_is_closed_with_its_task() -> None:
    closed: list[bool] = []

    def application() -> Generator[Any, Any, None]:
        try:
            yield b"a"
        finally:
            closed.append(True)

    class Stuck(Pieces):
        async def send(self, data: bytes) -> bool:
            await asyncio.sleep(0)
            return True

    coroutine: Any = drive(application(), Stuck())  # type: ignore[arg-type]
    coroutine.send(None)
    coroutine.close()
    assert closed == [True]


class Case:
    """A request whose application waits, so that its answer can be given by hand."""

    def __init__(self, **settings: Any) -> None:
        async def application(environ: Environ, start_response: Any) -> Any:
            start_response("200 OK", HEADERS)
            return await self.waits

        self.server = FakeServer(application, **settings)
        self.waits = self.server.loop.create_future()
        self.server.receive(GET % b"a")
        self.exchange: Any = self.server.connection.exchange

    def run(self, coroutine: Any) -> Any:
        task = self.server.loop.create_task(coroutine)
        self.server.loop.run_ready()
        return task.result()

    def body(self) -> bytes:
        self.exchange.finish_from_task()
        return b"".join(self.server.take_sent().partition(b"\r\n\r\n")[2].split(b"\r\n")[1::2])


@pytest.fixture
def case() -> Case:
    return Case()


async def asynchronous(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


@pytest.mark.parametrize(
    ("awaited", "iterator", "body"),
    [
        (lambda: later(b"a"), None, b"a"),
        (lambda: asynchronous(b"a", later(b"b")), None, b"ab"),
    ],
    ids=["awaitable", "asynchronous"],
)
def test_what_an_item_stands_for(case: Case, awaited: Any, iterator: Any, body: bytes) -> None:
    assert case.run(send_awaited(case.exchange, awaited(), iterator)) is None
    assert case.body() == body


def test_an_item_of_the_wrong_type(case: Case) -> None:
    for awaited in (later("a"), asynchronous("a")):
        with pytest.raises(TypeError, match="encode it"):
            case.run(send_awaited(case.exchange, awaited, None))


def test_what_a_generator_awaits_is_sent_into_it(case: Case) -> None:
    def generator() -> Generator[Any, Any, None]:
        value = yield
        yield value

    waiting = generator()
    next(waiting)
    assert case.run(send_awaited(case.exchange, later(b"value"), waiting)) == b"value"


def test_what_gives_no_piece(case: Case) -> None:
    class Written:
        gives_no_piece = True

        def __await__(self) -> Any:
            return later(None).__await__()

    assert case.run(send_awaited(case.exchange, Written(), None)) is None


@pytest.mark.parametrize(
    ("result", "left"),
    [
        (lambda: later(later([b"whole"])), None),
        (lambda: asynchronous(b"whole"), None),
        (lambda: iter([b"left"]), "iterator"),
    ],
    ids=["awaitable", "asynchronous", "iterable"],
)
def test_what_comes_of_a_result(case: Case, result: Any, left: Any) -> None:
    remaining = case.run(respond(case.exchange, result()))
    case.server.loop.run_ready()
    sent = case.server.take_sent()
    assert (remaining is not None) is (left is not None)
    assert (b"whole" in sent) is (left is None)


def test_a_driven_generator_answers(case: Case) -> None:
    def generator() -> Generator[Any, Any, Any]:
        yield b"a"
        return [b"b"]

    assert case.run(respond(case.exchange, generator(), True)) == [b"b"]  # what is behind a piece is stepped


def test_everything_was_written(case: Case) -> None:
    async def writes() -> None:
        case.exchange.write(b"all of it")

    assert case.run(respond(case.exchange, writes())) is None
    assert case.server.take_sent().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("run", [guard, call_application])
def test_exits_stay_out_of_the_task(run: Any) -> None:
    async def leave(*_: Any) -> None:
        raise SystemExit(3)

    case = Case()
    case.server.state.application = leave
    case.run(run(case.exchange, leave()) if run is guard else run(case.exchange))
    assert isinstance(case.exchange.error, SystemExit)


def test_a_hook_comes_before_the_call() -> None:
    case = Case()
    seen: list[Any] = []
    case.server.state.pre_request = seen.append

    async def application(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append("called")
        return [b"a"]

    case.server.state.application = application
    assert case.run(call_application(case.exchange)) is None
    assert seen == [case.exchange, "called"]


def test_a_client_that_does_not_read_is_waited_for(case: Case) -> None:
    case.server.transport.stuck = True
    task = case.server.loop.create_task(send_awaited(case.exchange, later(bytes(200_000)), None))
    case.server.loop.run_ready()
    assert not task.done()
    case.server.transport.take_all()
    case.server.loop.run_ready()
    assert task.done()
