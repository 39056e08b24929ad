"""One request and its answer, without sockets: inline, as a task, and in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .fakes import GET, POST, FakeServer

Environ = dict[str, Any]
Start = Callable[..., Any]

HEADERS = [("Content-Type", "text/plain")]
variable = contextvars.ContextVar("variable", default="unset")


class Body:
    """An iterable that knows whether it was closed, in which thread, and in which context."""

    def __init__(self, *pieces: Any, fails: bool = False) -> None:
        self.pieces = list(pieces)
        self.fails = fails
        self.closed = 0
        self.threads: list[int] = []
        self.contexts: list[str] = []

    def note(self) -> None:
        self.threads.append(threading.get_ident())
        self.contexts.append(variable.get())

    def __iter__(self) -> Iterator[Any]:
        for piece in self.pieces:
            self.note()
            yield piece
        if self.fails:
            raise ValueError("half a body")

    def close(self) -> None:
        self.note()
        self.closed += 1


class AsyncPieces:
    """An asynchronous iterable that knows whether it was closed."""

    def __init__(self, *pieces: bytes, waits: bool = False) -> None:
        self.pieces = list(pieces)
        self.waits = waits
        self.closed = 0
        self.ended = False

    async def _iterate(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                yield piece
            if self.waits:
                await asyncio.get_running_loop().create_future()
        finally:
            self.ended = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._iterate()

    def close(self) -> None:
        self.closed += 1


def answering(result: Any) -> Callable[[Environ, Start], Any]:
    """An ordinary application that answers with *result*."""

    def application(environ: Environ, start_response: Start) -> Any:
        variable.set("request")
        start_response("200 OK", HEADERS)
        return result

    return application


def chunks(data: bytes) -> list[bytes]:
    """The chunks of an answer, the last one included, or nothing where it is not complete."""
    _, _, rest = data.partition(b"\r\n\r\n")
    found = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return found


def until(condition: Callable[[], bool], server: FakeServer) -> None:
    """Run the loop until threads have done what is waited for."""
    limit = time.perf_counter() + 10
    while not condition():
        assert time.perf_counter() < limit, server.logged
        server.loop.run_ready()


@pytest.fixture(params=[1, 3], ids=["inline", "threads"])
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., FakeServer]]:
    """serve(application): inline, and in threads; the request is over when it returns."""
    servers: list[FakeServer] = []

    def serving(application: Any, data: bytes = GET % b"a", **settings: Any) -> FakeServer:
        server = FakeServer(application, threads=request.param, **settings)
        servers.append(server)
        if server.state.pool is not None:
            server.state.pool.start()
        server.receive(data)
        until(lambda: bool(server.ended), server)
        return server

    yield serving
    for server in servers:
        if server.state.pool is not None:
            server.state.pool.stop()


Serve = Callable[..., FakeServer]


# What an ordinary application may return


@pytest.mark.parametrize(
    ("result", "body"),
    [([b"a"], b"a"), ((b"a", b"b"), b"ab"), ([], b""), ([b""], b""), ([b"", b"a", b""], b"a")],
)
def test_whole_bodies_have_a_length(serve: Serve, result: Any, body: bytes) -> None:
    sent = serve(answering(result)).take_sent()
    assert b"Content-Length: %d\r\n" % len(body) in sent
    assert sent.endswith(b"\r\n\r\n" + body)


def test_iterables_are_chunked_and_closed_once(serve: Serve) -> None:
    body = Body(b"a", b"", b"bc")
    server = serve(answering(body))
    assert chunks(server.take_sent()) == [b"a", b"bc", b""]
    assert body.closed == 1
    assert len(set(body.threads)) == 1
    assert set(body.contexts) == {"request"}
    assert variable.get() == "unset"


@pytest.mark.parametrize("item", ["text", 1, bytearray(b"a"), memoryview(b"a"), [b"a"], {}])
def test_items_that_are_no_bytes(serve: Serve, item: Any) -> None:
    body = Body(item)
    server = serve(answering(body))
    assert server.status_codes() == [500]
    assert body.closed == 1
    assert [line for line in server.logged if line.startswith("ERROR") and "expected bytes" in line]


@pytest.mark.parametrize("result", [b"bytes", "text", None, 5])
def test_results_that_are_no_iterable_of_bytes(serve: Serve, result: Any) -> None:
    server = serve(answering(result))
    assert server.status_codes() == [500]


def test_an_iterable_that_fails_is_cut(serve: Serve) -> None:
    body = Body(b"a", fails=True)
    server = serve(answering(body))
    assert chunks(server.take_sent()) == [b"a"]  # and not the last
    assert server.transport.is_closing()
    assert body.closed == 1
    assert "half a body" in server.logged[-1]


def test_an_iterable_that_fails_at_once_is_a_500(serve: Serve) -> None:
    body = Body(fails=True)
    server = serve(answering(body))
    assert server.status_codes() == [500]
    assert body.closed == 1


def test_close_that_fails_is_logged(serve: Serve) -> None:
    class Closing(Body):
        def close(self) -> None:
            super().close()
            raise ValueError("not closed")

    body = Closing(b"a")
    server = serve(answering(body))
    assert chunks(server.take_sent()) == [b"a", b""]
    assert body.closed == 1
    assert "not closed" in server.logged[-1]


def test_a_body_that_is_shorter_than_it_says(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [("Content-Length", "10")])
        return Body(b"abc")

    server = serve(application)
    assert server.take_sent().endswith(b"\r\n\r\nabc")
    assert server.transport.is_closing()
    assert [line for line in server.logged if "7 bytes shorter" in line]


def test_a_body_that_is_longer_than_it_says(serve: Serve) -> None:
    body = Body(b"abc", b"def", b"ghi")

    def application(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [("Content-Length", "4")])
        return body

    server = serve(application)
    assert server.take_sent().endswith(b"\r\n\r\nabcd")
    assert body.closed == 1
    assert not server.transport.is_closing()


def test_start_response_at_the_first_item(serve: Serve) -> None:
    class Late(Body):
        def __init__(self, environ: Environ, start_response: Start) -> None:
            super().__init__(b"a")
            self.start_response = start_response

        def __iter__(self) -> Iterator[bytes]:
            self.start_response("404 Not Found", HEADERS)
            yield from super().__iter__()

    assert serve(Late).status_codes() == [404]


def test_no_start_response(serve: Serve) -> None:
    server = serve(lambda environ, start_response: [b"a"])
    assert server.status_codes() == [500]
    assert "start_response" in server.logged[-1]


def test_an_error_page_by_exc_info(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", HEADERS)
        try:
            raise ValueError("in the middle")
        except ValueError:
            start_response("503 Service Unavailable", HEADERS, sys.exc_info())
        return [b"sorry"]

    assert serve(application).status_codes() == [503]


def test_write(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", HEADERS)
        write(b"a")
        write(b"")
        write(b"b")
        return [b"c"]

    assert chunks(serve(application).take_sent()) == [b"a", b"b", b"c", b""]


def test_head_has_no_body(serve: Serve) -> None:
    body = Body(b"abc")
    server = serve(answering(body), b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert server.take_sent().endswith(b"\r\n\r\n")
    assert body.closed == 1


def test_a_body_that_is_read(serve: Serve) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", HEADERS)
        return [environ["wsgi.input"].read()]

    assert serve(application, POST % (b"a", 3) + b"abc").take_sent().endswith(b"abc")


def test_exits_of_the_application_are_errors(serve: Serve) -> None:
    """Only the exit that a signal asked for ends the worker."""

    def application(environ: Environ, start_response: Start) -> Any:
        raise SystemExit(5)

    assert serve(application).status_codes() == [500]


def test_a_context_for_each_request(serve: Serve) -> None:
    seen: list[str] = []

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        seen.append(variable.get())
        variable.set("request")
        start_response("200 OK", HEADERS)
        return [b"a"]

    server = serve(application)
    server.receive(GET % b"b")
    until(lambda: len(server.ended) == 2, server)
    assert seen == ["unset", "unset"]


def test_the_loop_is_hidden(serve: Serve) -> None:
    seen: list[bool] = []

    class Looking(Body):
        def note(self) -> None:
            seen.append(asyncio._get_running_loop() is None)

    def application(environ: Environ, start_response: Start) -> Any:
        seen.append(asyncio._get_running_loop() is None)
        start_response("200 OK", HEADERS)
        return Looking(b"a", b"b")

    serve(application)
    assert seen == [True] * 4


def test_a_file_is_read_where_the_kernel_cannot_send_it(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 30_000)
    files = []

    def application(environ: Environ, start_response: Start) -> Any:
        from aiohttp_worker.wsgi.file_wrapper import FileWrapper

        files.append(path.open("rb"))
        start_response("200 OK", HEADERS)
        return FileWrapper(files[-1])

    server = serve(application)
    sent = server.take_sent()
    assert b"Content-Length: 300000\r\n" in sent
    assert sent.partition(b"\r\n\r\n")[2] == path.read_bytes()
    assert files[0].closed


# Whoever returns something asynchronous


@pytest.mark.parametrize("threads", [1, 3], ids=["inline", "threads"])
@pytest.mark.parametrize("how", ["awaitable", "async-iterable", "item"])
def test_asynchronous_results(how: str, threads: int) -> None:
    pieces = AsyncPieces(b"a", b"b")

    async def later(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    def application(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", HEADERS)
        if how == "awaitable":
            return later([b"a", b"b"])
        if how == "async-iterable":
            return pieces
        return iter([later(b"a"), b"b"])

    server = FakeServer(application, threads=threads)
    if server.state.pool is not None:
        server.state.pool.start()
    server.receive(GET % b"a")
    until(lambda: bool(server.ended), server)
    sent = server.take_sent()
    assert b"".join(chunks(sent)) == b"ab" if b"chunked" in sent else sent.endswith(b"\r\n\r\nab")
    if how == "async-iterable":
        assert (pieces.closed, pieces.ended) == (1, True)
    if server.state.pool is not None:
        server.state.pool.stop()


def test_a_coroutine_of_a_thread_writes_without_stopping_the_loop() -> None:
    """In a task nothing may block: the loop would wait for what only the loop sends."""

    def application(environ: Environ, start_response: Start) -> Any:
        write = start_response("200 OK", HEADERS)

        async def later() -> None:
            for _ in range(4):
                await write(bytes(100_000))

        return later()

    server = FakeServer(application, threads=2)
    assert server.state.pool is not None
    server.state.pool.start()
    server.transport.stuck = True
    server.receive(GET % b"a")
    until(lambda: server.connection.write_queue.paused, server)
    assert len(server.transport.waiting) < 200_000
    server.transport.take_all()
    until(lambda: bool(server.ended), server)
    assert b"".join(chunks(server.take_sent())) == bytes(400_000)
    server.state.pool.stop()


# Coroutine applications


def run_coroutine(application: Any, data: bytes = GET % b"a", **settings: Any) -> FakeServer:
    server = FakeServer(application, **settings)
    server.receive(data)
    return server


def test_a_coroutine() -> None:
    async def application(environ: Environ, start_response: Start) -> list[bytes]:
        assert asyncio.get_running_loop()
        await asyncio.sleep(0)
        start_response("200 OK", HEADERS)
        return [b"a"]

    server = run_coroutine(application)
    assert server.take_sent().endswith(b"\r\n\r\na")
    assert len(server.ended) == 1


def test_a_coroutine_reads_what_comes() -> None:
    async def application(environ: Environ, start_response: Start) -> list[bytes]:
        first = await environ["wsgi.input"].read(100)
        rest = await environ["wsgi.input"].read()
        start_response("200 OK", HEADERS)
        return [first, b"|", rest]

    server = run_coroutine(application, POST % (b"a", 6) + b"abc")
    assert server.take_sent() == b""
    server.receive(b"def")
    assert server.take_sent().endswith(b"\r\n\r\nabc|def")


def test_a_coroutine_that_writes_all() -> None:
    async def application(environ: Environ, start_response: Start) -> None:
        start_response("200 OK", HEADERS)(b"a")

    assert chunks(run_coroutine(application).take_sent()) == [b"a", b""]


def test_a_coroutine_that_fails() -> None:
    async def application(environ: Environ, start_response: Start) -> list[bytes]:
        await asyncio.sleep(0)
        raise ValueError("no luck")

    server = run_coroutine(application)
    assert server.status_codes() == [500]
    assert "no luck" in server.logged[-1]


def test_a_coroutine_that_returns_an_ordinary_iterable() -> None:
    """It is stepped where the loop is hidden."""
    seen: list[bool] = []

    class Looking(Body):
        def note(self) -> None:
            seen.append(asyncio._get_running_loop() is None)

    body = Looking(b"a", b"b")

    async def application(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", HEADERS)
        return body

    server = run_coroutine(application)
    assert chunks(server.take_sent()) == [b"a", b"b", b""]
    assert seen == [True] * 3
    assert body.closed == 1


@pytest.mark.parametrize("grace", [0, 3])
def test_a_client_that_leaves_cancels_the_coroutine(grace: int) -> None:
    ended: list[str] = []

    async def application(environ: Environ, start_response: Start) -> list[bytes]:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return []

    from aiohttp_worker.server.settings import TimeLimits

    server = run_coroutine(application, times=TimeLimits(disconnect_grace=grace))
    server.lose()
    assert ended == ([] if grace else ["cancelled"])
    server.loop.fire_timers()
    assert ended == ["cancelled"]
    assert server.take_sent() == b""
    assert not [line for line in server.logged if line.startswith("ERROR")]


def test_a_client_that_leaves_ends_an_asynchronous_body() -> None:
    pieces = AsyncPieces(b"a", waits=True)

    async def application(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", HEADERS)
        return pieces

    from aiohttp_worker.server.settings import TimeLimits

    server = run_coroutine(application, times=TimeLimits(disconnect_grace=0))
    assert chunks(server.take_sent()) == [b"a"]
    server.lose()
    assert (pieces.closed, pieces.ended) == (1, True)


def test_a_client_that_leaves_ends_an_iterable() -> None:
    body = Body(*[bytes(50_000)] * 10)
    server = FakeServer(answering(body))
    server.transport.stuck = True
    server.receive(GET % b"a")
    assert not server.ended
    server.lose()
    assert body.closed == 1
    assert len(body.threads) < 10
    assert len(server.ended) == 1


def test_a_body_that_waits_for_its_client() -> None:
    """No more is asked for than the client reads."""
    pieces = AsyncPieces(*[bytes(50_000)] * 10)

    async def application(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", HEADERS)
        return pieces

    server = FakeServer(application)
    server.transport.stuck = True
    server.receive(GET % b"a")
    assert len(server.transport.waiting) < 200_000
    for _ in range(20):
        server.transport.take_all()
        server.transport.stuck = True
        server.loop.run_ready()
    server.transport.take_all()
    assert b"".join(chunks(server.take_sent())) == bytes(500_000)


# Hooks


def test_hooks_run_once_and_see_no_loop() -> None:
    seen: list[tuple[str, bool]] = []
    server = FakeServer(answering([b"a"]))
    server.state.pre_request = lambda exchange: seen.append(("pre", asyncio._get_running_loop() is None))
    server.state.post_request = lambda exchange: seen.append(("post", asyncio._get_running_loop() is None))
    server.receive(GET % b"a")
    assert seen == [("pre", True), ("post", True)]


def test_a_hook_that_fails_after_the_answer() -> None:
    def fail(exchange: Any) -> None:
        raise ValueError("hook")

    server = FakeServer(answering([b"a"]))
    server.state.post_request = fail
    server.receive(GET % b"a" + GET % b"b")
    assert server.status_codes() == [200, 200]
    assert len([line for line in server.logged if "hook" in line]) == 2


def test_a_hook_that_fails_before_the_call() -> None:
    def fail(exchange: Any) -> None:
        raise ValueError("hook")

    server = FakeServer(answering([b"a"]))
    server.state.pre_request = fail
    server.receive(GET % b"a")
    assert server.status_codes() == [500]


def test_write_after_the_end_is_refused(serve: Serve) -> None:
    """Its bytes would be taken for a part of the next answer."""
    writes: list[Callable[[bytes], Any]] = []
    errors: list[str] = []

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        for write in writes:
            try:
                write(b"late")
            except RuntimeError as error:
                errors.append(str(error))
        writes.append(start_response("200 OK", HEADERS))
        return [b"a"]

    server = serve(application)
    server.receive(GET % b"b")
    until(lambda: len(server.ended) == 2, server)
    sent = server.take_sent()
    assert b"late" not in sent
    assert sent.count(b"HTTP/1.1 200") == 2
    assert errors == ["write() was called after the response had ended"]
