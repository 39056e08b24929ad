"""The coroutine applications of the workloads: WSGI's two arguments, an ``async def``."""

import asyncio
from collections.abc import Iterable

from wsgi import HELLO, Environ, StartResponse, answer


async def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """13 bytes, with their length."""
    return answer(start_response, HELLO)


async def sleep(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Wait for 10 ms on the loop."""
    await asyncio.sleep(0.01)
    return answer(start_response, HELLO)


async def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the request body as it arrives, answer with its size."""
    read = environ["wsgi.input"].read
    size = 0
    while data := await read(65_536):
        size += len(data)
    return answer(start_response, b"%d" % size)
