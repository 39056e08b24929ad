"""Iteration over asynchronous iterables by code that cannot await: items, errors, ends, and clients that disconnect."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aiohttp_worker.errors import ClientDisconnectedError
from aiohttp_worker.wsgi.synchronous_iteration import Steps, SynchronousIterator

from .async_bodies import LoopThread, Pieces, three, variable


@pytest.fixture
def worker_loop() -> Iterator[LoopThread]:
    one = LoopThread()
    yield one
    one.stop()


# In a loop and a thread of the iterable's own.


def test_items_then_the_end() -> None:
    pieces = Pieces()
    iterator = SynchronousIterator(pieces)
    assert b"".join(iterator) == b"one two three"
    assert pieces.ended == ["end"]
    assert len(pieces.threads) == 1
    assert threading.get_ident() not in pieces.threads
    with pytest.raises(StopIteration):
        next(iterator)


def test_context_of_the_caller_is_seen_and_not_changed() -> None:
    async def items() -> AsyncIterator[str]:
        yield variable.get()
        variable.set("inside")

    token = variable.set("caller")
    assert list(SynchronousIterator(items())) == ["caller"]
    assert variable.get() == "caller"
    variable.reset(token)


def test_error_of_the_iterable() -> None:
    iterator = SynchronousIterator(Pieces(ValueError("broken")))
    assert [next(iterator) for _ in range(3)] == [b"one ", b"two ", b"three"]
    with pytest.raises(ValueError, match="broken"):
        next(iterator)
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_exit_in_the_iterable_is_raised_in_the_caller(error: BaseException) -> None:
    async def leaves() -> AsyncIterator[bytes]:
        yield b"one"
        raise error

    iterator = SynchronousIterator(leaves())
    assert next(iterator) == b"one"
    with pytest.raises(type(error)):
        next(iterator)


def test_items_may_be_awaitables() -> None:
    async def item() -> bytes:
        return b"awaited"

    async def items() -> AsyncIterator[Any]:
        yield item()

    assert list(SynchronousIterator(items())) == [b"awaited"]


def test_iterable_without_aclose() -> None:
    class Items:
        def __init__(self) -> None:
            self.left = [b"two", b"one"]

        def __aiter__(self) -> Items:
            return self

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    assert list(SynchronousIterator(Items())) == [b"one", b"two"]


@pytest.mark.parametrize("items", [0, 1, 3])
def test_close_ends_the_iterable(items: int) -> None:
    pieces = Pieces()
    iterator = SynchronousIterator(pieces)
    for _ in range(items):
        next(iterator)
    iterator.close()
    assert pieces.ended == (["GeneratorExit"] if items else [])
    iterator.close()
    with pytest.raises(StopIteration):
        next(iterator)


def test_forgotten_iterator_ends_the_iterable() -> None:
    ended = threading.Event()

    async def items() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"piece"
        finally:
            ended.set()

    iterator = SynchronousIterator(items())
    next(iterator)
    gone = weakref.ref(iterator)
    del iterator
    gc.collect()
    assert gone() is None
    assert ended.wait(10)


# On a loop that runs in another thread.


def test_items_of_a_running_loop(worker_loop: LoopThread) -> None:
    pieces = Pieces()
    steps = Steps(pieces, worker_loop.loop, contextvars.copy_context())
    assert [steps.take() for _ in range(3)] == [b"one ", b"two ", b"three"]
    with pytest.raises(StopIteration):
        steps.take()
    assert pieces.threads == {worker_loop.thread.ident}


def test_close_on_a_running_loop(worker_loop: LoopThread) -> None:
    pieces = Pieces()
    steps = Steps(pieces, worker_loop.loop, contextvars.copy_context())
    steps.take()
    steps.close()
    assert pieces.ended == ["GeneratorExit"]


def test_closed_loop() -> None:
    loop = LoopThread()
    steps = Steps(three(), loop.loop, contextvars.copy_context())
    assert steps.take() == b"one "
    loop.call(lambda: steps.task and steps.task.cancel())
    loop.stop()
    with pytest.raises(RuntimeError, match="closed"):
        steps.take()
    steps.close(wait=False)  # nothing can be closed any more, and nothing fails


def test_task_cancelled_before_its_first_step(worker_loop: LoopThread) -> None:
    steps = Steps(three(), worker_loop.loop, contextvars.copy_context())
    busy, cancelled = threading.Event(), threading.Event()

    def cancel_first() -> None:
        # On the loop: the task is made behind this callback and cancelled before it can run.
        busy.set()
        cancelled.wait(10)
        worker_loop.loop.call_soon(lambda: steps.task and steps.task.cancel())

    worker_loop.loop.call_soon_threadsafe(cancel_first)
    assert busy.wait(10)
    steps._begun = True
    steps._begin()
    cancelled.set()
    with pytest.raises(asyncio.CancelledError):
        steps.take()


def test_disconnect_ends_the_wait(worker_loop: LoopThread) -> None:
    ended = threading.Event()
    waits = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            waits.set()
            await asyncio.sleep(3600)
        finally:
            ended.set()

    steps = Steps(endless(), worker_loop.loop, contextvars.copy_context())
    assert steps.take() == b"one"

    def leave() -> None:
        waits.wait(10)
        steps.client_left = True
        worker_loop.call(lambda: steps.task and steps.task.cancel())

    thread = threading.Thread(target=leave)
    thread.start()
    with pytest.raises(ClientDisconnectedError):
        steps.take()
    thread.join()
    assert ended.is_set()
    with pytest.raises(StopIteration):
        steps.take()


def test_close_cancels_a_pending_step(worker_loop: LoopThread) -> None:
    """As when a signal interrupts who waits."""
    ended = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.sleep(3600)
        finally:
            ended.set()

    steps = Steps(endless(), worker_loop.loop, contextvars.copy_context())
    assert steps.take() == b"one"
    steps._go_on(True)
    steps.close()
    assert ended.is_set()
