"""What kind of application it is, what it returned, and how an asynchronous one runs.

The coroutines here are never compiled: what mypyc makes of one keeps the
exception that it handled last, and would chain one request's to the next.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import inspect
import types
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

from .body import AsyncBody, Marker
from .response_head import shown

if TYPE_CHECKING:
    from .exchange import Exchange


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
    hint = ""
    if result is None:
        hint = ": is a return missing?"
    elif callable(result):
        hint = f": {shown(result)}"
    raise TypeError(f"the application returned {kind.__name__}, expected an iterable of bytes (PEP 3333){hint}")


def wrong_item(item: object) -> TypeError:
    """The error for an item of a body that is no ``bytes``."""
    hint = ""
    if item is None:
        hint = ": to yield nothing, leave it out or yield b''"
    elif isinstance(item, str):
        hint = ": encode it"
    return TypeError(f"the application yielded {type(item).__name__} ({shown(item)}), expected bytes (PEP 3333){hint}")


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


async def call_application(exchange: Exchange) -> Any:
    """Call a coroutine or generator application, in the task that awaits this.

    :return: an iterable that is left to be stepped where the loop is hidden.
    """
    service = exchange.service
    try:
        if service.pre_request is not None:
            service.pre_request(exchange)
        result = service.application(exchange.environ, exchange)
        if type(result) is types.CoroutineType:
            # What comes of it as a rule is handled right here.
            result = await result
            if result is None and exchange.response.head_sent:
                exchange.finish_from_task()  # everything was written
                return None
        if (type(result) is list or type(result) is tuple) and exchange.send_whole(result):
            return None
        return await respond(exchange, result)
    except (SystemExit, KeyboardInterrupt) as error:
        exchange.keep_exit(error)
        return None


async def guard(exchange: Exchange, coroutine: Any) -> Any:
    """Keep from the task what would end the loop, and with it the worker."""
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        exchange.keep_exit(error)
        return None


async def respond(exchange: Exchange, result: Any) -> Any:
    """Await what is to be awaited of a result, and send what comes of it.

    :return: an iterable that is left to be stepped where the loop is hidden.
    """
    while True:
        kind = classify_result(result, True)
        if kind is ResultKind.AWAITABLE:
            result = await result
            if result is None and exchange.response.head_sent:
                exchange.finish_from_task()  # everything was written
                return None
        elif kind is ResultKind.GENERATOR:
            result = await drive(result, lambda data: _send(exchange, data))
            if result is None:
                exchange.finish_from_task()
                return None
        elif kind is ResultKind.ASYNC_ITERABLE:
            exchange.iterable = result
            await _send_all(exchange, result)
            exchange.finish_from_task()
            return None
        elif kind is ResultKind.WHOLE and exchange.send_whole(result):
            return None
        else:
            return result


async def send_awaited(exchange: Exchange, awaited: Any) -> None:
    """Send the piece, or the body, that an item of an iterable stands for."""
    if not is_awaitable(awaited):
        await _send_all(exchange, awaited)
        return
    data = await awaited
    if not isinstance(data, bytes):
        raise wrong_item(data)
    await _send(exchange, data)


async def _send_all(exchange: Exchange, iterable: Any) -> None:
    # Not aiter(): a proxy around Django's response has the method, and its type has not.
    iterator = iterable.__aiter__()
    wrong: TypeError | None = None
    stopped = False  # where it yielded, and not where it waits itself
    try:
        async for item in iterator:
            stopped = True
            data = await item if is_awaitable(item) else item
            if not isinstance(data, bytes):
                wrong = wrong_item(data)
                break
            if not await _send(exchange, data):
                break
            stopped = False
    finally:
        if stopped:
            exchange.service.leftovers.add()
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
    if wrong is not None:
        raise wrong


async def _send(exchange: Exchange, data: bytes) -> bool:
    """Send a piece, and let the client and others have their turn.

    :return: whether more of the body can be sent.
    """
    if isinstance(data, Marker):
        if exchange.claim(data):
            await _send_all(exchange, data.stream)
    elif exchange.send_piece(data):
        sender = exchange.client.sender
        if sender.paused:
            await sender.drained()
        else:
            await asyncio.sleep(0)
        exchange.turn_begins()
    return not exchange.response.full


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
