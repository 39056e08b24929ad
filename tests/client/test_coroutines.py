"""One call in every spelling, on every loop."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

import aiohttp
from aiohttp.coroutines import Call

from .raw_server import RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def fetch(url: str, connector: Any = None) -> Generator[Any, Any, bytes]:
    """A plain generator, in another one."""
    response = yield from aiohttp.request("GET", url, connector=connector)
    body: bytes = yield from response.read()
    response.close()
    return body


def nested(url: str, connector: Any = None) -> Generator[Any, Any, bytes]:
    first = yield from fetch(url, connector)
    second = yield from fetch(url, connector)
    return first + second


marked = aiohttp.coroutine(nested)


@pytest.fixture
def served(run: Any) -> Any:
    def serve(use: Any) -> Any:
        async def main() -> Any:
            async with RawServer(OK, close=False) as server, aiohttp.SocketConnector() as connector:
                return await use(server.url, connector)

        return run(main)

    return serve


async def get(call: Any) -> bytes:
    response = await call
    body: bytes = await response.read()
    return body


def test_spellings(served: Any) -> None:
    async def use(url: str, connector: Any) -> None:
        def call() -> Any:
            return aiohttp.request("GET", url, connector=connector)

        one = call()
        assert isinstance(one, Coroutine)
        assert asyncio.iscoroutine(one)
        one.close()
        assert await get(call()) == b"ok"
        assert await get(asyncio.create_task(call())) == b"ok"
        assert await get(asyncio.ensure_future(call())) == b"ok"
        assert await get(asyncio.wait_for(call(), 5)) == b"ok"
        assert await get(asyncio.shield(call())) == b"ok"
        assert [await response.read() for response in await asyncio.gather(call(), call())] == [b"ok", b"ok"]
        async with asyncio.TaskGroup() as group:
            task = group.create_task(call())
        assert await task.result().read() == b"ok"
        for done in asyncio.as_completed([call(), call()]):
            assert await get(done) == b"ok"
        async with asyncio.timeout(5):
            assert await get(call()) == b"ok"
        async with call() as response:
            assert await response.read() == b"ok"
        async with await call() as response:
            assert await response.read() == b"ok"

    served(use)


def test_generators(served: Any) -> None:
    async def use(url: str, connector: Any) -> None:
        assert await marked(url, connector) == b"okok"
        assert await asyncio.gather(marked(url, connector), marked(url, connector)) == [b"okok", b"okok"]
        assert await asyncio.ensure_future(marked(url, connector)) == b"okok"

        @aiohttp.coroutine
        def stream() -> Generator[Any, Any, list[bytes]]:
            response = yield from aiohttp.request("GET", url, connector=connector)
            content = response.content
            parts = [(yield from content.read(1)), (yield from content.readany()), (yield from content.readline())]
            yield from response.release()
            yield from response.wait_for_close()
            text = yield from response.text()
            assert text == ""
            yield from asyncio.sleep(0)
            return parts

        assert await stream() == [b"o", b"k", b""]

    served(use)


def test_run() -> None:
    async def coroutine() -> int:
        await asyncio.sleep(0)
        return 5

    assert aiohttp.run(coroutine()) == 5

    def generator() -> Generator[Any, Any, int]:
        yield
        return 6

    assert aiohttp.run(generator()) == 6
    assert aiohttp.run(aiohttp.coroutine(generator)()) == 6
    with pytest.raises(TypeError, match="5"):
        aiohttp.run(5)  # type: ignore[arg-type]


def test_run_with_errors() -> None:
    def generator() -> Generator[Any, Any, None]:
        yield from aiohttp.request("GET", "http://127.0.0.1:99999/")

    with pytest.raises(ValueError, match="99999"):
        aiohttp.run(generator())


def test_twice_is_an_error(run: Any) -> None:
    async def main() -> None:
        async def five() -> int:
            return 5

        call = Call(five())
        assert await call == 5
        with pytest.raises(RuntimeError, match="already awaited"):
            await call

    run(main)


def test_forgotten_call_warns() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        aiohttp.request("GET", "http://127.0.0.1/")  # type: ignore[unused-awaitable]
    assert any("never awaited" in str(one.message) for one in caught)


def test_thrown_errors_and_close(run: Any) -> None:
    async def main() -> None:
        async def wait() -> None:
            await asyncio.get_running_loop().create_future()

        call = Call(wait())
        call.send(None)
        with pytest.raises(KeyError):
            call.throw(KeyError("x"))
        call = Call(wait())
        call.send(None)
        call.close()

    run(main)


def test_eager_tasks(run: Any) -> None:
    if not hasattr(asyncio, "eager_task_factory"):
        return

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if type(loop).__module__.startswith("uvloop"):
            return  # on Python 3.13.0 uvloop hands this factory what it does not take
        loop.set_task_factory(asyncio.eager_task_factory)
        async with RawServer(OK) as server:
            assert await get(asyncio.create_task(aiohttp.request("GET", server.url))) == b"ok"

    run(main)
