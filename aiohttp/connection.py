"""One connection to a server: what it sends, what it receives, and the exchange that is going on."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Hashable
from typing import Final, Protocol, cast

from aiohttp_worker.http1.response_reader import (
    END,
    ResponseCutError,
    ResponseEvent,
    ResponseHead,
    ResponseLimits,
    ResponseReader,
    ResponseSyntaxError,
)

from .errors import (
    BodyTooLargeError,
    ClientConnectionError,
    ContentEncodingError,
    IncompleteRead,
)
from .incoming import Incoming
from .response_errors import cut_error, malformed_error
from .sockets import is_readable, rest_of
from .turns import Turns

__all__ = ["ClientConnection", "State"]

REST_SIZE: Final = 65536
"""Bytes of a body that nobody reads which are still received, to save the connection."""
REST_SECONDS: Final = 2.0
"""How long that may take."""
WRITER_SECONDS: Final = 1.0
"""How long the generator of a body that is not wanted any more may take to end."""


class Keeper(Protocol):
    """Keeper of connections without an exchange."""

    def prepare_content(self, head: ResponseHead, content: Incoming) -> None:
        """The head of a response with a content coding has arrived; its body comes next."""

    def give_back(self, connection: ClientConnection) -> None:
        """An exchange is over and the connection can carry another one."""

    def give_up(self, connection: ClientConnection) -> None:
        """An exchange is over and so is the connection."""

    def forget(self, connection: ClientConnection) -> None:
        """An idle connection ended."""

    def gone(self, connection: ClientConnection) -> None:
        """The transport has let go of its socket."""


class State(enum.Enum):
    """Activity of a connection."""

    IDLE = "no request is going on"
    SENT = "a request has gone out, or is going; its response has no head yet"
    BODY = "the body of the response arrives"
    DONE = "the response is complete; the request may still be going out"
    CLOSED = "of no further use"


class ClientConnection(asyncio.Protocol):
    """A connection and the exchange on it. One of these serves many exchanges, one after the other."""

    __slots__ = (
        "__weakref__",
        "_allowance",
        "_can_write",
        "_closed_waiter",
        "_connector",
        "_content",
        "_continue",
        "_drain",
        "_head",
        "_last",
        "_loop",
        "_patience",
        "_reader",
        "_request_done",
        "_stopped_writer",
        "_tunnel",
        "_turns",
        "_writer",
        "error",
        "gone",
        "idle_since",
        "key",
        "label",
        "received",
        "state",
        "transport",
        "used",
    )

    def __init__(self, connector: Keeper, key: Hashable, loop: asyncio.AbstractEventLoop, limits: ResponseLimits) -> None:
        self._connector = connector
        self._loop = loop
        self._reader = ResponseReader(limits)
        self.key = key
        self.label = ""
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.state = State.IDLE
        self.idle_since = 0.0
        self.used = 0
        self.received = False
        self.error: BaseException | None = None
        self._can_write = True
        self._request_done = True
        self._head: asyncio.Future[ResponseHead] | None = None
        self._content: Incoming | None = None
        self._continue: asyncio.Future[bool] | None = None
        self._drain: asyncio.Future[None] | None = None
        self._closed_waiter: asyncio.Future[None] | None = None
        self.gone = False
        self._allowance = 0
        self._tunnel = False
        self._last = False
        self._patience: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._stopped_writer: asyncio.Task[None] | None = None
        self._turns = Turns()

    # -- an exchange ------------------------------------------------------------------------------------------------

    def begin(self, method: str, label: str, content: Incoming, last: bool = False) -> asyncio.Future[ResponseHead]:
        """Start an exchange; returns the future that gets the head of the final response.

        ``last`` says that the request asks for the connection to be closed (RFC 9112 section 9.6).
        """
        self._reader.start(method)
        self.label = label
        self.state = State.SENT
        self.used += 1
        self.received = False
        self._content = content
        content.label = label
        self._request_done = False
        self._tunnel = method == "CONNECT"
        self._last = last
        head = self._head = self._loop.create_future()
        if self.error is not None:
            head.set_exception(self.error)
        return head

    def request_written(self) -> None:
        """The whole request has been handed to the transport."""
        self._request_done = True
        if self.state is State.DONE:
            self._finish(self._reader.reusable)

    def expect_continue(self) -> asyncio.Future[bool]:
        """A future that gets True for 100 (Continue) and False when a final response comes instead."""
        self._continue = self._loop.create_future()
        return self._continue

    @property
    def writable(self) -> bool:
        """True if the transport takes more without piling it up."""
        return self._can_write

    def attach_writer(self, writer: asyncio.Task[None]) -> None:
        """The task that sends the body; it is cancelled when the exchange ends before it."""
        self._writer = writer

    async def writer_ended(self) -> None:
        """Wait until the task that sends the body has let go of it, so that its owner can close a generator.

        One that does not mind being cancelled keeps nobody waiting for longer than WRITER_SECONDS.
        """
        writer, self._stopped_writer = self._stopped_writer, None
        if writer is not None and not writer.done() and writer is not asyncio.current_task():
            await asyncio.wait((writer,), timeout=WRITER_SECONDS)

    def body_failed(self, error: Exception) -> None:
        """The body could not be produced: the exchange ends with that error."""
        if self.state in (State.SENT, State.BODY):
            self._fail(error)

    async def drain(self) -> None:
        """Wait until more can be written. Raises ClientConnectionError if the connection is gone.

        What the server has to say is read first, even while it takes everything.
        """
        self._check_open()
        if not self._can_write:
            self._drain = self._loop.create_future()
            await self._drain
        if self._turns.over() or (self._under_tls() and is_readable(self.transport)):
            # One turn of the loop finds out, the next one reads.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._check_open()

    def _under_tls(self) -> bool:
        """Return True under TLS, where bytes that are not read before a write fails cannot be had any more."""
        return self.transport.get_extra_info("sslcontext") is not None

    def _check_open(self) -> None:
        # A transport that could not write says so in a later turn only.
        if self.error is not None or self.state is State.CLOSED or self.transport.is_closing():
            raise self.error or ClientConnectionError(f"{self.label}: the connection is closed")

    def release(self) -> None:
        """Nobody wants the rest of the exchange: the connection closes, the slot goes back."""
        if self.state in (State.SENT, State.BODY, State.DONE):
            self._finish(False)

    def abort_exchange(self, content: Incoming) -> None:
        """End the exchange that this body belongs to, if it has not ended already."""
        if self._content is content:
            self.release()

    def fail_exchange(self, content: Incoming, error: Exception) -> None:
        """End the exchange that this body belongs to with an error, if it has not ended already."""
        if self._content is content:
            self._fail(error)

    def abandon(self) -> None:
        """Nobody reads the rest of the body: a small one is received and dropped, a large one closes the connection."""
        content, self._content = self._content, None
        if self.state is not State.BODY or not self._request_done or content is None or content.paused:
            self._content = content
            self.release()
            return
        content.discard()
        content.feed_eof()
        self._allowance = REST_SIZE
        self._patience = self._loop.call_later(REST_SECONDS, self.release)

    def ended(self) -> bool:
        """True if the server has ended an idle connection, or sent what nobody asked for, though the loop has not seen it yet."""
        return self.transport.is_closing() or is_readable(self.transport, lost=True)

    def close_if_idle(self) -> None:
        """Close the connection if nobody has it."""
        if self.state is State.IDLE:
            self._connector.forget(self)
            self.close()

    def _finish(self, reusable: bool) -> None:
        """The exchange is over; this is the only place where a slot goes back."""
        content, self._content = self._content, None
        if content is not None and not content.complete():
            content.set_error(ClientConnectionError(f"{self.label}: the response was closed before its body was read"))
        writer, self._writer = self._writer, None
        if writer is not None and not writer.done() and not self._request_done:
            writer.cancel()
            self._stopped_writer = writer
        if self._continue is not None and not self._continue.done():
            self._continue.set_result(False)
        if self._head is not None and not self._head.done():
            self._head.set_exception(ClientConnectionError(f"{self.label}: the connection was closed before the answer"))
        self._head = self._continue = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if reusable and not self._last and self._request_done and self.error is None and not self.transport.is_closing():
            self.state = State.IDLE
            if not self._tunnel:
                self._connector.give_back(self)
        elif self._tunnel:
            self.close()
        else:
            self.close()
            self._connector.give_up(self)

    def close(self) -> None:
        """Close the transport; what is still to be written is dropped when the exchange was not complete."""
        complete = self.state in (State.IDLE, State.DONE) and self._request_done
        self.state = State.CLOSED
        if self.transport is not None and not self.transport.is_closing():
            if complete:
                self.transport.close()
            else:
                self.transport.abort()

    async def wait_closed(self, seconds: float) -> None:
        """Wait until the transport has let go of its socket; one whose server does not end TLS in time is cut off."""
        if self.transport is None or self.gone:
            return
        if self._closed_waiter is None:
            self._closed_waiter = self._loop.create_future()
        await asyncio.wait((self._closed_waiter,), timeout=seconds)
        if not self.gone:
            self.transport.abort()

    # -- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state is not State.SENT and state is not State.BODY:
            # RFC 9112 section 9.2: bytes that nobody asked for. Whoever gets this connection next would take them for
            # its answer.
            if state is State.DONE:
                self._reader.reusable = False
            elif state is State.IDLE:
                self._lost(None)
            return
        self.received = True
        try:
            events = self._reader.feed(data)
        except ResponseSyntaxError as error:
            self._deliver(error.events)
            if self.state in (State.SENT, State.BODY):
                self._fail(
                    malformed_error(self.label, error, in_body=self.state is State.BODY, in_fields=self._reader.status_line_seen)
                )
            return
        self._deliver(events)

    def _deliver(self, events: list[ResponseEvent]) -> None:
        for event in events:
            if type(event) is bytes:
                content = self._content
                if content is None:
                    self._allowance -= len(event)
                    if self._allowance < 0:
                        self.release()
                        return
                else:
                    try:
                        content.feed_data(event)
                    except BodyTooLargeError as error:
                        self._fail(error)
                        return
            elif event is END:
                self._end()
            elif isinstance(event, ResponseHead):
                self._head_received(event)

    def _head_received(self, head: ResponseHead) -> None:
        if head.status_code < 200 and head.status_code != 101:
            if head.status_code == 100 and self._continue is not None and not self._continue.done():
                self._continue.set_result(True)
            return
        self.state = State.BODY
        if self._continue is not None and not self._continue.done():
            self._continue.set_result(False)
        waiter = self._head
        content = self._content
        if content is not None and head.content_codings:
            try:
                self._connector.prepare_content(head, content)
            except ContentEncodingError as error:
                self._fail(ContentEncodingError(f"{self.label}: {error}"))
                return
        if waiter is not None and not waiter.done():
            waiter.set_result(head)

    def _end(self) -> None:
        self.state = State.DONE
        content, self._content = self._content, None
        if content is not None:
            content.feed_eof()
        # RFC 9112 section 9.3: a server that answers before it has the whole body may read the rest of it or not.
        self._finish(self._reader.reusable and self._request_done)

    def eof_received(self) -> bool:
        self._lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self.state in (State.SENT, State.BODY):
            self._receive_rest()
        self._lost(exc)
        self.gone = True
        self._connector.gone(self)
        waiter, self._closed_waiter = self._closed_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        self._wake_writer()

    def _receive_rest(self) -> None:
        """Take what the server had sent before it went: a transport that fails to write does not read any more."""
        if self._under_tls():
            return
        for data in rest_of(self.transport):
            self.data_received(data)
            if self.state not in (State.SENT, State.BODY):
                return

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._wake_writer()

    def _wake_writer(self) -> None:
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            if self.state is State.CLOSED:
                drain.set_exception(self.error or ClientConnectionError(f"{self.label}: the connection is closed"))
            else:
                drain.set_result(None)

    def pause_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    # -- the ways in which it ends ------------------------------------------------------------------------------------

    def _lost(self, exc: Exception | None) -> None:
        """The server closed the connection, or it broke."""
        state = self.state
        if state is State.CLOSED:
            return
        if state is State.IDLE:
            self._connector.forget(self)
            self.close()
            return
        if state is State.DONE:
            self._finish(False)
            return
        try:
            events = self._reader.feed_eof()
        except ResponseCutError as cut:
            self._fail(cut_error(self.label, cut, exc))
            return
        if exc is not None and not isinstance(exc, EOFError):
            self._fail(IncompleteRead(b"", None, f"{self.label}: the connection broke inside the body: {exc}"))
        elif END in events:
            self._end()

    def _fail(self, error: BaseException) -> None:
        """The exchange has failed: tell whoever waits for it."""
        self.error = error
        head, content = self._head, self._content
        if content is not None and not content.complete():
            content.set_error(error)
        if head is not None and not head.done():
            head.set_exception(error)
            head.exception()  # a request that was cancelled does not look at it
        self._finish(False)
