"""Applications of every kind, called in memory as the worker calls them."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.testing import InMemoryServer, Response, call
from aiohttp_worker.wsgi.async_body import AsyncBody

Environ = dict[str, Any]
TEXT = [("Content-Type", "text/plain")]
POST = {"REQUEST_METHOD": "POST"}


def ordinary(environ: Environ, start_response: Any) -> list[bytes]:
    assert asyncio._get_running_loop() is None
    start_response("200 OK", TEXT)
    return [environ["wsgi.input"].read()]


async def coroutine(environ: Environ, start_response: Any) -> list[bytes]:
    data = await environ["wsgi.input"].read()
    start_response("200 OK", TEXT)
    return [data]


def generator(environ: Environ, start_response: Any) -> Any:
    data = yield from environ["wsgi.input"].read()
    start_response("200 OK", TEXT)
    return [data]


def stepped(environ: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield environ["wsgi.input"].read(2)
    yield environ["wsgi.input"].read()


@pytest.mark.parametrize("application", [ordinary, coroutine, generator, stepped])
@pytest.mark.parametrize("body", [b"a body", [b"a ", b"body"]], ids=["whole", "pieces"])
def test_every_kind(application: Any, body: Any) -> None:
    response = call(application, POST, body)
    assert (response.status, response.status_code, response.body) == ("200 OK", 200, b"a body")
    assert response.header("content-type") == "text/plain"
    assert response.header("X-None") is None
    assert response.text == "a body"


def test_without_a_stream() -> None:
    async def application(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)
        return [environ["wsgi.input"].read()]

    assert call(application, POST, [b"a ", b"body"], stream=False).body == b"a body"


def test_environ_is_the_callers_and_the_servers() -> None:
    seen: Environ = {}

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    environ = {
        "SCRIPT_NAME": "/a",
        "PATH_INFO": "/b",
        "QUERY_STRING": "c=d",
        "REMOTE_USER": "me",
        "HTTP_X_A": "1",
        "wsgi.version": 7,
    }
    response = call(application, environ)
    assert (response.status, response.body) == ("204 No Content", b"")
    assert seen["SCRIPT_NAME"] + seen["PATH_INFO"] == "/a/b"
    assert seen["RAW_URI"] == "/a/b?c=d"
    assert (seen["REMOTE_USER"], seen["HTTP_X_A"], seen["wsgi.version"]) == ("me", "1", (1, 0))


class Events:
    """An endless asynchronous body, and what it has done."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.given = 0
        self.closed = False

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self.given += 1
                yield b"%d" % self.given
                await asyncio.sleep(self.delay)
        finally:
            self.closed = True

    def application(self, environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return self.pieces()


@pytest.mark.parametrize("delay", [0, 0.001, 3600], ids=["at once", "soon", "never"])
def test_client_that_leaves(delay: float) -> None:
    events = Events(delay)
    with call(events.application) as response:
        assert next(response) == b"1"
        if delay < 1:
            assert next(response) == b"2"
        assert events.given <= 3
        assert not events.closed
    assert events.closed


def test_client_that_leaves_an_ordinary_body() -> None:
    closed = []

    def application(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        try:
            while True:
                yield b"a piece"
        finally:
            closed.append(True)

    with call(application) as response:
        assert next(response) == b"a piece"
    assert closed == [True]


def test_each_piece_of_an_upload_is_answered_before_the_next_is_given() -> None:
    log: list[str] = []

    async def application(environ: Environ, start_response: Any) -> list[bytes]:
        while data := await environ["wsgi.input"].readany():
            log.append(f"read {data.decode()}")
        start_response("200 OK", TEXT)
        return [b"done"]

    def body() -> Iterator[bytes]:
        for number in range(3):
            log.append(f"gave {number}")
            yield b"%d" % number

    assert call(application, POST, body()).body == b"done"
    assert log == ["gave 0", "read 0", "gave 1", "read 1", "gave 2", "read 2"]


def test_a_long_upload_waits_for_its_reader() -> None:
    async def application(environ: Environ, start_response: Any) -> list[bytes]:
        await asyncio.sleep(0.01)
        size = 0
        while data := await environ["wsgi.input"].read(1000):
            size += len(data)
        start_response("200 OK", TEXT)
        return [b"%d" % size]

    assert call(application, POST, [b"x" * 50_000] * 20).body == b"1000000"


def test_client_that_leaves_while_it_sends() -> None:
    errors: list[BaseException] = []

    async def application(environ: Environ, start_response: Any) -> list[bytes]:
        try:
            return [await environ["wsgi.input"].read()]
        except Exception as error:
            errors.append(error)
            raise

    def body() -> Iterator[bytes]:
        yield b"a piece"
        raise ConnectionResetError("left")

    with pytest.raises(ConnectionResetError, match="left"):
        call(application, POST, body())
    assert [type(error) for error in errors] == [IncompleteBodyError]


def test_an_answer_before_the_body_is_read() -> None:
    async def application(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("413 Content Too Large", TEXT)
        return [b"no"]

    response = call(application, POST, [b"x" * 100_000] * 30)
    assert (response.status_code, response.body) == (413, b"no")


def fails(environ: Environ, start_response: Any) -> list[bytes]:
    raise KeyError("why")


async def fails_later(environ: Environ, start_response: Any) -> list[bytes]:
    await asyncio.sleep(0)
    raise KeyError("why")


@pytest.mark.parametrize("application", [fails, fails_later])
def test_failure(application: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError, match="why"):
        call(application)
    assert not caplog.records
    assert call(application, raise_errors=False).status_code == 500
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_failure_in_the_middle() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a piece"
        raise KeyError("why")

    def application(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return pieces()

    response = call(application)
    assert next(response) == b"a piece"
    with pytest.raises(KeyError, match="why"):
        next(response)
    cut = call(application, raise_errors=False)
    assert next(cut) == b"a piece"
    with pytest.raises(Exception, match="the connection ended inside a response"):
        next(cut)


def test_failure_of_close() -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a piece"])

        def close(self) -> None:
            raise KeyError("why")

    def application(environ: Environ, start_response: Any) -> Body:
        start_response("200 OK", TEXT)
        return Body()

    with pytest.raises(KeyError, match="why"):
        call(application)


def test_silence() -> None:
    ended = []

    async def application(environ: Environ, start_response: Any) -> list[bytes]:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)
        return []

    with pytest.raises(TimeoutError, match=r"neither gone on nor ended for 0\.01 s"):
        call(application, timeout=0.01)
    assert ended == [True]


def test_error_of_the_test_wins_over_that_of_the_application() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"a piece"
            await asyncio.sleep(3600)
        finally:
            raise KeyError("the application's")

    def application(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return pieces()

    with pytest.raises(ValueError, match="the test's"):
        with call(application) as response:
            next(response)
            raise ValueError("the test's")


def test_what_the_server_refuses() -> None:
    assert call(ordinary, {"HTTP_X_A": "a\x00b"}).status_code == 400


def test_on_a_running_loop() -> None:
    async def test() -> None:
        with pytest.raises(RuntimeError, match="an event loop runs in this thread"):
            call(ordinary)

    asyncio.run(test())


def test_one_server_for_several_requests() -> None:
    loops = []

    async def application(environ: Environ, start_response: Any) -> list[bytes]:
        loops.append(asyncio.get_running_loop())
        start_response("200 OK", TEXT)
        return [environ["PATH_INFO"].encode()]

    with InMemoryServer(application) as server:
        assert [server.request({"PATH_INFO": path}).body for path in ("/a", "/b")] == [b"/a", b"/b"]
    assert loops[0] is loops[1]
    assert loops[0].is_closed()
    with pytest.raises(RuntimeError, match="the server in memory is closed"):
        server.request({})


def test_a_server_that_nobody_closes() -> None:
    server = InMemoryServer(ordinary)
    loop = server.loop
    assert server.request({}).status_code == 200
    del server
    gc.collect()
    assert loop.is_closed()


def test_asynchronous_body_in_an_ordinary_application() -> None:
    """It is sent as it comes here, and iterated by itself where no server is."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    def application(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return AsyncBody(pieces())

    assert list(call(application)) == [b"a", b"b"]
    assert list(application({}, lambda *arguments: None)) == [b"a", b"b"]


def test_as_a_wsgi_application() -> None:
    started: list[Any] = []
    events = Events(0)
    response = InMemoryServer(events.application)({"PATH_INFO": "/"}, lambda *arguments: started.append(arguments))
    assert isinstance(response, Response)
    ((status, headers),) = started
    assert status == "200 OK"
    assert {name for name, _ in headers} == {"Server", "Date", "Content-Type"}
    assert next(iter(response)) == b"1"
    response.close()
    response.close()
    assert events.closed
    assert list(response) == []
