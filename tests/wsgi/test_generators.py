"""Classification of generators by their own code: ordinary, for the event loop, or streaming the input."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import types
from collections.abc import Callable, Generator
from typing import Any

import pytest

import aiohttp
from aiohttp_worker.wsgi.generators import POLICIES, Dialect, function_dialect, generator_dialect

Environ = dict[str, Any]
Start = Any
Steps = Generator[Any, Any, Any]

ORDINARY, ASYNCHRONOUS, STREAMING = Dialect.ORDINARY, Dialect.ASYNCHRONOUS, Dialect.STREAMING

framework: Any = object()
connector: Any = None


def query(environ: Environ, name: str) -> str:
    return str(environ["QUERY_STRING"])


def read_form(environ: Environ) -> bytes:
    data: bytes = environ["wsgi.input"].read()
    return data


def read_form_later(environ: Environ) -> bytes:
    return read_form(environ)


async def later(value: str) -> str:
    return value


def visible() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def ordinary_function(environ: Environ, start_response: Start) -> list[bytes]:
    return [b"visible" if visible() else b"hidden"]


def make_task() -> Any:
    return asyncio.ensure_future(later("task"))


# Ordinary ones.


def reads_plainly(environ: Environ, start_response: Start) -> Steps:
    while chunk := environ["wsgi.input"].read(4):
        yield chunk


def iterates(environ: Environ, start_response: Start) -> Steps:
    for line in environ["wsgi.input"]:
        yield line.upper()


def delegates_to_lines(environ: Environ, start_response: Start) -> Steps:
    yield from environ["wsgi.input"]


def middleware(environ: Environ, start_response: Start) -> Steps:
    yield from framework(environ, start_response)


def middleware_around_a_function(environ: Environ, start_response: Start) -> Steps:
    yield from ordinary_function(environ, start_response)


def middleware_that_asks(environ: Environ, start_response: Start) -> Steps:
    assert not visible()
    yield from framework(environ, start_response)


def middleware_that_runs(environ: Environ, start_response: Start) -> Steps:
    asyncio.run(later("x"))
    yield from framework(environ, start_response)


def middleware_that_names_asyncio(environ: Environ, start_response: Start) -> Steps:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    yield from framework(environ, start_response)


def middleware_with_its_own_start(environ: Environ, start_response: Start) -> Steps:
    def start(status: str, headers: Any, exc_info: Any = None) -> Any:
        return start_response(status, headers)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    yield from framework(environ, start)


def middleware_that_replaces_the_input(environ: Environ, start_response: Start) -> Steps:
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read())
    yield from framework(environ, start_response)


def middleware_that_reads_first(environ: Environ, start_response: Start) -> Steps:
    data = yield from environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(data)
    yield from framework(environ, start_response)


def middleware_that_reads_sometimes(environ: Environ, start_response: Start) -> Steps:
    if environ["PATH_INFO"] == "/mine":
        data = yield from environ["wsgi.input"].read()
        yield data
    else:
        yield from framework(environ, start_response)


class Middleware:
    def __init__(self, application: Any) -> None:
        self.application = application

    def __call__(self, environ: Environ, start_response: Start) -> Steps:
        iterable = self.application(environ, start_response)
        yield from iterable


def reads_later(environ: Environ, start_response: Start) -> Steps:
    reading = environ["wsgi.input"].read()
    data = yield from reading
    yield data


def reads_both_ways(environ: Environ, start_response: Start) -> Steps:
    first = yield from environ["wsgi.input"].read(4)
    yield first + environ["wsgi.input"].read()


def reads_in_a_lambda(environ: Environ, start_response: Start) -> Steps:
    first = yield from environ["wsgi.input"].read(4)
    yield first
    yield from iter(lambda: environ["wsgi.input"].read(4), b"")


def reads_in_a_comprehension(environ: Environ, start_response: Start) -> Steps:
    first = yield from environ["wsgi.input"].read(4)
    yield first
    yield from [line.upper() for line in environ["wsgi.input"]]


def reads_in_a_helper(environ: Environ, start_response: Start) -> Steps:
    first = yield from environ["wsgi.input"].read(4)
    yield first + read_form(environ)


def reads_in_a_helper_of_a_helper(environ: Environ, start_response: Start) -> Steps:
    first = yield from environ["wsgi.input"].read(4)
    yield first + read_form_later(environ)


def hands_it_on(environ: Environ, start_response: Start) -> Steps:
    first = yield from environ["wsgi.input"].read(4)
    yield first + json.load(environ["wsgi.input"])


def gives_an_alias(environ: Environ, start_response: Start) -> Steps:
    reader = environ["wsgi.input"]
    first = yield from reader.read(4)
    yield first + json.load(reader)


def binds_the_method(environ: Environ, start_response: Start) -> Steps:
    read = environ["wsgi.input"].read
    while data := (yield from read(4)):
        yield data


def gives_the_environ_away(environ: Environ, start_response: Start) -> Steps:
    first = yield from environ["wsgi.input"].read(4)
    yield first + framework.Request(environ).body


def reads_lines(environ: Environ, start_response: Start) -> Steps:
    yield from environ["wsgi.input"].readlines()


# Those that read as it comes.


def readme(environ: Environ, start_response: Start) -> Steps:
    data = yield from environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d bytes\n" % len(data)]


def in_steps(environ: Environ, start_response: Start) -> Steps:
    start_response("200 OK", [])
    size = 0
    while data := (yield from environ["wsgi.input"].read(65536)):
        size += len(data)
        yield b"%d bytes\n" % size


def of_2014(environ: Environ, start_response: Start) -> Steps:
    start_response("200 OK", [])
    while True:
        try:
            data = yield from environ["wsgi.input"].read()
        except aiohttp.EofStream:
            break
        yield data


def by_an_alias(environ: Environ, start_response: Start) -> Steps:
    reader = environ["wsgi.input"]
    data = yield from reader.read(10)
    while not reader.at_eof():
        data += yield from reader.readline()
    yield data


def by_get(environ: Environ, start_response: Start) -> Steps:
    data = yield from environ.get("wsgi.input").readexactly(int(environ.get("CONTENT_LENGTH") or 0) or 1)
    yield data


def by_a_conditional_size(environ: Environ, start_response: Start) -> Steps:
    data = yield from environ["wsgi.input"].read(10 if environ["PATH_INFO"] == "/" else 20)
    yield data


def with_a_harmless_helper(environ: Environ, start_response: Start) -> Steps:
    name = query(environ, "name")
    data = yield from environ["wsgi.input"].read(len(name))
    yield data


def in_a_nested_generator(environ: Environ, start_response: Start) -> Steps:
    def body() -> Steps:
        return (yield from environ["wsgi.input"].read())

    data = yield from body()
    yield data


def by_another(environ: Environ, start_response: Start) -> Steps:
    return (yield from readme(environ, start_response))


def relays(environ: Environ, start_response: Start) -> Steps:
    data = yield from environ["wsgi.input"].read()
    response = yield from aiohttp.request("POST", "http://127.0.0.1/", data=data)
    yield (yield from response.read_and_close())


# Those that need the loop, and do not read by themselves.


def outgoing(environ: Environ, start_response: Start) -> Steps:
    response = yield from aiohttp.request("GET", "http://127.0.0.1/")
    yield (yield from response.read_and_close())


def gathers(environ: Environ, start_response: Start) -> Steps:
    yield from asyncio.gather(later("a"), later("b"))


def of_a_future(environ: Environ, start_response: Start) -> Steps:
    future = asyncio.get_running_loop().create_future()
    yield (yield from future)


def of_a_function(environ: Environ, start_response: Start) -> Steps:
    yield (yield from make_task())


def of_a_marked_one(environ: Environ, start_response: Start) -> Steps:
    @types.coroutine
    def old() -> Steps:
        yield from asyncio.sleep(0)

    yield from old()


def nested(environ: Environ, start_response: Start) -> Steps:
    def inner() -> Steps:
        return (yield from asyncio.ensure_future(later("x")))

    yield (yield from inner())


def asynchronous_middleware(environ: Environ, start_response: Start) -> Steps:
    yield from asyncio.ensure_future(later("x"))
    yield from framework(environ, start_response)


def with_a_plain_read(environ: Environ, start_response: Start) -> Steps:
    yield from asyncio.ensure_future(later("x"))
    yield environ["wsgi.input"].read()


def in_a_helper(environ: Environ, start_response: Start) -> Steps:
    data = yield from helper(environ)
    yield data


def helper(environ: Environ) -> Steps:
    return (yield from environ["wsgi.input"].read())


TABLE: list[tuple[Callable[..., Any], Dialect]] = [
    *(
        (function, ORDINARY)
        for function in (
            reads_plainly,
            iterates,
            delegates_to_lines,
            middleware,
            middleware_around_a_function,
            middleware_that_asks,
            middleware_that_runs,
            middleware_that_names_asyncio,
            middleware_with_its_own_start,
            middleware_that_replaces_the_input,
            middleware_that_reads_first,
            middleware_that_reads_sometimes,
            Middleware.__call__,
            reads_later,
            reads_both_ways,
            reads_in_a_lambda,
            reads_in_a_comprehension,
            reads_in_a_helper,
            reads_in_a_helper_of_a_helper,
            hands_it_on,
            gives_an_alias,
            binds_the_method,
            gives_the_environ_away,
            reads_lines,
        )
    ),
    *(
        (function, STREAMING)
        for function in (
            readme,
            in_steps,
            of_2014,
            by_an_alias,
            by_get,
            by_a_conditional_size,
            with_a_harmless_helper,
            in_a_nested_generator,
            by_another,
            relays,
            in_a_helper,
            helper,
        )
    ),
    *(
        (function, ASYNCHRONOUS)
        for function in (
            outgoing,
            gathers,
            of_a_future,
            of_a_function,
            of_a_marked_one,
            nested,
            asynchronous_middleware,
            with_a_plain_read,
        )
    ),
]


@pytest.mark.parametrize(("function", "dialect"), TABLE, ids=lambda value: getattr(value, "__name__", None))
def test_class_of_a_generator_function(function: Any, dialect: Dialect) -> None:
    assert function_dialect(function) is dialect


@pytest.mark.parametrize(("function", "dialect"), TABLE, ids=lambda value: getattr(value, "__name__", None))
def test_class_of_a_generator(function: Any, dialect: Dialect) -> None:
    """The same of one that was returned."""
    arguments: tuple[Any, ...] = ({}, None) if function.__code__.co_argcount > 1 else ({},)
    if function is Middleware.__call__:
        arguments = (Middleware(None), *arguments)
    generator = function(*arguments)
    assert generator_dialect(generator) is dialect
    generator.close()


def test_closures_are_classified_by_their_values() -> None:
    def make(inner: Any) -> Any:
        def outer(environ: Environ, start_response: Start) -> Steps:
            return (yield from inner(environ, start_response))

        return outer

    assert function_dialect(make(readme)) is STREAMING
    assert function_dialect(make(outgoing)) is ASYNCHRONOUS
    assert function_dialect(make(ordinary_function)) is ORDINARY
    assert function_dialect(make(functools.partial(ordinary_function))) is ORDINARY
    assert function_dialect(make(make(make(readme)))) is STREAMING
    generator = make(outgoing)({}, None)
    assert generator_dialect(generator) is ASYNCHRONOUS
    generator.close()


def test_annotations_count_in_every_python() -> None:
    """From 3.14 on they are code of a function within, called when somebody asks; before, they were evaluated at once."""
    source = """
def application(environ, start_response):
    def within(value: {annotation}) -> {annotation}:
        return value
    yield from iter([within(b"")])
"""
    for annotation, dialect in (("bytes", ORDINARY), ("asyncio.Future", ASYNCHRONOUS)):
        namespace: dict[str, Any] = {"asyncio": asyncio}
        exec(compile(source.format(annotation=annotation), "annotated.py", "exec", dont_inherit=True), namespace)
        assert function_dialect(namespace["application"]) is dialect


def test_policies_of_loops_are_called_without_one() -> None:
    class Policy(*POLICIES):  # type: ignore[misc]
        pass

    def application(environ: Environ, start_response: Start) -> Steps:
        if isinstance(environ, Policy):
            yield b""
        yield from environ["wsgi.input"]

    Policy.__module__ = "uvloop"
    assert function_dialect(application) is ORDINARY


def test_functions_that_name_each_other() -> None:
    assert function_dialect(one) is ORDINARY


def one(environ: Environ, start_response: Start) -> Steps:
    yield from other(environ, start_response)


def other(environ: Environ, start_response: Start) -> Steps:
    yield from one(environ, start_response)


def test_finished_generator_is_ordinary() -> None:
    generator = readme({"wsgi.input": None}, None)
    generator.close()
    assert generator_dialect(generator) is ORDINARY


class Awaitable:
    def __await__(self) -> Steps:
        yield from ()


awaitable = Awaitable()


class Views:
    @staticmethod
    def plain(environ: Environ) -> Steps:
        return (yield from environ["wsgi.input"].read())

    @classmethod
    def of_the_class(cls, environ: Environ) -> Steps:
        return (yield from environ["wsgi.input"].read())

    @property
    def computed(self) -> Any:
        raise AssertionError("classification runs no code")


views = Views()


def by_a_method_of_a_class(environ: Environ, start_response: Start) -> Steps:
    yield (yield from Views.plain(environ))
    yield (yield from Views.of_the_class(environ))


def by_a_property(environ: Environ, start_response: Start) -> Steps:
    yield from views.computed


def of_an_awaitable(environ: Environ, start_response: Start) -> Steps:
    yield from awaitable  # type: ignore[misc]


def names_an_asynchronous_generator(environ: Environ, start_response: Start) -> Steps:
    async def items() -> Any:
        yield 1

    yield from framework(items)


def reads_beside_a_coroutine(environ: Environ, start_response: Start) -> Steps:
    data = yield from environ["wsgi.input"].read()
    yield from later_of_environ(environ)  # type: ignore[misc]
    yield data


async def later_of_environ(environ: Environ) -> None:
    await asyncio.sleep(0)


def asks_a_builtin(environ: Environ, start_response: Start) -> Steps:
    data = yield from environ["wsgi.input"].read(len(environ))
    yield data


def uses_a_loop_later(environ: Environ, start_response: Start) -> Steps:
    yield from loop_of_the_module.run_in_executor(None, query)


loop_of_the_module: Any = None


@pytest.mark.parametrize(
    ("function", "dialect"),
    [
        (by_a_method_of_a_class, STREAMING),
        (by_a_property, ORDINARY),
        (of_an_awaitable, ASYNCHRONOUS),
        (names_an_asynchronous_generator, ASYNCHRONOUS),
        (reads_beside_a_coroutine, STREAMING),
        (asks_a_builtin, STREAMING),
        (uses_a_loop_later, ORDINARY),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_values_that_names_stand_for(function: Any, dialect: Dialect) -> None:
    assert function_dialect(function) is dialect


def test_loop_in_a_variable_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.new_event_loop()
    monkeypatch.setitem(uses_a_loop_later.__globals__, "loop_of_the_module", loop)
    assert function_dialect(uses_a_loop_later) is ASYNCHRONOUS
    loop.close()


def test_bound_method() -> None:
    def outer(environ: Environ, start_response: Start) -> Steps:
        yield from method(environ, start_response)

    class Inner:
        def __call__(self, environ: Environ, start_response: Start) -> Steps:
            return (yield from environ["wsgi.input"].read())

    method = Inner().__call__
    assert function_dialect(outer) is STREAMING


def test_variable_without_a_value() -> None:
    def outer(environ: Environ, start_response: Start) -> Steps:
        yield from missing

    assert function_dialect(outer) is ORDINARY
    missing = None


def test_generator_expression() -> None:
    generator = (piece for piece in (b"a", b"b"))
    assert generator_dialect(generator) is ORDINARY
