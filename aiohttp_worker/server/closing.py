"""The end of a worker: its last connections and tasks, and the ``close()`` of the application."""

from __future__ import annotations

import asyncio
import inspect
import sys
import types
from collections.abc import Callable, Generator
from typing import Any, Final

from aiohttp_worker.wsgi.application import is_awaitable

from .state import State

_LEAST_LAST_TURNS: Final = 5
_MOST_LAST_TURNS: Final = 100
_LAST_SECONDS: Final = 0.4  # for what applications have to close; less than what the worker keeps of graceful_timeout
_LAST_PAUSE_SECONDS: Final = 0.01


def application_close(application: Any) -> Callable[[], Any] | None:
    """Return the method ``close`` of an application, ``None`` if it has none for the end of a worker.

    A method of that name belongs to a response where the application is an iterable of responses as well: a class of such, or an
    object that returns itself. PEP 3333 has that one called after each request. A method that cannot be called without arguments
    is left alone, too.
    """
    if inspect.isclass(application) or hasattr(type(application), "__iter__"):
        return None
    try:
        close = application.close
    except Exception:  # a proxy for an object that does not exist
        return None
    if not callable(close):
        return None
    try:
        _signature(close).bind()
    except TypeError:
        return None
    except ValueError:
        pass  # a callable without a signature
    typed: Callable[[], Any] = close
    return typed


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function whose annotations may name what only a type checker imports."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return inspect.signature(function, annotation_format=annotationlib.Format.STRING)
    return inspect.signature(function)


async def close_application(close: Callable[[], Any], seconds: float) -> None:
    """Call *close*, and await or drive its result.

    :param seconds: time limit, after which the call is cancelled.
    :raises TimeoutError: the time limit has passed.
    :raises Exception: an error of the application.
    """
    task = asyncio.ensure_future(_run(close))
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
        raise TimeoutError(f"it took more than {seconds:.1f} s, and was cancelled")
    task.result()


async def _run(close: Callable[[], Any]) -> None:
    try:
        result = close()
        if isinstance(result, types.GeneratorType):
            result = _delegate(result)
        if is_awaitable(result):
            await result
    except SystemExit as error:
        raise RuntimeError("it asked the process to exit, which is about to happen") from error


@types.coroutine
def _delegate(generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    return (yield from generator)


async def finish(loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[Any]], state: State) -> None:
    """Wait until transports have closed, cancelled tasks have ended, and threads have closed the iterables of aborted requests.

    :param tasks: tasks that were cancelled.
    """
    limit = loop.time() + _LAST_SECONDS
    if tasks:
        await asyncio.wait(tasks, timeout=_LAST_SECONDS)
    await loop.shutdown_asyncgens()
    for turn in range(_MOST_LAST_TURNS):
        # Again, because some transports were being made when the others were aborted.
        state.abort()
        await asyncio.sleep(0)
        # uvloop closes the socket of a transport a turn or two after it told the protocol.
        if turn + 1 >= _LEAST_LAST_TURNS and not state.connections:
            break
    # Polled, because threads do not set the loop's events.
    while state.pool is not None and state.pool.owes and loop.time() < limit:  # noqa: ASYNC110
        await asyncio.sleep(_LAST_PAUSE_SECONDS)
