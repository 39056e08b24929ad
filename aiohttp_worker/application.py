"""What kind of application it is, what it returned, and how a generator is driven."""

from __future__ import annotations

import enum
import functools
import inspect
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from .body import AsyncBody, Marker


class ApplicationKind(enum.Enum):
    """How an application is to be called."""

    ORDINARY = "as PEP 3333 says, where the loop cannot be seen"
    ASYNCHRONOUS = "in a task on the loop: a coroutine or generator function"


class ResultKind(enum.Enum):
    """What an application returned."""

    WHOLE = "a list or tuple: the whole body is there"
    ITERABLE = "an iterable, stepped where the loop cannot be seen"
    AWAITABLE = "an awaitable; its result is the result"
    GENERATOR = "a generator, driven on the loop"
    ASYNC_ITERABLE = "an asynchronous iterable"


def classify_application(application: Any) -> ApplicationKind:
    """Say how *application* is to be called.

    Partials, bound methods and objects with a ``__call__`` are looked into.
    A wrapper (``__wrapped__``) is not: it may well run the coroutine it wraps
    to its end itself, as ``async_to_sync`` does.
    """
    while isinstance(application, functools.partial):
        application = application.func
    called = application
    if not (inspect.isroutine(called) or inspect.isclass(called)):
        called = getattr(type(called), "__call__", called)  # noqa: B004
        while isinstance(called, functools.partial | functools.partialmethod):
            called = called.func
    for test in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ):
        # Marks (inspect.markcoroutinefunction) are on the object itself.
        if test(called) or test(application):
            return ApplicationKind.ASYNCHRONOUS
    return ApplicationKind.ORDINARY


def is_awaitable(value: object) -> bool:
    """Say whether *value* can be awaited (ask before asking for ``__iter__``)."""
    return hasattr(type(value), "__await__") or (
        isinstance(value, types.GeneratorType) and bool(value.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE)
    )


def classify_result(result: Any, drive_generators: bool) -> ResultKind:
    """Say what an application returned.

    :param drive_generators: whether a generator is one for the loop.
    :raises TypeError: it is no body of a response.
    """
    kind = type(result)
    if kind is list or kind is tuple:
        return ResultKind.WHOLE
    if is_awaitable(result):
        return ResultKind.AWAITABLE
    if kind is types.GeneratorType:
        return ResultKind.GENERATOR if drive_generators else ResultKind.ITERABLE
    is_async = getattr(result, "is_async", None)
    if isinstance(is_async, bool):
        # Django: both protocols are there, and only this tells which is meant.
        return ResultKind.ASYNC_ITERABLE if is_async else ResultKind.ITERABLE
    if kind is AsyncBody:
        return ResultKind.ASYNC_ITERABLE
    if isinstance(result, bytes | bytearray | memoryview | str):
        raise TypeError(f"the application returned {kind.__name__}, expected an iterable of bytes (PEP 3333): wrap it in a list")
    if hasattr(kind, "__iter__") or hasattr(kind, "__getitem__"):
        return ResultKind.ITERABLE
    if hasattr(kind, "__aiter__"):
        return ResultKind.ASYNC_ITERABLE
    raise TypeError(f"the application returned {kind.__name__}, expected an iterable of bytes (PEP 3333)")


def wrong_item(item: object) -> TypeError:
    """The error for an item of a body that is no ``bytes``."""
    return TypeError(f"the application yielded {type(item).__name__} ({_short(item)}), expected bytes (PEP 3333)")


def _short(item: object) -> str:
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "..."


@types.coroutine
def drive(generator: Generator[Any, Any, Any], send: Callable[[bytes], Awaitable[bool]]) -> Generator[Any, Any, Any]:
    """Run a generator application in the task that awaits this.

    ``bytes`` that it yields are sent. A future that comes out of ``yield from``
    goes on to the task as it is, and its outcome back in; one that was yielded
    alone, and any other awaitable, is awaited. ``None`` is one turn of the loop.
    Whatever is raised here (a failed future, cancellation, a time-out) is raised
    in the generator, where it waits.

    :param send: says whether there is any use in more.

    :return: what the generator returned.
    """
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            if error is None:
                item = generator.send(value)
            else:
                raised, error = error, None
                item = generator.throw(raised)
        except StopIteration as stop:
            return stop.value
        value = None
        try:
            if isinstance(item, Marker):
                raise TypeError("a generator application cannot yield an AsyncBody; return it")
            if isinstance(item, bytes):
                if not (yield from send(item).__await__()):
                    generator.close()
                    return None
            elif item is None:
                yield
            elif getattr(item, "_asyncio_future_blocking", False):
                value = yield item
            elif is_awaitable(item):
                value = yield from _await(item).__await__()
            else:
                raise wrong_item(item)
        except GeneratorExit:
            generator.close()
            raise
        except BaseException as raised_here:
            error = raised_here


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
