"""The same questions to asyncio from a coroutine, from a generator, and from what a function returns.

Four applications: `coroutine`, `generator`, `ordinary` and `marked`. Each looks its view up by the
path; `/remember` keeps the loop for the views of `ordinary`, which cannot see it.
"""

import asyncio
import contextlib
import contextvars
import functools
import threading
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import gate
from gate import query
from probe import PLAIN, Environ, Recorder, StartResponse, say

from aiohttp_worker import AsyncBody, stream_input

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
loops: list[asyncio.AbstractEventLoop] = []
waiters: list[asyncio.Future[str]] = []


def view_of(environ: Environ, views: type) -> Any:
    return getattr(views, environ["PATH_INFO"].strip("/").replace("-", "_"))


def start(start_response: StartResponse, *headers: tuple[str, str]) -> None:
    start_response("200 OK", [*PLAIN, *headers])


def where() -> str:
    """What of the loop can be seen from here."""
    try:
        asyncio.get_running_loop()
        loop = "visible"
    except RuntimeError:
        loop = "hidden"
    thread = "main" if threading.current_thread() is threading.main_thread() else "pool"
    return f"{loop} {thread}"


async def later(value: str) -> str:
    await asyncio.sleep(0)
    return value


class AsyncPieces:
    """An asynchronous iterable that says when it is closed, and by which method."""

    def __init__(self, key: str, count: int = 3, fail_after: int | None = None) -> None:
        self._key = key
        self._left = count
        self._fail_after = fail_after
        self._sent = 0

    def __aiter__(self) -> "AsyncPieces":
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        if self._sent == self._fail_after:
            raise RuntimeError(f"planned failure {self._key}")
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        self._sent += 1
        return b"piece %d;" % (self._sent - 1)

    async def aclose(self) -> None:
        say(f"aclosed {self._key}")


class AsyncPiecesWithClose(AsyncPieces):
    aclose = None  # type: ignore[assignment]

    def close(self) -> None:
        say(f"closed {self._key} {where()}")


async def async_pieces(environ: Environ) -> AsyncIterator[bytes]:
    """An async generator that stands at the gate before its second piece."""
    key = query(environ, "key")
    try:
        yield b"first"
        if query(environ, "gate"):
            await gate.pass_through(environ)
        yield b"second"
    except asyncio.CancelledError:
        say(f"cancelled {key}")
        raise
    finally:
        say(f"finally {key} {where()} {variable.get()}")


class Both:
    """An iterable of both kinds: synchronous is what PEP 3333 asks for."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"synchronous"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"asynchronous"


class Told(Both):
    """Django's way: an attribute says which of the two is meant."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async


class CoroutineViews:
    """Awaited by `coroutine`; `start_response` was not called yet."""

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
        return [where().encode()]

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
        import sys

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
        return CoroutineViews.hello(environ, start_response)

    async def spin(environ: Environ, start_response: StartResponse) -> Any:
        start(start_response)

        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536
                say(f"produced {query(environ, 'key')}")

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


async def coroutine(environ: Environ, start_response: StartResponse) -> Any:
    return await view_of(environ, CoroutineViews)(environ, start_response)


class GeneratorViews:
    """Delegated to by `generator`, on the loop."""

    def hello(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
        start(start_response)
        yield b"hello "
        yield b""
        yield b"generator"

    def where(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
        start(start_response)
        yield where().encode()

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

    def returned_after_pieces(
        environ: Environ, start_response: StartResponse
    ) -> Generator[Any, Any, Any]:
        start(start_response)
        yield b"yielded "
        return Recorder(query(environ, "key"), [b"returned"])

    def returns_async(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
        yield from asyncio.ensure_future(later(""))
        start(start_response)
        return AsyncPieces(query(environ, "key"))

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

    def echo(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
        """As the README shows it."""
        data = yield from environ["wsgi.input"].read()
        start(start_response)
        return [data]

    def echo_as_it_comes(
        environ: Environ, start_response: StartResponse
    ) -> Generator[Any, Any, Any]:
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


def generator(environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
    return (yield from view_of(environ, GeneratorViews)(environ, start_response))


class OrdinaryViews:
    """Called inline or in a thread by `ordinary`; what they return is asynchronous."""

    def where(environ: Environ, start_response: StartResponse) -> Any:
        """At the call, at each step and at close."""
        start(start_response)
        called = where()

        class Body:
            def __init__(self) -> None:
                self._words = iter([called, "/"])

            def __iter__(self) -> "Body":
                return self

            def __next__(self) -> bytes:
                word = next(self._words)
                return (where() if word == "/" else word + ", ").encode()

            def close(self) -> None:
                say(f"close {query(environ, 'key')} {where()}")

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
            value = await later(f"coroutine {where()}")
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
            yield f"{where()}".encode()

        return body()

    def awaiting_generator(environ: Environ, start_response: StartResponse) -> Any:
        def body() -> Generator[Any, Any, None]:
            value = yield from asyncio.ensure_future(later("awaited"))
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

        return Recorder(
            query(environ, "key"),
            [b"plain ", item(b"awaited "), item(b""), b"plain"],  # type: ignore[list-item]
        )

    def list_of_awaitables(environ: Environ, start_response: StartResponse) -> Any:
        start(start_response)
        return [later_bytes(b"one "), later_bytes(b"two")]

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
        return [asyncio.ensure_future(later_bytes(b"x"))]


async def later_bytes(data: bytes) -> bytes:
    await asyncio.sleep(0)
    return data


def ordinary(environ: Environ, start_response: StartResponse) -> Any:
    if environ["PATH_INFO"] == "/remember":
        return CoroutineViews.remember(environ, start_response)
    return view_of(environ, OrdinaryViews)(environ, start_response)


@stream_input
def marked(environ: Environ, start_response: StartResponse) -> Any:
    """Middleware that hides what it wraps, and says so."""
    environ["marked"] = True
    return coroutine(environ, start_response)


# Everything that is called like a coroutine function


class CoroutineObject:
    async def __call__(self, environ: Environ, start_response: StartResponse) -> Any:
        return await CoroutineViews.echo_as_it_comes(environ, start_response)

    async def method(self, environ: Environ, start_response: StartResponse) -> Any:
        return await CoroutineViews.echo_as_it_comes(environ, start_response)


class GeneratorObject:
    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> Generator[Any, Any, Any]:
        return (yield from GeneratorViews.echo_as_it_comes(environ, start_response))

    def method(self, environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
        return (yield from GeneratorViews.echo_as_it_comes(environ, start_response))


async def with_argument(argument: str, environ: Environ, start_response: StartResponse) -> Any:
    assert argument == "given"
    return await CoroutineViews.echo_as_it_comes(environ, start_response)


def decorator(
    application: Callable[..., Awaitable[Any]],
) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(application)
    async def wrapper(environ: Environ, start_response: StartResponse) -> Any:
        return await application(environ, start_response)

    return wrapper


coroutine_object = CoroutineObject()
coroutine_method = CoroutineObject().method
generator_object = GeneratorObject()
generator_method = GeneratorObject().method
coroutine_partial = functools.partial(with_argument, "given")
partial_of_partial = functools.partial(functools.partial(with_argument), "given")
decorated = decorator(CoroutineObject())
marked_function = stream_input(lambda e, s: CoroutineViews.echo_as_it_comes(e, s))


async def async_generator(environ: Environ, start_response: StartResponse) -> AsyncIterator[bytes]:
    """An application that is itself an async generator function."""
    start(start_response)
    while data := await environ["wsgi.input"].read(65536):
        yield data
