"""An asynchronous iterable, iterated by code that cannot await."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import AsyncIterable, Iterator
from typing import Any

from aiohttp_worker.errors import ClientDisconnectedError


class SynchronousIterator(Iterator[Any]):
    """Iterates over an asynchronous iterable, and ends it when nobody refers to this any more.

    :param iterable: it runs on a loop and in a thread of its own.
    """

    def __init__(self, iterable: AsyncIterable[Any]) -> None:
        self._steps = Steps(iterable, None, contextvars.copy_context())

    def __next__(self) -> Any:
        return self._steps.take()

    def close(self) -> None:
        """End the iterable where it stands, and wait for that."""
        self._steps.close()

    def __del__(self) -> None:
        self._steps.close(wait=False)


class Steps:
    """Takes item after item of an asynchronous iterable, and blocks for each.

    All of the iterable runs in one task, as it would under ``async for``: what
    it has open between two items (a time-out, a task group, a context variable)
    stays. Nothing is taken in advance.

    The task is on a loop that runs in another thread than the caller's, where
    it does not matter which loops the caller's thread has.

    What runs refers to this, so it does not end with the last reference to it.

    :param loop: runs in another thread, and goes on running; ``None`` for a
        loop and a thread of the iterable's own.
    :param context: what the iterable runs in.
    """

    def __init__(
        self, iterable: AsyncIterable[Any], loop: asyncio.AbstractEventLoop | None, context: contextvars.Context
    ) -> None:
        self._iterable = iterable
        self._loop = loop
        self._context: contextvars.Context | None = context
        self._thread: threading.Thread | None = None
        self._answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._asked: asyncio.Future[bool] | None = None
        self._begun = False
        self._stopped = False
        self._ended = False
        #: What iterates, once it runs.
        self.task: asyncio.Task[None] | None = None
        #: Whether the task was cancelled because nobody is there to read.
        self.client_left = False

    def take(self) -> Any:
        """Return the next item.

        :raises StopIteration: there is none.
        :raises ClientDisconnectedError: nobody is there to read it.
        """
        if self._ended:
            raise StopIteration
        if self._begun:
            self._go_on(True)
        else:
            self._begun = True
            self._begin()
        is_item, answer = self._answers.get()
        if is_item:
            return answer
        self._ended = True
        if self._thread is not None:
            self._thread.join()
        if answer is None:
            raise StopIteration
        if self.client_left and isinstance(answer, asyncio.CancelledError):
            raise ClientDisconnectedError("the client went away")
        try:
            raise answer
        finally:
            answer = None  # a reference to it would be a cycle

    def close(self, wait: bool = True) -> None:
        """End the iterable where it stands; its ``finally`` is run.

        :param wait: until it has ended; never on the loop's own thread.
        """
        if self._ended:
            return
        self._ended = True
        if not self._begun:
            return
        self._stopped = True
        if self._loop is None:
            return  # its thread is only just starting, and sees it at the first item
        self._go_on(False)
        if wait:
            while self._answers.get()[0]:
                pass  # an item that was on its way
            if self._thread is not None:
                self._thread.join()

    # In the caller's thread.

    def _begin(self) -> None:
        if self._loop is None:
            self._thread = threading.Thread(target=self._run_loop, name="async-body", daemon=True)
            self._thread.start()
        else:
            # In the task's context: the caller's is kept by callbacks that are added here, and may refer to who iterates.
            self._loop.call_soon_threadsafe(self._make_task, context=self._context)

    def _go_on(self, more: bool) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._answer_asked, more)
        except RuntimeError:  # the loop is closed
            if more:
                raise

    # On the loop.

    def _run_loop(self) -> None:
        with asyncio.Runner() as runner:
            context, self._context = self._context, None
            self._loop = runner.get_loop()
            runner.run(self._run(), context=context)

    def _make_task(self) -> None:
        assert self._loop is not None
        context, self._context = self._context, None
        self.task = self._loop.create_task(self._run(), context=context)
        self.task.add_done_callback(self._check_begun)

    def _check_begun(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # before its first step
            self._answers.put((False, asyncio.CancelledError()))

    def _answer_asked(self, more: bool) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(more)
        elif not more and self.task is not None:
            self.task.cancel()  # whoever waited for the next item was interrupted

    async def _run(self) -> None:
        """Iterate, and hand over what comes; nothing leaves here but by the queue."""
        error: BaseException | None = None
        try:
            await self._iterate()
        except BaseException as raised:
            error = raised
        self._answers.put((False, error))
        error = None

    async def _iterate(self) -> None:
        self.task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        iterator = aiter(self._iterable)
        try:
            async for item in iterator:
                if hasattr(type(item), "__await__"):
                    item = await item
                self._asked = loop.create_future()
                if self._stopped:
                    break
                self._answers.put((True, item))
                if not await self._asked:
                    break
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
