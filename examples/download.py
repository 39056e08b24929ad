"""Save a body of any size with constant memory: ``python download.py URL FILE``."""

import asyncio
import sys
from pathlib import Path

import aiohttp


async def main(url: str, path: Path) -> None:
    timeout = aiohttp.Timeout(connect=10, read=30)  # however long it takes as a whole, as long as something comes
    async with aiohttp.request("GET", url, timeout=timeout) as response:
        response.raise_for_status()
        size = 0
        with path.open("wb") as file:
            async for piece in response.content.iter_any():
                file.write(piece)
                size += len(piece)
    print(f"{size} bytes in {path}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
