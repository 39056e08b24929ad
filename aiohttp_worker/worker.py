"""The two Gunicorn workers: the place where settings are read, once."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Final

import gunicorn
from gunicorn.arbiter import Arbiter
from gunicorn.http.wsgi import WSGIErrorsWrapper
from gunicorn.workers.base import Worker

from . import __version__
from .http1.errors import RemoteProtocolError
from .http1.messages import Limits
from .integration.access_log import access_log_writer
from .integration.boot_checks import keep_exit_code, refuse_foreign_aiohttp, refuse_storage
from .integration.early_signals import EarlySignals
from .integration.hooks import HookRequest, HookResponse
from .integration.master import check_before_reload, check_with_option
from .integration.names import WORKERS, missing_name
from .integration.settings import read_options
from .integration.tls_context import TLSContexts
from .server.closing import application_close, close_application
from .server.connection import Connection
from .server.exchange import Exchange
from .server.forked import ForkGuard, loop_descriptors
from .server.listener import Listeners
from .server.proxy_protocol import ProxyProtocol
from .server.settings import Observers, ServerSettings, TimeLimits
from .server.state import State
from .server.stuck_threads import StuckThreads
from .server.thread_pool import ThreadPool
from .server.watchdog import Watchdog, describe_hung, exchange_at
from .server.whereabouts import frames_inside, is_idle, traceback_text
from .transport.storage import try_storage
from .wsgi.file_wrapper import FileWrapper
from .wsgi.forwarded import AddressList, ForwardingPolicy, HeaderMap

_KEPT_BYTES: Final = 8 * 1024 * 1024
_TICK_SECONDS: Final = 1.0
_STOP_CHECK_SECONDS: Final = 0.02
_STOP_MARGIN_SECONDS: Final = 0.5
_LEAST_LAST_TURNS: Final = 5
_MOST_LAST_TURNS: Final = 100
_LAST_SECONDS: Final = 0.4  # within the margin, for what applications still have to close
_LATER_SECONDS: Final = 0.005  # than a time limit, so that it is over for others that began a little later, too
_QUIET_SECONDS: Final = 1.0  # of all threads, while somebody waits for one: then nobody else is accepted
_LAST_WORDS_SECONDS: Final = 0.2  # for answers to leave, where the worker gives up
_LAST_PAUSE_SECONDS: Final = 0.01
_LEAST_CLOSING_SECONDS: Final = 0.1
_MOST_FIELDS: Final = 32768
_DEFAULT_FIELD_SIZE: Final = 8190
_MOST_REQUEST_LINE: Final = 8190
# Hooks that are given the worker, and may read its nr sooner or later.
_COUNT_SEEN_BY: Final = ("post_request", "post_fork", "post_worker_init", "worker_int", "worker_abort", "worker_exit")


class AsyncGunicornWorker(Worker):  # type: ignore[misc]
    """Serves WSGI on an asyncio loop; ``wsgi.input`` can be a stream.

    Coroutine and generator applications, and any application under
    ``--threads N``, are called as soon as the head of a request is there. Any
    other callable is called inline, when the body is there.

    Gunicorn's settings say how. What it has no setting for are the attributes
    below, each also an environment variable ``AIOHTTP_WORKER_NAME``.
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
        self._counting = threading.Lock()
        self._shown: dict[int, HookRequest] = {}  # to pre_request, of the exchanges that go on

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse, before a worker is started, what cannot be served.

        :raises RuntimeError: a setting or an environment variable has a value
            that this worker cannot honour.
        """
        refuse_foreign_aiohttp()
        try:
            # Workers have the variables of raw_env as well.
            read_options(cls, {**os.environ, **(cfg.env or {})})
        except ValueError as error:
            raise RuntimeError(str(error)) from None
        if cfg.tmp_upload_dir is not None:
            refuse_storage(cfg.tmp_upload_dir, cfg.uid, cfg.gid, cfg.initgroups)
        if cfg.protocol != "http":
            raise RuntimeError(f"protocol = {cfg.protocol!r}: {cls.__name__} speaks HTTP only")
        if cfg.http_parser != "auto":
            log.warning("http_parser = %r: %s always parses with llhttp (httptools)", cfg.http_parser, cls.__name__)
        if "h2" in (cfg.http_protocols or ()):
            log.warning("http_protocols: %s does not speak h2, only HTTP/1.1", cls.__name__)
        if getattr(cfg, "http2_cleartext", "off") != "off":
            log.warning("http2_cleartext: %s does not speak HTTP/2", cls.__name__)
        if getattr(cfg, "root_path", ""):
            log.warning("root_path is for ASGI; for WSGI set SCRIPT_NAME in the environment")
        if cfg.is_ssl and not cfg.suppress_ragged_eofs:
            log.warning("suppress_ragged_eofs = False has no counterpart in asyncio's TLS")
        if cfg.asgi_loop == "uvloop" and not _has_uvloop():
            raise RuntimeError("asgi_loop = 'uvloop', but uvloop is not installed: pip install uvloop, or asgi_loop = 'auto'")
        if cfg.worker_connections < 1:
            raise RuntimeError(
                f"worker_connections = {cfg.worker_connections}: no connection would ever be accepted; 1 is the least"
            )
        try:
            AddressList.parse(cfg.forwarded_allow_ips)
            AddressList.parse(cfg.proxy_allow_ips)
        except ValueError as error:
            raise RuntimeError(f"forwarded_allow_ips or proxy_allow_ips: {error}") from None
        cls._tls_contexts.keep(cfg)

    def init_process(self) -> None:
        """Set up the process, load the application and serve."""
        with keep_exit_code(self):
            super().init_process()

    # Signals: Gunicorn's own handlers, which run whatever the loop is doing.

    def init_signals(self) -> None:
        """Set the handlers, and let them have what came since the fork."""
        with self._early_signals.handed_over():
            super().init_signals()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """TERM: stop gracefully."""
        super().handle_exit(sig, frame)
        self._wake()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """INT and QUIT: stop now."""
        try:
            super().handle_quit(sig, frame)
        except SystemExit as error:
            self._exit_now(error)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """ABRT: the master has lost patience with a request."""
        try:
            self._report_hung(frame)
        except Exception:
            self.log.exception("What hangs cannot be told")
        try:
            super().handle_abort(sig, frame)
        except SystemExit as error:
            self._exit_now(error)

    def _report_hung(self, frame: FrameType | None) -> None:
        """Log what keeps the loop, and answer the request that it belongs to."""
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
            self._request_ended(exchange)
        elif not is_idle(frames):
            self.log.error("The worker is aborted, and what keeps its event loop is this\n%s", traceback_text(frames))

    def _exit_now(self, error: SystemExit) -> None:
        # The loop may swallow what is raised inside one of its callbacks, so it is
        # stopped as well. Only the application's code has to be interrupted.
        self._exit = error
        self._wake()
        listeners: Listeners | None = getattr(self, "_listeners", None)
        if listeners is not None:
            listeners.stop(take_rest=False)  # who waits in the backlog is served by another worker
        loop: asyncio.AbstractEventLoop | None = getattr(self, "loop", None)  # it comes with run()
        if loop is None or not loop.is_running() or self._interrupts(loop) or os.getpid() != self.pid:
            raise error

    def _interrupts(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._state.running_loop.in_application or asyncio.current_task(loop) is not None

    def _wake(self) -> None:
        try:
            os.write(self.PIPE[1], b"1")
        except (OSError, IndexError):
            pass  # full: it wakes anyway; or not there yet

    # The main loop.

    def run(self) -> None:
        """Serve until told to stop."""
        _keep_freed_memory()
        try:
            self.loop = loop = _new_loop(self.cfg.asgi_loop)
            try:
                self._prepare(loop)
            except BaseException:
                loop.close()
                raise
        except Exception as error:
            # With the code that stops the master: what failed here would fail in the next worker, too.
            self.log.error("The worker cannot serve: %s: %s", type(error).__name__, error)
            self.log.debug("The worker cannot serve", exc_info=error)
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR) from error
        wakers, epolls = loop_descriptors(loop)
        guard = ForkGuard(
            self._state,
            lambda: (*wakers, *self.PIPE, *self._listeners.descriptors()),
            lambda: (*epolls, self._state.writable.fileno()),
            self._log_exception,
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
        """Make what serves, and have the loop begin to accept as soon as it runs."""
        cfg = self.cfg
        loop.set_exception_handler(self._loop_failed)
        self._options = read_options(type(self), os.environ)
        state = self._state = State(loop, self.wsgi, self._settings(), self._base_environ(), self._observers())
        self._listeners = Listeners(
            state,
            [listener.sock for listener in self.sockets],
            cfg.worker_connections,
            one_by_one=cfg.workers > 1 and state.pool is None,
            context=self._tls_contexts.of_worker(cfg, self.log),
            handshake_seconds=self._options["handshake_timeout"] or 3600,
        )
        unstorable = try_storage(cfg.tmp_upload_dir)
        if unstorable is not None:
            self.log.error("large bodies cannot be stored, and will be answered with 507: %s", unstorable.strerror)
        self._tick_seconds = min(_TICK_SECONDS, cfg.timeout / 2) if cfg.timeout else _TICK_SECONDS
        self._watchdog: Watchdog | None = None
        if self._options["slow_call"]:
            self._watchdog = Watchdog(state, self._options["slow_call"], self._tick_seconds, _RUN, self.log.warning)
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
        # What is loaded by now stays, so collections need not look at it: they stop
        # the worker for shorter times, and memory that is shared since the fork
        # stays shared.
        gc.freeze()

    def _tick(self) -> None:
        if os.getpid() != self.pid:
            os._exit(1)  # forked by something that is no Python: at least it does no more
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
        """Have the worker replaced when every thread hangs; before that, accept nobody who would only wait here."""
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
        """End the worker, whose threads serve nobody any more, and answer those who wait."""
        self._stopping = True
        waiting: list[Any] = [getattr(job, "__self__", None) for job in pool.take_waiting()]
        self.log.critical(
            "All %d threads hang (timeout = %d): the worker ends, and the master starts another. %d requests that waited get 503",
            pool.size,
            self.cfg.timeout,
            len(waiting),
        )
        self._listeners.stop(take_rest=False)  # who waits in the backlog is served by another worker
        hanging = [member.occupant for member in pool.threads]
        for status_code, exchanges in ((503, waiting), (500, hanging)):
            for exchange in exchanges:
                if isinstance(exchange, Exchange) and not exchange.ended:
                    exchange.abandon(status_code)
                    self._request_ended(exchange)
                    exchange.client.exchange_ended(exchange, time.monotonic())
        self.loop.call_later(_LAST_WORDS_SECONDS, self._abort)

    def _abort(self) -> None:
        """End as after the master's ABRT."""
        self._exit = SystemExit(1)
        try:
            super().handle_abort(signal.SIGABRT, None)
        except SystemExit as error:
            self._exit = error
        except Exception:
            self.log.exception("Exception in worker_abort hook")
        self.loop.stop()

    def _woken(self) -> None:
        try:
            os.read(self.PIPE[0], 4096)
        except BlockingIOError:
            pass
        if self._exit is not None:
            self.loop.stop()
        elif not self.alive:
            self._stop()

    def _stop(self) -> None:
        """Accept no more, and end when the answers that are due are given."""
        if self._stopping:
            return
        self._stopping = True
        # A worker that is replaced leaves the backlog to its siblings.
        self._listeners.stop(take_rest=not self._recycling)
        self._set_deadline()
        self._state.drain()
        self._check_stopped()

    def _set_deadline(self) -> None:
        # A little less than the master allows before it kills.
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
        loop.remove_reader(self.PIPE[0])  # what it says now must not cut the last turns short
        self._state.abort()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        try:
            loop.run_until_complete(_last_turns(loop, tasks, self._state))
            self._close_application()
        except (RuntimeError, SystemExit):
            pass  # it was stopped once more meanwhile
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
            if self._state.pool is not None:
                self._state.pool.stop()
            loop.close()

    def _close_application(self) -> None:
        """Call the application's ``close()``, if it has one, when nothing calls the application any more."""
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
        loop.run_until_complete(_last_turns(loop, tasks, self._state))

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, SystemExit):
            self._exit = error
            loop.stop()
            return
        if isinstance(error, ConnectionError | TimeoutError):
            self.log.debug("%s: %s", context.get("message"), error)
            return
        self.log.error("%s", context.get("message"), exc_info=error if error is not None else False)

    # What is configured.

    def _settings(self) -> ServerSettings:
        cfg = self.cfg
        options = self._options
        request_line = cfg.limit_request_line
        if not 0 <= request_line <= _MOST_REQUEST_LINE:
            request_line = _MOST_REQUEST_LINE
        fields = cfg.limit_request_fields
        if not 0 < fields <= _MOST_FIELDS:
            fields = _MOST_FIELDS
        proxy_protocol = None
        if cfg.proxy_protocol != "off":
            proxy_protocol = ProxyProtocol(cfg.proxy_protocol)
        return ServerSettings(
            limits=Limits(
                request_line=request_line,
                fields=fields,
                field_size=(cfg.limit_request_field_size if cfg.limit_request_field_size > 0 else _DEFAULT_FIELD_SIZE),
                permit_obsolete_folding=cfg.permit_obsolete_folding,
                strip_header_spaces=cfg.strip_header_spaces,
                permit_unconventional_http_method=cfg.permit_unconventional_http_method,
                permit_unconventional_http_version=cfg.permit_unconventional_http_version,
                casefold_http_method=cfg.casefold_http_method,
            ),
            times=TimeLimits(
                head=options["head_timeout"],
                body=options["body_timeout"],
                write=options["write_timeout"],
                keep_alive=cfg.keepalive,
                linger=options["linger_timeout"],
                disconnect_grace=cfg.asgi_disconnect_grace_period,
                body_rate=int(options["body_min_rate"]),
            ),
            forwarding=ForwardingPolicy(
                allowed=AddressList.parse(cfg.forwarded_allow_ips),
                secure_scheme_headers=cfg.secure_scheme_headers,
                forwarder_headers=frozenset(cfg.forwarder_headers),
                header_map=HeaderMap(cfg.header_map),
                script_name=os.environ.get("SCRIPT_NAME", ""),
            ),
            proxy_protocol=proxy_protocol,
            proxy_allowed=AddressList.parse(cfg.proxy_allow_ips),
            stream=self._stream,
            threads=cfg.threads,
            body_memory_size=int(options["body_memory_size"]),
            body_directory=cfg.tmp_upload_dir,
            max_body_size=int(options["max_body_size"]),
            slow_call=options["slow_call"],
            sendfile=cfg.sendfile is not False,
            server="aiohttp-worker",
        )

    def _base_environ(self) -> dict[str, object]:
        cfg = self.cfg
        return {
            "wsgi.version": (1, 0),
            "wsgi.errors": WSGIErrorsWrapper(cfg),
            "wsgi.multithread": cfg.threads > 1,
            "wsgi.multiprocess": cfg.workers > 1,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            # Programs look for the server that they know at its beginning.
            "SERVER_SOFTWARE": f"{gunicorn.SERVER_SOFTWARE} aiohttp-worker/{__version__}",
        }

    def _observers(self) -> Observers:
        cfg = self.cfg
        log = self.log
        observers = Observers(
            log_error=log.error,
            log_warning=log.warning,
            log_debug=log.debug,
            log_exception=self._log_exception,
            exiting=lambda: self._exit is not None,
        )
        self._runs_pre_request = not self._is_default("pre_request") or cfg.loglevel.lower() == "debug"
        if self._runs_pre_request or cfg.max_requests > 0 or not all(map(self._is_default, _COUNT_SEEN_BY)):
            observers.pre_request = self._begin_request
        if not self._is_default("post_request"):
            observers.post_request = self._post_request
        self._write_access = access_log_writer(log, cfg.access_log_format)
        if self._write_access is not None:
            observers.on_end = self._request_ended
            observers.on_refused = self._request_refused
        return observers

    def _is_default(self, hook: str) -> bool:
        setting = self.cfg.settings[hook]
        value = setting.get()
        return value is setting.default or getattr(value, "__func__", None) is setting.default

    def _log_exception(self, error: BaseException, message: str) -> None:
        self.log.error("%s", message, exc_info=error)

    def _begin_request(self, exchange: Exchange) -> None:
        """Run ``pre_request``, then count: in this order, as Gunicorn's workers do; from any thread."""
        exchange.client.requests += 1
        if self._runs_pre_request:
            self._pre_request(exchange)
        with self._counting:
            self.nr += 1
            if self.nr < self.max_requests:
                return
            exchange.response.keep_alive = False
            if self.alive:
                self.log.info("Autorestarting worker after current request.")
                self.alive = False
                self._recycling = True
                self._state.call_on_loop(self._stop)

    def _pre_request(self, exchange: Exchange) -> None:
        request = HookRequest(exchange, self.cfg)
        try:
            self.cfg.pre_request(self, request)
        except BaseException as error:
            error.add_note("This is an exception in the pre_request hook; the application was not called.")
            raise
        request.apply()
        if self._state.post_request is not None:
            self._shown[id(exchange)] = request

    def _post_request(self, exchange: Exchange) -> None:
        request = self._shown.pop(id(exchange), None) or HookRequest(exchange, self.cfg)
        self.cfg.post_request(self, request, exchange.environ, HookResponse(exchange, request))

    def _request_ended(self, exchange: Exchange) -> None:
        if self._write_access is None:
            return
        try:
            try:
                self._write_access_line(exchange, exchange.environ)
            except KeyError:
                # The application may take from environ what it likes (PEP 3333).
                line = exchange.head.line
                needed = {"REQUEST_METHOD": line.method, "RAW_URI": line.target, "SERVER_PROTOCOL": line.protocol}
                self._write_access_line(exchange, {**needed, **exchange.environ})
        except Exception as error:
            self._log_exception(error, f"The access log failed for {exchange.head.method} {exchange.head.target}")

    def _write_access_line(self, exchange: Exchange, environ: dict[str, Any]) -> None:
        assert self._write_access is not None
        response = exchange.response
        self._write_access(
            response.status or "-",
            response.sent,
            response.headers,
            exchange.head.headers,
            environ,
            time.monotonic() - exchange.started,
        )

    def _request_refused(self, connection: Connection, error: RemoteProtocolError) -> None:
        if self._write_access is not None:
            environ = {
                "REMOTE_ADDR": connection.peer,
                "REQUEST_METHOD": "-",
                "RAW_URI": "-",
                "SERVER_PROTOCOL": "-",
            }
            self._write_access(str(error.status_code), 0, [], [], environ, 0.0)


# What runs the loop: frames outside of it say nothing about what the loop is at.
_RUN: Final = AsyncGunicornWorker.run.__code__


class AsyncNoStreamGunicornWorker(AsyncGunicornWorker):
    """Serves WSGI on an asyncio loop; ``wsgi.input`` is always a complete file.

    A ``BytesIO``, or a temporary file (in Gunicorn's ``tmp_upload_dir``) above
    ``body_memory_size``.
    """

    _stream = False


def _keep_freed_memory() -> None:
    """Have some freed memory kept by the process.

    glibc gives the heap's end back to the kernel, and asks for it anew, whenever
    128 KiB are free there: for each piece of an upload, and with asyncio's loop
    whenever something is received. When a block that had a mapping of its own is
    freed, its size becomes the limit for such blocks, and twice its size the
    limit for the heap's end (mallopt(3)).
    """
    bytes(_KEPT_BYTES // 2)


async def _last_turns(loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[Any]], state: State) -> None:
    """Let transports close, cancelled tasks end, and threads close the iterables whose clients are gone."""
    limit = loop.time() + _LAST_SECONDS
    if tasks:
        await asyncio.wait(tasks, timeout=_LAST_SECONDS)
    await loop.shutdown_asyncgens()
    for turn in range(_MOST_LAST_TURNS):
        # Among them some whose transports were being made when the others were aborted.
        state.abort()
        await asyncio.sleep(0)
        # uvloop closes the socket of a transport a turn or two after it told the protocol.
        if turn + 1 >= _LEAST_LAST_TURNS and not state.connections:
            break
    # Threads do not know the loop's events.
    while state.pool is not None and state.pool.owes and loop.time() < limit:  # noqa: ASYNC110
        await asyncio.sleep(_LAST_PAUSE_SECONDS)


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True


def _new_loop(choice: str) -> asyncio.AbstractEventLoop:
    """Make the loop; it is never set as the thread's current one.

    An application that asks for a loop of its own would get it otherwise, and
    find it running.
    """
    if choice != "asyncio" and _has_uvloop():
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


if not TYPE_CHECKING:  # which would take every name for one that there is

    def __getattr__(name: str) -> object:
        """Say which worker was probably meant."""
        raise missing_name(__name__, name, WORKERS)


check_with_option()
