"""An application as it may come from gthread."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gate import wait

Environ = dict[str, Any]

local = threading.local()
variable = contextvars.ContextVar("variable", default=0)


def thread(environ: Environ) -> str:
    return threading.current_thread().name


def same_thread(environ: Environ) -> Iterator[bytes]:
    """Names of the threads that call, iterate and close, as far as the body can tell."""
    called_in = threading.current_thread()

    def pieces() -> Iterator[bytes]:
        yield b"%s\n" % str(threading.current_thread() is called_in).encode()

    return pieces()


def at_the_gate(environ: Environ) -> str:
    wait(environ)
    return "through"


def count_in_thread(environ: Environ) -> str:
    local.count = getattr(local, "count", 0) + 1
    return str(local.count)


def count_in_context(environ: Environ) -> str:
    variable.set(variable.get() + 1)
    return str(variable.get())


def database(environ: Environ) -> str:
    """A connection that refuses to be used in another thread than its own, kept for the thread."""
    connection = getattr(local, "connection", None)
    if connection is None:
        connection = local.connection = sqlite3.connect(":memory:")
    return str(connection.execute("SELECT 42").fetchone()[0])


def run_a_loop(environ: Environ) -> str:
    return asyncio.run(asyncio.sleep(0, "ran"))


def echo(environ: Environ) -> bytes:
    data: bytes = environ["wsgi.input"].read()
    return b"%s %s" % (str(environ.get("CONTENT_LENGTH")).encode(), data)


def first_line(environ: Environ) -> bytes:
    line: bytes = environ["wsgi.input"].readline()
    return line


def pid(environ: Environ) -> str:
    return str(os.getpid())


def hang(environ: Environ) -> str:
    while True:
        time.sleep(0.1)


VIEWS: dict[str, Callable[[Environ], Any]] = {
    f"/{view.__name__}": view
    for view in (
        thread,
        same_thread,
        at_the_gate,
        count_in_thread,
        count_in_context,
        database,
        run_a_loop,
        echo,
        first_line,
        pid,
        hang,
    )
}


def application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = VIEWS[environ["PATH_INFO"]](environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if isinstance(body, str):
        body = body.encode()
    return [body] if isinstance(body, bytes) else body
