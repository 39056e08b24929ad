"""Stream of HTTP/2: one request and its response, among others on the same connection (RFC 9113 section 5)."""

from __future__ import annotations

import abc
import io
import time
from collections.abc import Iterable
from typing import Any, BinaryIO, Final

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http2.errors import CANCEL, INTERNAL_ERROR
from aiohttp_worker.http2.response_head import FieldEncoder
from aiohttp_worker.http2.response_side import StreamResponse
from aiohttp_worker.http2.server_connection import ServerConnection
from aiohttp_worker.transport.read_gate import ReadGate
from aiohttp_worker.transport.write_queue import WRITE_HIGH_MARK, WriteQueue
from aiohttp_worker.wsgi.application import ApplicationKind
from aiohttp_worker.wsgi.environ import Environ
from aiohttp_worker.wsgi.input import EmptyReader

from .channels import InlineChannel
from .connection import Connection
from .exchange import Exchange
from .lifetime import NEVER
from .request_body import RequestBody, chooses_stream, make_input_awaitable
from .stream import Stream

_monotonic: Final = time.monotonic
_BytesIO: Final = io.BytesIO
_ORDINARY: Final = ApplicationKind.ORDINARY


class Multiplexer(Connection):
    """Connection that carries several streams, as its streams know it.

    :ivar core: the protocol, without input and output.
    :ivar fields: encoder of the fields of responses.
    :ivar requests: how many have begun.
    """

    core: ServerConnection
    fields: FieldEncoder
    requests: int

    @abc.abstractmethod
    def flush(self) -> None:
        """Send what the streams have, in turns, until the client has to read first."""

    @abc.abstractmethod
    def refuse_stream(self, stream: HTTP2Stream, error: RemoteProtocolError) -> None:
        """Answer a request whose application was not called."""

    @abc.abstractmethod
    def forget_stream(self, stream: HTTP2Stream, now: float) -> None:
        """Forget a stream, if it is closed and the application is done with it."""

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """Reset a stream: its response cannot be completed."""
        self.core.reset(stream_id, error_code)
        self.flush()


class StreamTransport:
    """Transport of one stream, for its write queue and for the body of its request.

    What is written waits in the connection until its turn, and the peer's window, let it go. Reading is paused by
    giving the peer no credit.

    :ivar written: bytes of the response's body that were written.
    :ivar finished: whether the end of the stream was written.
    """

    __slots__ = ("_connection", "_credit", "_reading", "_stream", "closed", "finished", "written")

    def __init__(self, connection: Multiplexer, stream: HTTP2Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._reading = True
        self._credit = 0  # to be given when reading is resumed
        self.written = 0
        self.finished = False
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact about the connection; there is no socket of the stream's own."""
        return default if name == "socket" else self._connection.transport.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Leave the marks as they are."""

    def get_write_buffer_size(self) -> int:
        """Return the bytes that were written and not sent."""
        return 0 if self.closed else self._connection.core.unsent(self._stream.stream_id)

    def is_closing(self) -> bool:
        """Return whether the stream is closed."""
        return self.closed

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Write pieces of the response's body, the head before them, and the end after them if it is due."""
        self.put(pieces)
        self._connection.flush()

    def put(self, pieces: Iterable[bytes]) -> None:
        """Write, and leave it to others to send."""
        if self.closed or self.finished:
            return
        core, stream = self._connection.core, self._stream
        response, stream_id = stream.answer, stream.stream_id
        while (interim := response.take_interim()) is not None:
            core.send_interim(stream_id, interim)
        data = b"".join(pieces)
        self.written += len(data)
        ended = response.ends_after(self.written)
        head = response.take_head()
        if head is not None:
            core.send_head(stream_id, head, ended and not data)
        if data or (ended and head is None):
            core.send_data(stream_id, data, ended)
        self.finished = ended
        if core.unsent(stream_id) > WRITE_HIGH_MARK and not stream.write_queue.paused:
            stream.pause_writing()

    def finish(self) -> None:
        """Write the end of the stream, if everything before it was written."""
        if not self.finished and not self.closed and self._stream.answer.ends_after(self.written):
            self.writelines([])

    def abort(self) -> None:
        """Reset the stream."""
        if not self.closed:
            self.closed = True
            self._connection.reset_stream(self._stream.stream_id, INTERNAL_ERROR)

    def close(self) -> None:
        """Forget the stream: it is closed."""
        self.closed = True

    # Reading.

    def pause_reading(self) -> None:
        """Give no credit."""
        self._reading = False

    def resume_reading(self) -> None:
        """Give credit, for what has been received meanwhile too."""
        self._reading = True
        if self._credit:
            size, self._credit = self._credit, 0
            self._connection.core.credit(self._stream.stream_id, size)
            self._connection.flush()

    def received(self, size: int) -> None:
        """Count bytes that were received, and give credit for them now or later."""
        if self._reading:
            self._connection.core.credit(self._stream.stream_id, size)
        else:
            self._credit += size


class StreamQueue(WriteQueue):
    """Write queue of one stream: what is kept for the end of a turn is framed at once, and sent with that of other streams."""

    __slots__ = ("_stream_transport",)

    def __init__(self, transport: Any) -> None:
        super().__init__(transport, None)
        self._stream_transport: StreamTransport = transport

    def keep(self, pieces: list[bytes]) -> None:
        """Keep *pieces* to be sent with the next, or by :meth:`release`."""
        if not self.closed:
            self._queued = True
            self._stream_transport.put(pieces)

    def release(self) -> None:
        """Send what was kept."""
        if not self.closed:
            self._stream_transport._connection.flush()


class HTTP2Stream(Stream):
    """One request and its response.

    :ivar stream_id: number of the stream.
    :ivar answer: the response side, as what it is.
    :ivar exchange: ``None`` until the application is called, and after its end.
    :ivar closed: whether nothing is received or sent on it any more.
    """

    __slots__ = (
        "_body",
        "_collecting",
        "_connection",
        "_counted",
        "_gate",
        "_read_at",
        "_sent",
        "_state",
        "_transport",
        "answer",
        "channel",
        "closed",
        "disconnected",
        "exchange",
        "requests",
        "response",
        "stream_id",
        "write_queue",
    )

    def __init__(self, connection: Multiplexer, stream_id: int, head: RequestHead) -> None:
        state = connection.state
        self._connection = connection
        self._state = state
        self.stream_id = stream_id
        self.requests = connection.requests
        self.disconnected = False
        self.closed = False
        self.exchange: Exchange | None = None
        self._transport = StreamTransport(connection, self)
        self.answer = StreamResponse(state.encoder, connection.fields, head)
        self.response = self.answer
        self.write_queue = StreamQueue(self._transport)
        self.channel = InlineChannel(state, self.write_queue)
        self._gate = ReadGate(self._transport)  # type: ignore[arg-type]
        self._body: RequestBody | None = None
        self._collecting = False
        self._counted = 0  # in the account of what clients have not read
        self._sent = -1  # bytes of the response, when that was last looked at
        self._read_at = 0.0  # by the client, for the last time while there was something

    # The request.

    def begin(self, head: RequestHead, environ: Environ) -> None:
        """Call the application, or begin to collect the body for it.

        :raises RemoteProtocolError: the request is not served.
        """
        state = self._state
        environ["wsgi.early_hints"] = self.early_hints
        environ["aiohttp_worker.client_disconnected"] = self.client_disconnected
        exchange = Exchange(state, self, head, environ)
        awaits_input = state.awaits_input if state.stream_when is None else chooses_stream(state.stream_when, environ)
        if not head.has_body:
            environ["wsgi.input"] = EmptyReader(state.loop) if awaits_input else _BytesIO()
            self._run(exchange)
            return
        limit = state.settings.max_body_size
        if limit and (head.content_length or 0) > limit:
            raise RemoteProtocolError(f"the body is longer than {limit} bytes", 413)
        self._body = body = RequestBody(state, head, self.response, self.write_queue, self._gate)
        if awaits_input or state.bodies_in_threads < state.most_bodies_in_threads:
            environ["wsgi.input"] = body.stream(awaits_input)
            self._run(exchange)
            return
        self._collecting = True
        self.exchange = exchange
        body.collect(comes_already=False)

    def _run(self, exchange: Exchange) -> None:
        self.exchange = exchange
        state = self._state
        if state.pool is not None:
            exchange.run_in_thread()
        elif state.kind is _ORDINARY:
            exchange.run_inline()
        else:
            exchange.run_as_task()

    def receive(self, data: bytes) -> None:
        """Take a piece of the body.

        :raises RemoteProtocolError: it is too long (413), or cannot be stored (507), and the application was not called.
        """
        body = self._body
        if body is None or body.ended:
            self._transport.received(len(data))  # nobody reads it
            return
        try:
            body.receive(data)
        except RemoteProtocolError as error:
            if self._collecting:
                raise
            body.refuse(IncompleteBodyError(str(error), error.status_code))
            self._state.observers.log_warning("Invalid request from %s: %s", self._connection.peer, error)
        if not body.wants_more:
            self._gate.shut()
        self._transport.received(len(data))

    def end_body(self) -> None:
        """Complete the body."""
        body = self._body
        if body is None or body.ended:
            return
        body.end()
        exchange = self.exchange
        if self._collecting and exchange is not None:
            self._collecting = False
            exchange.environ["wsgi.input"] = body.collected(exchange.environ)
            self._run(exchange)

    @property
    def trusted(self) -> bool:
        """True if the peer is a front end that may speak for others."""
        return self._connection.trusted

    def close(self, error: IncompleteBodyError) -> None:
        """Handle the end of the stream: both sides are complete, or one has reset it, or the client has gone.

        :param error: for whoever reads a body that did not come to its end.
        """
        if self.closed:
            return
        self.closed = True
        self._transport.close()
        if self.exchange is not None:
            self.disconnected = True
        body = self._body
        if body is not None:
            body.give_up()
            if not body.ended:
                body.fail(error)
        exchange = self.exchange
        if exchange is not None:
            if self._collecting:
                self.exchange = None
            else:
                exchange.client_left()
        self.write_queue.close()
        self._count_unsent(0)
        self.write_queue.wake_thread()

    def forsake(self) -> None:
        """Leave the stream to the process that this one was forked from."""
        self.disconnected = True
        self.write_queue.forsake()
        if self._body is not None:
            self._body.forsake()

    # Asked by the exchange.

    def exchange_ended(self, now: float) -> None:
        """End the stream, or reset it if the response is not complete."""
        self.exchange = None
        if self._body is not None:
            self._body.leave()
            self._gate.reopen()
        self._transport.finish()
        if not self._transport.finished:
            self._transport.abort()
        self._connection.forget_stream(self, now)

    def early_hints(self, headers: object) -> None:
        """``wsgi.early_hints``: send an interim response 103 (RFC 8297)."""
        if self.exchange is not None:
            self.exchange.early_hints(headers)

    def client_disconnected(self) -> bool:
        """Return whether the client has gone, as far as is known; from any thread."""
        return self.disconnected

    def awaitable_input(self, environ: Environ) -> None:
        """Make ``wsgi.input`` one that can be awaited."""
        make_input_awaitable(self._state, environ, self._body)

    def keep_file(self, file: BinaryIO) -> None:
        """Close *file*, where the body is, when the request is answered."""
        if self._body is not None:
            self._body.keep_file(file)

    @property
    def body_read(self) -> int:
        """Bytes that the application has read while the body came."""
        return 0 if self._body is None else self._body.read

    @property
    def awaits_body(self) -> bool:
        """True if a thread waits for more of the body."""
        return self._body is not None and self._body.awaited_in_thread

    def leaves_body(self) -> bool:
        """Return False: a body that nobody asked for ends nothing but its stream."""
        return False

    def pause_writing(self) -> None:
        """Pause writing: the client reads more slowly than is sent."""
        self.write_queue.pause()
        self._count_unsent(self.write_queue.in_transport)
        self._sent = self._connection.core.sent(self.stream_id)
        self._read_at = _monotonic()

    def resume_writing(self) -> None:
        """Resume writing: everything is sent; the waiters go on in the next turn of the loop."""
        if not self.write_queue.paused:
            return
        self.write_queue.paused = False
        self._count_unsent(0)
        if self._body is not None:
            self._body.restart_limits()
        self.write_queue.wake_thread()
        self._state.loop.call_soon(self._write_on)

    def _write_on(self) -> None:
        if not self.write_queue.paused:
            self.write_queue.resume()

    def _count_unsent(self, size: int) -> None:
        self._state.unsent += size - self._counted
        self._counted = size

    # Time.

    @property
    def deadline(self) -> float:
        """Deadline of the body, on the monotonic clock."""
        body = self._body
        if body is None or (self.write_queue.paused and not self._collecting):
            return NEVER
        return body.deadline()

    def check_time(self, now: float) -> None:
        """End what took too long; called once a second."""
        core = self._connection.core
        sent = core.sent(self.stream_id)
        if sent != self._sent or not core.unsent(self.stream_id):
            self._sent = sent
            self._read_at = now
        elif now >= self._read_at + (self._state.times.write or NEVER):
            self._state.observers.log_debug(
                "%s: the client does not read, stream %d is reset", self._connection.peer, self.stream_id
            )
            self.write_queue.closed = True
            self._connection.reset_stream(self.stream_id, CANCEL)
            return
        if now < self.deadline:
            return
        error = "the body of the request did not come in time"
        if self._collecting:
            self._connection.refuse_stream(self, RemoteProtocolError(error, 408))
        elif self._body is not None:
            self._body.fail(IncompleteBodyError(error, 408))

    def outstays(self, limits: Any, now: float) -> float:
        """Return by how many seconds the body is too slow while others wait for a connection; negative if it is not."""
        return self._body.outstays(limits, now) if self._collecting and self._body is not None else -NEVER
