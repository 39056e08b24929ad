"""Applications that say in the log what reached them, and that break in every way.

`wsgi.errors` ends in Gunicorn's error log, so a test that reads the log knows whether the application was called.
"""

import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NoReturn

from gate import pass_through, wait

LARGE = bytes(10_000)
HUGE = (bytes(range(251)) * 67_000)[: 16 << 20]  # no piece of it looks like another that a buffer might hold

Environ = dict[str, Any]
Start = Callable[..., Any]


def say(environ: Environ, text: str) -> None:
    environ["wsgi.errors"].write(f"application: {text}\n")
    environ["wsgi.errors"].flush()


def answer(start_response: Start, data: bytes) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]


def application(environ: Environ, start_response: Start) -> Any:
    """Read the body and tell its length, or do what the path asks for."""
    path = environ["PATH_INFO"]
    say(environ, f"called {environ['REQUEST_METHOD']} {path}")
    if path in FAULTS:
        FAULTS[path]()
    if path in VIEWS:
        return VIEWS[path](environ, start_response)
    if path == "/late":
        wait(environ)
    try:
        length = 0
        while data := environ["wsgi.input"].read(65536):
            length += len(data)
    except BaseException as error:
        say(environ, f"read raised {type(error).__name__}: {error}")
        raise
    return answer(start_response, b"%d" % length)


async def coroutine(environ: Environ, start_response: Start) -> Any:
    """The same, for what the worker drives."""
    path = environ["PATH_INFO"]
    say(environ, f"called {environ['REQUEST_METHOD']} {path}")
    if path in FAULTS:
        FAULTS[path]()
    if path in ANSWERS:
        return ANSWERS[path](environ, start_response)
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return asynchronous_stream(environ)
    if path == "/late":
        await pass_through(environ)
    if path == "/lines":
        number = 0
        async for _ in environ["wsgi.input"]:
            number += 1
        return answer(start_response, b"%d" % number)
    try:
        length = 0
        while data := await environ["wsgi.input"].read(65536):
            length += len(data)
    except BaseException as error:
        say(environ, f"read raised {type(error).__name__}: {error}")
        raise
    return answer(start_response, b"%d" % length)


def stream(environ: Environ, start_response: Start) -> Iterator[bytes]:
    """Without end: whoever reads it decides how much there is."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    piece = bytes(65536)
    try:
        while True:
            yield piece
    finally:
        say(environ, "stream closed")


class Last:
    """The end of a body, which says when it is closed."""

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def __iter__(self) -> Iterator[bytes]:
        return iter([bytes(65536)] * 64)

    def close(self) -> None:
        say(self._environ, "stream closed")


def write_much(environ: Environ, start_response: Start) -> Last:
    """50 MiB by ``write()``, and 4 MiB after it; with a length if the query says so."""
    size = 50 << 20
    headers = [("Content-Type", "application/octet-stream")]
    if environ["QUERY_STRING"] == "length":
        headers.append(("Content-Length", str(size + (4 << 20))))
    write = start_response("200 OK", headers)
    try:
        for _ in range(size // 65536):
            write(bytes(65536))
    except BaseException as error:
        say(environ, f"write raised {type(error).__name__}: {error}")
        say(environ, "stream closed")
        raise
    say(environ, "all is written")
    return Last(environ)


async def asynchronous_stream(environ: Environ) -> AsyncIterator[bytes]:
    piece = bytes(65536)
    try:
        while True:
            yield piece
    finally:
        say(environ, "stream closed")


class SparseFile:
    """A file of 50 MiB that takes no room, and says when it is closed."""

    def __init__(self, environ: Environ) -> None:
        self._environ = environ
        self._file = tempfile.TemporaryFile()
        self._file.truncate(50 << 20)
        self.fileno, self.read, self.tell = self._file.fileno, self._file.read, self._file.tell

    def close(self) -> None:
        self._file.close()
        say(self._environ, "stream closed")


def file(environ: Environ, start_response: Start) -> Any:
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](SparseFile(environ))


def broken_stream(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    raise RuntimeError("in the middle")


def compute(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def leave() -> NoReturn:
    sys.exit("the application had enough")


def leave_at_once() -> NoReturn:
    os._exit(7)


def recurse() -> None:
    recurse()


def use_all_memory() -> NoReturn:
    raise MemoryError("no more")


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


def leave_the_generator() -> NoReturn:
    raise GeneratorExit


def computed(environ: Environ, start_response: Start) -> list[bytes]:
    compute(0.001)
    return answer(start_response, b"computed")


# Answers without a look at the request, and the views of the ordinary application.
ANSWERS: dict[str, Callable[[Environ, Start], Any]] = {
    "/unread": lambda environ, start_response: answer(start_response, b"not read"),
    "/large": lambda environ, start_response: answer(start_response, LARGE),
    "/huge": lambda environ, start_response: answer(start_response, HUGE),
    "/slow": computed,
}
VIEWS: dict[str, Callable[[Environ, Start], Any]] = {
    **ANSWERS,
    "/stream": stream,
    "/file": file,
    "/written": write_much,
    "/broken-stream": broken_stream,
}
FAULTS: dict[str, Callable[[], None]] = {
    "/exit": leave,
    "/os-exit": leave_at_once,
    "/recursion": recurse,
    "/memory": use_all_memory,
    "/interrupt": interrupt,
    "/generator-exit": leave_the_generator,
}
