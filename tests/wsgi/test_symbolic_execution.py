"""Facts that the symbolic execution of a code object finds."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Generator
from typing import Any

import pytest

from aiohttp_worker.wsgi import symbolic_execution
from aiohttp_worker.wsgi.code_facts import Facts, Name, Reference, holds
from aiohttp_worker.wsgi.symbolic_execution import facts_of, has_yield_from

Steps = Generator[Any, Any, Any]
framework: Any = None


def facts(function: Callable[..., Any]) -> Facts:
    code: types.CodeType = function.__code__
    return facts_of(code)


def streams(environ: Any) -> Steps:
    while data := (yield from environ["wsgi.input"].read(10)):
        yield data


def streams_from_a_variable(environ: Any) -> Steps:
    reader = environ.get("wsgi.input")
    while not reader.at_eof():
        yield (yield from reader.readline())


def reads_without_delegation(environ: Any) -> Steps:
    yield environ["wsgi.input"].read()


def drops_a_read(environ: Any) -> Steps:
    environ["wsgi.input"].read()
    yield b""


def stores_the_input(environ: Any, holder: Any) -> Steps:
    holder.file = environ["wsgi.input"]
    yield b""


def stores_a_read(environ: Any) -> Steps:
    reading = environ["wsgi.input"].read()
    yield (yield from reading)


def reassigns_the_input(environ: Any) -> Steps:
    reader = environ["wsgi.input"]
    reader = environ["other"]
    yield reader


def passes_the_input(environ: Any) -> Steps:
    yield framework(environ["wsgi.input"])


def uses_the_key_elsewhere(environ: Any) -> Steps:
    yield environ.setdefault("x", "wsgi.input")


def reads_an_unknown_attribute(environ: Any) -> Steps:
    yield environ["wsgi.input"].name


def chooses(environ: Any, key: Any) -> Steps:
    yield (yield from environ["wsgi.input"].read(10 if key else len(environ)))


def catches(environ: Any) -> Steps:
    try:
        data = yield from environ["wsgi.input"].read()
    except ValueError as error:
        data = str(error).encode()
    yield data


def stars(environ: Any, more: Any) -> Steps:
    yield framework(*more, environ["wsgi.input"], **environ)


@pytest.mark.parametrize(
    ("function", "streaming", "collecting"),
    [
        (streams, True, False),
        (streams_from_a_variable, True, False),
        (chooses, True, False),
        (catches, True, False),
        (reads_without_delegation, False, True),
        (drops_a_read, False, True),
        (stores_the_input, False, True),
        (stores_a_read, False, True),
        (reassigns_the_input, False, False),
        (passes_the_input, False, True),
        (uses_the_key_elsewhere, False, True),
        (reads_an_unknown_attribute, False, True),
        (stars, False, True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_use_of_the_input(function: Any, streaming: bool, collecting: bool) -> None:
    found = facts(function)
    assert (found.streams, found.collects) == (streaming, collecting)


def test_environs() -> None:
    def function(environ: Any, other: Any) -> Steps:
        yield environ["wsgi.input"]
        yield other["PATH_INFO"]
        yield framework.environ["x"]

    assert facts(function).environs == {"environ"}


def test_references_and_delegation() -> None:
    def function(environ: Any, later: Any) -> Steps:
        yield from asyncio.sleep(0)
        yield from framework
        yield from later
        yield outer

    outer = 1
    found = facts(function)
    assert found.delegates
    assert found.delegated == {Reference("asyncio", ("sleep",)), Reference("framework")}
    assert found.delegated_names == {"later"}
    assert found.references >= {Reference("asyncio"), Reference("outer")}
    assert found.free == {"outer"}
    assert found.parameters == ("environ", "later")


def test_calls_with_variables() -> None:
    def function(environ: Any, start_response: Any, *, key: Any) -> Any:
        def start(status: Any, headers: Any) -> Any:
            return start_response(status, headers)

        framework(environ, start)
        framework(environ, start_response=start)
        return framework(1)

    found = facts(function)
    assert found.functions == {"start"}
    assert found.parameters == ("environ", "start_response", "key")
    # `start_response` is the variable of a closure here, `start` a local one.
    assert [(call.callee, call.arguments) for call in found.calls] == [
        (Reference("framework"), (Name("environ"), Name("start"))),
        (Reference("framework"), (Name("environ"), Name("start"))),
    ]
    assert [call.callee for call in found.within[0].calls] == [Reference("start_response")]


def test_nested_code() -> None:
    def function(environ: Any) -> Any:
        async def later() -> Any:
            return await framework

        return later, [line.upper() for line in environ["wsgi.input"]], lambda: (yield from later)

    found = facts(function)
    assert not found.delegates
    assert not found.is_coroutine
    assert any(one.is_coroutine for one in found.within)
    assert holds(found, "delegates")
    assert holds(found, "collects")
    assert not holds(found, "streams")


def test_variables_of_closures() -> None:
    def function(environ: Any) -> Any:
        count = 0
        reader = environ["wsgi.input"]

        def helper() -> Any:
            nonlocal count
            count += 1
            return reader

        return helper

    found = facts(function)
    assert found.functions == {"helper"}
    assert found.collects


def test_instructions_without_a_method_of_their_own() -> None:
    """Whatever a function consists of, the stack holds as many values as its instructions leave there."""

    def function(environ: Any, a: Any, *rest: Any, **named: Any) -> Any:
        with a as b, a:
            first, (second, *third) = b
        del first
        text = f"{second!r:>{a}} {third}"
        table = {**named, "x": [*rest, {1, 2}], **{key: str(value) for key, value in named.items()}}
        a[1:2] = a[::2]
        a.b.c += -1
        match environ:
            case {"x": [1, *_], **others}:
                return others
            case int(real=1) | str():
                return text
        try:
            assert a < 1 < b, "message"
        except* OSError:
            pass
        finally:
            print(text)
        for key in table:
            if key in a and key is not None or not key:
                continue
            break
        else:
            raise ValueError from None
        import os.path as path
        from os import sep

        class Inner(Exception):
            pass

        return Inner, path, sep, environ["wsgi.input"]

    found = facts(function)
    assert found.environs == {"environ"}
    assert found.collects
    assert Reference("ValueError") in found.references


def test_has_yield_from() -> None:
    def ordinary() -> Any:
        yield 1

    assert has_yield_from(streams.__code__)
    assert has_yield_from(streams.__code__)
    assert not has_yield_from(ordinary.__code__)


def test_caches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic_execution, "_MOST_REMEMBERED", 3)
    monkeypatch.setattr(symbolic_execution, "_facts", {})
    monkeypatch.setattr(symbolic_execution, "_yield_froms", {})
    for function in (streams, streams_from_a_variable, drops_a_read, stores_a_read, chooses, catches):
        has_yield_from(function.__code__)
        facts(function)
        assert len(symbolic_execution._facts) <= 3
        assert len(symbolic_execution._yield_froms) <= 3
    assert facts(streams).streams
