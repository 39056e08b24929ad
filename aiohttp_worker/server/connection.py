"""One connection: transport, time limits, keep-alive, requests in their order."""

from __future__ import annotations

import io
import socket
import threading
import time
from typing import Any, BinaryIO, Final

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.errors import RemoteProtocolError, UnservableRequestError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.server_connection import BODY, END, CloseReason, ServerConnection
from aiohttp_worker.http1.server_connection import IDLE as NO_REQUEST
from aiohttp_worker.transport.write_queue import ReadGate, WriteQueue
from aiohttp_worker.wsgi.application import ApplicationKind
from aiohttp_worker.wsgi.environ import Environ
from aiohttp_worker.wsgi.forwarded import peer_is_trusted
from aiohttp_worker.wsgi.input import EmptyReader
from aiohttp_worker.wsgi.start_response import error_response
from aiohttp_worker.wsgi.tls_environ import connection_socket, tls_environ

from .exchange import Exchange
from .lifetime import CALL, CLOSED, CLOSING, COLLECT, HEAD, HELD, IDLE, LINGER, NEVER, NEW, RUN, SKIP, Lifetime
from .proxy_protocol import ProxyHeaderReader
from .request_body import RequestBody, make_input_awaitable
from .settings import OverloadLimits
from .state import State
from .stream import Stream

_monotonic: Final = time.monotonic
_BytesIO: Final = io.BytesIO
# Of a body that the application did not read: more is not waited for.
_MOST_UNREAD: Final = 256 * 1024
_MOST_LINGERING: Final = 1024 * 1024
# Of requests behind the one that is being answered.
_MOST_PIPELINED: Final = 64 * 1024
# What a connection may answer in a row before others get their turn.
_TURN_SECONDS: Final = 0.001


_ORDINARY: Final = ApplicationKind.ORDINARY


class Connection(Stream):
    """The requests of one connection, one after the other.

    :param state: what all connections share.
    :param sock: the accepted one, which the transport owns.
    :param peername: the address of the client, as :meth:`socket.socket.accept` gives it.
    :param sockname: the address that the client connected to.
    """

    __slots__ = (
        "_base",
        "_body",
        "_builder",
        "_can_half_close",
        "_counted",
        "_discarded",
        "_exchange",
        "_gate",
        "_proxy",
        "_read_at",
        "_resumed",
        "_state",
        "_sock",
        "_sockname",
        "_unsent",
        "disconnected",
        "http",
        "lifetime",
        "peername",
        "requests",
        "write_queue",
        "transport",
    )

    def __init__(self, state: State, sock: socket.socket, peername: Any, sockname: Any) -> None:
        self._state = state
        self._sock: socket.socket | None = sock
        self._sockname = sockname
        self.lifetime = Lifetime(0.0)
        self.disconnected = False
        self.requests = 0
        self.peername = peername
        self._exchange: Exchange | None = None
        self._body: RequestBody | None = None  # of the request that is answered now, or was last
        self._counted = 0  # in the account of what clients have not read
        self._discarded = 0
        self._proxy: ProxyHeaderReader | None = None
        self._unsent = 0  # the client had not read when that was last looked at
        self._read_at = 0.0  # by the client, for the last time while there was something
        self._resumed: threading.Event | None = None

    # Called by the transport.

    def connection_made(self, transport: Any) -> None:
        """Take up a connection, after the handshake where there is TLS."""
        state = self._state
        self.transport = transport
        ssl_object = transport.get_extra_info("ssl_object")
        self.write_queue = WriteQueue(transport, self._sock if ssl_object is None else None)
        self._sock = None
        self._gate = ReadGate(transport)
        settings = state.settings
        trusted = peer_is_trusted(settings.forwarding, self.peername)
        self.http = self.response = ServerConnection(state.parsers[trusted], state.encoder)
        self._builder = state.builders[trusted]
        self._can_half_close = ssl_object is None
        self._base: Environ = {}
        base = self._base
        base["gunicorn.socket"] = connection_socket(transport)
        base["wsgi.url_scheme"] = "http" if ssl_object is None else "https"
        base["wsgi.early_hints"] = self.early_hints
        base["aiohttp_worker.client_disconnected"] = self.client_disconnected
        _take_addresses(base, self.peername, self._sockname)
        if ssl_object is not None:
            base.update(tls_environ(ssl_object))
        if settings.proxy_protocol is not None:
            self._proxy = ProxyHeaderReader(settings.proxy_protocol, allowed=settings.proxy_allowed.allows(self.peername))
        self.lifetime.since = _monotonic()
        state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take up received bytes."""
        phase = self.lifetime.phase
        if phase is LINGER:
            self._discarded += len(data)
            if self._discarded > _MOST_LINGERING:
                self.transport.abort()
            return
        if phase is CLOSED or phase is CLOSING:
            return
        if self._proxy is not None:
            rest = self._read_proxy_header(data)
            if rest is None:
                return
            data = rest
        self.http.receive_data(data)
        if phase is RUN:
            self._receive_beside()
        elif phase is not HELD:
            self._advance()

    def eof_received(self) -> bool:
        """Take up that the client sends no more; it may still read."""
        self.http.receive_eof()
        phase = self.lifetime.phase
        if phase is RUN:
            self._note_no_more()
            self._note_peer_left()
            return self._can_half_close
        if phase is HELD:
            return self._can_half_close
        if phase is COLLECT or not self.http.between_requests:
            try:
                self.http.check_eof()
            except RemoteProtocolError as error:
                self._state.observers.log_debug("%s: %s", self.peer, error)
        if phase is not LINGER:
            self.lifetime.enter(CLOSING, _monotonic())  # the transport sends the rest, and closes
        return False

    def _note_no_more(self) -> None:
        """Take up, while a request is being answered, that nothing can follow what has been received."""
        body = self._body
        if body is not None and not body.ended:
            body.fail(IncompleteBodyError("the client ended the connection"))
        elif self.http.buffered:
            return  # more requests
        self.http.close_after(CloseReason.CLIENT_ENDED)

    def _note_peer_left(self) -> None:
        if not self.disconnected:
            self.disconnected = True
            if self._exchange is not None:
                self._exchange.client_left()

    def connection_lost(self, error: Exception | None) -> None:
        """Take up the end of the connection."""
        running = self.lifetime.phase is RUN
        self.lifetime.phase = CLOSED
        self.disconnected = True
        self._base = {}  # it leads back to here, as what was made of the last head does
        self.http.forget()
        state = self._state
        state.connections.discard(self)
        body = self._body
        if body is not None:
            body.give_up()
            if not body.ended:
                body.fail(IncompleteBodyError("the client closed the connection"))
        if running and self._exchange is not None:
            self._exchange.client_left()
        self.write_queue.close()
        self._count_unsent(0)
        self.wake_thread()
        if state.on_connection_closed is not None:
            state.on_connection_closed()

    def forsake(self) -> None:
        """Take up, in a process that was forked from the worker, that the connection is the worker's alone."""
        self.disconnected = True
        self.write_queue.forsake()
        if self._body is not None:
            self._body.forsake()

    def pause_writing(self) -> None:
        """Take up that the client reads more slowly than is sent."""
        self.write_queue.pause()
        self._count_unsent(self.write_queue.in_transport)
        self._note_unsent(self.write_queue.unconfirmed, _monotonic())

    def resume_writing(self) -> None:
        """Take up that everything is sent; who waits for that goes on in the next turn of the loop.

        What they do may close the connection, or fail. asyncio's transport does
        not bear either while it calls this: it would tell of its end twice.
        """
        self.write_queue.paused = False
        self._count_unsent(0)
        if self._body is not None:
            self._body.restart_limits()
        self.wake_thread()
        self._state.loop.call_soon(self._write_on)

    def _write_on(self) -> None:
        if self.write_queue.paused:
            return  # once more
        self.write_queue.resume()
        if self.lifetime.phase is HELD:
            self._go_on()

    def _count_unsent(self, size: int) -> None:
        self._state.unsent += size - self._counted
        self._counted = size

    # Requests.

    def _advance(self) -> None:
        """Go through what has been received, up to a request that takes time."""
        http = self.http
        lifetime = self.lifetime
        turn_ends = 0.0
        try:
            while True:
                if self.write_queue.paused and http.request_state is NO_REQUEST and http.buffered:
                    self._hold()  # the next answer would only wait behind what the client does not read
                    return
                event = http.next_event()
                if isinstance(event, RequestHead):
                    self._begin(event)
                elif isinstance(event, bytes):
                    assert self._body is not None
                    self._body.receive(event)
                elif event is END:
                    self._end_body()
                else:
                    self._wait()
                    return
                phase = lifetime.phase
                if phase is HEAD:  # one was answered, and more have come
                    now = _monotonic()
                    if not turn_ends:
                        turn_ends = now + _TURN_SECONDS
                    elif now > turn_ends:
                        self._hold()
                        self._state.loop.call_soon(self._go_on)
                        return
                elif phase is RUN:
                    if http.request_state is BODY or http.buffered:
                        self._receive_beside()
                    if lifetime.phase is RUN:
                        return
                elif phase is not COLLECT and phase is not SKIP and (phase is not IDLE or not http.eof):
                    return
        except RemoteProtocolError as error:
            self._refuse(error)

    def _hold(self) -> None:
        """Let what has come wait, and no more come, until :meth:`_go_on`."""
        self.lifetime.phase = HELD
        self._gate.shut()

    def _go_on(self) -> None:
        """Answer what waited."""
        if self.write_queue.paused:
            return  # it is called again
        if self.lifetime.phase is HELD:
            self.lifetime.enter(IDLE, _monotonic())
            self._gate.reopen()
            self._advance()

    def _wait(self) -> None:
        """Enter the phase of what is missing."""
        lifetime = self.lifetime
        phase = lifetime.phase
        if self.http.eof:
            self._close()  # it does not come any more
        elif phase is not COLLECT and phase is not SKIP:
            awaited = IDLE if self.http.between_requests else HEAD
            if phase is not awaited and not (phase is NEW and awaited is IDLE):
                lifetime.enter(awaited, _monotonic())

    @property
    def deadline(self) -> float:
        """When the connection is ended if nothing happens, on the monotonic clock."""
        body = self._body
        lifetime = self.lifetime
        waits = body is None or (self.write_queue.paused and lifetime.phase is RUN)  # for the client to read, if for anything
        return lifetime.deadline(self._state.phase_limits, NEVER if waits or body is None else body.deadline())

    def _begin(self, head: RequestHead) -> None:
        """Begin to answer a request, or to collect its body."""
        state = self._state
        environ = self._builder.build(head, self._base)
        exchange = Exchange(state, self, head, environ)
        if state.draining:
            self.http.close_after(CloseReason.STOP)
        elif state.times.keep_alive <= 0:
            self.http.close_after(CloseReason.KEEP_ALIVE)
        elif self.http.eof and self.http.buffered == 0:
            self.http.close_after(CloseReason.CLIENT_ENDED)
        awaits_input = state.awaits_input
        if state.stream_when is not None:
            awaits_input = self._chooses_stream(environ)
        if not head.has_body:
            environ["wsgi.input"] = EmptyReader(state.loop) if awaits_input else _BytesIO()
            self._run(exchange)
            return
        settings = state.settings
        length = head.fields.content_length or 0
        if settings.max_body_size and length > settings.max_body_size:
            raise RemoteProtocolError(f"the body is longer than {settings.max_body_size} bytes", 413)
        early = awaits_input or state.bodies_in_threads < state.most_bodies_in_threads
        if not early and 0 < length <= settings.body_memory_size:
            # A small body has come with its head, as a rule: nothing is to be waited for.
            body = self.http.take_whole_body()
            if body is not None:
                self._run_with_body(exchange, _BytesIO(body))
                return
        self._body = body_to_come = RequestBody(state, head, self.http, self.write_queue, self._gate)
        if early:
            environ["wsgi.input"] = body_to_come.stream(awaits_input)
            self._run(exchange)
            return
        self.lifetime.phase = COLLECT
        self._exchange = exchange
        body_to_come.collect(comes_already=self.http.buffered > 0)

    def _chooses_stream(self, environ: Environ) -> bool:
        """Ask the application whether it wants to await this request's input.

        :raises RemoteProtocolError: 500, it does not know.
        """
        assert self._state.stream_when is not None
        try:
            return bool(self._state.stream_when(environ))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise UnservableRequestError(f"stream_input: when failed for {environ['RAW_URI']}: {reason}", 500) from error

    def _run(self, exchange: Exchange) -> None:
        """Have the application called."""
        lifetime = self.lifetime
        lifetime.phase = CALL
        self._exchange = exchange
        state = self._state
        if state.pool is not None:
            exchange.run_in_thread()
        elif state.kind is _ORDINARY:
            exchange.run_inline()
        else:
            exchange.run_as_task()
        if lifetime.phase is CALL:
            lifetime.phase = RUN

    def _end_body(self) -> None:
        """Take up that a collected or skipped body is complete."""
        body = self._body
        exchange = self._exchange
        assert body is not None
        body.end()
        if exchange is None:
            self._body = None
            self._next_cycle(_monotonic())
        else:
            self._run_with_body(exchange, body.collected(exchange.environ))

    def _run_with_body(self, exchange: Exchange, file: BinaryIO) -> None:
        """Have the application called with a body that is complete."""
        exchange.environ["wsgi.input"] = file
        self._run(exchange)

    def _receive_beside(self) -> None:
        """Go through what has been received while a request is being answered."""
        http = self.http
        body = self._body
        if body is not None and http.request_state is BODY:
            try:
                self._receive_body(body)
            except RemoteProtocolError as error:
                body.refuse(IncompleteBodyError(str(error), error.status_code))
                http.close_after(CloseReason.BODY_FAILED)
                self._state.observers.log_warning("Invalid request from %s: %s", self.peer, error)
                self._gate.shut()
                return
        if body is None or body.ended:
            if http.buffered > _MOST_PIPELINED:
                self._gate.shut()
        elif body.too_full:
            self._gate.shut()

    def _receive_body(self, body: RequestBody) -> None:
        http = self.http
        while http.request_state is BODY:
            event = http.next_event()
            if isinstance(event, bytes):
                body.receive(event)
            elif event is END:
                body.end()
            else:
                if http.eof:  # it came before this request had its turn
                    self._note_no_more()
                return

    def exchange_ended(self, exchange: Exchange, now: float) -> None:
        """Go on with the next request, or end the connection."""
        self._exchange = None
        body = self._body
        if body is not None:
            body.leave()
            if body.ended:
                self._body = None
        called = self.lifetime.phase is CALL
        if self.lifetime.phase is CLOSED:
            return
        self._next_cycle(now)
        if not called:  # otherwise _advance() goes on
            if self.http.buffered:
                self._advance()
            elif self.http.eof:
                self._close()

    def _next_cycle(self, now: float) -> None:
        """Enter the phase that follows an answer: that of the next request, of the rest of a body, or of the end."""
        http = self.http
        lifetime = self.lifetime
        if http.next_cycle():
            lifetime.enter(IDLE if http.between_requests else HEAD, now)
        else:
            body = self._body
            # It may never come (RFC 9110 section 10.1.1), or is too much.
            if body is None or body.continue_due or body.missing > _MOST_UNREAD or http.close_reason is not None:
                self._close()
                return
            lifetime.phase = SKIP
        self._gate.reopen()

    def leaves_body(self, exchange: Exchange) -> bool:
        """Say whether there is a body that nobody asked for, too much to skip."""
        body = self._body
        if body is None or body.ended or exchange is not self._exchange:
            return False
        return body.continue_due or (body.missing > _MOST_UNREAD and not body.was_read)

    # What applications find in environ; for the request that is answered now.

    def early_hints(self, headers: object) -> None:
        """``wsgi.early_hints``: send an interim response 103 (RFC 8297)."""
        if self._exchange is not None:
            self._exchange.early_hints(headers)

    def client_disconnected(self) -> bool:
        """Say whether the client has gone, as far as is known; from any thread."""
        return self.disconnected

    def awaitable_input(self, environ: Environ) -> None:
        """Make ``wsgi.input`` one that can be awaited: the worker drives the rest."""
        make_input_awaitable(self._state, environ, self._body)

    def keep_file(self, file: BinaryIO) -> None:
        """Close *file*, where the body is that is answered now, when that is done."""
        if self._body is not None:
            self._body.keep_file(file)

    # Threads.

    def wait_writable(self) -> None:
        """Block the calling thread until something was sent, or a while."""
        if self._resumed is None:
            self._resumed = threading.Event()
        # What was sent between the caller's look and this costs one short wait.
        self._resumed.wait(0.05)
        self._resumed.clear()

    @property
    def body_read(self) -> int:
        """Bytes of the request's body that the application has read while it came."""
        return 0 if self._body is None else self._body.read

    @property
    def awaits_body(self) -> bool:
        """Whether a thread waits for more of the request's body."""
        return self._body is not None and self._body.awaited_in_thread

    def wake_thread(self) -> None:
        """Wake the thread that waits for something to be sent."""
        if self._resumed is not None:
            self._resumed.set()

    # Time limits and ends.

    @property
    def watched(self) -> bool:
        """Whether to look at it each second: the client is to read, or is not read from."""
        return not self._gate.open or self._unsent > 0 or self.write_queue.unsent > 0

    @property
    def trusted(self) -> bool:
        """Whether the peer is a front end that may speak for others."""
        return self._builder is self._state.builders[True]

    @property
    def exchange(self) -> Exchange | None:
        """The exchange that goes on."""
        return self._exchange

    @property
    def peer(self) -> str:
        """The peer's address, for the log."""
        return shown_address(self.peername)

    def check_time(self, now: float) -> None:
        """End what took too long; called once a second."""
        unsent = self.write_queue.unconfirmed
        phase = self.lifetime.phase
        if unsent != self._unsent:
            self._note_unsent(unsent, now)
        elif unsent and now >= self._read_at + (self._state.times.write or NEVER):
            self._state.observers.log_debug("%s: the client does not read, the connection is ended", self.peer)
            self.cut()
            return
        if unsent and not (self._state.draining and self.write_queue.unsent == 0):
            # When this worker has gone, the kernel still sends what is in the socket.
            self.lifetime.postpone(now)
        if not self._gate.open and phase is RUN and self.write_queue.peer_left():
            self._note_peer_left()
        if now < self.deadline:
            return
        if phase is IDLE or phase is NEW or phase is SKIP:
            self._close()
        elif phase is HEAD or phase is COLLECT:
            part = "head" if phase is HEAD else "body"
            self._refuse(RemoteProtocolError(f"the {part} of the request did not come in time", 408))
        elif phase is RUN:
            if self._body is not None:
                self._body.fail(IncompleteBodyError("the body did not come in time", 408))
            self.http.close_after(CloseReason.BODY_FAILED)
        else:
            self.transport.abort()

    def _note_unsent(self, unsent: int, now: float) -> None:
        self._unsent = unsent
        self._read_at = now

    def idle_for(self, now: float) -> float:
        """How many seconds the client has asked for nothing, and has had nothing to read; 0 while it does or has."""
        phase = self.lifetime.phase
        if (phase is not IDLE and phase is not NEW) or self.write_queue.unsent:
            return 0.0
        return now - self.lifetime.since

    def outstays(self, limits: OverloadLimits, now: float) -> float:
        """By how many seconds the client is slower than it may be while others wait for one; less than 0 if it is not."""
        if self._unsent:
            return now - self._read_at - limits.unread
        phase = self.lifetime.phase
        if phase is HEAD:
            return now - self.lifetime.since - limits.head
        if phase is COLLECT and self._body is not None:
            return self._body.outstays(limits, now)
        return -NEVER

    def make_room(self) -> None:
        """End the connection for the sake of others."""
        phase = self.lifetime.phase
        if (phase is IDLE or phase is NEW) and not self.write_queue.unsent:
            self._close()
        elif self._unsent or (phase is not HEAD and phase is not COLLECT):
            self.cut()
        else:
            part = "head" if phase is HEAD else "body"
            self._refuse(RemoteProtocolError(f"the {part} of the request came too slowly, and others wait", 408))
            self.transport.abort()  # the answer is in the socket already, and the place is needed now

    def drain(self, now: float) -> None:
        """Let the connection end soon, without losing a request that is on its way."""
        phase = self.lifetime.phase
        if phase is IDLE or phase is NEW:
            self.lifetime.enter(IDLE, now)
        elif self._exchange is not None and not self.http.head_sent:
            self.http.close_after(CloseReason.STOP)

    def cut(self) -> None:
        """End the connection at once, so that an answer in the middle does not look complete."""
        exchange = self._exchange
        if self.write_queue.unsent or (exchange is not None and self.http.cut_looks_complete):
            self.write_queue.reset_on_close()
        self.transport.abort()

    def _refuse(self, error: RemoteProtocolError) -> None:
        """Answer what cannot be served, and end the connection."""
        state = self._state
        self._exchange = None
        if self._body is not None:
            self._body.give_up()
        if self.http.starts_tls:
            error = RemoteProtocolError("this is TLS, on a port without it")
        if isinstance(error, UnservableRequestError):
            state.observers.log_error("%s: %s", self.peer, error)
        else:
            state.observers.log_warning("Invalid request from %s: %s", self.peer, error)
        if self.http.starts_tls:
            self.transport.abort()
            return
        code = error.status_code
        status, headers, data = error_response(code, "" if code >= 500 else str(error))
        encoder = state.encoder
        self.write_queue.send(self.http.refuse(encoder.status_line(status), encoder.field_block(headers), data))
        if state.observers.on_refused is not None:
            state.observers.on_refused(self, error)
        self._close(more_comes=True)

    def _close(self, more_comes: bool = False) -> None:
        """End the connection, after everything is sent and can be read.

        Closing a socket with unread data resets the connection, and the client
        may lose the answer that it has not read yet (RFC 9112 section 9.6).

        :param more_comes: the client is likely to send more, in any case.
        """
        transport = self.transport
        self.write_queue.stop()
        if transport.is_closing():
            self.lifetime.enter(CLOSING, _monotonic())
            return
        more_comes = more_comes or (self._body is not None and not self._body.ended) or self.http.buffered > 0
        if self.http.eof or not more_comes:
            self.lifetime.enter(CLOSING, _monotonic())
            transport.close()
            return
        self.lifetime.enter(LINGER, _monotonic())
        if self._can_half_close:
            self._gate.reopen()
            try:
                transport.write_eof()
            except OSError:
                transport.abort()  # the client has reset the connection
        else:
            transport.close()

    def _read_proxy_header(self, data: bytes) -> bytes | None:
        """Read the PROXY header; return what follows it once it is complete."""
        proxy = self._proxy
        assert proxy is not None
        try:
            if not proxy.feed(data):
                return None
        except RemoteProtocolError as error:
            self._proxy = None
            self._refuse(error)
            return None
        self._proxy = None
        header = proxy.header
        if header is not None:
            self._base.update(header.environ())
            if header.source is not None:
                self.peername = header.source
        return proxy.rest or None


def _take_addresses(base: Environ, peername: Any, sockname: Any) -> None:
    """Fill ``REMOTE_*`` and ``SERVER_*`` from the socket's addresses."""
    if isinstance(peername, tuple):
        base["REMOTE_ADDR"] = peername[0]
        base["REMOTE_PORT"] = str(peername[1])
    else:
        base["REMOTE_ADDR"] = shown_address(peername) if peername else ""
    if isinstance(sockname, tuple):
        base["SERVER_NAME"] = sockname[0]
        base["SERVER_PORT"] = str(sockname[1])


def shown_address(address: Any) -> str:
    """Return the address of a peer for the log, without its port."""
    if isinstance(address, tuple):
        return str(address[0])
    if isinstance(address, bytes):
        return address.decode("utf-8", "replace")
    return str(address or "a unix socket")
