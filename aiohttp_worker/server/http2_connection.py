"""HTTP/2 connection: its streams, and what follows their answers (RFC 9113)."""

from __future__ import annotations

import socket
import time
from typing import Any, Final

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.errors import RemoteProtocolError, UnservableRequestError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http2.engine import engine_configuration
from aiohttp_worker.http2.errors import NO_ERROR, REFUSED_STREAM, error_name
from aiohttp_worker.http2.events import (
    BodyEnded,
    ConnectionEnded,
    DataReceived,
    Event,
    PeerAnswered,
    RequestReceived,
    RequestRefused,
    StreamClosed,
)
from aiohttp_worker.http2.response_head import FieldEncoder
from aiohttp_worker.http2.response_side import StreamResponse
from aiohttp_worker.http2.server_connection import ServerConnection
from aiohttp_worker.http2.settings import HTTP2Settings
from aiohttp_worker.wsgi.forwarded import peer_is_trusted
from aiohttp_worker.wsgi.start_response import error_response

from .exchange import Exchange
from .http2_stream import HTTP2Stream, Multiplexer
from .lifetime import CLOSED, CLOSING, IDLE, LINGER, NEVER, RUN
from .settings import OverloadLimits
from .state import State

_monotonic: Final = time.monotonic
# Bytes that are sent in one turn.
_TURN_BYTES: Final = 64 * 1024
# Seconds in which a connection may answer one request after the other before other connections get their turn.
_TURN_SECONDS: Final = 0.001


def _any_request() -> RequestHead:
    """Return the head of a request that cannot be read: it is answered with a body, as most can be."""
    head = RequestHead(b"", {}, 0)
    head.set_version(2, 0)
    return head


class HTTP2Tables:
    """Settings and caches that the connections of HTTP/2 of one worker share.

    :ivar configuration: of the engine.
    :ivar fields: encoder of the fields of responses.
    """

    __slots__ = ("configuration", "fields", "settings")

    def __init__(self, state: State, settings: HTTP2Settings) -> None:
        self.settings = settings
        self.configuration: Any = engine_configuration(settings, state.settings.limits.fields)
        self.fields = FieldEncoder()


class HTTP2Connection(Multiplexer):
    """Requests of one client, many at a time.

    :param tables: what the connections of HTTP/2 share.
    :ivar streams: those that are open, or whose application is at work.
    """

    __slots__ = (
        "_builder",
        "_flushing",
        "_held",
        "_idle_since",
        "_malformed",
        "_stopping",
        "_told_last",
        "core",
        "fields",
        "requests",
        "streams",
        "tables",
    )

    def __init__(self, state: State, tables: HTTP2Tables, sock: socket.socket, peername: Any, sockname: Any) -> None:
        self._builder = builder = state.builders[peer_is_trusted(state.settings.forwarding, peername)]
        super().__init__(state, sock, peername, sockname, builder.base())
        self.tables = tables
        self.fields = tables.fields
        self.requests = 0
        self.streams: dict[int, HTTP2Stream] = {}
        self._flushing = False
        self._held: list[Event] = []  # events that wait for the next turn of the loop
        self._idle_since = 0.0
        self._malformed = False  # a request, which was logged
        self._stopping = False  # the client was told to open no more streams
        self._told_last = False  # and which was the last

    def open(self) -> None:
        """Send the first frame, SETTINGS."""
        state = self.state
        tables = self.tables
        self.core = ServerConnection(
            tables.settings, tables.configuration, state.parsers[self.trusted], self.base, self.lifetime.since
        )
        self.flush()
        if state.draining:
            self.drain(self.lifetime.since)

    @property
    def trusted(self) -> bool:
        """True if the peer is a front end that may speak for others."""
        return self._builder is self.state.builders[True]

    # What is received.

    def receive(self, data: bytes) -> None:
        """Receive bytes of frames."""
        now = _monotonic()
        if self.lifetime.phase is IDLE and now - self._idle_since < self.state.times.head:
            self.lifetime.since = now  # a head may be on its way, of which a part has come
        events = self.core.receive_data(data, now)
        if self._held:
            self._held.extend(events)
            return
        self._handle(events)
        self.flush()

    def receive_eof(self) -> bool:
        """Return False: who sends no more frames cannot read answers any more."""
        return False

    def lost(self, running: bool) -> None:
        """Forget requests: the connection is closed."""
        lost = IncompleteBodyError("the client closed the connection")
        for stream in list(self.streams.values()):
            stream.close(lost)
        self.streams.clear()

    def client_left(self) -> None:
        """Do nothing: a client that has gone is noticed by reading, which is not paused for long."""

    def _handle(self, events: list[Event]) -> None:
        """Handle events; those that take longer than a turn wait until other connections have had theirs."""
        turn_ends = 0.0
        for position, event in enumerate(events):
            if isinstance(event, RequestReceived):
                now = _monotonic()
                if not turn_ends:
                    turn_ends = now + _TURN_SECONDS
                elif now > turn_ends:
                    self._hold(events[position:])
                    return
                self._begin(event)
            else:
                self._handle_other(event)

    def _handle_other(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._receive_body(event)
        elif isinstance(event, BodyEnded):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.end_body()
        elif isinstance(event, StreamClosed):
            self._close_stream(event)
        elif isinstance(event, RequestRefused):
            self._answer_error(event.stream_id, event.error)
        elif isinstance(event, PeerAnswered):
            self._finish_stopping()
        elif isinstance(event, ConnectionEnded):
            if event.reason:
                self.state.observers.log_warning("Invalid HTTP/2 from %s: %s", self.peer, event.reason)
            self.close()

    def _hold(self, events: list[Event]) -> None:
        """Hold events until the next turn of the loop, and receive nothing until then."""
        self._held = events
        self.gate.shut()
        self.state.loop.call_soon(self._handle_held)

    def _handle_held(self) -> None:
        held, self._held = self._held, []
        if self.lifetime.phase is not CLOSED:
            self.gate.reopen()
            self._handle(held)
            self.flush()

    def go_on(self) -> None:
        """Do nothing: the phase HELD is not entered."""

    def _begin(self, event: RequestReceived) -> None:
        stream_id = event.stream_id
        if len(self.streams) >= self.tables.settings.max_concurrent_streams:
            # The client has reset as many, but the application is still at work for them (CVE-2023-44487).
            self.core.reset(stream_id, REFUSED_STREAM)
            return
        self.lifetime.phase = RUN
        head = event.head
        stream: HTTP2Stream | None = None
        try:
            environ = self._builder.build(head)
            environ["SERVER_PROTOCOL"] = "HTTP/2.0"  # as with Gunicorn's own workers
            stream = self.streams[stream_id] = HTTP2Stream(self, stream_id, head)
            self.requests += 1
            stream.begin(head, environ)
        except RemoteProtocolError as error:
            if stream is None:
                self._answer_error(stream_id, error)
                self._note_idle(_monotonic())
            else:
                self.refuse_stream(stream, error)

    def _receive_body(self, event: DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None:
            self.core.credit(event.stream_id, len(event.data))
            return
        try:
            stream.receive(event.data)
        except RemoteProtocolError as error:
            self.refuse_stream(stream, error)

    def _close_stream(self, event: StreamClosed) -> None:
        stream = self.streams.get(event.stream_id)
        if event.error_code != NO_ERROR and not event.by_peer and not event.ours:
            observers = self.state.observers
            log = observers.log_debug if self._malformed else observers.log_warning
            self._malformed = True
            log("Invalid request from %s: stream %d: %s", self.peer, event.stream_id, error_name(event.error_code))
        if stream is not None:
            what = "the client has reset the stream" if event.by_peer else f"the stream is closed: {error_name(event.error_code)}"
            stream.close(IncompleteBodyError(what))
            self.forget_stream(stream, _monotonic())

    def refuse_stream(self, stream: HTTP2Stream, error: RemoteProtocolError) -> None:
        """Answer a request whose application was not called."""
        self._answer_error(stream.stream_id, error)
        stream.exchange = None
        stream.close(IncompleteBodyError(str(error), error.status_code))
        self.forget_stream(stream, _monotonic())

    def _answer_error(self, stream_id: int, error: RemoteProtocolError) -> None:
        state = self.state
        self._log_refused(error)
        code = error.status_code
        status, headers, data = error_response(code, "" if code >= 500 else str(error))
        encoder = state.encoder
        response = StreamResponse(encoder, self.tables.fields, _any_request())
        response.whole(encoder.status_line(status), encoder.field_block(headers), data)
        head = response.take_head()
        assert head is not None
        self.core.send_head(stream_id, head)
        self.core.send_data(stream_id, data, True)
        if state.observers.on_refused is not None:
            state.observers.on_refused(self, error)
        self.flush()

    def _log_refused(self, error: RemoteProtocolError) -> None:
        observers = self.state.observers
        if isinstance(error, UnservableRequestError):
            observers.log_error("%s: %s", self.peer, error)
        else:
            observers.log_warning("Invalid request from %s: %s", self.peer, error)

    def refuse(self, error: RemoteProtocolError) -> None:
        """End the connection because of what cannot be answered on a stream."""
        self._log_refused(error)
        self.close()

    # What is sent.

    def flush(self) -> None:
        """Send what the streams have, in turns, until the client has to read first."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while self._send():
                pass
        finally:
            self._flushing = False

    def _send(self) -> bool:
        """Send a little, and return whether there may be more."""
        write_queue = self.write_queue
        if write_queue.paused or write_queue.closed:
            return False
        core = self.core
        pieces, events = core.data_to_send(_TURN_BYTES, _monotonic())
        if pieces:
            write_queue.send(pieces)
        if core.drained:
            drained, core.drained = core.drained, []
            for stream_id in drained:
                stream = self.streams.get(stream_id)
                if stream is not None:
                    stream.resume_writing()
        for event in events:
            self._handle_other(event)  # sending brings no requests
        return bool(pieces)

    def can_write(self) -> None:
        """Send, in the next turn of the loop, what waited for the client to read."""
        self.state.loop.call_soon(self.flush)

    def forget_stream(self, stream: HTTP2Stream, now: float) -> None:
        """Forget a stream, if it is closed and the application is done with it."""
        if stream.closed and stream.exchange is None and self.streams.pop(stream.stream_id, None) is not None:
            self._note_idle(now)

    def _note_idle(self, now: float) -> None:
        if not self.streams and self.lifetime.phase is RUN:
            self.lifetime.enter(IDLE, now)
            self._idle_since = now

    # Time limits.

    @property
    def exchanges(self) -> list[Exchange]:
        """Exchanges that go on."""
        return [stream.exchange for stream in self.streams.values() if stream.exchange is not None]

    @property
    def watched(self) -> bool:
        """True if the once-a-second sweep must check this connection: there are streams, or output is pending."""
        return bool(self.streams) or super().watched

    def check_time(self, now: float) -> None:
        """End what took too long; called once a second."""
        for stream in list(self.streams.values()):
            stream.check_time(now)
        super().check_time(now)

    @property
    def body_deadline(self) -> float:
        """Never: each stream has its own."""
        return NEVER

    def body_failed(self, reason: str, status_code: int) -> None:
        """Do nothing: each stream has its own time limit."""

    def outstays(self, limits: OverloadLimits, now: float) -> float:
        """Seconds past the overload limit, negative if within it."""
        if self._unsent or not self.streams:
            return super().outstays(limits, now)
        return min([stream.outstays(limits, now) for stream in self.streams.values()])

    def body_outstays(self, limits: OverloadLimits, now: float) -> float:
        """Never: each stream is asked itself."""
        return -NEVER

    # Ends.

    @property
    def expects_more(self) -> bool:
        """True: a client that reads sends WINDOW_UPDATE, so something may always come."""
        return True

    @property
    def cut_looks_complete(self) -> bool:
        """False: the end of an answer is in its frames."""
        return False

    def drain(self, now: float) -> None:
        """End the connection without losing a request that is on its way (RFC 9113 section 6.8).

        The client is told to open no more streams and, when it has heard that, which was the last.
        """
        if self._stopping:
            return
        self._stopping = True
        self.core.announce_goaway()
        self.core.ping()
        self.flush()
        self.state.loop.call_later(self.state.times.linger, self._finish_stopping)

    def _finish_stopping(self) -> None:
        if self._stopping and not self._told_last and self.lifetime.phase is not CLOSED and not self.core.ended:
            self._told_last = True
            self.core.goaway()
            self.flush()

    def close(self, more_comes: bool = False) -> None:
        """End the connection, with a GOAWAY unless there was one."""
        phase = self.lifetime.phase
        if phase is CLOSING or phase is LINGER:
            return
        self.core.terminate(NO_ERROR)
        pieces, _ = self.core.data_to_send(_TURN_BYTES, _monotonic())
        if pieces:
            self.write_queue.send(pieces)
        super().close(more_comes)

    def forsake(self) -> None:
        """Leave the connection to the process that this one was forked from."""
        super().forsake()
        for stream in list(self.streams.values()):
            stream.forsake()
