"""State that all connections of a worker share: registry, caches, accounts, and calls posted from threads."""

from __future__ import annotations

import asyncio
import contextvars
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.response_encoder import HeadEncoder
from aiohttp_worker.transport.writable_sockets import WritableSockets
from aiohttp_worker.transport.write_batch import WriteBatch
from aiohttp_worker.wsgi.application import ApplicationKind, classify_application
from aiohttp_worker.wsgi.async_body import BodyServer, declare_server
from aiohttp_worker.wsgi.environ import LINE_KEYS, Environ, EnvironBuilder
from aiohttp_worker.wsgi.stream_input import Choice, stream_choice

from .lifetime import phase_limits
from .loop_visibility import RunningLoop
from .overload import Candidate
from .settings import Observers, ServerSettings
from .thread_pool import ThreadPool

_MOST_WARNINGS: Final = 1000  # of one kind; whoever invents paths does not fill the memory
_new_task: Any = asyncio.Task  # its eager_start is newer than the oldest Python we run on


class Peer(Candidate, Protocol):
    """Connection as the registry knows it, whatever protocol it speaks.

    :ivar transport: of asyncio, or one of TLS above that.
    :ivar peername: address of the client, as :meth:`socket.socket.accept` gives it.
    """

    transport: Any
    peername: Any

    @property
    def deadline(self) -> float:
        """Time of the monotonic clock when a time limit ends, in seconds."""

    @property
    def watched(self) -> bool:
        """True if the once-a-second sweep must check this connection before its deadline."""

    @property
    def exchanges(self) -> list[Any]:
        """Requests that are being answered."""

    def check_time(self, now: float) -> None:
        """End what took too long."""

    def drain(self, now: float) -> None:
        """End the connection after the answer that it is giving."""

    def cut(self) -> None:
        """Abort the connection."""

    def forsake(self) -> None:
        """Leave the connection to the process that this one was forked from."""


class State:
    """State that all connections of a worker share.

    :param application: the WSGI callable.
    :param base_environ: entries that are the same in every environ of the worker.
    :ivar kind: how the application is to be called.
    :ivar connections: registry of the connections that are open.
    :ivar draining: True once the worker is to end: each connection ends with its present answer.
    :ivar on_connection_closed: called after a connection has left the registry.
    :ivar parsers: parser of request heads, by whether the peer is a trusted front end.
    :ivar builders: builder of environs, likewise.
    :ivar pool: threads that run the application; ``None`` if the loop's thread does.
    :ivar bodies_in_threads: requests whose body a thread reads while it arrives.
    :ivar most_bodies_in_threads: limit of that, so that slow clients cannot occupy all threads.
    :ivar collected: account of the bytes of request bodies that are in memory.
    :ivar unsent: account of the bytes of answers that are in memory because clients have not read them.
    :ivar awaits_input: True if the application is called before the body of a request has arrived.
    :ivar stream_when: function that decides that for each request, if one was given to ``stream_input``.
    :ivar handovers: connections that an application has taken, with what was given to it.
    :ivar tasks: number of tasks that answer requests now.
    :ivar on_task: called when such a task is about to begin.
    :ivar on_posts: called once, when the next calls posted by threads are made.
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
        self.connections: set[Peer] = set()
        self.draining = False
        self.on_connection_closed: Callable[[], None] | None = None
        # Of trusted peers' requests and of others': where the values of a field go depends on it.
        self.builders = {trusted: EnvironBuilder(settings.forwarding, trusted, base_environ) for trusted in (False, True)}
        self.parsers = {trusted: HeadParser(settings.limits, one.learn_name, LINE_KEYS) for trusted, one in self.builders.items()}
        ordinary = self.kind is ApplicationKind.ORDINARY
        self.pool = ThreadPool(settings.threads) if settings.threads > 1 and ordinary else None
        self.bodies_in_threads = 0
        self.most_bodies_in_threads = settings.threads // 2 if self.pool is not None and settings.stream else 0
        self.collected = 0
        self.unsent = 0
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
        self.handovers: dict[Any, Any] = {}
        self.tasks = 0
        self.on_task: Callable[[], None] | None = None
        self._slow_paths: set[str] = set()
        self._dropping_paths: set[tuple[str, int]] = set()
        self._leave_fork: Callable[[BaseException | None], None] | None = None
        self.on_posts: Callable[[], None] | None = None
        self._posts: deque[Callable[[], None]] = deque()
        self._scheduled = False
        self._eager = sys.version_info >= (3, 12)

    def start(self) -> None:
        """Start the threads, or hide the loop from the application; call this before the loop runs."""
        declare_server(self.bodies)
        if self.pool is not None:
            self.pool.start()
        elif self.kind is ApplicationKind.ORDINARY:
            self.loop.call_soon(self.running_loop.hide_until_task)

    def tick(self) -> None:
        """Set the date, and check the time limits of every connection; call this once a second."""
        self.encoder.set_time(time.time())
        now = time.monotonic()
        for connection in [c for c in self.connections if c.deadline <= now or c.watched]:
            connection.check_time(now)

    def drain(self) -> None:
        """End every connection after the answer that it is giving, or gives next."""
        self.draining = True
        self.phase_limits = phase_limits(self.times, draining=True)
        now = time.monotonic()
        for connection in list(self.connections):
            connection.drain(now)

    def abort(self) -> None:
        """Abort every connection."""
        for connection in list(self.connections):
            connection.cut()

    def new_task(self, coroutine: Any, context: contextvars.Context) -> asyncio.Task[Any]:
        """Run *coroutine* in a new task; from Python 3.12 on its first step is taken at once."""
        self.running_loop.show()
        if self.on_task is not None:
            self.on_task()
        if self._eager and asyncio._get_running_loop() is self.loop:
            task: asyncio.Task[Any] = _new_task(coroutine, loop=self.loop, context=context, eager_start=True)
            return task
        return self.loop.create_task(coroutine, context=context)

    # Called from threads.

    def post(self, callback: Callable[[], None]) -> None:
        """Call *callback* on the loop, in the order of posts; several posts wake the loop once."""
        self._posts.append(callback)
        if not self._scheduled:
            self._scheduled = True
            self.call_on_loop(self._make_posted_calls)

    def post_end(self, callback: Callable[[], None]) -> None:
        """Call *callback* on the loop: a piece of an application's code has run in this thread.

        In a process that the application forked there is no loop, and the process ends here.
        """
        if self._leave_fork is not None:
            self._leave_fork(None)
        self.post(callback)

    def call_on_loop(self, callback: Callable[[], None]) -> None:
        """Call *callback* on the loop, in its next turn."""
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:
            pass  # the loop is closed: the worker has gone before its threads

    def _make_posted_calls(self) -> None:
        self._scheduled = False
        if self.on_posts is not None:
            on_posts, self.on_posts = self.on_posts, None
            on_posts()
        posts = self._posts
        while posts:
            posts.popleft()()

    def forsake(self, leave: Callable[[BaseException | None], None]) -> None:
        """Leave all connections to the process that this one was forked from, by the application.

        :param leave: ends this process; called when the application's code has ended, with its error.
        """
        self._leave_fork = leave
        self.on_connection_closed = None
        for connection in list(self.connections):
            connection.forsake()
        self.running_loop.forsake(lambda: leave(None))
        self._scheduled = True  # there is no loop that would make posted calls

    # Failures of applications.

    def check_exit(self, error: BaseException) -> None:
        """Raise *error* again if it is the exit that a signal asked for; an application's own is a failure.

        Gunicorn's handlers of QUIT, INT and ABRT raise ``SystemExit`` wherever
        the worker happens to be, which may be in the application.
        """
        if self._leave_fork is not None:
            self._leave_fork(error)
        if isinstance(error, SystemExit) and self.observers.exiting():
            raise error.with_traceback(None)

    def log_failure(self, head: RequestHead, error: BaseException) -> None:
        """Log, with its traceback, that the application failed."""
        self.observers.log_exception(error, f"Error handling request {head.method} {head.target}")

    def warn_slow_call(self, head: RequestHead, seconds: float) -> None:
        """Warn, once per path, that a call of the application kept all other requests waiting."""
        path = head.path
        if path in self._slow_paths or len(self._slow_paths) >= _MOST_WARNINGS:
            return
        self._slow_paths.add(path)
        self.observers.log_warning(
            "%s %s took %d ms in the event loop, and nothing else was served meanwhile."
            " If that is usual, give it threads of its own: --threads N",
            head.method,
            path,
            round(seconds * 1000),
        )

    def warn_dropped_body(self, head: RequestHead, status_code: int) -> None:
        """Warn, once per path and status, that a body was given where there can be none; in Gunicorn's words."""
        path = head.path
        if (path, status_code) in self._dropping_paths or len(self._dropping_paths) >= _MOST_WARNINGS:
            return
        self._dropping_paths.add((path, status_code))
        self.observers.log_warning(
            "%s %s: WSGI app sent body bytes on a no-body response (method=%s status=%s); dropping per RFC 9110.",
            head.method,
            path,
            head.method,
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
