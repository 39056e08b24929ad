"""One call, every spelling: ``await``, ``yield from`` in a plain generator, ``async with``, ``create_task``.

A native coroutine cannot stand after ``yield from`` in a plain generator, and a generator cannot be given to
``create_task``. ``Call`` wraps the first so that it does both.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

__all__ = ["Call", "coroutine", "run"]

T = TypeVar("T")

coroutine: Callable[[Callable[..., Generator[Any, Any, T]]], Callable[..., Awaitable[T]]] = types.coroutine
"""Mark a generator function as a coroutine: what ``@asyncio.coroutine`` was until Python 3.10.

A generator needs it only to be awaited, to be given to ``asyncio.gather`` and ``ensure_future``, or to say
``yield from asyncio.sleep(1)``. Another generator can say ``yield from`` to it without.
"""


class Call(Coroutine[Any, Any, T], Generic[T]):
    """Result of every call of this package: awaitable, iterable by ``yield from``, and a coroutine for asyncio."""

    __slots__ = ("_coroutine",)

    def __init__(self, native: Coroutine[Any, Any, T]) -> None:
        self._coroutine = native

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def __iter__(self) -> Generator[Any, Any, T]:
        if asyncio._get_running_loop() is None:
            return _hand_over(self._coroutine)
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._coroutine!r}>"

    if not TYPE_CHECKING:  # which finds a forgotten await by itself

        def __getattr__(self, name: str) -> object:
            """Say that an await was probably forgotten."""
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name.startswith("_"):
                raise AttributeError(text)
            called = getattr(self._coroutine, "__name__", "this call")
            raise AttributeError(f"{text}: the result of {called}() has to be awaited first (await, or yield from)")


class _HandedOver(Generic[T]):
    """A call of a generator that cannot see the loop, for whoever steps that generator and can: the worker."""

    __slots__ = ("_coroutine", "_error", "_result", "_was_awaited")

    gives_no_piece = True

    def __init__(self, native: Coroutine[Any, Any, T]) -> None:
        self._coroutine = native
        self._was_awaited = False
        self._error: BaseException | None = None
        self._result: Any = None

    def __await__(self) -> Generator[Any, Any, None]:
        self._was_awaited = True
        try:
            self._result = yield from self._coroutine.__await__()
        except Exception as error:
            self._error = error

    def result(self) -> T:
        if not self._was_awaited:
            self._coroutine.close()
            raise RuntimeError("no running event loop, and nobody who awaits what this generator yields")
        error, self._error = self._error, None
        if error is not None:
            raise error
        result: T = self._result
        return result


def _hand_over(native: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    handed = _HandedOver(native)
    yield handed
    return handed.result()


@types.coroutine
def _delegate(calls: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    return (yield from calls)


async def _wait_for(awaitable: Awaitable[T]) -> T:
    return await awaitable


def run(main: Generator[Any, Any, T] | Awaitable[T], *, debug: bool | None = None) -> T:
    """Run a generator (one that says ``yield from aiohttp.request(...)``) or an awaitable in a new event loop.

    Returns its result. Raises RuntimeError where a loop runs already, TypeError for anything else than these two.
    """
    if isinstance(main, types.GeneratorType):
        delegate: Awaitable[T] = _delegate(main)
        return asyncio.run(_wait_for(delegate), debug=debug)
    if isinstance(main, Awaitable):
        return asyncio.run(_wait_for(main), debug=debug)
    raise TypeError(f"a generator or an awaitable is needed, not {main!r}")
