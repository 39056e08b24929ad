"""Gunicorn's view of each request: hooks, ``worker.nr`` with ``max_requests``, and the access log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.response_side import CloseReason
from aiohttp_worker.server.connection import Connection
from aiohttp_worker.server.exchange import Exchange
from aiohttp_worker.server.settings import Observers

from .access_log import access_log_writer
from .hooks import HookRequest, HookResponse

# Hooks that are given the worker, and may read its ``nr`` sooner or later.
_HOOKS_WITH_WORKER: Final = ("post_request", "post_fork", "post_worker_init", "worker_int", "worker_abort", "worker_exit")


class RequestEvents:
    """Callbacks from the requests of one worker to what Gunicorn offers for them.

    :param worker: Gunicorn's worker, which hooks are given; its ``nr`` is counted here.
    :param recycle: stops the worker for the sake of ``max_requests``; may be called from any thread, more than once.
    """

    def __init__(self, worker: Any, recycle: Callable[[], None]) -> None:
        self._worker = worker
        self._cfg = cfg = worker.cfg
        self._log = worker.log
        self._recycle = recycle
        self._counting = threading.Lock()
        self._runs_pre_request = not self._is_default("pre_request") or cfg.loglevel.lower() == "debug"
        self._runs_post_request = not self._is_default("post_request")
        self._shown: dict[int, HookRequest] = {}  # the objects that pre_request was given, for post_request
        self._write_access = access_log_writer(worker.log, cfg.access_log_format)

    def observers(self, exiting: Callable[[], bool]) -> Observers:
        """Return the callbacks for the server; none for a hook that does nothing.

        :param exiting: returns True if a signal has asked the process to exit.
        """
        log = self._log
        observers = Observers(
            log_error=log.error,
            log_warning=log.warning,
            log_debug=log.debug,
            log_exception=self.log_exception,
            exiting=exiting,
        )
        counts = self._cfg.max_requests > 0 or not all(map(self._is_default, _HOOKS_WITH_WORKER))
        if self._runs_pre_request or counts:
            observers.pre_request = self.begin
        if self._runs_post_request:
            observers.post_request = self._post_request
        if self._write_access is not None:
            observers.on_end = self.end
            observers.on_refused = self._refuse
        return observers

    def _is_default(self, hook: str) -> bool:
        setting = self._cfg.settings[hook]
        value = setting.get()
        return value is setting.default or getattr(value, "__func__", None) is setting.default

    def log_exception(self, error: BaseException, message: str) -> None:
        """Log an exception with its traceback."""
        self._log.error("%s", message, exc_info=error)

    def begin(self, exchange: Exchange) -> None:
        """Run ``pre_request``, then count the request, in the order of Gunicorn's own workers; in any thread."""
        exchange.stream.requests += 1
        if self._runs_pre_request:
            self._pre_request(exchange)
        worker = self._worker
        with self._counting:
            worker.nr += 1
            if worker.nr < worker.max_requests:
                return
            exchange.response.close_after(CloseReason.STOP)
            self._recycle()

    def _pre_request(self, exchange: Exchange) -> None:
        request = HookRequest(exchange, self._cfg)
        try:
            self._cfg.pre_request(self._worker, request)
        except BaseException as error:
            error.add_note("This is an exception in the pre_request hook; the application was not called.")
            raise
        request.apply()
        if self._runs_post_request:
            self._shown[id(exchange)] = request

    def _post_request(self, exchange: Exchange) -> None:
        request = self._shown.pop(id(exchange), None) or HookRequest(exchange, self._cfg)
        self._cfg.post_request(self._worker, request, exchange.environ, HookResponse(exchange, request))

    def end(self, exchange: Exchange) -> None:
        """Write the access log line of a request."""
        if self._write_access is None:
            return
        try:
            try:
                self._write_line(exchange, exchange.environ)
            except KeyError:
                # The application may take from environ what it likes (PEP 3333).
                head = exchange.head
                protocol = f"HTTP/{head.version[0]}.{head.version[1]}"
                needed = {"REQUEST_METHOD": head.method, "RAW_URI": head.target, "SERVER_PROTOCOL": protocol}
                self._write_line(exchange, {**needed, **exchange.environ})
        except Exception as error:
            self.log_exception(error, f"The access log failed for {exchange.head.method} {exchange.head.target}")

    def _write_line(self, exchange: Exchange, environ: dict[str, Any]) -> None:
        assert self._write_access is not None
        self._write_access(
            exchange.status or "-",
            exchange.response.sent,
            exchange.headers,
            exchange.head.headers,
            environ,
            time.monotonic() - exchange.started,
        )

    def _refuse(self, connection: Connection, error: RemoteProtocolError) -> None:
        """Write the access log line of a request that was refused before there was an environ."""
        if self._write_access is not None:
            environ = {
                "REMOTE_ADDR": connection.peer,
                "REQUEST_METHOD": "-",
                "RAW_URI": "-",
                "SERVER_PROTOCOL": "-",
            }
            self._write_access(str(error.status_code), 0, [], [], environ, 0.0)
