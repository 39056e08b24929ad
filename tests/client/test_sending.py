"""Bodies that fail while they are sent: the caller hears of it, whatever kind of error it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import aiohttp

from .raw_server import Peer, RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"


class Unreadable:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int) -> bytes:
        raise self._error


def broken(error: BaseException) -> Iterator[bytes]:
    yield b"x"
    raise error


@pytest.mark.parametrize("how", ["data", "length", "files", "compress", "1.0"])
def test_a_body_that_comes_from_a_response(run: Any, how: str) -> None:
    """One that is cut, or was given back, is no shorter body, and nobody waits for an answer to it."""

    async def main() -> None:
        async with RawServer(OK) as server, RawServer(CUT) as source, aiohttp.SocketConnector(limit=1) as connector:
            for released in (False, True):
                response = await aiohttp.request("GET", source.url)
                if released:
                    response.release()
                options: dict[str, Any] = {"files": {"f": response.content}} if how == "files" else {"data": response.content}
                if how == "length":
                    options["headers"] = {"Content-Length": "9"}
                elif how == "compress":
                    options["compress"] = True
                elif how == "1.0":
                    options["version"] = "1.0"
                kind = aiohttp.ClientConnectionError if released else aiohttp.IncompleteRead
                with pytest.raises(kind, match=f"GET {source.url}"):
                    await aiohttp.request("POST", server.url, connector=connector, **options)
                assert connector._pool.in_use == 0
            assert server.bodies == []

    run(main)


@pytest.mark.parametrize("error", [ConnectionResetError("mine"), BrokenPipeError("mine"), OSError("mine"), EOFError("mine")])
def test_errors_of_the_body(run: Any, error: Exception) -> None:
    async def main() -> None:
        async with RawServer(OK) as server, aiohttp.SocketConnector(limit=1) as connector:
            for data in (broken(error), Unreadable(error)):
                with pytest.raises(type(error), match="mine"):
                    await aiohttp.request("POST", server.url, data=data, connector=connector)
                assert connector._pool.in_use == 0

    run(main)


@pytest.mark.parametrize("kind", ["generator", "awaitable"])
def test_a_body_that_is_cancelled(run: Any, kind: str) -> None:
    """What it waits for was cancelled, and not the request."""

    async def main() -> None:
        async with RawServer(OK) as server, aiohttp.SocketConnector(limit=1) as connector:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            data = broken(asyncio.CancelledError()) if kind == "generator" else future
            with pytest.raises(aiohttp.ClientConnectionError, match="the body was cancelled while it was sent"):
                await aiohttp.request("POST", server.url, data=data, connector=connector)
            assert connector._pool.in_use == 0

    run(main)


def test_an_answer_before_the_body_fails(run: Any) -> None:
    """The server's word counts, which came first."""

    async def main() -> None:
        answered = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            await peer.send(OK.replace(b"200 OK", b"413 Too Large"))
            await peer.reader.read()

        async def slow() -> Any:
            yield b"x"
            await answered.wait()
            raise ConnectionResetError("mine")

        async with RawServer(script) as server:
            async with aiohttp.request("POST", server.url, data=slow()) as response:
                assert response.status == 413
                answered.set()
                assert await response.read() == b"ok"

    run(main)
