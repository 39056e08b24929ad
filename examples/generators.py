"""The same request in the spelling of 2014, and several at once: ``python generators.py URL``."""

import asyncio
import sys
from collections.abc import Generator
from typing import Any

import aiohttp


def fetch(url: str, connector: aiohttp.SocketConnector) -> Generator[Any, Any, int]:
    """A plain generator: other generators say ``yield from`` to it."""
    response = yield from aiohttp.request("GET", url, connector=connector)
    body = yield from response.read_and_close()
    return len(body)


@aiohttp.coroutine
def fetch_slowly(url: str, connector: aiohttp.SocketConnector) -> Generator[Any, Any, int]:
    """A marked one: it can also be awaited, gathered, and use asyncio's own coroutines."""
    yield from asyncio.sleep(0.01)
    return (yield from fetch(url, connector))


def main(url: str) -> Generator[Any, Any, None]:
    with aiohttp.SocketConnector() as connector:
        size = yield from fetch(url, connector)
        print("one:", size)
        sizes = yield from asyncio.gather(*[fetch_slowly(url, connector) for _ in range(5)])
        print("five:", sizes)


if __name__ == "__main__":
    aiohttp.run(main(sys.argv[1]))
