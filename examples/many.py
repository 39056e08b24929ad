"""A hundred requests over at most ten connections, failures counted: ``python many.py URL``."""

import asyncio
import collections
import sys
import time

import aiohttp


async def ask(url: str, connector: aiohttp.SocketConnector, results: collections.Counter[str]) -> None:
    try:
        async with aiohttp.request("GET", url, connector=connector, timeout=10) as response:
            await response.read()
            results[str(response.status)] += 1
    except (aiohttp.ConnectionError, aiohttp.HttpException, aiohttp.TimeoutError) as error:
        results[type(error).__name__] += 1


async def main(url: str) -> None:
    results: collections.Counter[str] = collections.Counter()
    started = time.perf_counter()
    async with aiohttp.SocketConnector(limit=10) as connector, asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(ask(url, connector, results))
    print(dict(results), f"{time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
