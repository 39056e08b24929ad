"""Synchronous iteration over an asynchronous iterable, for code that cannot await."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import AsyncIterable, Iterator
from typing import Any

from aiohttp_worker.errors import ClientDisconnectedError


class SynchronousIterator(Iterator[Any]):
    """Iterator over an asynchronous iterable, which ends it when the last reference to the iterator goes.

    :param iterable: iterated on a loop and in a thread of its own.
    """

    def __init__(self, iterable: AsyncIterable[Any]) -> None:
        self._steps = Steps(iterable, None, contextvars.copy_context())

    def __next__(self) -> Any:
        return self._steps.take()

    def close(self) -> None:
        """Close the iterable where it stands, and wait for its end."""
        self._steps.close()

    def __del__(self) -> None:
        self._steps.close(wait=False)


class Steps:
    """Blocking steps through an asynchronous iterable: each call takes one item.

    The whole iterable runs in one task, as it would under ``async for``: a time-out, a task group or a context variable
    that it has open between two items stays open. No item is taken in advance.

    The task is on a loop that runs in another thread than the caller's, so that it does not matter which loops the caller's
    thread has.

    The running task refers to this object, which therefore does not end with the last reference of the caller.

    :param loop: loop that runs, and goes on running, in another thread; ``None`` for a loop and a thread of the
        iterable's own.
    :param context: context in which the iterable runs.
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
        #: Task that iterates, once it runs.
        self.task: asyncio.Task[None] | None = None
        #: True if the task was cancelled because the client has disconnected.
        self.client_left = False

    def take(self) -> Any:
        """Return the next item.

        :raises StopIteration: there is none.
        :raises ClientDisconnectedError: the client has disconnected.
        :raises BaseException: the error of the iterable.
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
            answer = None  # a reference to the error would be a cycle

    def close(self, wait: bool = True) -> None:
        """Close the iterable where it stands; its ``finally`` is run.

        :param wait: wait for its end; never true in the loop's own thread.
        """
        if self._ended:
            return
        self._ended = True
        if not self._begun:
            return
        self._stopped = True
        if self._loop is None:
            return  # the thread is only just starting, and looks at _stopped at the first item
        self._go_on(False)
        if wait:
            while self._answers.get()[0]:
                pass  # an item that was on its way
            if self._thread is not None:
                self._thread.join()

    # Called in the caller's thread.

    def _begin(self) -> None:
        if self._loop is None:
            self._thread = threading.Thread(target=self._run_loop, name="async-body", daemon=True)
            self._thread.start()
        else:
            # In the task's context: callbacks added there would keep the caller's, which may refer to the iterator.
            self._loop.call_soon_threadsafe(self._make_task, context=self._context)

    def _go_on(self, more: bool) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._answer_asked, more)
        except RuntimeError:  # the loop is closed
            if more:
                raise

    # Called on the loop.

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
            self.task.cancel()  # the caller was interrupted while it waited for the next item

    async def _run(self) -> None:
        """Iterate, and put every item and the end into the queue; no exception leaves the task otherwise."""
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
