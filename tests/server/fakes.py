"""A loop and a transport that do nothing by themselves: connections are driven event by event, without a socket.

    server = FakeServer(application)
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert server.status_codes() == [200]

Time is a number that the test moves on. What the loop was asked to call is called by `run_ready`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aiohttp_worker.server import channels as delivery
from aiohttp_worker.server import connection as protocol
from aiohttp_worker.server import exchange, http1_connection, request_body
from aiohttp_worker.server.http1_connection import HTTP1Connection
from aiohttp_worker.server.settings import Observers, ServerSettings
from aiohttp_worker.server.state import State
from aiohttp_worker.wsgi.file_wrapper import FileWrapper

GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /%b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class FakeHandle:
    """A call that is due, or was cancelled."""

    def __init__(self, callback: Callable[..., Any], arguments: tuple[Any, ...], context: contextvars.Context | None) -> None:
        self._callback = callback
        self._arguments = arguments
        self._context = context
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        if self.cancelled:
            return
        if self._context is None:
            self._callback(*self._arguments)
        else:
            self._context.run(self._callback, *self._arguments)


class FakeLoop(asyncio.AbstractEventLoop):
    """Keeps what is to be called. Tasks and futures are asyncio's own."""

    def __init__(self) -> None:
        self.ready: deque[FakeHandle] = deque()
        self.timers: list[tuple[float, FakeHandle]] = []
        self.errors: list[dict[str, Any]] = []
        self._running = False

    def call_soon(self, callback: Callable[..., Any], *arguments: Any, context: contextvars.Context | None = None) -> FakeHandle:  # type: ignore[override]
        handle = FakeHandle(callback, arguments, context)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(self, delay: float, callback: Callable[..., Any], *arguments: Any, context: Any = None) -> FakeHandle:  # type: ignore[override]
        handle = FakeHandle(callback, arguments, context)
        self.timers.append((delay, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coroutine: Any, *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:  # type: ignore[override]
        return asyncio.Task(coroutine, loop=self, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def time(self) -> float:
        return time.monotonic()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def set_task_factory(self, factory: Any) -> None:
        pass

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Be the running loop; afterwards there is none, whoever hid or showed it meanwhile."""
        self._running = True
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)
            self._running = False

    def turn(self) -> None:
        """Call what was due when the turn began."""
        with self.running():
            for _ in range(len(self.ready)):
                self.ready.popleft().run()

    def run_ready(self, most: int = 1000) -> None:
        """Call until nothing is due."""
        for _ in range(most):
            if not self.ready:
                return
            self.turn()
        raise AssertionError("there is always more to call")

    def fire_timers(self) -> None:
        """Call what was to be called later."""
        timers, self.timers = self.timers, []
        for _, handle in timers:
            self.ready.append(handle)
        self.run_ready()


class FakeTransport:
    """Takes everything at once, unless it is `stuck`: then what is written waits, as for a client that does not read."""

    def __init__(self) -> None:
        self.sent = b""
        self.waiting = b""
        self.stuck = False
        self.closed = False
        self.aborted = False
        self.ended = False
        self.reading = True
        self.high_mark = 0
        self.protocol: HTTP1Connection | None = None
        self._paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high_mark = high or 0

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def write(self, data: bytes) -> None:
        if not self.stuck:
            self.sent += data
            return
        self.waiting += data
        if len(self.waiting) > self.high_mark and not self._paused and self.protocol is not None:
            self._paused = True
            self.protocol.pause_writing()

    def writelines(self, pieces: list[bytes]) -> None:
        self.write(b"".join(pieces))

    def take_all(self) -> None:
        """The client reads everything."""
        self.stuck = False
        self.sent += self.waiting
        self.waiting = b""
        if self._paused and self.protocol is not None:
            self._paused = False
            self.protocol.resume_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class FakeClock:
    """The monotonic clock of the modules that look at it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A clock that stands, for connections and bodies. Compiled files keep their own: a test that needs it is skipped there."""
    if protocol.__file__.endswith(".so"):
        pytest.skip("a compiled module keeps its clock")
    one = FakeClock()
    for module in (protocol, http1_connection, request_body, exchange, delivery):
        monkeypatch.setattr(module, "_monotonic", one)
    monkeypatch.setattr(time, "monotonic", one)
    return one


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers with the path and the body."""
    data = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode() + data]


class FakeServer:
    """One connection of a worker that serves `application`."""

    def __init__(
        self, application: Any = hello, *, ssl_object: Any = None, observers: Observers | None = None, **settings: Any
    ) -> None:
        self.logged: list[str] = []
        self.debugged: list[str] = []
        self.refused: list[int] = []
        self.ended: list[Any] = []
        self.loop = FakeLoop()
        observers = observers or Observers(
            log_error=self._log("ERROR"),
            log_warning=self._log("WARNING"),
            log_debug=lambda message, *arguments: self.debugged.append(message % arguments),
            log_exception=lambda error, message: self.logged.append(f"ERROR {message}: {error!r}"),
            on_end=self.ended.append,
            on_refused=lambda connection, error: self.refused.append(error.status_code),
        )
        base = {"wsgi.errors": None, "wsgi.file_wrapper": FileWrapper, "SERVER_SOFTWARE": "test"}
        # In a context of its own: what other tests have left in this one is no request's.
        settings.setdefault("slow_call", 0)  # what took long on a busy machine is not the application's doing
        self.state = contextvars.Context().run(State, self.loop, application, ServerSettings(**settings), base, observers)
        self.transport = FakeTransport()
        self.connection = HTTP1Connection(self.state, None, ("192.0.2.1", 1234), ("192.0.2.2", 80))  # type: ignore[arg-type]
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)

    def _log(self, level: str) -> Callable[..., None]:
        return lambda message, *arguments, **_: self.logged.append(f"{level} {message % arguments if arguments else message}")

    def receive(self, data: bytes) -> None:
        """Bytes come, and the loop does what is due."""
        with self.loop.running():
            self.connection.data_received(data)
        self.loop.run_ready()

    def receive_eof(self) -> bool:
        """The client ends its side; say whether the transport is kept open."""
        with self.loop.running():
            kept = self.connection.eof_received()
        self.loop.run_ready()
        if not kept:
            self.transport.close()
        return bool(kept)

    def lose(self, error: Exception | None = None) -> None:
        """The transport tells of its end."""
        with self.loop.running():
            self.connection.connection_lost(error)
        self.loop.run_ready()

    def take_sent(self) -> bytes:
        """What was sent since the last look."""
        sent, self.transport.sent = self.transport.sent, b""
        return sent

    def status_codes(self) -> list[int]:
        """Those of the answers since the last look."""
        return [int(part[:3]) for part in self.take_sent().split(b"HTTP/1.1 ")[1:]]
