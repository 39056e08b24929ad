"""Ask for a page and show what came: ``python get.py URL``."""

import asyncio
import sys

import aiohttp


async def main(url: str) -> None:
    async with aiohttp.request("GET", url, timeout=10) as response:
        print(response.status, response.reason, response.url)
        for name, value in response.items():
            print(f"{name}: {value}")
        print()
        print(await response.text())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
