"""Server in memory: the worker's connection, exchange and environ on a private loop, with a transport that has no socket.

The loop runs only while a test asks for something. An application that streams goes on when the test reads the next piece, and an
application that reads goes on when the test has given one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import selectors
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from aiohttp_worker.http1.response_reader import END, ResponseHead, ResponseReader
from aiohttp_worker.server.http1_connection import HTTP1Connection
from aiohttp_worker.server.settings import Observers, ServerSettings, TimeLimits
from aiohttp_worker.server.state import State
from aiohttp_worker.wsgi.async_body import declare_server
from aiohttp_worker.wsgi.file_wrapper import FileWrapper

from .request_bytes import chunks, left_over, read_input, request_head

_log: Final = logging.getLogger(__name__)
_GRACE_SECONDS: Final = 0.05
# Seconds that an application has at least for its end, however short the time that a test waits for an answer.
_CLOSE_SECONDS: Final = 5.0
# Pieces that an application may send before it is given the next one of the request.
_MOST_PIECES: Final = 64
_CLIENT: Final = ("127.0.0.1", 50000)
_SERVER: Final = ("127.0.0.1", 80)
# They are about the connection (RFC 9110 section 7.6.1), and PEP 3333 forbids them to applications.
_HOP_BY_HOP: Final = frozenset(("connection", "keep-alive", "transfer-encoding", "upgrade", "trailer"))


class _Selector(selectors.DefaultSelector):
    """Selector that tells when its loop has nothing left to call."""

    def __init__(self) -> None:
        super().__init__()
        self.on_idle: Callable[[], None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for files, or say that nothing else is due."""
        if self.on_idle is not None and (timeout is None or timeout > 0):
            self.on_idle()
            timeout = 0
        return super().select(timeout)


class _Transport(asyncio.Transport):
    """Transport whose other end is the test.

    :ivar received: bytes that the server has sent.
    :ivar reading: False while the server does not want to receive.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._protocol: Any = None
        self._closed = False
        self.received: deque[bytes] = deque()
        self.reading = True

    def begin(self, protocol: Any) -> None:
        """Open the connection."""
        self._protocol = protocol
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the test reads everything at once, and the loop stands until it asks for more."""

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closed:
            self.received.append(bytes(data))
            self._loop.stop()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """End the connection: nothing follows, and the test sends no more."""
        self.close()

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Close the connection, from either side."""
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self._protocol.connection_lost, None)
            self._loop.stop()

    abort = close

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        self._loop.stop()


class InMemoryServer:
    """Worker in memory, which is a WSGI application itself: for WebTest, Werkzeug's client, and Flask's ``app.wsgi_app``.

    :param application: the WSGI callable, of any kind that the workers serve.
    :param stream: False to serve it as ``AsyncNoStreamGunicornWorker`` does.
    :param timeout: seconds in which something has to come of the application whenever the test waits for it.
    :param raise_errors: False to get a 500, as clients do, where the application raises.
    """

    def __init__(self, application: Any, *, stream: bool = True, timeout: float = 5.0, raise_errors: bool = True) -> None:
        self.application = application
        self.timeout = timeout
        self.raise_errors = raise_errors
        self.loop, self._selector = _new_loop()
        self.failures: list[BaseException] = []
        self._extra: dict[str, Any] = {}
        self.state = State(
            self.loop,
            application,
            # Long enough to see that the client has left before the cancellation, and short for a test.
            ServerSettings(stream=stream, slow_call=0, sendfile=False, times=TimeLimits(disconnect_grace=_GRACE_SECONDS)),
            {
                "wsgi.version": (1, 0),
                "wsgi.errors": sys.stderr,
                "wsgi.multithread": False,
                "wsgi.multiprocess": False,
                "wsgi.run_once": False,
                "wsgi.file_wrapper": FileWrapper,
                "wsgi.input_terminated": True,
                "SERVER_SOFTWARE": "aiohttp-worker testing",
            },
            Observers(
                log_error=_log.error,
                log_warning=_log.warning,
                log_debug=_log.debug,
                log_exception=self._failed,
                pre_request=self._complete_environ,
                on_end=lambda exchange: self.loop.stop(),
            ),
        )
        self._finalizer = weakref.finalize(self, self.loop.close)

    def close(self) -> None:
        """Close the loop; what is not closed is closed when nobody refers to it."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Response:
        """Answer as a WSGI application: the body comes piece by piece, and ``close()`` is a client that leaves."""
        response = self.request(environ)
        start_response(response.status, [one for one in response.headers if one[0].lower() not in _HOP_BY_HOP])
        return response

    def request(self, environ: Mapping[str, Any], body: bytes | Iterable[bytes] | None = None) -> Response:
        """Make one request, and wait for the head of its response.

        :param environ: what is to be known of the request; what is missing stands for a GET of ``/`` at localhost.
        :param body: instead of ``environ["wsgi.input"]``. Of an iterable each piece is one chunk, given when the application has
            done what it could with those before; if it raises ``ConnectionError``, the client has left, and so does this.
        :raises TimeoutError: nothing has come of the application.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("an event loop runs in this thread; call this from a test that is no coroutine, or in a thread")
        if self.loop.is_closed():
            raise RuntimeError("the server in memory is closed")
        body = read_input(environ) if body is None else body
        head = request_head(environ, len(body) if isinstance(body, bytes) else None)
        self._extra = left_over(environ)
        self.failures.clear()
        self.state.tick()
        response = Response(self, str(environ.get("REQUEST_METHOD", "GET")))
        response._begin(head, body)
        return response

    def _complete_environ(self, exchange: Any) -> None:
        exchange.environ.update(self._extra)

    def _failed(self, error: BaseException, message: str) -> None:
        self.failures.append(error)
        if not self.raise_errors:
            _log.error(message, exc_info=error)

    # The loop.

    def _run(self) -> None:
        declare_server(self.state.bodies)
        try:
            self.loop.run_forever()
        finally:
            declare_server(None)

    def _run_until_idle(self, going_on: Callable[[], object]) -> None:
        """Call what is due; whoever always has more to do is left to it after a while.

        :param going_on: false once there is enough.
        """
        idle = False

        def stop() -> None:
            nonlocal idle
            idle = True
            self.loop.stop()

        timer = self.loop.call_later(self.timeout, stop)
        self._selector.on_idle = stop
        try:
            while not idle and going_on():
                self._run()
        finally:
            self._selector.on_idle = None
            timer.cancel()

    def _run_until(self, condition: Callable[[], object], seconds: float | None = None) -> None:
        """Run until something has happened.

        :param seconds: to wait for it; ``None`` for those of the server.
        :raises TimeoutError: it has not.
        """
        late = False
        seconds = self.timeout if seconds is None else seconds

        def stop() -> None:
            nonlocal late
            late = True
            self.loop.stop()

        timer = self.loop.call_later(seconds, stop)
        try:
            while not condition():
                if late:
                    raise TimeoutError(f"the application has neither gone on nor ended for {seconds:g} s")
                self._run()
        finally:
            timer.cancel()


class Response:
    """Response of a server in memory, whose body is read piece by piece.

    :ivar status: as WSGI has it, like ``"200 OK"``.
    :ivar status_code: its number.
    :ivar headers: names and values, in their order.
    """

    def __init__(self, server: InMemoryServer, method: str) -> None:
        self._server = server
        self._transport = _Transport(server.loop)
        self._connection = HTTP1Connection(server.state, None, _CLIENT, _SERVER)  # type: ignore[arg-type]
        self._reader = ResponseReader()
        self._reader.start(method)
        self._pieces: deque[bytes] = deque()
        self._head: ResponseHead | None = None
        self._ended = False
        self._closed = False
        self._body: bytes | None = None
        self._owns_server = False
        self.status = ""
        self.status_code = 0
        self.headers: list[tuple[str, str]] = []

    def _begin(self, head: bytes, body: bytes | Iterable[bytes]) -> None:
        self._server.loop.call_soon(self._transport.begin, self._connection)
        try:
            self._give(head, body)
            self._server._run_until(self._read_head)
        except BaseException:
            self._leave()
            raise
        assert self._head is not None
        self.status_code = self._head.status_code
        self.status = f"{self.status_code} {self._head.reason.decode('latin-1')}"
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._head.headers]
        if self._server.failures and self._server.raise_errors:
            self.close()

    def _give(self, head: bytes, body: bytes | Iterable[bytes]) -> None:
        """Send the request, a piece of the body when the application has done what it could with those before."""
        transport = self._transport
        call_soon = self._server.loop.call_soon
        if isinstance(body, bytes):
            call_soon(self._connection.data_received, head + body)
            return
        call_soon(self._connection.data_received, head)
        pieces = iter(chunks(body))
        while True:
            enough = len(transport.received) + _MOST_PIECES
            self._server._run_until_idle(lambda: len(transport.received) < enough)  # noqa: B023  it is called in here alone
            if not transport.reading:
                self._server._run_until(lambda: transport.reading or transport.is_closing())
            if transport.is_closing():
                break  # the application has answered, and does not want the rest
            piece = next(pieces, None)
            if piece is None:
                break
            call_soon(self._connection.data_received, piece)

    def _read_head(self) -> bool:
        self._receive()
        return self._head is not None

    def _receive(self) -> None:
        """Read what has come of the server."""
        received = self._transport.received
        while received and not self._ended:
            self._note(self._reader.feed(received.popleft()))
        if self._transport.is_closing() and not self._ended:
            try:
                self._note(self._reader.feed_eof())
            except Exception:
                self._ended = True
                if not (self._server.failures and self._server.raise_errors):
                    raise  # otherwise that is what is raised

    def _note(self, events: list[Any]) -> None:
        for event in events:
            if event is END:
                self._ended = True
            elif isinstance(event, ResponseHead):
                self._head = event
            else:
                self._pieces.append(event)

    def header(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a field."""
        lower = name.lower()
        return next((value for field, value in self.headers if field.lower() == lower), default)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Wait for the next piece, while the application goes on."""
        if not self._pieces and not self._closed:
            self._server._run_until(self._read_piece)
        if self._pieces:
            return self._pieces.popleft()
        self.close()
        raise StopIteration

    def _read_piece(self) -> bool:
        self._receive()
        return bool(self._pieces) or self._ended

    @property
    def body(self) -> bytes:
        """Rest of the body, read to its end."""
        if self._body is None:
            self._body = b"".join(self)
        return self._body

    @property
    def text(self) -> str:
        """Body as UTF-8."""
        return self.body.decode()

    def close(self) -> None:
        """Leave, if the response has not ended, and wait until the application has.

        :raises TimeoutError: it goes on.
        """
        if self._closed:
            return
        self._leave()
        failures = self._server.failures
        if failures and self._server.raise_errors:
            raise failures[0]

    def _leave(self) -> None:
        self._closed = True
        server = self._server
        try:
            if self._ended:
                server._run_until(self._is_over)  # close() of the application is still to be called
            self._transport.close()
            server._run_until(self._is_over, max(server.timeout, _CLOSE_SECONDS) + _GRACE_SECONDS)
            server._run_until_idle(lambda: True)
        finally:
            if self._owns_server:
                server.close()

    def _is_over(self) -> bool:
        return all(exchange.ended for exchange in self._connection.exchanges)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            with contextlib.suppress(Exception):  # what failed first is what is told
                self.close()


def call(
    application: Any,
    environ: Mapping[str, Any] | None = None,
    body: bytes | Iterable[bytes] | None = None,
    *,
    stream: bool = True,
    timeout: float = 5.0,
    raise_errors: bool = True,
) -> Response:
    """Call an application as the workers do, and wait for the head of its response.

    The parameters that are not explained here are those of :class:`InMemoryServer`.

    :param environ: a path is enough: ``{"PATH_INFO": "/events"}``.
    :param body: of the request; an iterable is given piece by piece.
    """
    server = InMemoryServer(application, stream=stream, timeout=timeout, raise_errors=raise_errors)
    try:
        response = server.request(environ or {}, body)
    except BaseException:
        server.close()
        raise
    if response._closed:
        server.close()
    response._owns_server = True
    return response


def _new_loop() -> tuple[asyncio.SelectorEventLoop, _Selector]:
    selector = _Selector()
    return asyncio.SelectorEventLoop(selector), selector
