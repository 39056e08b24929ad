"""Generators are PEP 3333 first, and may delegate too: every application, worker, loop, number of threads and framing."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import hashlib
import io
import json
import pickle
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

import aiohttp
from aiohttp_worker import stream_input
from tests.loops import LOOPS

from .live import LiveLoop, LiveService, chunked, read_answer, serving, slowly, with_length

Environ = dict[str, Any]
Start = Any
Steps = Generator[Any, Any, Any]

BODY = b'{"a": 1}\nline two\nrest'


def start(start_response: Start) -> Any:
    return start_response("200 OK", [("Content-Type", "text/plain")])


def place() -> bytes:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return b"hidden"
    return b"visible"


# Plain reads, in everything that is stepped.


def reads_plainly(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start(start_response)
    while chunk := environ["wsgi.input"].read(4):
        yield chunk


def reads_all(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start(start_response)
    yield environ["wsgi.input"].read()


def reads_in_pieces(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start(start_response)
    yield environ["wsgi.input"].read(3)
    yield environ["wsgi.input"].readline()
    yield b"".join(environ["wsgi.input"].readlines())
    yield environ["wsgi.input"].read()


def for_lines(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start(start_response)
    for line in environ["wsgi.input"]:
        assert type(line) is bytes
        yield line


def from_lines(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start(start_response)
    yield from environ["wsgi.input"]


def from_readlines(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start(start_response)
    yield from environ["wsgi.input"].readlines()


class ClassIterable:
    def __init__(self, environ: Environ, start_response: Start) -> None:
        self.environ = environ
        self.start_response = start_response

    def __iter__(self) -> Iterator[bytes]:
        start(self.start_response)
        yield self.environ["wsgi.input"].read(5)
        yield self.environ["wsgi.input"].read()


class WithNext:
    def __init__(self, environ: Environ, start_response: Start) -> None:
        start(start_response)
        self.file = environ["wsgi.input"]

    def __iter__(self) -> WithNext:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.file.read(4)
        if not data:
            raise StopIteration
        return data


def returned(environ: Environ, start_response: Start) -> Any:
    start(start_response)

    def body() -> Iterator[bytes]:
        yield environ["wsgi.input"].read(3)
        yield environ["wsgi.input"].read()

    return body()


def expression(environ: Environ, start_response: Start) -> Any:
    start(start_response)
    return (environ["wsgi.input"].read(4) for _ in range(100))


def by_iter(environ: Environ, start_response: Start) -> Any:
    start(start_response)
    return iter(lambda: environ["wsgi.input"].read(4), b"")


def ordinary(environ: Environ, start_response: Start) -> list[bytes]:
    assert place() == b"hidden"
    asyncio.run(asyncio.sleep(0))
    data = environ["wsgi.input"].read()
    start(start_response)
    return [data]


# Delegated reads.


def readme(environ: Environ, start_response: Start) -> Steps:
    data = yield from environ["wsgi.input"].read()
    assert type(data) is bytes
    start(start_response)
    return [data]


def in_steps(environ: Environ, start_response: Start) -> Steps:
    start(start_response)
    while data := (yield from environ["wsgi.input"].read(4)):
        yield data


def by_readline(environ: Environ, start_response: Start) -> Steps:
    start(start_response)
    while data := (yield from environ["wsgi.input"].readline()):
        yield data


def until_eof_stream(environ: Environ, start_response: Start) -> Steps:
    start(start_response)
    reads = 0
    while True:
        try:
            data = yield from environ["wsgi.input"].read()
        except aiohttp.EofStream:
            break
        reads += 1
        yield data
    assert reads == (3 if environ.get("CONTENT_LENGTH") != "0" else 2), reads


def by_a_helper(environ: Environ, start_response: Start) -> Steps:
    def read(size: int) -> Steps:
        return (yield from environ["wsgi.input"].read(size))

    start(start_response)
    while data := (yield from read(4)):
        yield data


def unknown_helper(environ: Environ, start_response: Start) -> Steps:
    """Nothing in its own code says what it delegates to."""
    helper: Any = [in_steps][0]
    yield from helper(environ, start_response)


def returned_dialect(environ: Environ, start_response: Start) -> Any:
    start(start_response)

    def body() -> Steps:
        while data := (yield from environ["wsgi.input"].read(4)):
            yield data

    return body()


def returned_by_an_unknown_helper(environ: Environ, start_response: Start) -> Any:
    return unknown_helper(environ, start_response)


def both_dialects(environ: Environ, start_response: Start) -> Steps:
    start(start_response)
    data = yield from environ["wsgi.input"].read(4)
    yield data + environ["wsgi.input"].read()


def later(environ: Environ, start_response: Start) -> Steps:
    start(start_response)
    reading = environ["wsgi.input"].read()
    yield (yield from reading)


def awaited_by_a_coroutine(environ: Environ, start_response: Start) -> Steps:
    async def read() -> bytes:
        data = b""
        while piece := await environ["wsgi.input"].read(4):
            data += piece
        return data

    data = yield from asyncio.ensure_future(read())
    start(start_response)
    return [data]


def exactly(environ: Environ, start_response: Start) -> Steps:
    start(start_response)
    if environ.get("CONTENT_LENGTH") == "0":
        return []
    data = yield from environ["wsgi.input"].readexactly(3)
    data += yield from environ["wsgi.input"].readuntil(b"two")
    data += yield from environ["wsgi.input"].readany()
    while not environ["wsgi.input"].at_eof():
        data += yield from environ["wsgi.input"].readany()
    yield data


def writes(environ: Environ, start_response: Start) -> Steps:
    data = yield from environ["wsgi.input"].read()
    yield from start(start_response)(data)


def writes_plainly(environ: Environ, start_response: Start) -> Steps:
    data = environ["wsgi.input"].read()
    yield from start(start_response)(data)


def stepped_writes(environ: Environ, start_response: Start) -> Steps:
    write = start(start_response)
    while data := environ["wsgi.input"].read(4):
        yield from write(data)


async def coroutine(environ: Environ, start_response: Start) -> Any:
    data = environ["wsgi.input"].read()
    if not isinstance(data, bytes):
        data = await data
    start(start_response)
    return [data]


async def coroutine_that_returns_a_generator(environ: Environ, start_response: Start) -> Any:
    return readme(environ, start_response)


# Middleware.


def by_for(application: Any) -> Any:
    def middleware(environ: Environ, start_response: Start) -> Iterator[bytes]:
        for piece in application(environ, start_response):  # noqa: UP028
            yield piece

    return middleware


def by_from(application: Any) -> Any:
    def middleware(environ: Environ, start_response: Start) -> Steps:
        yield from application(environ, start_response)

    return middleware


def by_return(application: Any) -> Any:
    def middleware(environ: Environ, start_response: Start) -> Steps:
        return application(environ, start_response)
        yield

    return middleware


def that_names_things(application: Any) -> Any:
    """It wraps the input, has a start_response of its own, and knows asyncio."""

    class Counted:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.file)

    def middleware(environ: Environ, start_response: Start) -> Steps:
        def own_start(status: str, headers: Any, exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("X-Middleware", "yes")], exc_info)

        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
        environ["wsgi.input"] = Counted(environ["wsgi.input"])
        yield from application(environ, own_start)

    return middleware


def of_a_class(application: Any) -> Any:
    class Middleware:
        def __call__(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
            iterable = application(environ, start_response)
            try:
                yield from iterable
            finally:
                if hasattr(iterable, "close"):
                    iterable.close()

    return Middleware()


def that_returns(application: Any) -> Any:
    """An ordinary function, which returns a generator."""

    def pass_on(iterable: Any) -> Iterator[bytes]:
        yield from iterable

    def middleware(environ: Environ, start_response: Start) -> Iterator[bytes]:
        return pass_on(application(environ, start_response))

    return middleware


def with_a_copy(application: Any) -> Any:
    def middleware(environ: Environ, start_response: Start) -> Iterator[bytes]:
        yield from application(dict(environ), start_response)

    return middleware


class ClosingIterator:
    """As werkzeug's: no generator."""

    def __init__(self, iterable: Any) -> None:
        self.next = iter(iterable).__next__

    def __iter__(self) -> ClosingIterator:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.next()
        return data


def of_an_iterator(application: Any) -> Any:
    def middleware(environ: Environ, start_response: Start) -> Iterator[bytes]:
        return ClosingIterator(application(environ, start_response))

    return middleware


PLAIN: list[Any] = [
    reads_plainly,
    reads_all,
    reads_in_pieces,
    for_lines,
    from_lines,
    from_readlines,
    ClassIterable,
    WithNext,
    returned,
    expression,
    by_iter,
    ordinary,
]
DELEGATED: list[Any] = [
    readme,
    in_steps,
    by_readline,
    until_eof_stream,
    by_a_helper,
    unknown_helper,
    returned_dialect,
    returned_by_an_unknown_helper,
    both_dialects,
    later,
    awaited_by_a_coroutine,
    exactly,
    writes,
    writes_plainly,
    stepped_writes,
    coroutine,
    coroutine_that_returns_a_generator,
]
MIDDLEWARE: list[Any] = [by_for, by_from, by_return, that_names_things, of_a_class, that_returns, with_a_copy, of_an_iterator]
# Each of these in a generator: what it returns is not passed on by a `for`.
WITHOUT_RETURN: list[Any] = [
    in_steps,
    by_readline,
    until_eof_stream,
    by_a_helper,
    unknown_helper,
    returned_dialect,
    both_dialects,
    later,
    exactly,
]

CASES = {
    f"{'stream' if stream else 'nostream'}-{threads}-{loop}": (stream, threads, loop)
    for stream in (True, False)
    for threads in (1, 4)
    for loop in LOOPS
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Iterator[Any]:
    stream, threads, loop = CASES[request.param]
    with LiveLoop(loop) as live:
        yield functools.partial(serving, live, stream=stream, threads=threads, body_memory_size=1000)


def named(value: Any) -> str:
    return getattr(value, "__name__", type(value).__name__)


def check(server: LiveService, body: bytes = BODY) -> None:
    for framing in (with_length, chunked, slowly):
        answer = server.exchange(*framing("/", body))
        assert (answer.status, answer.body, answer.complete) == (200, body, True), (framing, server.errors)
    large = BODY * 120  # more than is kept in memory
    for framing in (with_length, chunked):
        answer = server.exchange(*framing("/", large))
        assert answer.status == 200 and len(answer.body) in (len(large), 400), (framing, server.errors)
    answer = server.exchange(*with_length("/", b""))
    assert (answer.status, answer.body, answer.complete) == (200, b"", True), server.errors
    assert server.errors == []


@pytest.mark.parametrize("application", [*PLAIN, *DELEGATED], ids=named)
def test_application(case: Any, application: Any) -> None:
    with case(application) as server:
        check(server)


@pytest.mark.parametrize("middleware", MIDDLEWARE, ids=named)
def test_middleware(case: Any, middleware: Any) -> None:
    for application in [*PLAIN, *(WITHOUT_RETURN if middleware is not with_a_copy else [in_steps])]:
        with case(middleware(application)) as server:
            answer = server.exchange(*chunked("/", BODY))
            assert (answer.status, answer.body, server.errors) == (200, BODY, []), application


def test_middleware_within_middleware(case: Any) -> None:
    for first in (by_for, by_from, that_returns, of_an_iterator):
        for second in (by_for, by_from, that_returns, of_an_iterator):
            for application in (reads_plainly, in_steps, ordinary):
                with case(first(second(application))) as server:
                    answer = server.exchange(*slowly("/", BODY))
                    assert (answer.status, answer.body, server.errors) == (200, BODY, []), (first, second, application)


def on_a_loop_of_its_own(application: Any) -> Any:
    def middleware(environ: Environ, start_response: Start) -> Iterator[bytes]:
        async def all_of_it() -> list[bytes]:
            await asyncio.sleep(0)
            return list(application(environ, start_response))

        return iter(asyncio.run(all_of_it()))

    return middleware


def test_reads_within_a_loop_of_the_application(case: Any) -> None:
    async def plainly(environ: Environ) -> bytes:
        data: bytes = environ["wsgi.input"].read()
        return data

    async def awaiting(environ: Environ) -> bytes:
        read = environ["wsgi.input"].read
        return bytes(await read(5)) + bytes(await read())

    def ordinary_view(environ: Environ, start_response: Start) -> list[bytes]:
        data = asyncio.run(plainly(environ))
        start(start_response)
        return [data]

    def generator_that_awaits(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start(start_response)
        yield asyncio.run(awaiting(environ))

    for application in (
        ordinary_view,
        by_for(ordinary_view),
        by_from(ordinary_view),
        by_from(generator_that_awaits),
        *(
            outer(on_a_loop_of_its_own(one))
            for outer in (by_for, by_from)
            for one in (reads_plainly, reads_in_pieces, for_lines, from_readlines, in_steps)
        ),
    ):
        with case(application) as server:
            answer = server.exchange(*slowly("/", BODY))
            assert (answer.status, answer.body, server.errors) == (200, BODY, []), application


# The loop.


def test_the_loop_is_hidden_from_what_says_nothing(case: Any) -> None:
    def generator(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start(start_response)
        yield place()

    def returns(environ: Environ, start_response: Start) -> Iterator[bytes]:
        return generator(environ, start_response)

    def plain(environ: Environ, start_response: Start) -> list[bytes]:
        start(start_response)
        return [place()]

    for application in (generator, returns, plain):
        for middleware in (lambda application: application, *MIDDLEWARE):
            with case(middleware(application)) as server:
                assert server.get().body == b"hidden"


def test_the_loop_is_seen_by_what_says_so(case: Any) -> None:
    def delegates(environ: Environ, start_response: Start) -> Steps:
        yield from asyncio.gather(asyncio.sleep(0))
        start(start_response)
        yield place()

    def reads(environ: Environ, start_response: Start) -> Steps:
        yield from environ["wsgi.input"].read()
        start(start_response)
        yield place()

    def bare(environ: Environ, start_response: Start) -> Steps:
        value = yield asyncio.sleep(0, "value")
        assert value == "value"
        yield None
        start(start_response)
        yield place()

    def returns(environ: Environ, start_response: Start) -> Steps:
        return delegates(environ, start_response)

    for application in (delegates, reads, stream_input(bare), returns, by_from(delegates), stream_input(by_from(bare))):
        with case(application) as server:
            assert server.get().body == b"visible", (application, server.errors)


def test_called_while_the_client_still_sends() -> None:
    def marked(environ: Environ, start_response: Start) -> Steps:
        yield from by_from(in_steps)(environ, start_response)

    for threads in (1, 4):
        for application in (
            in_steps,
            by_a_helper,
            stream_input(marked),
            returned_dialect if threads > 1 else in_steps,
            by_from(in_steps),
        ):
            with LiveLoop(LOOPS[-1]) as live, serving(live, application, threads=threads) as server, server.connect() as client:
                client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabcd")
                received = b""
                while b"abcd" not in received:
                    received += client.recv(1000)
                client.sendall(b"efgh")
                while b"efgh" not in received:
                    received += client.recv(1000)


# What awaitables become.


async def give(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def test_awaitables_of_generators(case: Any) -> None:
    def statements(environ: Environ, start_response: Start) -> Iterator[Any]:
        start(start_response)
        yield b"plain "
        yield give(b"awaited ")
        yield give(None)
        yield give(7)
        yield b"plain"

    def expressions(environ: Environ, start_response: Start) -> Steps:
        start(start_response)
        value = yield give(b"sent in ")
        yield value
        other = yield give("text")
        yield other.encode()

    def expression(environ: Environ, start_response: Start) -> Any:
        start(start_response)
        return (give(data) for data in (b"one ", b"two"))

    def raises(environ: Environ, start_response: Start) -> Steps:
        async def fail() -> None:
            raise ValueError("planned")

        start(start_response)
        try:
            yield fail()
        except ValueError as error:
            yield str(error).encode()

    def marked(function: Any) -> Any:
        return stream_input(functools.partial(function))

    for application, body in (
        (statements, b"plain awaited plain"),
        (expressions, b"sent in text"),
        (expression, b"one two"),
        (raises, b"planned"),
    ):
        for one in (application, marked(application)):
            with case(one) as server:
                answer = server.get()
                assert (answer.status, answer.body, answer.complete) == (200, body, True), (one, server.errors)


def test_a_future_that_comes_out_where_the_loop_is_hidden(case: Any) -> None:
    """`yield from` a future that something else made: it is waited for, and its outcome raised where it waits."""
    kept: list[Any] = []

    def application(environ: Environ, start_response: Start) -> Steps:
        (future,) = kept
        start(start_response)
        try:
            yield (yield from future)
        except ValueError as error:
            yield str(error).encode()

    with case(application) as server:
        for outcome in (b"result", ValueError("planned")):
            future = server.live.call(server.live.loop.create_future)
            kept[:] = [future]

            def finish(future: Any = future, outcome: Any = outcome) -> None:
                if isinstance(outcome, bytes):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)

            with server.connect() as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                server.live.call(finish)
                assert read_answer(client).body == (outcome if isinstance(outcome, bytes) else b"planned")


def test_what_a_generator_returns(case: Any) -> None:
    def list_of_one(environ: Environ, start_response: Start) -> Steps:
        start(start_response)
        return [b"body"]
        yield

    def after_pieces(environ: Environ, start_response: Start) -> Steps:
        start(start_response)
        yield b"bo"
        return (piece for piece in (b"d", b"y"))

    def coroutine(environ: Environ, start_response: Start) -> Steps:
        start(start_response)
        return give([b"body"])
        yield

    def a_number(environ: Environ, start_response: Start) -> Steps:
        start(start_response)
        yield b"body"
        return 4

    for application in (list_of_one, after_pieces, coroutine, a_number):
        with case(application) as server:
            answer = server.get()
            assert (answer.status, answer.body, answer.complete, server.errors) == (200, b"body", True, []), application


def test_bytes_that_a_generator_returns_are_refused(case: Any) -> None:
    def application(environ: Environ, start_response: Start) -> Steps:
        start(start_response)
        return b"body"
        yield

    with case(application) as server:
        assert server.get().status == 500
        assert "wrap it in a list" in str(server.errors[0])


# Misuse.


def test_who_reads_in_the_wrong_dialect_is_told_what_to_write() -> None:
    def misuse(use: Callable[[Any], Any]) -> Any:
        @stream_input
        def application(environ: Environ, start_response: Start) -> Steps:
            start(start_response)
            yield b"" if use(environ["wsgi.input"]) is None else b"x"

        return application

    uses: list[Callable[[Any], Any]] = [
        lambda file: len(file.read()),
        lambda file: file.read()[:3],
        lambda file: json.loads(file.read()),
        lambda file: io.BytesIO(file.read()),
        lambda file: file.read() + b"",
        lambda file: b"" + file.read(),
        lambda file: b"a" in file.read(),
        lambda file: file.read().decode(),
        lambda file: [byte for byte in file.read()],  # noqa: C416
        lambda file: bool(file.read()),
        list,
        lambda file: [line for line in file],  # noqa: C416
    ]
    with LiveLoop(LOOPS[0]) as live:
        for use in uses:
            with serving(live, misuse(use)) as server:
                assert server.exchange(*with_length("/", BODY)).status == 500
                (error,) = server.errors
                notes = getattr(error, "__notes__", [])
                assert "wsgi.input is a stream here" in " ".join([str(error), *notes])
                assert "yield from environ" in " ".join([str(error), *notes])


def test_whoever_delegates_to_plain_bytes_is_told_what_to_write(case: Any) -> None:
    class Captured:
        def __init__(self, environ: Environ, start_response: Start) -> None:
            start(start_response)
            self.data = environ["wsgi.input"].read()

        def __iter__(self) -> Steps:
            yield from self.data

    with case(Captured) as server:
        answer = server.exchange(*with_length("/", BODY))
        assert answer.status == 500
        (error,) = server.errors
        assert "expected bytes (PEP 3333)" in str(error) and "yield from" in str(error)


# Nobody holds the loop.


def holds(application: Any, loop: str, end: Callable[[], None]) -> None:
    """Another request is answered while this one goes on until the end."""
    with LiveLoop(loop) as live, serving(live, application) as server, server.connect() as client:
        client.sendall(with_length("/", BODY * 10_000)[0][: -len(BODY)] + BODY)
        for _ in range(3):
            live.call(lambda: None)
            with server.connect() as other:
                other.sendall(b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n")
                assert read_answer(other).body == b"quick"
        end()
        assert read_answer(client).complete


def beside_a_quick_one(application: Any) -> Any:
    def chosen(environ: Environ, start_response: Start) -> Any:
        if environ["PATH_INFO"] == "/quick":
            start(start_response)
            return [b"quick"]
        return application(environ, start_response)

    return chosen


held = threading.Event()  # until it is set, the loop is kept busy


def done_futures(environ: Environ, start_response: Start) -> Steps:
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    start(start_response)
    while not held.is_set():
        yield future


def awaited_nothing(environ: Environ, start_response: Start) -> Steps:
    async def nothing() -> None:
        pass

    start(start_response)
    while not held.is_set():
        yield nothing()


def empty_pieces(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start(start_response)
    while not held.is_set():
        yield b""


def single_bytes(environ: Environ, start_response: Start) -> Steps:
    """They are there already, so no read of them waits."""
    start(start_response)
    while not held.is_set():
        data = yield from environ["wsgi.input"].read(1)
        if not data:
            break


def delegates_to_done(environ: Environ, start_response: Start) -> Steps:
    yield from asyncio.gather(asyncio.sleep(0))
    while not held.is_set():
        yield None


@pytest.mark.parametrize("loop", LOOPS)
def test_nobody_holds_the_loop(loop: str) -> None:
    always = lambda environ: environ["PATH_INFO"] != "/quick"
    for application in (done_futures, awaited_nothing, empty_pieces, single_bytes, delegates_to_done):
        held.clear()
        holds(stream_input(when=always)(beside_a_quick_one(application)), loop, held.set)
    for application in (awaited_nothing, empty_pieces):
        held.clear()
        holds(beside_a_quick_one(application), loop, held.set)


# What is read is bytes.


def test_what_is_read_is_bytes_in_every_respect(case: Any) -> None:
    seen: list[str] = []

    def application(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start(start_response)
        file = environ["wsgi.input"]
        data = file.readline()
        plain = b'{"a": 1}\n'
        checks = {
            "isinstance": isinstance(data, bytes),
            "equal": data == plain and plain == data and hash(data) == hash(plain) and data in {plain},
            "slice": type(data[1:3]) is bytes and data[1:3] == plain[1:3] and data[0] == plain[0],
            "json": json.loads(data) == {"a": 1},
            "file": io.BytesIO(data).read() == plain,
            "for": [byte for byte in data] == list(plain) == list(data) == [*data],  # noqa: C416
            "sum": sum(data) == sum(plain) and max(data) == max(plain),
            "bytearray": bytearray(data) == plain and bytes(data) == plain and type(bytes(data)) is bytes,
            "memory": memoryview(data).tobytes() == plain,
            "join": type(b"".join([data])) is bytes and type(data + b"") is bytes and type(b"" + data) is bytes,
            "pickle": type(pickle.loads(pickle.dumps(data))) is bytes and pickle.loads(pickle.dumps(data, 0)) == plain,
            "copy": type(copy.copy(data)) is bytes and type(copy.deepcopy(data)) is bytes and copy.deepcopy([data]) == [plain],
            "text": data.decode() == plain.decode() and repr(data) == repr(plain) and b"%b" % data == plain,
            "hash": hashlib.sha256(data).digest() == hashlib.sha256(plain).digest(),
            "empty": not file.read(0) and list(file.read(0)) == [],
            "wrapped": io.BufferedReader(file).read(4) == b"line",
        }
        file.read()
        for _ in range(10):  # plain reads behind the end are no error
            checks["end"] = file.read() == b"" and list(file.read()) == [] and file.readline() == b"" and not [*file]
        seen.extend(name for name, is_right in checks.items() if not is_right)
        yield b"checked"

    with case(application) as server:
        answer = server.exchange(*with_length("/", BODY))
        assert (answer.body, seen, server.errors) == (b"checked", [], [])


def test_the_end_of_one_request_is_not_that_of_another(case: Any) -> None:
    for application in (readme, stream_input(functools.partial(in_steps)), coroutine):
        with case(application) as server:
            for _ in range(5):
                assert (server.get().status, server.errors) == (200, [])


def test_reads_of_nothing_are_not_behind_the_end(case: Any) -> None:
    def application(environ: Environ, start_response: Start) -> Steps:
        start(start_response)
        for _ in range(10):
            assert (yield from environ["wsgi.input"].read(0)) == b""
        yield (yield from environ["wsgi.input"].read())

    with case(application) as server:
        answer = server.exchange(*with_length("/", BODY))
        assert (answer.body, server.errors) == (BODY, [])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_coroutine_too_is_told_of_the_end(loop: str) -> None:
    async def application(environ: Environ, start_response: Start) -> Any:
        start(start_response)
        lines = [line async for line in environ["wsgi.input"]]
        for _ in range(5):
            lines += [line async for line in environ["wsgi.input"]]
        reads = 0
        while True:
            try:
                await environ["wsgi.input"].read()
            except aiohttp.EofStream:
                break
            reads += 1
        assert (await environ["wsgi.input"].readlines()) == []
        return [b"".join(lines), b"%d" % reads]

    with LiveLoop(loop) as live, serving(live, application) as server:
        for framing in (with_length, chunked):
            answer = server.exchange(*framing("/", BODY))
            assert (answer.body, server.errors) == (BODY + b"2", [])


# The write callable.


def test_write_gives_back_pressure(case: Any) -> None:
    """What a client does not read is not produced."""
    produced: dict[str, int] = {}

    def application(environ: Environ, start_response: Start) -> Steps:
        write = start(start_response)
        produced[environ["PATH_INFO"]] = 0
        for _ in range(200):
            produced[environ["PATH_INFO"]] += 1
            yield from write(bytes(65536))

    for one in (application, stream_input(functools.partial(application))):
        with case(one) as server, server.connect() as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(100)
            assert len(server.get("/quick").body) == 200 * 65536
            assert produced["/quick"] == 200
            assert produced["/slow"] < 200
            client.settimeout(10)
            received = 0
            while received < 200 * 65536:
                received += len(client.recv(1 << 20))
            assert produced["/slow"] == 200
