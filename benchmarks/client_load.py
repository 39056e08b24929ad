"""One client under one load; prints what it did as JSON. Runs with this package's aiohttp and with the one on PyPI.

``python -P client_load.py PORT SCENARIO SECONDS LOOP``
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

PORT, SCENARIO, SECONDS, LOOP = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
BASE = f"http://127.0.0.1:{PORT}"
OURS = not hasattr(aiohttp, "ClientSession")
MEGABYTE = bytes(1_000_000)

Once = Callable[[], Awaitable[None]]


def ours() -> dict[str, Callable[[Any], Once]]:
    """The scenarios with the connector as the session."""

    def small(session: Any) -> Once:
        async def once() -> None:
            response = await aiohttp.request("GET", f"{BASE}/small", connector=session)
            assert len(await response.read()) == 100

        return once

    def stream(session: Any) -> Once:
        async def once() -> None:
            got = 0
            response = await aiohttp.request("GET", f"{BASE}/stream", connector=session)
            while piece := await response.content.readany():
                got += len(piece)
            assert got == 10_000_000

        return once

    def post(session: Any) -> Once:
        async def once() -> None:
            response = await aiohttp.request("POST", f"{BASE}/small", data=MEGABYTE, connector=session)
            assert len(await response.read()) == 100

        return once

    def get_json(session: Any) -> Once:
        async def once() -> None:
            response = await aiohttp.request("GET", f"{BASE}/json", connector=session)
            assert len(await response.json()) == 950

        return once

    def new(session: Any) -> Once:
        async def once() -> None:
            response = await aiohttp.request("GET", f"{BASE}/small")
            assert len(await response.read()) == 100

        return once

    return {"sequential": small, "concurrent": small, "stream": stream, "post": post, "json": get_json, "new": new}


def theirs() -> dict[str, Callable[[Any], Once]]:
    """The same with a ClientSession."""

    def small(session: Any) -> Once:
        async def once() -> None:
            async with session.get(f"{BASE}/small") as response:
                assert len(await response.read()) == 100

        return once

    def stream(session: Any) -> Once:
        async def once() -> None:
            got = 0
            async with session.get(f"{BASE}/stream") as response:
                while piece := await response.content.readany():
                    got += len(piece)
            assert got == 10_000_000

        return once

    def post(session: Any) -> Once:
        async def once() -> None:
            async with session.post(f"{BASE}/small", data=MEGABYTE) as response:
                assert len(await response.read()) == 100

        return once

    def get_json(session: Any) -> Once:
        async def once() -> None:
            async with session.get(f"{BASE}/json") as response:
                assert len(await response.json()) == 950

        return once

    def new(session: Any) -> Once:
        async def once() -> None:
            async with session.get(f"{BASE}/small", headers={"Connection": "close"}) as response:
                assert len(await response.read()) == 100

        return once

    return {"sequential": small, "concurrent": small, "stream": stream, "post": post, "json": get_json, "new": new}


async def load(once: Once, workers: int, seconds: float) -> int:
    """Ask again and again, this many at a time; the number of requests."""
    count = 0
    end = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await once()
            count += 1

    await asyncio.gather(*[work() for _ in range(workers)])
    return count


def cpu() -> float:
    """Seconds of processor time so far, the system's part included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main() -> None:
    """Warm up, measure, print."""
    session: Any = aiohttp.SocketConnector(limit=100) if OURS else aiohttp.ClientSession()  # type: ignore[attr-defined]
    async with session:
        once = (ours() if OURS else theirs())[SCENARIO](session)
        workers = 50 if SCENARIO == "concurrent" else 1
        await load(once, workers, SECONDS / 8)
        before, started = cpu(), time.perf_counter()
        count = await load(once, workers, SECONDS)
        used, took = cpu() - before, time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rate": count / took, "cpu": used / count, "peak": peak}))


if __name__ == "__main__":
    if LOOP == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
