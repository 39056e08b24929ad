"""Channels: where an application runs, and how its answer gets from there to the write queue.

There are three, with the same methods: for applications that run inline, in callbacks of the loop; in a
thread of the pool; in a task of the loop. None knows a protocol: what they are given is framed already.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiohttp_worker.errors import ClientDisconnectedError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.transport.write_batch import MOST_HELD
from aiohttp_worker.transport.write_queue import WRITE_HIGH_MARK, WriteQueue

from .state import State
from .thread_pool import PoolThread

# Seconds that an application may send for before other connections get their turn.
TURN_SECONDS: Final = 0.001
# Bytes that write() may leave in memory inline, where it cannot wait.
_MOST_WRITTEN: Final = 1024 * 1024
# Bytes in memory that clients have not read, of all connections together. Beyond that, what may wait goes to files.
_MOST_UNSENT: Final = 32 * 1024 * 1024

_monotonic: Final = time.monotonic


class Next(enum.Enum):
    """Next action after a piece of an application's code has run."""

    END = "the response is complete, or failed"
    TURN = "step on, after others had their turn"
    DRAIN = "step on, when the client has read"
    ASYNC = "go on in a task with what the application returned"
    ITEM = "await an item, then step on"
    FILE = "send a file, then close it"


_END: Final = Next.END


class Runnable(Protocol):
    """Exchange as the channels know it."""

    head: RequestHead

    def go_on(self, following: Next, now: float) -> None:
        """Do what follows when a piece has run.

        :param now: the time of the monotonic clock, in seconds.
        """


class InlineChannel:
    """Channel of an application that runs in callbacks of the loop, which cannot do anything else meanwhile.

    :ivar started: when the application was called, on the monotonic clock in seconds; 0 once it has let others have a turn.
    :ivar ended: when the last piece of its code ended, likewise.
    """

    __slots__ = ("_state", "_write_queue", "ended", "started")

    def __init__(self, state: State, write_queue: WriteQueue) -> None:
        self._state = state
        self._write_queue = write_queue
        self.started = 0.0
        self.ended = 0.0

    def run(self, piece: Callable[[Any], Next], exchange: Runnable, context: contextvars.Context) -> Next:
        """Run a piece of an application's code now, with the loop hidden; call this from a plain callback only.

        :param piece: called with the exchange.
        :return: what follows.
        """
        state = self._state
        running_loop = state.running_loop
        began = self.started or _monotonic()
        running_loop.enter_application(exchange)
        try:
            following = context.run(piece, exchange)
        finally:
            running_loop.leave_application()
        self.ended = now = _monotonic()
        taken = now - began
        if taken > state.slow_call:
            state.warn_slow_call(exchange.head, taken)
        if following is not _END or self._write_queue.spill is not None:
            self.started = 0.0
        elif self.started:
            state.write_batch.note_call(taken, now)
        return following

    @property
    def full(self) -> bool:
        """True if more waits than the application should add to."""
        return self._write_queue.paused

    def send(self, pieces: list[bytes]) -> None:
        """Send part of an answer."""
        self._write_queue.send(pieces)

    def send_last(self, pieces: list[bytes], size: int, stays: bool) -> None:
        """Send what completes an answer, before the application's ``close()`` is called.

        :param size: bytes of the body among them.
        :param stays: True if the connection stays open behind it.
        """
        if size <= MOST_HELD and stays and self.started:
            self._state.write_batch.put_early(self._write_queue, pieces, self.started)
        else:
            self._write_queue.send(pieces)

    def send_whole(self, pieces: list[bytes], size: int, head: RequestHead) -> None:
        """Send a whole answer, behind which no code of the application runs any more.

        :param size: bytes of its body.
        :param head: of the request, for the log.
        """
        if size <= MOST_HELD:
            self._state.write_batch.put(self._write_queue, pieces, self.started)
        else:
            _send_stored(self._state, self._write_queue, pieces, head)

    def write(self, pieces: list[bytes]) -> None:
        """Send what was given to PEP 3333's ``write()``, which cannot wait here: what the client has not read goes to a file.

        :raises ClientDisconnectedError: nobody is there to read it.
        :raises OSError: the file takes no more; the connection is reset.
        """
        _write_through(self._state, self._write_queue, pieces)
        check_connected(self._write_queue)


class ThreadChannel:
    """Channel of an application that runs in one thread of the pool, from where pieces go through a queue to the loop.

    :ivar put: bytes that the thread has put into that queue.
    :ivar taken: bytes that the loop has taken from it; a count of each, since neither may change what the other changes.
    """

    __slots__ = ("_member", "_pieces", "_state", "_write_queue", "put", "taken")

    def __init__(self, state: State, write_queue: WriteQueue) -> None:
        self._state = state
        self._write_queue = write_queue
        self._member: PoolThread | None = None
        self._pieces: deque[bytes] = deque()
        self.put = 0
        self.taken = 0

    def run(self, piece: Callable[[Any], Next], exchange: Runnable, context: contextvars.Context) -> None:
        """Submit a piece of an application's code: to any thread at first, and then to the same one.

        What follows is told to the exchange, on the loop.

        :param piece: called with the exchange.
        """
        pool = self._state.pool
        assert pool is not None
        job = ThreadJob(self, piece, exchange, context)
        if self._member is None:
            pool.submit(job)
        else:
            pool.submit_to(self._member, job)

    def run_here(self, piece: Callable[[Any], Next], exchange: Runnable, context: contextvars.Context) -> None:
        """Run a piece of an application's code in the calling thread, and have the loop go on after it."""
        state = self._state
        member = self._member
        if member is None:
            assert state.pool is not None
            member = self._member = state.pool.current()
        member.since = _monotonic()
        member.occupant = exchange
        following = context.run(piece, exchange)
        member.occupant = None
        state.post_end(lambda: self._go_on(exchange, following))

    def _go_on(self, exchange: Runnable, following: Next) -> None:
        if self._pieces:
            self._flush()
        exchange.go_on(following, _monotonic())

    @property
    def full(self) -> bool:
        """True if more waits than the application should add to."""
        return self._write_queue.paused or self.put - self.taken > WRITE_HIGH_MARK

    def send(self, pieces: list[bytes]) -> None:
        """Post part of an answer to the loop, which sends it."""
        if pieces:
            self._put(pieces)
            self._state.post(self._flush)

    def send_last(self, pieces: list[bytes], size: int, stays: bool) -> None:
        """Post the last part of an answer to the loop, which sends it."""
        self.send(pieces)

    def send_whole(self, pieces: list[bytes], size: int, head: RequestHead) -> None:
        """Post a whole answer to the loop, which sends it.

        :param head: of the request, for the log.
        """
        self._put(pieces)
        self._state.post(lambda: self._flush_whole(head))

    def write(self, pieces: list[bytes]) -> None:
        """Send what was given to PEP 3333's ``write()``, and block the thread while the client has to read first.

        :raises ClientDisconnectedError: nobody is there to read it.
        """
        self.send(pieces)
        write_queue = self._write_queue
        while self.full and not write_queue.closed:
            write_queue.wait_in_thread()
        check_connected(write_queue)

    def _put(self, pieces: list[bytes]) -> None:
        self.put += sum(map(len, pieces))
        self._pieces.extend(pieces)

    def _take(self) -> list[bytes]:
        pieces = []
        # Piece by piece, since the thread may add more meanwhile.
        while self._pieces:
            pieces.append(self._pieces.popleft())
        self.taken += sum(map(len, pieces))
        return pieces

    def _flush(self) -> None:
        """Send, on the loop, what the thread has put into the queue."""
        self._write_queue.send(self._take())
        self._write_queue.wake_thread()

    def _flush_whole(self, head: RequestHead) -> None:
        _send_stored(self._state, self._write_queue, self._take(), head)


class ThreadJob:
    """Piece of an application's code that a thread of the pool is to run.

    :ivar exchange: the request that it is a piece of.
    """

    __slots__ = ("_channel", "_context", "_piece", "exchange")

    def __init__(
        self, channel: ThreadChannel, piece: Callable[[Any], Next], exchange: Runnable, context: contextvars.Context
    ) -> None:
        self._channel = channel
        self._piece = piece
        self._context = context
        self.exchange = exchange

    def __call__(self) -> None:
        self._channel.run_here(self._piece, self.exchange, self._context)


class TaskChannel:
    """Channel of an application, or a part of one, that runs in a task of the loop.

    :param home: the channel that what follows the task goes back to.
    :ivar task: ``None`` before its first step.
    """

    __slots__ = ("_state", "_turn_ends", "_within", "_write_queue", "home", "task")

    def __init__(self, state: State, write_queue: WriteQueue, home: InlineChannel | ThreadChannel) -> None:
        self._state = state
        self._write_queue = write_queue
        self._turn_ends = 0.0
        self._within: Any = None
        self.home = home
        self.task: asyncio.Task[Any] | None = None

    def run(
        self, coroutine: Any, within: Any, context: contextvars.Context, done: Callable[[asyncio.Task[Any]], None], at_once: bool
    ) -> None:
        """Run *coroutine* in a task, whose first step may be taken at once.

        :param within: coroutine that it awaits, ``None`` if it awaits none of ours.
        :param done: called with the task, in a plain callback.
        :param at_once: call it at once where the task is done at once; otherwise others get their turn first.
        """
        state = self._state
        state.tasks += 1
        self._within = within
        self.task = task = state.new_task(coroutine, context)
        if not task.done():
            task.add_done_callback(done)
        elif at_once:
            done(task)
        else:
            state.loop.call_soon(done, task)

    def end(self) -> InlineChannel | ThreadChannel:
        """End the task, which is done, and return the channel that the answer goes back to."""
        self._state.tasks -= 1
        task, self.task = self.task, None
        within, self._within = self._within, None
        if within is not None and task is not None and task.cancelled():
            within.close()  # it has not begun, if the task was cancelled before
        return self.home

    @property
    def full(self) -> bool:
        """True if more waits than the application should add to."""
        return self._write_queue.paused

    def send(self, pieces: list[bytes]) -> None:
        """Send part of an answer."""
        self._write_queue.send(pieces)

    def send_piece(self, pieces: list[bytes]) -> bool:
        """Send part of an answer.

        :return: True if the task is to wait: for the client to read, or for others to have their turn.
        """
        self._write_queue.send(pieces)
        return self._write_queue.paused or _monotonic() > self._turn_ends

    def send_last(self, pieces: list[bytes], size: int, stays: bool) -> None:
        """Send what completes an answer."""
        self._write_queue.send(pieces)

    def send_whole(self, pieces: list[bytes], size: int, head: RequestHead) -> None:
        """Send a whole answer.

        :param size: bytes of its body.
        :param head: of the request, for the log.
        """
        if size <= MOST_HELD:
            self._state.write_batch.put(self._write_queue, pieces, _monotonic())
        else:
            _send_stored(self._state, self._write_queue, pieces, head)

    def write(self, pieces: list[bytes]) -> None:
        """Send what was given to PEP 3333's ``write()``; what that returns can be awaited here."""
        self._write_queue.send(pieces)

    def turn_is_over(self) -> bool:
        """Return True if others are to have their turn."""
        return _monotonic() > self._turn_ends

    def turn_begins(self) -> None:
        """Begin a turn: others have had theirs."""
        self._turn_ends = _monotonic() + TURN_SECONDS


def check_connected(write_queue: WriteQueue) -> None:
    """Raise an error if nobody is there to read what is sent.

    :raises ClientDisconnectedError: nobody is.
    """
    if write_queue.closed:
        raise ClientDisconnectedError("the client went away")


def _write_through(state: State, write_queue: WriteQueue, pieces: list[bytes]) -> None:
    """Send what the socket takes now, keep a little in memory, and put more than that into a file.

    :raises OSError: the file takes no more; the connection is reset.
    """
    kept = write_queue.keeps
    most = _MOST_WRITTEN if state.unsent <= _MOST_UNSENT else WRITE_HIGH_MARK
    write_queue.write_through(pieces, most, state.settings.body_directory)
    if write_queue.keeps and not kept:
        state.loop.call_soon(write_queue.release)


def _send_stored(state: State, write_queue: WriteQueue, pieces: list[bytes], head: RequestHead) -> None:
    """Send a long answer; what the client does not read now goes to a file, if too much waits in memory already."""
    if state.unsent <= _MOST_UNSENT:
        write_queue.send(pieces)
        return
    try:
        _write_through(state, write_queue, pieces)
    except OSError as error:
        state.log_error("%s %s: the answer cannot be stored: %s", head.method, head.target, error.strerror)
