"""An ordinary function; what its views return is asynchronous in every way there is."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import coroutines
from gate import query
from pieces import (
    AsyncPieces,
    AsyncPiecesWithClose,
    Both,
    Told,
    async_pieces,
    later,
    later_bytes,
    loops,
    place,
    start,
    variable,
)
from probe import PLAIN, Environ, Recorder, StartResponse, say, view_named

from aiohttp_worker import AsyncBody


def where(environ: Environ, start_response: StartResponse) -> Any:
    """At the call, at each step and at close."""
    start(start_response)
    called = place()

    class Body:
        def __init__(self) -> None:
            self._words = iter([called, "/"])

        def __iter__(self) -> "Body":
            return self

        def __next__(self) -> bytes:
            word = next(self._words)
            return (place() if word == "/" else word + ", ").encode()

        def close(self) -> None:
            say(f"close {query(environ, 'key')} {place()}")

    return Body()


def runs_loops(environ: Environ, start_response: StartResponse) -> Any:
    """Everything that a visible running loop would forbid."""
    start(start_response)
    words = [asyncio.run(later("run"))]
    loop = asyncio.new_event_loop()
    words.append(loop.run_until_complete(later("new")))
    loop.close()
    with asyncio.Runner() as runner:
        words.append(runner.run(later("runner")))
    with contextlib.suppress(ImportError):
        from asgiref.sync import async_to_sync

        words.append(async_to_sync(later)("asgiref"))
    return [" ".join(words).encode()]


def coroutine(environ: Environ, start_response: StartResponse) -> Any:
    async def answer() -> list[bytes]:
        value = await later(f"coroutine {place()}")
        start(start_response)
        return [value.encode()]

    return answer()


def future(environ: Environ, start_response: StartResponse) -> Any:
    (loop,) = loops
    future: asyncio.Future[list[bytes]] = loop.create_future()

    def finish() -> None:
        start(start_response)
        future.set_result([b"future"])

    loop.call_soon_threadsafe(finish)
    return future


def task(environ: Environ, start_response: StartResponse) -> Any:
    (loop,) = loops

    async def answer() -> list[bytes]:
        start(start_response)
        return [(await later("task")).encode()]

    if threading.current_thread() is threading.main_thread():
        return loop.create_task(answer())
    return answer()


def awaitable(environ: Environ, start_response: StartResponse) -> Any:
    class Answer:
        def __await__(self) -> Generator[Any, Any, list[bytes]]:
            value = yield from later("awaitable").__await__()
            start(start_response)
            return [value.encode()]

    return Answer()


def generator(environ: Environ, start_response: StartResponse) -> Any:
    """A generator is a function's result here."""

    def body() -> Generator[Any, Any, None]:
        start(start_response)
        yield f"{place()}".encode()

    return body()


def awaiting_generator(environ: Environ, start_response: StartResponse) -> Any:
    def body() -> Generator[Any, Any, None]:
        value = yield from asyncio.get_running_loop().create_task(later("awaited"))
        start(start_response)
        yield value.encode()

    return body()


def async_generator(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return async_pieces(environ)


def async_iterable(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    fail = query(environ, "fail")
    return AsyncPieces(query(environ, "key"), fail_after=int(fail) if fail else None)


def async_iterable_with_close(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return AsyncPiecesWithClose(query(environ, "key"))


def both(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return Both()


def told_async(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return Told(True)


def told_sync(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return Told(False)


def async_body(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return AsyncBody(AsyncPieces(query(environ, "key")))


def async_body_inside(environ: Environ, start_response: StartResponse) -> Any:
    """What a framework makes of it that insists on iterating."""
    start(start_response)
    return Recorder(query(environ, "key"), iter(AsyncBody(AsyncPieces("inside"))))


def awaitable_items(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)

    async def item(text: bytes) -> bytes:
        await asyncio.sleep(0)
        return text

    def items() -> Iterator[Any]:
        yield b"plain "
        yield item(b"awaited ")
        yield item(b"")
        yield b"plain"

    return Recorder(query(environ, "key"), items())


def list_of_awaitables(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return [later_bytes(b"one "), later_bytes(b"two")]


def written_then_list(environ: Environ, start_response: StartResponse) -> Any:
    """A list after write() is stepped like any other iterable."""
    start_response("200 OK", PLAIN)(b"written ")
    return [b"x" * 65536] * 64


def wrong_awaitable_item(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return [b"good", later("text")]


def wrong_async_item(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    after = bool(query(environ, "after"))

    async def body() -> AsyncIterator[Any]:
        try:
            if after:
                yield b"good"
            yield {"text": "text", "number": 7}[query(environ, "case")]
        finally:
            say(f"finally {query(environ, 'key')}")

    return body()


def context(environ: Environ, start_response: StartResponse) -> Any:
    before = variable.get()
    variable.set(query(environ, "value"))
    start(start_response)

    async def body() -> AsyncIterator[bytes]:
        yield f"{before} {variable.get()}".encode()

    return body()


def slow(environ: Environ, start_response: StartResponse) -> Any:
    time.sleep(0.15)  # a slow call is the subject
    start(start_response)
    return [b"slow"]


def returns_coroutine_that_reads(environ: Environ, start_response: StartResponse) -> Any:
    async def answer() -> list[bytes]:
        file = environ["wsgi.input"]
        data = file.read()
        if not isinstance(data, bytes):
            data = await data
        start(start_response)
        return [data]

    return answer()


def reads_and_streams(environ: Environ, start_response: StartResponse) -> Any:
    data = environ["wsgi.input"].read()
    assert type(data) is bytes
    start(start_response)

    async def body() -> AsyncIterator[bytes]:
        yield data[:3]
        yield data[3:]

    return body()


def awaits_in_the_call(environ: Environ, start_response: StartResponse) -> Any:
    start(start_response)
    return [asyncio.get_running_loop().create_future()]


def application(environ: Environ, start_response: StartResponse) -> Any:
    if environ["PATH_INFO"] == "/remember":
        return coroutines.remember(environ, start_response)
    return view_named(globals(), environ)(environ, start_response)
