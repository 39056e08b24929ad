"""Blocks at a gate, in ordinary code, wherever code of an application can stand; by the path."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import gate
from gate import query
from probe import PLAIN, Environ, StartResponse

_lock = threading.Lock()


class Body:
    """An ordinary body of some pieces, which may hang before the last of them or in its ``close()``."""

    def __init__(self, environ: Environ, where: str, size: int = 1) -> None:
        self._environ = environ
        self._where = where
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        yield bytes(self._size)
        if self._where == "step":
            gate.wait(self._environ)
        yield b"end"

    def close(self) -> None:
        if self._where == "close":
            gate.wait(self._environ)


def application(environ: Environ, start_response: StartResponse) -> Any:
    path = environ["PATH_INFO"]
    if path == "/call":
        gate.wait(environ)
    if path == "/stubborn":
        while True:
            try:
                gate.wait(environ)
                break
            except SystemExit:
                continue
    if path == "/computes":
        return computes(environ, start_response)
    if path == "/regular-expression":
        re.match(r"(a+)+$", "a" * 40 + "b")  # until it is killed: the interpreter's lock is not given away
    if path == "/sleeps":
        time.sleep(60)  # until the worker is replaced
    if path == "/streams":
        return streams(environ, start_response)
    if path in ("/coroutine", "/own-task", "/gathered"):
        return coroutine(environ, start_response, path)
    start_response("200 OK", PLAIN)
    if path == "/step":
        return Body(environ, "step")
    if path == "/later-step":
        return Body(environ, "step", 2 << 20)
    if path == "/close":
        return Body(environ, "close")
    if path == "/asynchronous-body":
        return asynchronous_body(environ)
    if path == "/driven-generator":
        return driven_generator(environ)
    if path == "/end-of-asynchronous-body":
        return asynchronous_body(environ, at_end=True)
    return [b"hello"]


async def coroutine(environ: Environ, start_response: StartResponse, path: str) -> Iterable[bytes]:
    await asyncio.sleep(0)
    if path == "/coroutine":
        gate.wait(environ)
    elif path == "/own-task":
        await asyncio.create_task(blocking(environ))
    else:
        await asyncio.gather(asyncio.sleep(0), blocking(environ))
    start_response("200 OK", PLAIN)
    return [b"through"]


async def blocking(environ: Environ) -> None:
    gate.wait(environ)


async def computes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    end = time.monotonic() + float(query(environ, "seconds"))
    number = 0
    while time.monotonic() < end:
        number += 1
        number -= 1
    start_response("200 OK", PLAIN)
    return [b"computed"]


async def asynchronous_body(environ: Environ, at_end: bool = False) -> AsyncIterator[bytes]:
    try:
        yield b"first"
        await asyncio.sleep(0)
        if not at_end:
            gate.wait(environ)
        yield b"second"
    finally:
        if at_end:
            gate.wait(environ)


def driven_generator(environ: Environ) -> Iterator[Any]:
    yield b"first"
    yield from asyncio.sleep(0).__await__()
    gate.wait(environ)
    yield b"second"


def streams(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Goes on for seconds, with a piece now and then."""
    start_response("200 OK", PLAIN)
    for _ in range(int(query(environ, "pieces"))):
        time.sleep(0.2)  # an event now and then is the subject
        yield b"x"
