"""Application of the soak test: short and long answers, bodies, streams, errors."""

import ctypes
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

Environ = dict[str, Any]
PIECE = bytes(16384)


def application(environ: Environ, start_response: Any) -> Any:
    """An ordinary application; /events and /upload answer with what the worker drives."""
    path = environ["PATH_INFO"]
    if path == "/trim":
        give_back_memory()
    if path == "/error":
        raise ValueError("the soak asked for it")
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return stream()
    if path == "/events":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return events()
    data = b"hello"
    if path == "/length":
        length = 0
        while piece := environ["wsgi.input"].read(65536):
            length += len(piece)
        data = b"%d" % length
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]


def give_back_memory() -> None:
    """Let the C library return the pages that it keeps for later: what then is left is in use."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def coroutine(environ: Environ, start_response: Any) -> Any:
    """The same, with bodies read as they come."""
    if environ["PATH_INFO"] != "/length":
        return application(environ, start_response)
    length = 0
    while piece := await environ["wsgi.input"].read(65536):
        length += len(piece)
    data = b"%d" % length
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]


def stream() -> Iterator[bytes]:
    for _ in range(64):
        yield PIECE


async def events() -> AsyncIterator[bytes]:
    for number in range(20):
        yield b"data: %d\n\n" % number
