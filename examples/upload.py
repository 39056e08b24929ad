"""Send a file as it is, in a form, and something that is made while it is sent: ``python upload.py URL FILE``."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp


async def numbers() -> AsyncIterator[bytes]:
    for number in range(10):
        yield f"{number}\n".encode()
        await asyncio.sleep(0.01)


async def main(url: str, path: Path) -> None:
    async with aiohttp.SocketConnector() as connector:
        with path.open("rb") as file:
            async with aiohttp.request("PUT", url, data=file, connector=connector) as response:
                print("as it is:", response.status)
        with path.open("rb") as file:
            async with aiohttp.request("POST", url, data={"kind": "test"}, files={"file": file}, connector=connector) as response:
                print("in a form:", response.status)
        async with aiohttp.request("POST", url, data=numbers(), compress="gzip", connector=connector) as response:
            print("as it is made:", response.status)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
