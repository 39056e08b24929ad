"""Kinds of WSGI applications and of their results: what can be awaited, stepped, or sent whole."""

from __future__ import annotations

import enum
import functools
import inspect
import types
from typing import Any

from aiohttp_worker.http1.response_encoder import shown

from .async_body import AsyncBody
from .call_sites import drops_what_is_sent
from .generators import Dialect, function_dialect, generator_dialect


class ApplicationKind(enum.Enum):
    """Way in which an application is called."""

    ORDINARY = "as PEP 3333 says, with the running loop hidden"
    ASYNCHRONOUS = "in a task on the loop, once its whole input has arrived"
    STREAMING = "in a task on the loop, once the head has arrived; it awaits its input"


_KINDS = {
    Dialect.ORDINARY: ApplicationKind.ORDINARY,
    Dialect.ASYNCHRONOUS: ApplicationKind.ASYNCHRONOUS,
    Dialect.STREAMING: ApplicationKind.STREAMING,
}


class ResultKind(enum.Enum):
    """Kind of result that an application returns."""

    WHOLE = "a list or tuple: the whole body is there"
    ITERABLE = "an iterable, stepped with the running loop hidden"
    AWAITABLE = "an awaitable; its result is the result"
    GENERATOR = "a generator, driven on the loop"
    ASYNC_ITERABLE = "an asynchronous iterable"


def classify_application(application: Any, marked: bool = False) -> ApplicationKind:
    """Classify an application by the way in which it has to be called.

    Partials, bound methods and objects with a ``__call__`` are looked into.
    A wrapper (``__wrapped__``) is not: it may well run the coroutine it wraps
    to its end itself, as ``async_to_sync`` does. Of a generator function its own
    code decides.

    :param marked: by ``stream_input``, for all requests.
    """
    while isinstance(application, functools.partial):
        application = application.func
    called = application
    if not (inspect.isroutine(called) or inspect.isclass(called)):
        called = getattr(type(called), "__call__", called)  # noqa: B004
        while isinstance(called, functools.partial | functools.partialmethod):
            called = called.func
    for test in (inspect.iscoroutinefunction, inspect.isasyncgenfunction):
        # Marks (inspect.markcoroutinefunction) are on the object itself.
        if test(called) or test(application):
            return ApplicationKind.STREAMING
    if not inspect.isgeneratorfunction(called):
        return ApplicationKind.ORDINARY
    if isinstance(called, types.MethodType):
        called = called.__func__
    if marked or called.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return ApplicationKind.STREAMING
    return _KINDS[function_dialect(called)]


def is_awaitable(value: object) -> bool:
    """Return True if *value* can be awaited; ask this before looking for ``__iter__``, which futures have too."""
    return hasattr(type(value), "__await__") or (
        isinstance(value, types.GeneratorType) and bool(value.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE)
    )


def classify_result(result: Any, drive_generators: bool) -> ResultKind:
    """Classify the result of an application.

    :param drive_generators: True if a generator runs on the loop, whatever its own code says.
    :raises TypeError: *result* is no body of a response.
    """
    kind = type(result)
    if kind is list or kind is tuple:
        return ResultKind.WHOLE
    if is_awaitable(result):
        return ResultKind.AWAITABLE
    if kind is types.GeneratorType:
        if drive_generators or generator_dialect(result) is not Dialect.ORDINARY:
            return ResultKind.GENERATOR
        return ResultKind.ITERABLE
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
    hint = ""
    if result is None:
        hint = ": is a return missing?"
    elif callable(result):
        hint = f": {shown(result)}"
    raise TypeError(f"the application returned {kind.__name__}, expected an iterable of bytes (PEP 3333){hint}")


def wrong_item(item: object) -> TypeError:
    """Return the error for an item of a body that is not ``bytes``."""
    hint = ""
    if item is None:
        hint = ": to yield nothing, leave it out or yield b''"
    elif isinstance(item, str):
        hint = ": encode it"
    elif type(item) is int:
        # Whoever delegates to bytes, as to those of a file that was kept from before the iteration, gives integers.
        hint = ": bytes that were read stand behind `yield`, not `yield from`"
    return TypeError(f"the application yielded {type(item).__name__} ({shown(item)}), expected bytes (PEP 3333){hint}")


class Piece:
    """Piece of the body that an awaitable resulted in."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def take_outcome(generator: types.GeneratorType[Any, Any, Any], outcome: Any) -> Any:
    """Return what to send into a generator for an awaitable that it yielded.

    That is the outcome of the awaitable. Where the generator drops what is sent into it, because
    the ``yield`` is a statement or a generator expression's, ``bytes`` are the
    next :class:`Piece` of the body instead.

    :raises TypeError: the outcome is a ``str`` that was meant to be such a piece.
    """
    if isinstance(outcome, bytes | str) and drops_what_is_sent(generator):
        if isinstance(outcome, str):
            raise wrong_item(outcome)
        return Piece(outcome)
    return outcome
