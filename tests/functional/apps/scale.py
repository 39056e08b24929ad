"""Many clients at once: an ordinary function, of which some answers are asynchronous."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from probe import PLAIN, Environ, StartResponse, say

subscribers: set[asyncio.Queue[bytes]] = set()


async def events() -> AsyncIterator[bytes]:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    subscribers.add(queue)
    try:
        yield b"data: welcome\n\n"
        while True:
            yield await queue.get()
    finally:
        subscribers.remove(queue)
        say("events ended")


async def publish(start_response: StartResponse) -> list[bytes]:
    for queue in subscribers:
        queue.put_nowait(b"data: news\n\n")
    start_response("200 OK", PLAIN)
    return [b"%d" % len(subscribers)]


def application(environ: Environ, start_response: StartResponse) -> Any:
    match environ["PATH_INFO"]:
        case "/events":
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return events()
        case "/publish":
            return publish(start_response)
    start_response("200 OK", PLAIN)
    return [b"Hello, world!\n"]
