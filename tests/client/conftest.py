"""The loops that everything is tried on, and a server that says exactly what a test wants."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

import aiohttp
from tests.loops import LOOPS, new_loop

from .raw_server import RawServer

Run = Callable[..., Any]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a coroutine function on each of the loops, on asyncio's in debug mode; what the loop complains about is an error."""
    complaints: list[dict[str, Any]] = []
    # In debug mode each future keeps the stack that made it, which costs more than the tests themselves: one frame is enough.
    monkeypatch.setattr(sys, "tracebacklimit", 1, raising=False)

    def run_it(main: Callable[[], Coroutine[Any, Any, Any]], *, debug: bool = request.param == "asyncio") -> Any:
        async def guarded() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            async with asyncio.timeout(30):
                return await main()

        with asyncio.Runner(debug=debug, loop_factory=lambda: new_loop(request.param)) as runner:
            return runner.run(guarded())

    yield run_it
    gc.collect(1)
    assert not complaints


@pytest.fixture
def ask(run: Run) -> Callable[..., Any]:
    """One request to a raw server that gives the bytes of ``reply``; returns what ``use(response)`` does, and the server."""

    def ask_it(
        reply: bytes | list[bytes],
        use: Callable[[aiohttp.ClientResponse], Awaitable[Any]],
        method: str = "GET",
        path: str = "/",
        **options: Any,
    ) -> tuple[Any, RawServer]:
        async def main() -> tuple[Any, RawServer]:
            async with RawServer(reply) as server:
                async with aiohttp.request(method, server.url + path, **options) as response:
                    return await use(response), server

        return run(main)

    return ask_it
