"""What all connections of a worker share."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.response_encoder import HeadEncoder
from aiohttp_worker.transport.writable_sockets import WritableSockets
from aiohttp_worker.transport.write_batch import WriteBatch
from aiohttp_worker.wsgi.application import ApplicationKind, classify_application
from aiohttp_worker.wsgi.async_body import BodyServer, declare_server
from aiohttp_worker.wsgi.environ import Environ, EnvironBuilder
from aiohttp_worker.wsgi.stream_input import Choice, stream_choice

from .lifetime import phase_limits
from .loop_visibility import RunningLoop
from .settings import Observers, OverloadLimits, ServerSettings
from .thread_pool import ThreadPool

if TYPE_CHECKING:
    from .channels import Delivery
    from .connection import Connection
    from .exchange import Exchange


_new_task: Any = asyncio.Task  # its eager_start is newer than the oldest Python we run on


class State:
    """The application, the tables and the limits that connections share.

    :param application: the WSGI callable.
    :param base_environ: what is the same in every environ of the worker.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        application: Any,
        settings: ServerSettings,
        base_environ: Environ,
        observers: Observers,
    ) -> None:
        self.loop = loop
        self.application = application
        self.settings = settings
        self.times = settings.times
        self.phase_limits = phase_limits(settings.times, draining=False)
        self.observers = observers
        choice = stream_choice(application)
        self.kind = classify_application(application, choice is True)
        self.context = contextvars.copy_context()
        self.encoder = HeadEncoder(settings.server)
        self.connections: set[Connection] = set()
        self.draining = False
        self.on_connection_closed: Callable[[], None] | None = None
        # Of trusted peers' requests and of others': what a field section means
        # for environ is remembered with it.
        self.parsers = {trusted: HeadParser(settings.limits) for trusted in (False, True)}
        self.builders = {trusted: EnvironBuilder(settings.forwarding, trusted, base_environ) for trusted in (False, True)}
        ordinary = self.kind is ApplicationKind.ORDINARY
        self.pool = ThreadPool(settings.threads) if settings.threads > 1 and ordinary else None
        # Requests whose body a thread reads while it comes: a thread that waits for a
        # slow client serves nobody else, so others are left.
        self.bodies_in_threads = 0
        self.most_bodies_in_threads = settings.threads // 2 if self.pool is not None and settings.stream else 0
        # Bytes in memory: of bodies that are collected, and of what clients have not read.
        self.collected = 0
        self.unsent = 0
        # Whether the application awaits its input, and so is called before its body is there.
        if not settings.stream:
            choice = False
        self.awaits_input = settings.stream and (self.kind is ApplicationKind.STREAMING or choice is True)
        self.stream_when: Choice | None = None if isinstance(choice, bool) or self.awaits_input else choice
        self.slow_call = settings.slow_call or math.inf
        self.pre_request = observers.pre_request
        self.post_request = observers.post_request
        self.on_end = observers.on_end
        self.log_error = observers.log_error
        self.log_debug = observers.log_debug
        self.bodies = BodyServer(loop, self.pool is not None, observers.log_warning, observers.log_error)
        self.write_batch = WriteBatch(loop)
        self.running_loop = RunningLoop(loop)
        self.writable = WritableSockets(loop, lambda: self.write_batch.slow)
        self.tasks = 0  # that answer requests now
        self.on_task: Callable[[], None] | None = None  # called when one is about to begin
        self._slow_paths: set[str] = set()
        self._dropping_paths: set[tuple[str, int]] = set()
        self._leave_fork: Callable[[BaseException | None], None] | None = None
        self.on_posts: Callable[[], None] | None = None  # called once, when a thread has something to tell
        self._posts: deque[tuple[Delivery, bool]] = deque()
        self._scheduled = False
        self._eager = sys.version_info >= (3, 12)

    def start(self) -> None:
        """Start what runs beside the loop, and prepare the loop that is about to run."""
        declare_server(self.bodies)
        if self.pool is not None:
            self.pool.start()
        elif self.kind is ApplicationKind.ORDINARY:
            self.loop.call_soon(self.running_loop.hide_until_task)

    def tick(self) -> None:
        """Once a second: the date, and every connection's time limits."""
        self.encoder.set_time(time.time())
        now = time.monotonic()
        for connection in [c for c in self.connections if c.deadline <= now or c.watched]:
            connection.check_time(now)

    def make_room(self, most: int, limits: OverloadLimits) -> None:
        """End connections for the sake of others: of those that are idle for too long, or if none is, of those that are too slow.

        :param most: so many, those first that have outstayed longest.
        """
        now = time.monotonic()
        late = [(c.idle_for(now) - limits.idle, c) for c in self.connections]
        late = [one for one in late if one[0] >= 0]
        if not late:
            late = [(c.outstays(limits, now), c) for c in self.connections]
            late = [one for one in late if one[0] >= 0]
        for _, connection in heapq.nlargest(most, late, key=_first):
            connection.make_room()

    def drain(self) -> None:
        """Let every connection end with the answer it gives now, or next."""
        self.draining = True
        self.phase_limits = phase_limits(self.times, draining=True)
        now = time.monotonic()
        for connection in list(self.connections):
            connection.drain(now)

    def abort(self) -> None:
        """Cut every connection."""
        for connection in list(self.connections):
            connection.cut()

    def new_task(self, coroutine: Any, context: contextvars.Context) -> asyncio.Task[Any]:
        """Run *coroutine* in a task of its own, its first step at once if possible."""
        self.running_loop.show()
        if self.on_task is not None:
            self.on_task()
        if self._eager and asyncio._get_running_loop() is self.loop:
            task: asyncio.Task[Any] = _new_task(coroutine, loop=self.loop, context=context, eager_start=True)
            return task
        return self.loop.create_task(coroutine, context=context)

    # From threads.

    def post(self, delivery: Delivery, returned: bool) -> None:
        """Tell the loop, from a thread, how far an answer has come.

        :param returned: that a piece of application code has run; otherwise,
            that there is something to send.
        """
        self._posts.append((delivery, returned))
        if not self._scheduled:
            self._scheduled = True
            self.call_on_loop(self._take_posts)

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Have *callback* called on the loop, from a thread."""
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:
            pass  # the loop is closed: the worker has gone before its threads

    def _take_posts(self) -> None:
        self._scheduled = False
        if self.on_posts is not None:
            on_posts, self.on_posts = self.on_posts, None
            on_posts()
        posts = self._posts
        while posts:
            delivery, returned = posts.popleft()
            if returned:
                delivery.returned()
            else:
                delivery.flush()

    def forsake(self, leave: Callable[[BaseException | None], None], posts: deque[tuple[Delivery, bool]]) -> None:
        """Take up that this is a process which the application forked from the worker: all connections are the worker's.

        :param leave: ends the process; called when the application's code has ended, with its error.
        :param posts: takes what a thread has to tell.
        """
        self._leave_fork = leave
        self.on_connection_closed = None
        for connection in list(self.connections):
            connection.forsake()
        self.running_loop.forsake(lambda: leave(None))
        self._posts = posts
        self._scheduled = True  # there is no loop that would take them

    # What happens.

    def check_exit(self, error: BaseException) -> None:
        """Let the exit that a signal asked for pass; an application's own is an error.

        Gunicorn's handlers of QUIT, INT and ABRT raise ``SystemExit`` wherever
        the worker happens to be, which may be in the application.
        """
        if self._leave_fork is not None:
            self._leave_fork(error)
        if isinstance(error, SystemExit) and self.observers.exiting():
            raise error.with_traceback(None)

    def log_failure(self, exchange: Exchange, error: BaseException) -> None:
        """Log, once and with its traceback, that the application failed."""
        self.observers.log_exception(error, f"Error handling request {exchange.head.method} {exchange.head.target}")

    def slow_call_seen(self, exchange: Exchange, seconds: float) -> None:
        """Warn, once per path, that a call kept all others waiting."""
        path = exchange.head.path
        if path in self._slow_paths or len(self._slow_paths) >= 1000:
            return
        self._slow_paths.add(path)
        self.observers.log_warning(
            "%s %s took %d ms in the event loop, and nothing else was served meanwhile."
            " If that is usual, give it threads of its own: --threads N",
            exchange.head.method,
            path,
            round(seconds * 1000),
        )

    def dropped_body_seen(self, delivery: Delivery) -> None:
        """Warn, once per path and status, that a body came where there can be none; in Gunicorn's words."""
        path = delivery.head.path
        status_code = delivery.response.status_code
        if (path, status_code) in self._dropping_paths or len(self._dropping_paths) >= 1000:
            return
        self._dropping_paths.add((path, status_code))
        self.observers.log_warning(
            "%s %s: WSGI app sent body bytes on a no-body response (method=%s status=%s); dropping per RFC 9110.",
            delivery.head.method,
            path,
            delivery.head.method,
            status_code,
        )

    def cancel_later(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task whose client has gone, when its time of grace is over."""
        grace = self.times.disconnect_grace
        if grace > 0:
            timer = self.loop.call_later(grace, task.cancel)
            # A timer that outlives the task keeps its error, hence its frames and
            # the body in them: what that body still has to close would wait too.
            task.add_done_callback(lambda _: timer.cancel())
        else:
            task.cancel()


def _first(pair: tuple[float, Connection]) -> float:
    return pair[0]
