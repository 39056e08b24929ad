"""Blocks at a gate, in ordinary code, wherever code of an application can stand; by the path."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
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
    if path in CALLS:
        CALLS[path](environ)
    if path == "/computes":
        return computes(environ, start_response)
    if path == "/streams":
        return streams(environ, start_response)
    if path in ("/coroutine", "/own-task", "/gathered"):
        return coroutine(environ, start_response, path)
    start_response("200 OK", PLAIN)
    return BODIES[path](environ) if path in BODIES else [b"hello"]


def stubborn(environ: Environ) -> None:
    """Wait on, whatever is raised to end it."""
    while True:
        try:
            gate.wait(environ)
            break
        except SystemExit:
            continue


def match_for_ever(environ: Environ) -> None:
    """Match until the process is killed: the interpreter's lock is not given away."""
    re.match(r"(a+)+$", "a" * 40 + "b")


def sleep_long(environ: Environ) -> None:
    """Sleep until the worker is replaced."""
    time.sleep(60)


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


# What happens within the call of the application, and the bodies that it returns.
CALLS: dict[str, Callable[[Environ], Any]] = {
    "/stubborn": stubborn,
    "/regular-expression": match_for_ever,
    "/sleeps": sleep_long,
}
BODIES: dict[str, Callable[[Environ], Any]] = {
    "/step": lambda environ: Body(environ, "step"),
    "/later-step": lambda environ: Body(environ, "step", 2 << 20),
    "/close": lambda environ: Body(environ, "close"),
    "/asynchronous-body": asynchronous_body,
    "/driven-generator": driven_generator,
    "/end-of-asynchronous-body": lambda environ: asynchronous_body(environ, at_end=True),
}
