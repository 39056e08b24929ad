"""The same applications as in ``coroutine.py``, for ASGI servers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HELLO = b"Hello, world!"


async def answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """13 bytes, with their length."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await answer(send, HELLO)


async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
    """Wait for 10 ms on the loop."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await asyncio.sleep(0.01)
    await answer(send, HELLO)


async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the request body as it arrives, answer with its size."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    size = 0
    while True:
        event = await receive()
        size += len(event.get("body", b""))
        if not event.get("more_body"):
            break
    await answer(send, b"%d" % size)
