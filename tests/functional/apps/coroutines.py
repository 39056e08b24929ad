"""A coroutine application; its views are the functions of this module, by the path."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import gate
from gate import query
from pieces import later, later_bytes, loops, place, start, variable, waiters
from probe import PLAIN, Environ, Recorder, StartResponse, say, view_named

import aiohttp
from aiohttp_worker import stream_input


async def remember(environ: Environ, start_response: StartResponse) -> Any:
    loops[:] = [asyncio.get_running_loop()]
    start(start_response)
    return [b"remembered"]


async def hello(environ: Environ, start_response: StartResponse) -> Any:
    await asyncio.sleep(0.001)
    start(start_response)
    return [b"hello"]


async def where(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return [place().encode()]


async def current_task(environ: Environ, start_response: StartResponse) -> Any:
    task = asyncio.current_task()
    await asyncio.sleep(0)
    start(start_response)
    return [repr(task is not None and asyncio.current_task() is task).encode()]


async def task_group(environ: Environ, start_response: StartResponse) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(later(str(number))) for number in range(3)]
    start(start_response)
    return [",".join(task.result() for task in tasks).encode()]


async def failed_group(environ: Environ, start_response: StartResponse) -> Any:
    async def fail() -> None:
        raise ValueError("planned")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.Event().wait()
    except* ValueError as errors:
        start(start_response)
        count = len(errors.exceptions)
    return [b"%d" % count]


async def timeout(environ: Environ, start_response: StartResponse) -> Any:
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        start(start_response)
    return [b"timed out"]


async def timeout_of_the_body(environ: Environ, start_response: StartResponse) -> Any:
    try:
        async with asyncio.timeout(0.01):
            await environ["wsgi.input"].read()
    except TimeoutError:
        start(start_response)
    return [b"timed out"]


async def cancels_itself(environ: Environ, start_response: StartResponse) -> Any:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("planned")
    await asyncio.sleep(0)


async def list_of_awaitables(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return [later_bytes(b"one "), b"plain ", later_bytes(b"two")]


async def written_then_list(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", PLAIN)(b"written ")
    return [b"x" * 65536] * 64


async def wrong_list(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return [b"good", "text"]


async def stop_iteration(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    raise StopIteration(f"planned {query(environ, 'key')}")


async def failed(environ: Environ, start_response: StartResponse) -> Any:
    await asyncio.sleep(0)
    raise RuntimeError(f"planned failure {query(environ, 'key')}")


async def at_gate(environ: Environ, start_response: StartResponse) -> Any:
    key = query(environ, "key")
    try:
        await gate.pass_through(environ)
    except asyncio.CancelledError:
        say(f"cancelled {key} {environ['aiohttp_worker.client_disconnected']()}")
        raise
    start(start_response)
    return [b"through"]


async def long_poll(environ: Environ, start_response: StartResponse) -> Any:
    future = asyncio.get_running_loop().create_future()
    waiters.append(future)
    say(f"waiting {query(environ, 'key')}")
    start(start_response)
    return [(await future).encode()]


async def wake(environ: Environ, start_response: StartResponse) -> Any:
    count = len(waiters)
    while waiters:
        waiters.pop().set_result("woken")
    start(start_response)
    return [b"%d" % count]


async def context(environ: Environ, start_response: StartResponse) -> Any:
    before = variable.get()
    variable.set(query(environ, "value"))
    await asyncio.sleep(0)
    inside = await asyncio.ensure_future(later(variable.get()))

    async def body() -> AsyncIterator[bytes]:
        yield f"{before} {inside} {variable.get()}".encode()

    start(start_response)
    return body()


async def exc_info(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response, ("X-First", "1"))
    await asyncio.sleep(0)
    try:
        raise ValueError
    except ValueError:
        start_response("503 Second", PLAIN, sys.exc_info())
    return [b"second"]


async def written(environ: Environ, start_response: StartResponse) -> Any:
    write = start_response("200 OK", PLAIN)
    write(b"one ")
    await asyncio.sleep(0)
    write(b"two ")
    return [b"three"]


async def never_started(environ: Environ, start_response: StartResponse) -> Any:
    return [b"no head"]


async def recorded(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return Recorder(query(environ, "key"), [b"one ", b"two"])


async def nothing(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)


async def number(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return 7


async def nested(environ: Environ, start_response: StartResponse) -> Any:
    """An awaitable whose result is an awaitable."""
    return hello(environ, start_response)


async def outgoing(environ: Environ, start_response: StartResponse) -> Any:
    """Two requests of its own at once, on the same loop."""
    responses = await asyncio.gather(*(aiohttp.request("GET", query(environ, "url")) for _ in range(2)))
    bodies = [await response.read_and_close() for response in responses]
    start(start_response)
    return [b"got ", *bodies]


async def spin(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)

    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                say(f"produced {query(environ, 'key')}")
        finally:
            say(f"spin ended {query(environ, 'key')}")

    return body()


# The request's body


async def echo(environ: Environ, start_response: StartResponse) -> Any:
    body = await environ["wsgi.input"].read()
    start(start_response)
    return [body]


async def unread(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return [b"not read"]


async def unread_at_gate(environ: Environ, start_response: StartResponse) -> Any:
    await gate.pass_through(environ)
    size = 0
    while data := await environ["wsgi.input"].read(65536):
        size += len(data)
    start(start_response)
    return [b"%d" % size]


async def echo_as_it_comes(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)

    async def body() -> AsyncIterator[bytes]:
        while data := await environ["wsgi.input"].read(65536):
            yield data

    return body()


async def size(environ: Environ, start_response: StartResponse) -> Any:
    count = 0
    while data := await environ["wsgi.input"].read(65536):
        count += len(data)
    start(start_response)
    return [b"%d" % count]


async def lines(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return [repr([line async for line in environ["wsgi.input"]]).encode()]


async def reads(environ: Environ, start_response: StartResponse) -> Any:
    file = environ["wsgi.input"]
    results: list[object] = [
        await file.read(0),
        await file.readexactly(4),
        await file.readline(),
        await file.readuntil(b"two"),
        await file.readline(),
        await file.read(),
        await file.read(),
        await file.readline(),
        file.at_eof(),
    ]
    try:
        await file.readexactly(1)
    except asyncio.IncompleteReadError as error:
        results.append(error.partial)
    start(start_response)
    return [repr(results).encode()]


async def input_type(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    file = environ["wsgi.input"]
    data = file.read()
    kind = "file" if isinstance(data, bytes) else "stream"
    if kind == "stream":
        data = await data
    return [f"{kind} {len(data)} {environ.get('CONTENT_LENGTH')}".encode()]


async def lost_upload(environ: Environ, start_response: StartResponse) -> Any:
    key = query(environ, "key")
    say(f"reading {key}")
    try:
        await environ["wsgi.input"].read()
    except asyncio.CancelledError:
        say(f"lost {key} CancelledError")
        raise
    except ConnectionError as error:
        say(f"lost {key} {type(error).__name__}")
        raise
    start(start_response)
    return [b"complete"]


async def application(environ: Environ, start_response: StartResponse) -> Any:
    return await view_named(globals(), environ)(environ, start_response)


@stream_input
def marked(environ: Environ, start_response: StartResponse) -> Any:
    """Middleware that hides what it wraps, and says so."""
    environ["marked"] = True
    return application(environ, start_response)


def _asks_for_stream(environ: Environ) -> bool:
    if environ["PATH_INFO"] == "/broken":
        raise LookupError("no such table")
    return bool(environ["PATH_INFO"].startswith("/stream"))


@stream_input(when=_asks_for_stream)
def chosen(environ: Environ, start_response: StartResponse) -> Any:
    """An ordinary application with one endpoint that reads its input as it arrives."""
    if environ["PATH_INFO"].startswith("/stream"):
        return echoed(environ, start_response)
    body = environ["wsgi.input"].read()
    start(start_response)
    return [f"{len(body)} {environ.get('CONTENT_LENGTH')}".encode()]


async def echoed(environ: Environ, start_response: StartResponse) -> Any:
    async def body() -> AsyncIterator[bytes]:
        while data := await environ["wsgi.input"].readline():
            yield data

    start(start_response)
    return body()
