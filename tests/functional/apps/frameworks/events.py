"""The asynchronous body that all of them send."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gate
from gate import query
from probe import say


async def events(environ: dict[str, Any]) -> AsyncIterator[bytes]:
    """Two server-sent events with the gate between them."""
    key = query(environ, "key")
    try:
        yield b"data: first\n\n"
        if query(environ, "gate"):
            await gate.pass_through(environ)
        else:
            await asyncio.sleep(0)
        yield b"data: second\n\n"
    finally:
        say(f"events ended {key}")
