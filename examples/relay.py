"""A WSGI application that asks another server, without waiting for it: two spellings of one thing.

``UPSTREAM=http://127.0.0.1:8000/ gunicorn -k aiohttp.worker.AsyncGunicornWorker relay:application``
"""

import os
from collections.abc import AsyncIterator, Generator
from typing import Any

import aiohttp

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:8000/")
connector = aiohttp.SocketConnector()  # one for the process; it may be made before there is an event loop


def native(text: str) -> str:
    """Text of a header as WSGI has it, each octet a character (PEP 3333); the client reads it as UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


async def application(environ: dict[str, Any], start_response: Any) -> AsyncIterator[bytes]:
    """Hand the response on as it comes."""
    response = await aiohttp.request("GET", UPSTREAM, connector=connector, timeout=10)
    start_response(native(f"{response.status} {response.reason}"), [("Content-Type", native(response.content_type))])
    return response.content.iter_any()


def generator_application(environ: dict[str, Any], start_response: Any) -> Generator[Any, Any, list[bytes]]:
    """Hand it on when it is complete."""
    response = yield from aiohttp.request("GET", UPSTREAM, connector=connector, timeout=10)
    body = yield from response.read_and_close()
    start_response(native(f"{response.status} {response.reason}"), [("Content-Type", native(response.content_type))])
    return [body]
