"""A generator application; its views are the functions of this module, by the path."""

import asyncio
import types
from collections.abc import Generator
from typing import Any

import gate
from gate import query
from pieces import AsyncPieces, later, later_bytes, place, start, variable
from probe import Environ, Recorder, StartResponse, say, view_named

import aiohttp
from aiohttp_worker import stream_input


def hello(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    start(start_response)
    yield b"hello "
    yield b""
    yield b"generator"


def where(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    start(start_response)
    yield place().encode()


def future(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, "future")
    value = yield from future
    start(start_response)
    return [value.encode()]


def task(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    value = yield from asyncio.ensure_future(later("task"))
    start(start_response)
    yield value.encode()


def gather(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    values = yield from asyncio.gather(later("a"), later("b"))
    start(start_response)
    return [" ".join(values).encode()]


def bare_yield(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    """The spelling of 2014."""
    first = yield asyncio.ensure_future(later("bare "))
    second = yield later("coroutine")
    yield None
    start(start_response)
    yield (first + second).encode()


def sleeps(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    @types.coroutine
    def old() -> Generator[Any, Any, str]:
        yield from asyncio.sleep(0.001)
        return "slept"

    value = yield from old()
    start(start_response)
    yield value.encode()


def nested(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    def inner(name: str) -> Generator[Any, Any, str]:
        value: str = yield from asyncio.ensure_future(later(name))
        return value

    def middle() -> Generator[Any, Any, str]:
        one = yield from inner("one")
        yield b"from the middle "
        two = yield from inner("two")
        return f"{one} {two}"

    start(start_response)
    value = yield from middle()
    yield value.encode()


def returned_after_pieces(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    start(start_response)
    yield b"yielded "
    return Recorder(query(environ, "key"), [b"returned"])


def returns_async(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    yield from asyncio.ensure_future(later(""))
    start(start_response)
    return AsyncPieces(query(environ, "key"))


def list_of_awaitables(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    yield None
    start(start_response)
    return [later_bytes(b"one "), b"plain ", later_bytes(b"two")]


def caught(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    async def fail() -> None:
        raise ValueError("planned")

    words = []
    try:
        yield from asyncio.ensure_future(fail())
    except ValueError as error:
        words.append(f"from {error}")
    try:
        yield fail()
    except ValueError as error:
        words.append(f"bare {error}")
    start(start_response)
    yield " ".join(words).encode()


def stop_iteration(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    start(start_response)
    yield None
    raise StopIteration(f"planned {query(environ, 'key')}")


def failed(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    async def fail() -> None:
        raise RuntimeError(f"planned failure {query(environ, 'key')}")

    yield from asyncio.ensure_future(fail())


def failed_in_body(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    start(start_response)
    yield b"started"
    yield from asyncio.sleep(0).__await__()
    raise RuntimeError(f"planned failure {query(environ, 'key')}")


def timeout(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    async def limited() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "not"

    value = yield limited()
    start(start_response)
    yield value.encode()


def current_task(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    task = asyncio.current_task()
    yield None
    start(start_response)
    yield repr(task is not None and task is asyncio.current_task()).encode()


def context(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    before = variable.get()
    variable.set(query(environ, "value"))
    inside = yield from asyncio.ensure_future(later(variable.get()))
    start(start_response)
    yield f"{before} {inside} {variable.get()}".encode()


def at_gate(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    key = query(environ, "key")
    try:
        yield gate.pass_through(environ)
    except asyncio.CancelledError:
        say(f"cancelled {key} {environ['aiohttp_worker.client_disconnected']()}")
        raise
    start(start_response)
    yield b"through"


def wrong_item(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    start(start_response)
    if query(environ, "after"):
        yield b"good"
    try:
        yield {"text": "text", "number": 7, "list": [b"x"]}[query(environ, "case")]
    finally:
        say(f"finally {query(environ, 'key')}")


def outgoing(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    """A request of its own, on the same loop."""
    response = yield from aiohttp.request("GET", query(environ, "url"))
    body = yield from response.read_and_close()
    start(start_response)
    return [b"got ", body]


def echo(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    """As the README shows it."""
    data = yield from environ["wsgi.input"].read()
    start(start_response)
    return [data]


def echo_as_it_comes(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    start(start_response)
    while data := (yield from environ["wsgi.input"].read(65536)):
        yield data


def lines(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    lines = []
    while line := (yield from environ["wsgi.input"].readline()):
        lines.append(line)
    start(start_response)
    return [repr(lines).encode()]


def input_type(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    data = environ["wsgi.input"].read()
    kind = "file" if isinstance(data, bytes) else "stream"
    if kind == "stream":
        data = yield from data
    start(start_response)
    return [f"{kind} {len(data)} {environ.get('CONTENT_LENGTH')}".encode()]


@stream_input
def application(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    return (yield from view_named(globals(), environ)(environ, start_response))
