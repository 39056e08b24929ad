"""AsyncBody without a server process: markers, synchronous iteration, lost bodies, and other servers."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from aiohttp_worker import AsyncBody
from aiohttp_worker.wsgi import async_body as body
from aiohttp_worker.wsgi.async_body import BodyServer, LostBodyError, Marker, RequestBodies, bodies_of_request, declare_server
from tests.server.fakes import FakeServer

from .async_bodies import LoopThread, Pieces, three, variable


class Log:
    """What a worker would have logged."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def warn(self, text: str, *arguments: Any) -> None:
        self.warnings.append(text % arguments)

    def error(self, text: str, *arguments: Any) -> None:
        self.errors.append(text % arguments)


@pytest.fixture
def worker_loop() -> Iterator[LoopThread]:
    one = LoopThread()
    yield one
    one.stop()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture(params=["inline", "threads"])
def served(request: pytest.FixtureRequest, worker_loop: LoopThread, log: Log) -> Iterator[BodyServer]:
    """As in a worker whose application runs in the loop's thread, or in others."""

    def make() -> BodyServer:
        return BodyServer(worker_loop.loop, request.param == "threads", log.warn, log.error)

    server = make() if request.param == "inline" else worker_loop.call(make)
    declare_server(server)
    token = bodies_of_request.set(RequestBodies())
    yield server
    bodies_of_request.reset(token)
    declare_server(None)


@pytest.fixture
def foreign() -> Iterator[None]:
    """As under another server."""
    declare_server(None)
    yield
    declare_server(None)


def bodies() -> RequestBodies:
    one = bodies_of_request.get()
    assert one is not None
    return one


# The marker


def test_marker_adds_nothing_and_is_not_skipped() -> None:
    marker = Marker()
    assert marker == b"" and len(marker) == 0 and b"".join([b"a", marker, b"b"]) == b"ab"
    assert marker
    assert list(filter(None, [marker])) == [marker]


def test_marker_survives_what_django_does_and_no_cache() -> None:
    marker = Marker()
    assert bytes(marker) is marker
    for copied in (marker[:], marker + b"", copy.copy(marker), copy.deepcopy(marker), pickle.loads(pickle.dumps(marker))):
        assert type(copied) is bytes


# Under our workers


def test_marker_that_arrives_stands_for_the_whole_body(served: BodyServer, log: Log) -> None:
    pieces = Pieces()
    iterator = iter(AsyncBody(pieces))
    marker = next(iterator)
    assert isinstance(marker, Marker)
    assert marker.stream.claim()
    assert not marker.stream.claim()
    assert list(iterator) == []
    bodies().check(replaced=False)
    assert not log.warnings and not pieces.threads


@pytest.mark.parametrize("take", [list, tuple, b"".join, lambda body: [piece.upper().lower() for piece in body]])
def test_code_that_asks_for_a_second_item_gets_the_data(served: BodyServer, log: Log, take: Callable[[Any], Any]) -> None:
    pieces = Pieces()
    taken = take(AsyncBody(pieces))
    assert (taken if isinstance(taken, bytes) else b"".join(taken)) == b"one two three"
    assert pieces.ended == ["end"]
    assert threading.get_ident() not in pieces.threads
    assert variable.get() == "outside"
    (warning,) = log.warnings
    assert __name__ in warning
    bodies().check(replaced=False)
    assert not log.errors


def test_marker_that_arrives_late_is_void(served: BodyServer) -> None:
    marker, *rest = AsyncBody(Pieces())
    assert isinstance(marker, Marker)
    assert not marker.stream.claim()
    assert b"".join(rest) == b"one two three"


def test_synchronous_iteration_is_logged_once_per_place(served: BodyServer, log: Log) -> None:
    for _ in range(3):
        list(AsyncBody(Pieces()))
    b"".join(AsyncBody(Pieces()))
    assert len(log.warnings) == 2


def test_loop_of_the_worker_serves_threads(worker_loop: LoopThread, log: Log) -> None:
    declare_server(worker_loop.call(lambda: BodyServer(worker_loop.loop, True, log.warn, log.error)))
    try:
        pieces = Pieces()
        list(AsyncBody(pieces))
        assert pieces.threads == {worker_loop.thread.ident}
    finally:
        declare_server(None)


def test_iteration_within_a_running_loop(served: BodyServer) -> None:
    async def joins() -> bytes:
        return b"".join(AsyncBody(Pieces()))

    assert asyncio.run(joins()) == b"one two three"


def test_bodies_side_by_side_are_given_item_by_item(served: BodyServer) -> None:
    first, second = Pieces(), Pieces()
    pairs = list(zip(AsyncBody(first), AsyncBody(second), strict=True))
    assert not any(isinstance(item, Marker) and item.stream.claim() for pair in pairs for item in pair)
    assert pairs[1:] == [(b"one ", b"one "), (b"two ", b"two "), (b"three", b"three")]


def test_bodies_one_after_the_other_are_handed_on(served: BodyServer) -> None:
    for _ in range(2):
        marker = next(iter(AsyncBody(Pieces())))
        assert isinstance(marker, Marker) and marker.stream.claim()


def test_failure_is_raised_where_it_is_iterated(served: BodyServer) -> None:
    pieces = Pieces(ValueError("planned"))
    iterator = iter(AsyncBody(pieces))
    with pytest.raises(ValueError, match="planned"):
        b"".join(iterator)
    assert list(iterator) == []
    assert pieces.ended == ["ValueError"]


def test_close_ends_the_body(served: BodyServer) -> None:
    pieces = Pieces()
    one = AsyncBody(pieces)
    iterator = iter(one)
    assert [next(iterator), next(iterator)] == [b"", b"one "]
    one.close()
    assert pieces.ended == ["GeneratorExit"]
    assert list(iterator) == []
    one.close()


def test_forgotten_iteration_is_closed(served: BodyServer, worker_loop: LoopThread) -> None:
    pieces = Pieces()
    context = contextvars.copy_context()

    def begin() -> None:
        bodies_of_request.set(RequestBodies())
        iterator = iter(AsyncBody(pieces))
        assert [next(iterator), next(iterator)] == [b"", b"one "]

    context.run(begin)
    del context
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "async-body":
            thread.join(10)
    for _ in range(20):  # turns of the loop
        worker_loop.call(lambda: None)
    assert pieces.ended == ["GeneratorExit"]


def test_body_without_iteration_is_closed(served: BodyServer, worker_loop: LoopThread) -> None:
    """As with HEAD in Flask."""
    closed = threading.Event()

    class Upstream:
        def __aiter__(self) -> AsyncIterator[bytes]:
            raise AssertionError("begun")

        async def aclose(self) -> None:
            await asyncio.sleep(0)
            closed.set()

    one = AsyncBody(Upstream())
    one.close()
    assert closed.wait(10)
    one.close()


def test_validator_of_the_standard_library_sees_bytes_only(served: BodyServer, log: Log) -> None:
    from wsgiref.util import setup_testing_defaults
    from wsgiref.validate import validator

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return AsyncBody(Pieces())

    environ: dict[str, Any] = {"QUERY_STRING": "", "SERVER_SOFTWARE": ""}
    setup_testing_defaults(environ)
    iterable = validator(application)(environ, lambda *arguments: lambda data: None)
    assert b"".join(iterable) == b"one two three"
    iterable.close()


def test_thread_outside_of_requests_keeps_few_bodies(served: BodyServer) -> None:
    for _ in range(250):
        b"".join(AsyncBody(three()))
    assert len(bodies()._streams) <= 100


# What is lost


def test_marker_that_was_kept_is_an_error(served: BodyServer) -> None:
    next(iter(AsyncBody(Pieces())))
    with pytest.raises(LostBodyError, match=__name__.rpartition(".")[2]):
        bodies().check(replaced=False)


def test_marker_that_was_kept_and_closed_is_an_error_unless_something_else_was_sent(served: BodyServer) -> None:
    one = AsyncBody(Pieces())
    next(iter(one))
    one.close()
    bodies().check(replaced=True)
    with pytest.raises(LostBodyError):
        bodies().check(replaced=False)


def test_marker_of_a_first_look_is_no_error(served: BodyServer) -> None:
    one = AsyncBody(Pieces())
    next(iter(one))
    assert b"".join(one) == b"one two three"
    bodies().check(replaced=False)


def test_marker_that_vanishes_unseen_is_logged(served: BodyServer, log: Log) -> None:
    contextvars.Context().run(lambda: next(iter(AsyncBody(Pieces()))))
    gc.collect()
    (error,) = log.errors
    assert "is lost" in error and __name__ in error


# Under other servers


def test_other_servers_get_the_data(foreign: None) -> None:
    pieces = Pieces()
    assert list(AsyncBody(pieces)) == [b"one ", b"two ", b"three"]
    assert pieces.ended == ["end"]


def test_other_servers_close_the_body(foreign: None) -> None:
    pieces = Pieces()
    iterator: Any = iter(AsyncBody(pieces))
    assert next(iterator) == b"one "
    iterator.close()
    assert pieces.ended == ["GeneratorExit"]


def test_other_servers_may_forget_the_body(foreign: None) -> None:
    pieces = Pieces()
    iterator = iter(AsyncBody(pieces))
    assert next(iterator) == b"one "
    (thread,) = [one for one in threading.enumerate() if one.name == "async-body"]
    del iterator
    thread.join(10)
    assert pieces.ended == ["GeneratorExit"]


def test_ordinary_iterable_is_refused() -> None:
    with pytest.raises(TypeError, match="asynchronous iterable"):
        AsyncBody([b"data"])  # type: ignore[arg-type]


# In an exchange


def run(application: Callable[..., Any]) -> FakeServer:
    server = FakeServer(application)
    declare_server(server.state.bodies)
    try:
        server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.loop.run_ready()
    finally:
        declare_server(None)
    return server


@pytest.mark.parametrize("length", [None, "0", " 0"])
def test_length_that_was_counted_from_the_marker_is_forgotten(length: str | None) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [] if length is None else [("content-LENGTH", length.strip()), ("X-Other", "0")])
        return iter(AsyncBody(three()))

    sent = run(application).transport.sent
    assert sent.startswith(b"HTTP/1.1 200 ")
    assert b"three" in sent
    assert b"content-length" not in sent.lower()


def test_length_of_the_body_is_kept() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "13")])
        return iter(AsyncBody(three()))

    assert run(application).transport.sent.endswith(b"\r\n\r\none two three")


def test_module_loads_without_asyncio() -> None:
    assert not hasattr(body, "asyncio")
