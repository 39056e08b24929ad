"""Kinds of applications, of their results and of the items that these yield."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from aiohttp_worker.wsgi.application import (
    ApplicationKind,
    Piece,
    ResultKind,
    classify_application,
    classify_result,
    is_awaitable,
    take_outcome,
    wrong_item,
)
from aiohttp_worker.wsgi.async_body import AsyncBody

ORDINARY, ASYNCHRONOUS, STREAMING = ApplicationKind.ORDINARY, ApplicationKind.ASYNCHRONOUS, ApplicationKind.STREAMING


def ordinary(environ: Any, start_response: Any) -> list[bytes]:
    return []


async def coroutine(environ: Any, start_response: Any) -> list[bytes]:
    return []


async def async_generator(environ: Any, start_response: Any) -> Any:
    yield b""


def generator(environ: Any, start_response: Any) -> Iterator[bytes]:
    yield b"a"


def asynchronous(environ: Any, start_response: Any) -> Generator[Any, Any, None]:
    yield from asyncio.sleep(0)
    yield b"a"


def streaming(environ: Any, start_response: Any) -> Generator[Any, Any, None]:
    data = yield from environ["wsgi.input"].read()
    yield data


@types.coroutine
def old_coroutine(environ: Any, start_response: Any) -> Generator[Any, Any, list[bytes]]:
    yield
    return []


@functools.wraps(coroutine)
def wrapper(environ: Any, start_response: Any) -> list[bytes]:
    return []


class WithCall:
    async def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        return []

    async def method(self, environ: Any, start_response: Any) -> list[bytes]:
        return []

    def generator(self, environ: Any, start_response: Any) -> Generator[Any, Any, None]:
        yield from asyncio.sleep(0)


class WithPartial:
    def ordinary(self, one: int, environ: Any, start_response: Any) -> list[bytes]:
        return []

    __call__ = functools.partialmethod(ordinary, 1)


class IsClass:
    def __init__(self, environ: Any, start_response: Any) -> None: ...

    def __iter__(self) -> Iterator[bytes]:
        return iter([])


class Marked:
    """A coroutine function says so by a mark, where its code does not tell."""

    def __call__(self, environ: Any, start_response: Any) -> Any: ...


APPLICATIONS = {
    "ordinary": (ordinary, ORDINARY),
    "class": (IsClass, ORDINARY),
    "coroutine": (coroutine, STREAMING),
    "async-generator": (async_generator, STREAMING),
    "generator": (generator, ORDINARY),
    "asynchronous": (asynchronous, ASYNCHRONOUS),
    "streaming": (streaming, STREAMING),
    "types.coroutine": (old_coroutine, STREAMING),
    "partial": (functools.partial(functools.partial(coroutine, start_response=None)), STREAMING),
    "callable-object": (WithCall(), STREAMING),
    "bound-method": (WithCall().method, STREAMING),
    "bound-generator": (WithCall().generator, ASYNCHRONOUS),
    "partialmethod": (WithPartial(), ORDINARY),
    # It may well run the coroutine to its end itself.
    "wrapper": (wrapper, ORDINARY),
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_kind_of_application(name: str) -> None:
    application, kind = APPLICATIONS[name]
    assert classify_application(application) is kind


@pytest.mark.skipif(not hasattr(inspect, "markcoroutinefunction"), reason="Python 3.12 has the mark")
def test_object_marked_as_a_coroutine_function() -> None:
    marked = inspect.markcoroutinefunction(Marked())  # type: ignore[attr-defined,unused-ignore]
    assert classify_application(marked) is STREAMING
    assert classify_application(Marked()) is ORDINARY


def test_generator_function_marked_by_stream_input() -> None:
    assert classify_application(generator, True) is STREAMING
    assert classify_application(ordinary, True) is ORDINARY


class Django:
    """Has both protocols, and says which is meant."""

    def __init__(self, is_async: object) -> None:
        self.is_async = is_async

    def __iter__(self) -> Iterator[bytes]:
        return iter([])

    def __aiter__(self) -> Any: ...


class OldIterable:
    def __getitem__(self, index: int) -> bytes:
        raise IndexError


class Awaitable:
    def __await__(self) -> Any: ...

    def __iter__(self) -> Any: ...


class OnlyAsync:
    def __aiter__(self) -> Any: ...


class ListOfOurs(list[bytes]):
    """May do anything when it is iterated."""


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: [b"a"], ResultKind.WHOLE),
        (lambda: (b"a",), ResultKind.WHOLE),
        (ListOfOurs, ResultKind.ITERABLE),
        (lambda: iter([b"a"]), ResultKind.ITERABLE),
        (dict, ResultKind.ITERABLE),
        (OldIterable, ResultKind.ITERABLE),
        (Awaitable, ResultKind.AWAITABLE),
        (lambda: old_coroutine(None, None), ResultKind.AWAITABLE),
        (lambda: generator(None, None), ResultKind.ITERABLE),
        (lambda: asynchronous(None, None), ResultKind.GENERATOR),
        (lambda: async_generator(None, None), ResultKind.ASYNC_ITERABLE),
        (lambda: AsyncBody(async_generator(None, None)), ResultKind.ASYNC_ITERABLE),
        (OnlyAsync, ResultKind.ASYNC_ITERABLE),
        (lambda: Django(True), ResultKind.ASYNC_ITERABLE),
        (lambda: Django(False), ResultKind.ITERABLE),
        (lambda: Django("no bool"), ResultKind.ITERABLE),
    ],
)
def test_kind_of_result(make: Any, kind: ResultKind) -> None:
    result = make()
    assert classify_result(result, False) is kind


def test_generator_that_the_loop_drives() -> None:
    assert classify_result(generator(None, None), True) is ResultKind.GENERATOR


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returned NoneType, expected an iterable of bytes (PEP 3333): is a return missing?"),
        (b"a", "returned bytes, expected an iterable of bytes (PEP 3333): wrap it in a list"),
        ("a", "returned str, expected an iterable of bytes (PEP 3333): wrap it in a list"),
        (memoryview(b"a"), "returned memoryview"),
        (5, "returned int, expected an iterable of bytes (PEP 3333)"),
        (ordinary, "returned function, expected an iterable of bytes (PEP 3333): <function ordinary"),
    ],
    ids=["None", "bytes", "str", "memoryview", "int", "function"],
)
def test_results_that_are_no_body(result: Any, words: str) -> None:
    with pytest.raises(TypeError) as caught:
        classify_result(result, False)
    assert words in str(caught.value)


def test_awaitables() -> None:
    coroutine_object = coroutine(None, None)
    assert is_awaitable(coroutine_object)
    coroutine_object.close()
    assert is_awaitable(Awaitable())
    assert is_awaitable(old_coroutine(None, None))
    assert not is_awaitable(generator(None, None))
    assert not is_awaitable(Awaitable)  # the class is none
    assert not is_awaitable(None)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (None, "to yield nothing, leave it out or yield b''"),
        ("text", "yielded str ('text'), expected bytes (PEP 3333): encode it"),
        (5, "stand behind `yield`, not `yield from`"),
        (True, "yielded bool (True), expected bytes (PEP 3333)"),
    ],
    ids=["None", "str", "int", "bool"],
)
def test_hint_for_a_wrong_item(item: object, words: str) -> None:
    error = wrong_item(item)
    assert isinstance(error, TypeError)
    assert words in str(error)


def taking() -> Generator[Any, Any, None]:
    value = yield
    yield value


def dropping() -> Generator[Any, Any, None]:
    yield
    yield


def waiting(function: Any) -> Any:
    """A generator that waits at its first ``yield``."""
    started = function()
    next(started)
    return started


def test_outcome_of_a_yielded_awaitable() -> None:
    assert take_outcome(waiting(taking), b"data") == b"data"
    assert take_outcome(waiting(taking), "text") == "text"
    assert take_outcome(waiting(dropping), 5) == 5
    piece = take_outcome(waiting(dropping), b"data")
    assert isinstance(piece, Piece) and piece.data == b"data"
    with pytest.raises(TypeError, match="encode it"):
        take_outcome(waiting(dropping), "text")
