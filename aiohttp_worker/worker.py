"""The two Gunicorn workers: signals, the main loop, and the stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from .integration.boot_checks import check_settings, keep_exit_code
from .integration.early_signals import EarlySignals
from .integration.event_loop import new_loop
from .integration.master import check_before_reload, check_with_option
from .integration.names import WORKERS, missing_name
from .integration.request_events import RequestEvents
from .integration.settings import base_environ, read_options, server_settings
from .integration.tls_context import TLSContexts
from .server.closing import application_close, close_application, finish
from .server.exchange import Exchange
from .server.forked import ForkGuard, loop_descriptors
from .server.listener import Listeners
from .server.state import State
from .server.stuck_threads import StuckThreads
from .server.thread_pool import ThreadPool
from .server.watchdog import Watchdog, describe_hung, exchange_at
from .server.whereabouts import frames_inside, is_idle, traceback_text
from .transport.storage import try_storage

_KEPT_BYTES: Final = 8 * 1024 * 1024
_TICK_SECONDS: Final = 1.0
_STOP_CHECK_SECONDS: Final = 0.02
_STOP_MARGIN_SECONDS: Final = 0.5  # of graceful_timeout, before the master kills
_LATER_SECONDS: Final = 0.005  # after a time limit, to find those over that began a little later, too
_QUIET_SECONDS: Final = 1.0  # without a sign of life from any thread, before new connections are left to siblings
_LAST_WORDS_SECONDS: Final = 0.2  # for the last answers to be sent, where the worker ends because its threads hang
_LEAST_CLOSING_SECONDS: Final = 0.1


class AsyncGunicornWorker(Worker):  # type: ignore[misc]
    """Gunicorn worker that serves WSGI on an asyncio loop; ``wsgi.input`` can be a stream.

    Coroutine and generator applications, and any application under ``--threads N``, are called as soon as the head of a request
    has arrived. Any other callable is called inline, when the whole body has arrived.

    Gunicorn's settings apply. The attributes below are options for which Gunicorn has no setting; each can also be given as an
    environment variable ``AIOHTTP_WORKER_NAME``.
    """

    head_timeout: float = 20
    body_timeout: float = 30
    body_min_rate: float = 500
    write_timeout: float = 60
    linger_timeout: float = 2
    handshake_timeout: float = 20
    max_body_size: float = 0
    body_memory_size: float = 1024 * 1024
    slow_call: float = 0.1

    _stream = True
    _tls_contexts: ClassVar = TLSContexts()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_before_reload()
        self._early_signals = EarlySignals()
        self.loop: asyncio.AbstractEventLoop
        self._exit: SystemExit | None = None
        self._stopping = False
        self._recycling = False
        self._deadline = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Check the settings in the master, before a worker is started.

        :raises RuntimeError: a setting or an environment variable has a value that this worker cannot honour.
        """
        check_settings(cls, cfg, log)
        cls._tls_contexts.keep(cfg)

    def init_process(self) -> None:
        """Set up the process, load the application and serve."""
        with keep_exit_code(self):
            super().init_process()

    # Signals have Gunicorn's own handlers, which run even if the loop is blocked.

    def init_signals(self) -> None:
        """Set the signal handlers, and deliver the signals that have come since the fork."""
        with self._early_signals.handed_over():
            super().init_signals()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle TERM: stop gracefully."""
        super().handle_exit(sig, frame)
        self._wake()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Handle INT and QUIT: stop at once."""
        try:
            super().handle_quit(sig, frame)
        except SystemExit as error:
            self._exit_now(error)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """Handle ABRT, which the master sends when the worker has been silent for ``timeout`` seconds."""
        try:
            self._report_hung(frame)
        except Exception:
            self.log.exception("What hangs cannot be told")
        try:
            super().handle_abort(sig, frame)
        except SystemExit as error:
            self._exit_now(error)

    def _report_hung(self, frame: FrameType | None) -> None:
        """Log where the event loop is blocked, and answer the request that blocks it with 500."""
        state: State | None = getattr(self, "_state", None)
        frames = frames_inside(frame, _RUN)
        if state is None:
            self.log.error("The worker is aborted while it boots\n%s", traceback_text(frames))
            return
        exchange = exchange_at(state, frames)
        if exchange is not None:
            self.log.error(
                "%s\n%s", describe_hung(exchange, f"in the event loop (timeout = {self.cfg.timeout})"), traceback_text(frames)
            )
            exchange.abandon(500)
            self._request_events.end(exchange)
        elif not is_idle(frames):
            self.log.error("The worker is aborted, and what keeps its event loop is this\n%s", traceback_text(frames))

    def _exit_now(self, error: SystemExit) -> None:
        # The loop may swallow an exception of one of its callbacks, so it is stopped as well. Only code of the application has to
        # be interrupted by the exception.
        self._exit = error
        self._wake()
        listeners: Listeners | None = getattr(self, "_listeners", None)
        if listeners is not None:
            listeners.stop(take_rest=False)  # another worker serves the backlog
        loop: asyncio.AbstractEventLoop | None = getattr(self, "loop", None)  # set by run()
        if loop is None or not loop.is_running() or self._interrupts(loop) or os.getpid() != self.pid:
            raise error

    def _interrupts(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._state.running_loop.in_application or asyncio.current_task(loop) is not None

    def _wake(self) -> None:
        try:
            os.write(self.PIPE[1], b"1")
        except (OSError, IndexError):
            pass  # the pipe is full, so that the loop wakes anyway, or not made yet

    # The main loop.

    def run(self) -> None:
        """Serve until the worker is told to stop."""
        _keep_freed_memory()
        try:
            self.loop = loop = new_loop(self.cfg.asgi_loop)
            try:
                self._prepare(loop)
            except BaseException:
                loop.close()
                raise
        except Exception as error:
            # With the code that stops the master, because the next worker would fail in the same way.
            self.log.error("The worker cannot serve: %s: %s", type(error).__name__, error)
            self.log.debug("The worker cannot serve", exc_info=error)
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR) from error
        wakers, epolls = loop_descriptors(loop)
        guard = ForkGuard(
            self._state,
            lambda: (*wakers, *self.PIPE, *self._listeners.descriptors()),
            lambda: (*epolls, self._state.writable.fileno()),
            self._request_events.log_exception,
        )
        try:
            guard.begin()
            loop.run_forever()
            if self._exit is not None:
                raise self._exit
        finally:
            guard.end()
            gc.unfreeze()  # or the interpreter would take all down in another order at its end
            self._clean_up()

    def _prepare(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set up the server, so that it accepts connections as soon as the loop runs."""
        cfg = self.cfg
        loop.set_exception_handler(self._loop_failed)
        options = read_options(type(self), os.environ)
        self._request_events = RequestEvents(self, self._recycle)
        state = self._state = State(
            loop,
            self.wsgi,
            server_settings(cfg, options, stream=self._stream),
            base_environ(cfg),
            self._request_events.observers(exiting=lambda: self._exit is not None),
        )
        self._listeners = Listeners(
            state,
            [listener.sock for listener in self.sockets],
            cfg.worker_connections,
            one_by_one=cfg.workers > 1 and state.pool is None,
            context=self._tls_contexts.of_worker(cfg, self.log),
            handshake_seconds=options["handshake_timeout"] or 3600,
        )
        unstorable = try_storage(cfg.tmp_upload_dir)
        if unstorable is not None:
            self.log.error("large bodies cannot be stored, and will be answered with 507: %s", unstorable.strerror)
        self._tick_seconds = min(_TICK_SECONDS, cfg.timeout / 2) if cfg.timeout else _TICK_SECONDS
        self._watchdog: Watchdog | None = None
        if options["slow_call"]:
            self._watchdog = Watchdog(state, options["slow_call"], self._tick_seconds, _RUN, self.log.warning)
            self._watchdog.start()
        self._stuck: StuckThreads | None = None
        self._next_look: asyncio.TimerHandle | None = None
        if state.pool is not None and cfg.timeout:
            self._stuck = StuckThreads(state.pool, cfg.timeout, self.log.error)
        loop.add_reader(self.PIPE[0], self._woken)
        state.start()
        self._listeners.start()
        loop.call_soon(self._tick)
        if not self.alive:
            loop.call_soon(self._stop)
        # Everything that is loaded by now stays, so collections need not look at it: they stop the worker for shorter times, and
        # memory that is shared since the fork stays shared.
        gc.freeze()

    def _tick(self) -> None:
        """Notify the master, and do what is due once a second."""
        if os.getpid() != self.pid:
            os._exit(1)  # this process was forked by something that is no Python, and must not serve
        self.notify()
        self._state.tick()
        if self._watchdog is not None:
            self._watchdog.tick()
        if self._stuck is not None and not self._stopping:
            self._look_at_threads(self._stuck, time.monotonic())
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False
        if not self.alive:
            self._stop()
        self.loop.call_later(self._tick_seconds, self._tick)

    def _look_at_threads(self, stuck: StuckThreads, now: float) -> None:
        """Replace the worker when every thread hangs; before that, stop accepting connections that would only wait here."""
        state = self._state
        assert state.pool is not None
        if stuck.look(now):
            self._leave_hanging(state.pool)
            return
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        wait = stuck.due - now
        if wait < self._tick_seconds:
            self._next_look = self.loop.call_later(max(wait, 0.0) + _LATER_SECONDS, self._look_again, stuck)
        if state.pool.backlog and stuck.quiet_for(now) >= min(_QUIET_SECONDS, self.cfg.timeout / 2):
            self._listeners.hold()
            state.on_posts = self._listeners.release

    def _look_again(self, stuck: StuckThreads) -> None:
        if not self._stopping:
            self._look_at_threads(stuck, time.monotonic())

    def _leave_hanging(self, pool: ThreadPool) -> None:
        """End the worker because all its threads hang, and answer the requests that wait for a thread with 503."""
        self._stopping = True
        waiting: list[Any] = [getattr(job, "exchange", None) for job in pool.take_waiting()]
        self.log.critical(
            "All %d threads hang (timeout = %d): the worker ends, and the master starts another. %d requests that waited get 503",
            pool.size,
            self.cfg.timeout,
            len(waiting),
        )
        self._listeners.stop(take_rest=False)  # another worker serves the backlog
        hanging = [member.occupant for member in pool.threads]
        for status_code, exchanges in ((503, waiting), (500, hanging)):
            for exchange in exchanges:
                if isinstance(exchange, Exchange) and not exchange.ended:
                    exchange.abandon(status_code)
                    self._request_events.end(exchange)
                    exchange.stream.exchange_ended(time.monotonic())
        self.loop.call_later(_LAST_WORDS_SECONDS, self._abort)

    def _abort(self) -> None:
        """End the worker as the master's ABRT does."""
        self._exit = SystemExit(1)
        try:
            super().handle_abort(signal.SIGABRT, None)
        except SystemExit as error:
            self._exit = error
        except Exception:
            self.log.exception("Exception in worker_abort hook")
        self.loop.stop()

    def _woken(self) -> None:
        """Handle a byte in the pipe, which a signal handler wrote."""
        try:
            os.read(self.PIPE[0], 4096)
        except BlockingIOError:
            pass
        if self._exit is not None:
            self.loop.stop()
        elif not self.alive:
            self._stop()

    def _stop(self) -> None:
        """Stop gracefully: close the listening sockets, and end when the requests under way are answered."""
        if self._stopping:
            return
        self._stopping = True
        # A worker that is recycled leaves the backlog to its siblings.
        self._listeners.stop(take_rest=not self._recycling)
        self._set_deadline()
        self._state.drain()
        self._check_stopped()

    def _recycle(self) -> None:
        """Stop gracefully because ``max_requests`` is reached; in any thread."""
        if self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
            self._recycling = True
            self._state.call_on_loop(self._stop)

    def _set_deadline(self) -> None:
        # A little earlier than the master kills the worker.
        self._deadline = time.monotonic() + self.cfg.graceful_timeout - min(_STOP_MARGIN_SECONDS, self.cfg.graceful_timeout / 4)

    def _check_stopped(self) -> None:
        if self._listeners.open and time.monotonic() < self._deadline:
            self.loop.call_later(_STOP_CHECK_SECONDS, self._check_stopped)
            return
        left = len(self._state.connections)
        if left:
            self.log.warning("graceful_timeout is over: %d connections are cut", left)
        self._state.abort()
        self.loop.stop()

    def _clean_up(self) -> None:
        loop = self.loop
        if not self._stopping:
            self._stopping = True
            self._set_deadline()
        self._listeners.stop(take_rest=False)
        self._state.write_batch.flush()
        self._listeners.abort_unfinished()
        loop.remove_reader(self.PIPE[0])  # a signal must not cut the last turns of the loop short
        self._state.abort()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        try:
            loop.run_until_complete(finish(loop, tasks, self._state))
            self._close_application()
        except (RuntimeError, SystemExit):
            pass  # the loop was stopped once more by a signal
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
            if self._state.pool is not None:
                self._state.pool.stop()
            loop.close()

    def _close_application(self) -> None:
        """Call the application's ``close()``, if it has one, after its last request."""
        close = application_close(self.wsgi)
        if close is None:
            return
        loop = self.loop
        try:
            loop.run_until_complete(close_application(close, max(self._deadline - time.monotonic(), _LEAST_CLOSING_SECONDS)))
        except Exception as error:
            self.log.error("application.close() failed: %s: %s", type(error).__name__, error, exc_info=error)
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(finish(loop, tasks, self._state))

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an exception of a callback of the loop (`asyncio.loop.set_exception_handler`)."""
        error = context.get("exception")
        if isinstance(error, SystemExit):
            self._exit = error
            loop.stop()
            return
        if isinstance(error, ConnectionError | TimeoutError):
            self.log.debug("%s: %s", context.get("message"), error)
            return
        self.log.error("%s", context.get("message"), exc_info=error if error is not None else False)


# The frame that runs the loop; frames outside of it do not belong to a callback.
_RUN: Final = AsyncGunicornWorker.run.__code__


class AsyncNoStreamGunicornWorker(AsyncGunicornWorker):
    """Gunicorn worker that serves WSGI on an asyncio loop; ``wsgi.input`` is always a complete file.

    It is a ``BytesIO``, or a temporary file in Gunicorn's ``tmp_upload_dir`` if the body exceeds ``body_memory_size``.
    """

    _stream = False


def _keep_freed_memory() -> None:
    """Make glibc keep up to 8 MiB of freed memory in the process.

    glibc returns the end of the heap to the kernel, and asks for it anew, whenever 128 KiB are free there: for each piece of an
    upload, and with asyncio's loop for each receive. When a block that had a mapping of its own is freed, its size becomes the
    limit for such blocks, and twice its size the limit for the end of the heap (mallopt(3)).
    """
    bytes(_KEPT_BYTES // 2)


if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> object:
        """Raise the error for a name that does not exist, with the nearest one that does."""
        raise missing_name(__name__, name, WORKERS)


check_with_option()
