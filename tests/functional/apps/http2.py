"""Views for HTTP/2: what the application sees, and answers of every kind."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import gate

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]


def application(environ: Environ, start_response: StartResponse) -> Any:
    """One path for each view."""
    view = VIEWS[environ["PATH_INFO"]]
    return view(environ, start_response)


def plain(start_response: StartResponse, status: str = "200 OK", *fields: tuple[str, str]) -> Callable[[bytes], object]:
    return start_response(status, [("Content-Type", "text/plain"), *fields])


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    plain(start_response)
    return [b"hello"]


def environ(environ: Environ, start_response: StartResponse) -> list[bytes]:
    plain(start_response)
    return [json.dumps({key: value for key, value in environ.items() if isinstance(value, str | int)}).encode()]


def digest(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Reads the body piece by piece."""
    found = hashlib.sha256()
    while piece := environ["wsgi.input"].read(10_000):
        found.update(piece)
    plain(start_response)
    return [found.hexdigest().encode()]


def pieces(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    plain(start_response)
    for number in range(int(gate.query(environ, "count", "10"))):
        yield b"%06d" % number * 1000


def written(environ: Environ, start_response: StartResponse) -> list[bytes]:
    write = plain(start_response)
    for number in range(100):
        write(b"%06d" % number * 1000)
    return []


def file(environ: Environ, start_response: StartResponse) -> Any:
    one = tempfile.TemporaryFile()
    one.write(b"0123456789" * 50_000)
    one.seek(0)
    plain(start_response)
    return environ["wsgi.file_wrapper"](one)


def nothing(environ: Environ, start_response: StartResponse) -> list[bytes]:
    plain(start_response, gate.query(environ, "status", "204") + " Something")
    return [b"dropped"]


def hints(environ: Environ, start_response: StartResponse) -> list[bytes]:
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    plain(start_response)
    return [b"hinted"]


def fails(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    plain(start_response)
    yield b"part"
    raise RuntimeError("on purpose")


async def coroutine(environ: Environ, start_response: StartResponse) -> Any:
    await asyncio.sleep(0.001)
    plain(start_response)
    return [b"awaited"]


async def waiting(environ: Environ, start_response: StartResponse) -> Any:
    """Waits at the gate."""
    await gate.pass_through(environ)
    plain(start_response)
    return [b"late"]


async def events(environ: Environ, start_response: StartResponse) -> Any:
    """A stream of events that has no end."""
    start_response("200 OK", [("Content-Type", "text/event-stream")])

    async def all_of_them() -> Any:
        number = 0
        while True:
            yield b"data: %d\n\n" % number
            number += 1
            await asyncio.sleep(0.05)

    return all_of_them()


VIEWS = {
    f"/{view.__name__}": view
    for view in (hello, environ, digest, pieces, written, file, nothing, hints, fails, coroutine, waiting, events)
}
