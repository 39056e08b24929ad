"""Watchdog for a blocked event loop: a thread that logs which code blocks it, while it does.

Code that runs on the loop and does not return keeps all other requests waiting, and no caller sees a coroutine return late. So
the loop stores a deadline now and then, its heartbeat, and a thread checks whether the loop has missed it. The cost depends on
time and not on requests: an idle worker has one heartbeat a second, with its tick; only while tasks are under way, and a little
longer, there are two in the time that a step may take.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from _thread import allocate_lock, get_ident, start_new_thread
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from .exchange import Exchange
from .state import State
from .whereabouts import Place, application_place, frames_inside, local_of, place_of

_LEAST_PERIOD: Final = 0.02
_LEAST_INLINE: Final = 1.0  # an ordinary call is reported at its end; before that only one that may have none
_REST_SECONDS: Final = 2.0  # without a task, until the loop shows itself with its tick again
_MOST_STEPS: Final = 10  # from a request's task to one that it waits for
_MOST_REPORTS: Final = 1000
_MOST_PATHS: Final = 10  # of one place
_MOST_PLACES: Final = 5  # of one function and path: code that computes stands somewhere else each time
_monotonic: Final = time.monotonic


class Watchdog:
    """Watches the loop of a worker from a thread of its own.

    The thread is none of the module `threading`: it is gone without a trace in the child of a fork, nothing waits for it when the
    interpreter ends, and an application that patches that module does not reach it.

    :param slow_call: seconds that a step may block the loop.
    :param tick_seconds: seconds between two calls of :meth:`tick`.
    :param outside: code object of the function that runs the loop, whose callers are left out of tracebacks.
    :param warn: logs a warning.
    """

    def __init__(self, state: State, slow_call: float, tick_seconds: float, outside: CodeType, warn: Callable[..., None]) -> None:
        self._state = state
        self._loop = state.loop
        self._slow_call = slow_call
        self._period = max(slow_call / 2, _LEAST_PERIOD)
        self._tick_seconds = tick_seconds
        self._outside = outside
        self._warn = warn
        self._watched = 0
        self._expected = 0.0  # time of the next heartbeat
        self._busy_until = 0.0
        self._beats = False
        self._stopped = False
        self._wake = allocate_lock()
        self._wake.acquire()
        self._reported: set[tuple[str, Place]] = set()
        self._paths: Counter[tuple[str, int]] = Counter()
        self._places: Counter[tuple[str, str, str]] = Counter()

    # Called on the loop.

    def start(self) -> None:
        """Start watching the loop, which is about to run in this thread."""
        self._watched = get_ident()
        self._expected = _monotonic() + self._tick_seconds
        self._state.on_task = self._task_begins
        # All signals are blocked there: one that is delivered to that thread would not interrupt the code that blocks the loop.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            start_new_thread(self._watch, ())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def stop(self) -> None:
        """Stop the thread, without waiting for it."""
        self._stopped = True
        self._state.on_task = None
        self._wake_up()

    def tick(self) -> None:
        """Record a heartbeat: the loop turns."""
        if not self._beats:
            self._expected = _monotonic() + self._tick_seconds

    def _task_begins(self) -> None:
        self._state.on_task = None
        self._beats = True
        self._busy_until = 0.0
        self._next_beat()
        self._wake_up()

    def _next_beat(self) -> None:
        self._expected = _monotonic() + self._period
        self._loop.call_later(self._period, self._beat)

    def _beat(self) -> None:
        if self._stopped:
            return
        now = _monotonic()
        if self._state.tasks or not self._busy_until:
            self._busy_until = now + _REST_SECONDS
        if now < self._busy_until:
            self._next_beat()
            return
        self._beats = False
        self._expected = now + self._tick_seconds
        self._state.on_task = self._task_begins

    def _wake_up(self) -> None:
        try:
            self._wake.release()
        except RuntimeError:
            pass  # the thread is awake, or about to be

    # Called in the thread.

    def _watch(self) -> None:
        seen: int | None = None  # the step of the loop at the first look after a missed heartbeat
        while not self._stopped:
            expected = self._expected
            now = _monotonic()
            first = expected + self._slow_call / 2
            second = expected + self._slow_call
            if now < first:
                seen = None
                self._wake.acquire(timeout=first - now)
            elif now < second:
                if seen is None:
                    seen = self._at()
                self._wake.acquire(timeout=second - now)
            else:
                # Had the loop's thread not kept even the interpreter for itself, there would have been a first look.
                if seen is None or seen == self._at():
                    self._wait_and_report(expected)
                seen = None
                self._wait_for_turn(expected)

    def _at(self) -> int:
        """Return a number for the current step of the loop, which is the same for one step within one turn."""
        thing: object = self._state.running_loop.occupant or _current_task(self._loop)
        return id(thing)

    def _wait_and_report(self, expected: float) -> None:
        while self._expected == expected and not self._stopped:
            late = _monotonic() - expected
            if self._state.running_loop.occupant is None or late >= _LEAST_INLINE:
                self.look(expected, late)
                return
            self._wake.acquire(timeout=min(self._period, _LEAST_INLINE - late + 0.001))

    def _wait_for_turn(self, expected: float) -> None:
        while self._expected == expected and not self._stopped:
            self._wake.acquire(timeout=self._period)

    def look(self, expected: float, late: float) -> None:
        """Report where the loop's thread stands, if it runs code of the application and there was no heartbeat since.

        :param expected: time of the heartbeat that was missed.
        :param late: seconds since then.
        """
        frame = sys._current_frames().get(self._watched)
        frames = frames_inside(frame, self._outside)
        inline = self._state.running_loop.occupant is not None
        exchange = exchange_at(self._state, frames)
        place = application_place(frames)
        if place is None and exchange is not None and frames:
            place = place_of(frames[0])
        who = self._name_of(exchange)
        if self._expected != expected:
            return  # the loop went on meanwhile, so these lines may belong to another step
        if place is None:
            return  # the loop waits for events, or the server itself runs
        path = "" if exchange is None else exchange.head.path
        if self._is_new(path, place):
            self._warn(
                "%s has kept the event loop busy for %d ms and goes on, in %s; nothing else is served meanwhile. %s",
                who,
                round(late * 1000),
                place,
                "Give it threads of its own: --threads N"
                if inline
                else "Await what it waits for, or hand it to a thread: asyncio.to_thread()",
            )

    def _name_of(self, exchange: Exchange | None) -> str:
        if exchange is not None:
            return f"{exchange.head.method} {exchange.head.path}"
        task = _current_task(self._loop)
        if task is None:
            return "A callback"
        return f"The task {task.get_name()} ({getattr(task.get_coro(), '__qualname__', 'of no name')})"

    def _is_new(self, path: str, place: Place) -> bool:
        """Return True if a place was not reported yet for this path, within the limits of reports; remember it."""
        key = (path, place)
        if key in self._reported or len(self._reported) >= _MOST_REPORTS:
            return False
        self._reported.add(key)
        line = (place.filename, place.line)
        function = (path, place.filename, place.function)
        self._paths[line] += 1
        self._places[function] += 1
        return self._paths[line] <= _MOST_PATHS and self._places[function] <= _MOST_PLACES


def exchange_at(state: State, frames: list[FrameType]) -> Exchange | None:
    """Return the exchange whose code the loop runs, ``None`` if it runs no exchange's.

    :param frames: frames of the loop's thread, innermost first.
    """
    occupant = state.running_loop.occupant
    if isinstance(occupant, Exchange):
        return occupant
    exchange: Exchange | None = local_of(frames, "exchange", _is_exchange)
    if exchange is None and (task := _current_task(state.loop)) is not None:
        exchange = _exchange_awaiting(state, task)
    return exchange


def _exchange_awaiting(state: State, task: asyncio.Task[Any]) -> Exchange | None:
    """Return the exchange whose task awaits *task*, which the application made."""
    for connection in list(state.connections):
        for exchange in connection.exchanges:
            if exchange.task is not None and _awaits(exchange.task, task, _MOST_STEPS):
                found: Exchange = exchange
                return found
    return None


def _awaits(waiting: Any, task: asyncio.Task[Any], steps: int) -> bool:
    """Return True if a task awaits another one, through tasks and ``gather()`` between them."""
    awaited = getattr(waiting, "_fut_waiter", None)
    for one in (awaited, *getattr(awaited, "_children", ())):
        if one is task or (one is not None and steps and _awaits(one, task, steps - 1)):
            return True
    return False


def describe_hung(exchange: Exchange, where: str) -> str:
    """Return a sentence for the log about a request that hangs.

    :param where: the place, and the time limit.
    """
    head = exchange.head
    peer = exchange.environ.get("REMOTE_ADDR") or "a unix socket"
    seconds = _monotonic() - exchange.started
    return f"Error handling request {head.method} {head.target} from {peer}: it has hung for {seconds:.1f} s {where}"


def _is_exchange(value: object) -> bool:
    return isinstance(value, Exchange)


def _current_task(loop: asyncio.AbstractEventLoop) -> asyncio.Task[object] | None:
    return asyncio.current_task(loop)
