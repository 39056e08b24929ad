"""Asynchronous bodies, and a loop in a thread, for the tests of their iteration."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any


class LoopThread:
    """Loop that runs in a thread of its own, as that of a worker does beside its thread pool."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async def call() -> Any:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(10)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")


class Pieces:
    """Asynchronous iterable of three pieces, which notes its threads and its end."""

    def __init__(self, fail: Exception | None = None) -> None:
        self.ended: list[str] = []
        self.threads: set[int] = set()
        self._fail = fail

    async def __aiter__(self) -> AsyncIterator[bytes]:
        before = asyncio.current_task()
        try:
            async with asyncio.timeout(60):
                variable.set("inside")
                for piece in (b"one ", b"two ", b"three"):
                    self.threads.add(threading.get_ident())
                    yield piece
                    await asyncio.sleep(0)
                    assert variable.get() == "inside"
                    assert asyncio.current_task() is before
                if self._fail is not None:
                    raise self._fail
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        else:
            self.ended.append("end")


async def three() -> AsyncIterator[bytes]:
    for piece in (b"one ", b"two ", b"three"):
        yield piece
