"""HTTP/1 connection: its requests in their order, the call of the application for each, and what follows an answer."""

from __future__ import annotations

import io
import socket
import time
from typing import Any, BinaryIO, Final

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.errors import RemoteProtocolError, UnservableRequestError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.server_connection import BODY, END, CloseReason, ServerConnection
from aiohttp_worker.http1.server_connection import IDLE as NO_REQUEST
from aiohttp_worker.wsgi.application import ApplicationKind
from aiohttp_worker.wsgi.forwarded import peer_is_trusted
from aiohttp_worker.wsgi.input import EmptyReader
from aiohttp_worker.wsgi.start_response import error_response

from .connection import Connection
from .exchange import Exchange
from .handover import take_socket
from .http1_stream import HTTP1Stream
from .lifetime import CALL, CLOSED, COLLECT, HEAD, HELD, IDLE, NEVER, NEW, RUN, SKIP, Phase
from .request_body import RequestBody, chooses_stream
from .settings import OverloadLimits
from .state import State

_monotonic: Final = time.monotonic
_BytesIO: Final = io.BytesIO
_ORDINARY: Final = ApplicationKind.ORDINARY
# Bytes of requests behind the one that is being answered.
_MOST_PIPELINED: Final = 64 * 1024
# Seconds in which a connection may answer one request after the other before other connections get their turn.
_TURN_SECONDS: Final = 0.001


class HTTP1Connection(Connection):
    """Requests of one client, one after the other (RFC 9112).

    :ivar http: what has been received and sent, as far as the protocol goes.
    :ivar stream: what the exchange of the present request goes by.
    """

    __slots__ = ("_builder", "http", "stream")

    def __init__(self, state: State, sock: socket.socket, peername: Any, sockname: Any) -> None:
        trusted = peer_is_trusted(state.settings.forwarding, peername)
        self._builder = builder = state.builders[trusted]
        super().__init__(state, sock, peername, sockname, builder.base())
        self.http = ServerConnection(state.parsers[trusted], state.encoder, self.base)

    def open(self) -> None:
        """Begin with nothing received."""
        self.stream = stream = HTTP1Stream(self.http, self)
        self.base["wsgi.early_hints"] = stream.early_hints
        self.base["aiohttp_worker.client_disconnected"] = stream.client_disconnected

    @property
    def trusted(self) -> bool:
        """True if the peer is a front end that may speak for others."""
        return self._builder is self.state.builders[True]

    # What is received.

    def receive(self, data: bytes) -> None:
        """Receive bytes: of requests that are to be answered, or of what comes beside the one that is being answered."""
        self.http.receive_data(data)
        phase = self.lifetime.phase
        if phase is RUN:
            self._receive_beside()
        elif phase is not HELD:
            self._advance()

    def receive_eof(self) -> bool:
        """Receive the end of what the client sends; return True if it is still answered."""
        http = self.http
        http.receive_eof()
        phase = self.lifetime.phase
        if phase is RUN:
            self._note_no_more()
            if http.switched:
                self.state.handovers[self].receive_eof()
            self.client_left()
            return True
        if phase is HELD:
            return True
        if phase is COLLECT or not http.between_requests:
            try:
                http.check_eof()
            except RemoteProtocolError as error:
                self.state.log_debug("%s: %s", self.peer, error)
        return False

    def _note_no_more(self) -> None:
        """Note, while a request is being answered, that nothing can follow what has been received."""
        body = self.stream.body
        if body is not None and not body.ended:
            body.fail(IncompleteBodyError("the client ended the connection"))
        elif self.http.buffered:
            return  # more requests
        self.http.close_after(CloseReason.CLIENT_ENDED)

    def client_left(self) -> None:
        """Notify the exchange, if there is one, that its client has gone."""
        stream = self.stream
        if not stream.disconnected:
            stream.disconnected = True
            if self.exchange is not None:
                self.exchange.client_left()

    def lost(self, running: bool) -> None:
        """Forget requests: the connection is closed."""
        stream = self.stream
        stream.disconnected = True
        self.http.forget()
        body = stream.body
        if body is not None:
            body.give_up()
            if not body.ended:
                body.fail(IncompleteBodyError("the client closed the connection"))
        if running and self.exchange is not None:
            self.exchange.client_left()
        if self.http.switched:
            self.state.handovers[self].lost()

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
                elif not self._go_on_with_body(event):
                    return
                phase = lifetime.phase
                if phase is IDLE:  # answered, and nothing else has come
                    if http.eof:
                        self.close()
                    return
                if phase is HEAD:  # answered, and more has come
                    now = _monotonic()
                    if not turn_ends:
                        turn_ends = now + _TURN_SECONDS
                    elif now > turn_ends:
                        self._hold()
                        self.state.loop.call_soon(self.go_on)
                        return
                elif not self._reads_on(phase):
                    return
        except RemoteProtocolError as error:
            self.refuse(error)

    def _go_on_with_body(self, event: object) -> bool:
        """Handle an event that begins no request.

        :return: False if nothing else has been received.
        """
        if isinstance(event, bytes):
            body = self.stream.body
            assert body is not None
            body.receive(event)
        elif event is END:
            self._end_body()
        else:
            self._wait()
            return False
        return True

    def _reads_on(self, phase: Phase) -> bool:
        """Return True if what follows in what has been received is to be read now, behind a request that is not answered yet."""
        if phase is not RUN:
            return phase is COLLECT or phase is SKIP
        if self.http.request_state is BODY or self.http.buffered:
            self._receive_beside()
        return self.lifetime.phase is not RUN

    def _hold(self) -> None:
        """Hold what has been received, and receive no more, until :meth:`go_on`."""
        self.lifetime.phase = HELD
        self.gate.shut()

    def go_on(self) -> None:
        """Answer requests that were held."""
        if self.write_queue.paused:
            return  # it is called again
        if self.lifetime.phase is HELD:
            self.lifetime.enter(IDLE, _monotonic())
            self.gate.reopen()
            self._advance()

    def _wait(self) -> None:
        """Enter the phase of what is missing."""
        lifetime = self.lifetime
        phase = lifetime.phase
        if self.http.eof:
            self.close()  # it does not come any more
        elif phase is not COLLECT and phase is not SKIP:
            awaited = IDLE if self.http.between_requests else HEAD
            if phase is not awaited and not (phase is NEW and awaited is IDLE):
                lifetime.enter(awaited, _monotonic())

    def _receive_beside(self) -> None:
        """Go through what has been received while a request is being answered."""
        http = self.http
        if http.switched:
            self.state.handovers[self].receive(http.take_rest())
            return
        body = self.stream.body
        if body is not None and http.request_state is BODY:
            try:
                self._receive_body(body)
            except RemoteProtocolError as error:
                body.refuse(IncompleteBodyError(str(error), error.status_code))
                http.close_after(CloseReason.BODY_FAILED)
                self.state.observers.log_warning("Invalid request from %s: %s", self.peer, error)
                self.gate.shut()
                return
        if body is None or body.ended:
            if http.buffered > _MOST_PIPELINED:
                self.gate.shut()
        elif body.too_full:
            self.gate.shut()

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

    # The request.

    def _begin(self, head: RequestHead) -> None:
        """Begin to answer a request, or to collect its body."""
        state = self.state
        http = self.http
        environ = self._builder.build(head)
        exchange = Exchange(state, self.stream, head, environ)
        if state.draining:
            http.close_after(CloseReason.STOP)
        elif state.times.keep_alive <= 0:
            http.close_after(CloseReason.KEEP_ALIVE)
        elif http.eof and http.buffered == 0:
            http.close_after(CloseReason.CLIENT_ENDED)
        awaits_input = state.awaits_input if state.stream_when is None else chooses_stream(state.stream_when, environ)
        if head.has_body:
            self._begin_body(exchange, head, awaits_input)
        else:
            environ["wsgi.input"] = EmptyReader(state.loop) if awaits_input else _BytesIO()
            self._run(exchange)

    def _begin_body(self, exchange: Exchange, head: RequestHead, awaits_input: bool) -> None:
        """Call the application with a body that comes, or collect that first.

        :raises RemoteProtocolError: 413, it is too long.
        """
        state = self.state
        http = self.http
        settings = state.settings
        length = head.content_length or 0
        if settings.max_body_size and length > settings.max_body_size:
            raise RemoteProtocolError(f"the body is longer than {settings.max_body_size} bytes", 413)
        early = awaits_input or state.bodies_in_threads < state.most_bodies_in_threads
        if not early and 0 < length <= settings.body_memory_size:
            # A small body has come with its head, as a rule: nothing is to be waited for.
            data = http.take_whole_body()
            if data is not None:
                self._run_with_body(exchange, _BytesIO(data))
                return
        self.stream.body = body = RequestBody(state, head, http, self.write_queue, self.gate)
        if early:
            exchange.environ["wsgi.input"] = body.stream(awaits_input)
            self._run(exchange)
            return
        self.lifetime.phase = COLLECT
        self.exchange = exchange
        body.collect(comes_already=http.buffered > 0)

    def _run_with_body(self, exchange: Exchange, file: BinaryIO) -> None:
        """Call the application with a body that is complete."""
        exchange.environ["wsgi.input"] = file
        self._run(exchange)

    def _run(self, exchange: Exchange) -> None:
        """Call the application."""
        lifetime = self.lifetime
        lifetime.phase = CALL
        self.exchange = exchange
        state = self.state
        if state.pool is not None:
            exchange.run_in_thread()
        elif state.kind is _ORDINARY:
            exchange.run_inline()
        else:
            exchange.run_as_task()
        if lifetime.phase is CALL:
            lifetime.phase = RUN

    def _end_body(self) -> None:
        """End a body that was collected or skipped."""
        body = self.stream.body
        exchange = self.exchange
        assert body is not None
        body.end()
        if exchange is None:
            self.stream.body = None
            self._next_cycle(_monotonic())
        else:
            self._run_with_body(exchange, body.collected(exchange.environ))

    # What follows an answer.

    def exchange_ended(self, now: float) -> None:
        """Go on with the next request, or end the connection.

        :param now: the time of the monotonic clock, in seconds.
        """
        self.exchange = None
        stream = self.stream
        body = stream.body
        if body is not None:
            body.leave()
            if body.ended:
                stream.body = None
        phase = self.lifetime.phase
        # Within CALL, _advance() goes on.
        if phase is CLOSED:
            if self.http.switched:
                self.state.handovers.pop(self).end()
        elif self._next_cycle(now) and phase is not CALL:
            if self.http.buffered:
                self._advance()
            elif self.http.eof:
                self.close()

    def _next_cycle(self, now: float) -> bool:
        """Enter the phase that follows an answer: that of the next request, of the rest of a body, or of the end.

        :return: whether the connection goes on.
        """
        http = self.http
        lifetime = self.lifetime
        if http.next_cycle():
            lifetime.enter(IDLE if http.between_requests else HEAD, now)
        elif http.close_reason is None and self.stream.can_skip_body:
            lifetime.phase = SKIP
        else:
            if http.close_reason is not None:
                self.state.log_debug("%s: the connection ends with this answer: %s", self.peer, http.close_reason.value)
            if http.switched:
                self.state.handovers[self].end()
            else:
                self.close()
            return False
        self.gate.reopen()
        return True

    def refuse(self, error: RemoteProtocolError) -> None:
        """Answer what cannot be served, and end the connection."""
        state = self.state
        http = self.http
        self.exchange = None
        if self.stream.body is not None:
            self.stream.body.give_up()
        if http.starts_tls:
            error = RemoteProtocolError("this is TLS, on a port without it")
        if isinstance(error, UnservableRequestError):
            state.observers.log_error("%s: %s", self.peer, error)
        else:
            state.observers.log_warning("Invalid request from %s: %s", self.peer, error)
        if http.starts_tls:
            self.transport.abort()
            return
        code = error.status_code
        status, headers, data = error_response(code, "" if code >= 500 else str(error))
        encoder = state.encoder
        self.write_queue.send(http.refuse(encoder.status_line(status), encoder.field_block(headers), data))
        if state.observers.on_refused is not None:
            state.observers.on_refused(self, error)
        self.close(more_comes=not http.eof)

    def body_failed(self, reason: str, status_code: int) -> None:
        """Fail the body of the request that is being answered: it does not come as it should."""
        if self.stream.body is not None:
            self.stream.body.fail(IncompleteBodyError(reason, status_code))
        self.http.close_after(CloseReason.BODY_FAILED)

    def can_write(self) -> None:
        """Resume what waited for the client to read."""
        if self.stream.body is not None:
            self.stream.body.restart_limits()
        self.write_queue.wake_thread()
        if self.http.switched:
            self.state.handovers[self].can_write()

    def take_socket(self) -> socket.socket:
        """Hand over a blocking socket, on which the application speaks another protocol."""
        return take_socket(self)

    def count_sent(self, size: int) -> None:
        """Count bytes that the application has sent on the socket."""
        self.http.count_switched(size)

    def socket_closed(self) -> None:
        """End the connection: the application has closed the socket."""
        handover = self.state.handovers.get(self)
        if handover is not None:
            self.state.post(handover.end)

    def drain(self, now: float) -> None:
        """End the connection soon, without losing a request that is on its way."""
        phase = self.lifetime.phase
        if phase is IDLE or phase is NEW:
            self.lifetime.enter(IDLE, now)
        elif self.exchange is not None and not self.http.head_sent:
            self.http.close_after(CloseReason.STOP)

    def forsake(self) -> None:
        """Leave the connection to the process that this one was forked from."""
        super().forsake()
        self.stream.disconnected = True
        if self.stream.body is not None:
            self.stream.body.forsake()

    # What the time limits ask for.

    @property
    def body_deadline(self) -> float:
        """Time of the monotonic clock when the body that is being received is too slow."""
        body = self.stream.body
        if body is None or (self.write_queue.paused and self.lifetime.phase is RUN):
            return NEVER  # nothing is waited for, or for the client to read
        return body.deadline()

    def body_outstays(self, limits: OverloadLimits, now: float) -> float:
        """Seconds past the overload limit of a body that is collected, negative if within it."""
        body = self.stream.body
        return -NEVER if body is None else body.outstays(limits, now)

    @property
    def expects_more(self) -> bool:
        """True if the client is likely to send more."""
        body = self.stream.body
        return not self.http.eof and ((body is not None and not body.ended) or self.http.buffered > 0)

    @property
    def cut_looks_complete(self) -> bool:
        """True if an answer that stops here could be taken for a whole one."""
        return self.exchange is not None and self.http.cut_looks_complete
