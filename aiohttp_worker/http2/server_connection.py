"""One HTTP/2 connection of a server: bytes to requests, answers to bytes (RFC 9113)."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.request_parser import HeadParser

from .allowance import Allowance
from .engine import Engine
from .errors import ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR
from .events import (
    BodyEnded,
    ConnectionEnded,
    ControlFrameReceived,
    DataReceived,
    Event,
    FieldsReceived,
    RequestReceived,
    RequestRefused,
    StreamClosed,
    WindowOpened,
)
from .request_head import check_trailers, header_list_size, read_request_head
from .response_head import FieldList
from .settings import HTTP2Settings

# Of a stream's body, what is sent before other streams have their turn.
_TURN_BYTES: Final = 16 * 1024
# So many bytes of data that are sent allow for one WINDOW_UPDATE of the peer.
_BYTES_PER_UPDATE: Final = 1024.0
# Pieces of a body that come together, and are smaller than this, are joined: a piece for each octet would take a hundred times
# the memory of the octet.
_SMALL_PIECE: Final = 4096


class _Stream:
    """State of one stream.

    :ivar outgoing: pieces of the answer's body that wait for a turn, or for the peer's window.
    :ivar unsent: bytes of them.
    :ivar ending: nothing follows them.
    :ivar takes_turns: it is among those that have something to send, and may.
    :ivar uncredited: bytes received that the peer may not send again yet.
    :ivar refused: its request is answered with an error, and its body thrown away.
    :ivar received: all of its request.
    :ivar reset: by us.
    """

    __slots__ = ("ending", "offset", "outgoing", "received", "refused", "reset", "sent", "takes_turns", "uncredited", "unsent")

    def __init__(self) -> None:
        self.outgoing: deque[bytes] = deque()
        self.offset = 0  # of the first piece, what is sent already
        self.unsent = 0
        self.sent = 0
        self.ending = False
        self.takes_turns = False
        self.uncredited = 0
        self.refused = False
        self.received = False
        self.reset = False

    def take(self, most: int) -> bytes:
        """Take bytes from the pieces that wait."""
        outgoing = self.outgoing
        piece = outgoing[0]
        start = self.offset
        if len(piece) - start > most:
            self.offset = start + most
            taken = piece[start : start + most]
        else:
            outgoing.popleft()
            self.offset = 0
            taken = piece[start:] if start else piece
            if outgoing and len(taken) + len(outgoing[0]) <= most:
                pieces = [taken]
                size = len(taken)
                while outgoing and size + len(outgoing[0]) <= most:
                    size += len(outgoing[0])
                    pieces.append(outgoing.popleft())
                taken = b"".join(pieces)
        self.unsent -= len(taken)
        self.sent += len(taken)
        return taken


class ServerConnection:
    """The streams of one connection.

    What is received comes back as events. What is to be sent waits here until :meth:`data_to_send`, which lets the streams
    take turns, within the windows of the peer. A stream that is closed is not known any more, and what is sent on it is dropped.

    :param configuration: of the engine, by :func:`~.engine.engine_configuration`.
    :param parser: of heads.
    :param base: what the table of each head begins as.
    :param now: the time of a monotonic clock, in seconds.
    :param upgraded: see :class:`~.engine.Engine`.
    :ivar drained: streams of which nothing waits any more; whoever pauses their applications takes them from here.
    :ivar ended: nothing is received any more, nor sent but for what :meth:`data_to_send` still gives.
    """

    __slots__ = (
        "_answered",
        "_base",
        "_control",
        "_engine",
        "_parser",
        "_resets",
        "_settings",
        "_streams",
        "_turns",
        "drained",
        "ended",
    )

    def __init__(
        self,
        settings: HTTP2Settings,
        configuration: Any,
        parser: HeadParser,
        base: dict[str, object],
        now: float,
        upgraded: bytes | None = None,
        upgraded_head: bool = False,
    ) -> None:
        self._settings = settings
        self._parser = parser
        self._base = base
        self._engine = Engine(settings, configuration, upgraded, upgraded_head)
        self._control = Allowance(*settings.control_frames, now)
        self._resets = Allowance(*settings.resets, now)
        self._streams: dict[int, _Stream] = {}
        self._turns: deque[int] = deque()
        self._answered: list[int] = []  # streams whose requests were not read to their end
        self.drained: list[int] = []
        self.ended = False
        if upgraded is not None:
            stream = self._streams[1] = _Stream()
            stream.received = True

    @property
    def open_streams(self) -> int:
        """Number of streams that are not closed."""
        return len(self._streams)

    # What is received.

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Receive bytes, and return the events in them.

        :param now: the time of the monotonic clock, in seconds.
        """
        events: list[Event] = []
        self._take_all(self._engine.receive_data(data), events, now)
        return events

    def _take_all(self, received: list[Event], events: list[Event], now: float) -> None:
        for event in received:
            if self.ended:
                return
            if isinstance(event, FieldsReceived):
                self._take_fields(event, events)
            elif isinstance(event, DataReceived):
                self._take_data(event, events, now)
            elif isinstance(event, StreamClosed):
                self._close(event, events, now)
            elif isinstance(event, WindowOpened | ControlFrameReceived):
                if isinstance(event, WindowOpened):
                    self._open_window(event.stream_id)
                self._count_control_frame(events, now)
            elif isinstance(event, ConnectionEnded):
                self.ended = True
                events.append(event)
            else:
                events.append(event)
                self._count_control_frame(events, now)

    def _take_fields(self, event: FieldsReceived, events: list[Event]) -> None:
        stream_id = event.stream_id
        if event.trailers:
            self._take_trailers(event, events)
            return
        stream = self._streams[stream_id] = _Stream()
        stream.received = event.ended
        limit = self._settings.max_header_list_size
        try:
            if limit and header_list_size(event.fields) > limit:
                raise RemoteProtocolError(f"the header list is larger than http2_max_header_list_size ({limit})", 431)
            events.append(
                RequestReceived(stream_id, read_request_head(self._parser, event.fields, event.ended, self._base.copy()))
            )
        except RemoteProtocolError as error:
            stream.refused = True
            events.append(RequestRefused(stream_id, error))

    def _take_trailers(self, event: FieldsReceived, events: list[Event]) -> None:
        """Check trailers, which nobody is given (as in HTTP/1.1), and end the body."""
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        stream.received = True
        if stream.refused or stream.reset:
            return
        try:
            check_trailers(self._parser.limits, event.fields)
        except RemoteProtocolError:
            # As the engine does with what it refuses itself: the end of the stream is an event.
            stream.outgoing.clear()
            stream.unsent = 0
            self._engine.reset(event.stream_id, PROTOCOL_ERROR)
        else:
            events.append(BodyEnded(event.stream_id))

    def _take_data(self, event: DataReceived, events: list[Event], now: float) -> None:
        stream_id = event.stream_id
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.received = event.ended
        data = event.data
        if data:
            stream.uncredited += len(data)
            if stream.refused or stream.reset:
                self.credit(stream_id, len(data))
                return
            last = events[-1] if events else None
            if isinstance(last, DataReceived) and last.stream_id == stream_id and len(data) < _SMALL_PIECE:
                last.data += data
            else:
                events.append(event)
        elif not event.ended:
            self._count_control_frame(events, now)
        if event.ended and not stream.refused and not stream.reset:
            events.append(BodyEnded(stream_id))

    def _close(self, event: StreamClosed, events: list[Event], now: float) -> None:
        stream = self._streams.pop(event.stream_id, None)
        if stream is not None and stream.uncredited:
            # What nobody read would be missing in the window of the connection for ever.
            self._engine.credit(event.stream_id, stream.uncredited)
        event.ours = stream is not None and stream.reset
        if event.error_code != NO_ERROR and not event.by_peer and not event.ours:
            # The peer broke a rule, and so had the stream reset without saying so itself (CVE-2025-8671).
            if not self._resets.take(now):
                self._end(events, "too many malformed requests")
        events.append(event)

    def _count_control_frame(self, events: list[Event], now: float) -> None:
        if not self._control.take(now):
            self._end(events, "too many frames that ask for nothing")

    def _end(self, events: list[Event], reason: str) -> None:
        """End the connection of a peer that keeps us busy."""
        self._engine.terminate(ENHANCE_YOUR_CALM)
        self.ended = True
        events.append(ConnectionEnded(ENHANCE_YOUR_CALM, reason))

    def credit(self, stream_id: int, size: int) -> None:
        """Let the peer send as much again as was taken of a body."""
        stream = self._streams.get(stream_id)
        if stream is not None and size and not self.ended:
            stream.uncredited -= size
            self._engine.credit(stream_id, size)

    # What is to be sent.

    def send_head(self, stream_id: int, fields: FieldList, ended: bool = False) -> None:
        """Begin the answer on a stream.

        What of the request has not come when the answer is complete is not wanted, which the peer is told (RFC 9113 section 8.1).

        :param ended: it has no body.
        """
        stream = self._stream_to_send(stream_id)
        if stream is not None:
            self._engine.send_head(stream_id, fields, ended)
            stream.ending = ended
            if ended and not stream.received:
                self._answered.append(stream_id)

    def send_interim(self, stream_id: int, fields: FieldList) -> None:
        """Send an interim response, before the answer begins."""
        if self._stream_to_send(stream_id) is not None:
            self._engine.send_interim(stream_id, fields)

    def send_data(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Send a piece of an answer's body, after its head.

        :param ended: nothing follows it; it may be empty.
        """
        stream = self._stream_to_send(stream_id)
        if stream is None or not (data or ended):
            return
        if data:
            stream.outgoing.append(data)
            stream.unsent += len(data)
        stream.ending = ended
        if not stream.takes_turns:
            stream.takes_turns = True
            self._turns.append(stream_id)

    def _stream_to_send(self, stream_id: int) -> _Stream | None:
        stream = self._streams.get(stream_id)
        return None if stream is None or stream.reset or stream.ending or self.ended else stream

    def unsent(self, stream_id: int) -> int:
        """Return how many bytes of an answer's body wait to be sent."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.unsent

    def sent(self, stream_id: int) -> int:
        """Return how many bytes of an answer's body have been sent; a stream on which that stands still has no reader."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.sent

    def reset(self, stream_id: int, error_code: int) -> None:
        """Reset a stream, and drop what waits to be sent on it."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.reset or self.ended:
            return
        stream.reset = True
        stream.outgoing.clear()
        stream.unsent = 0
        self._engine.reset(stream_id, error_code)

    def announce_goaway(self) -> None:
        """Tell the peer to open no more streams, and serve those that are on their way (RFC 9113 section 6.8)."""
        if not self.ended:
            self._engine.announce_goaway()

    def goaway(self) -> None:
        """Tell the peer which stream was the last that is served; when all are answered, the connection ends."""
        if not self.ended:
            self._engine.goaway()

    def ping(self) -> None:
        """Ask the peer for a sign of life, which comes as ``PeerAnswered``."""
        if not self.ended:
            self._engine.ping()

    def terminate(self, error_code: int) -> None:
        """End the connection at once, with a GOAWAY."""
        if not self.ended:
            self._engine.terminate(error_code)
            self.ended = True

    def data_to_send(self, most: int, now: float) -> tuple[list[bytes], list[Event]]:
        """Return bytes for the peer, and what came of sending them.

        :param most: so many bytes, or as many more as streams send in one turn.
        :param now: the time of the monotonic clock, in seconds.
        """
        pieces: list[bytes] = []
        events: list[Event] = []
        while most > 0:
            if not self.ended:
                self._take_turns()
            data, came = self._engine.data_to_send()
            if came:
                self._take_all(came, events, now)
            if data:
                pieces.append(data)
                most -= len(data)
            elif not self._answered:
                break
            # After the answer has been sent: the engine would send it before.
            while self._answered:
                self.reset(self._answered.pop(), NO_ERROR)
        return pieces, events

    def _take_turns(self) -> None:
        """Give the engine what can be sent at once, a little of each stream."""
        turns = self._turns
        engine = self._engine
        room = min(engine.window, _TURN_BYTES)
        left_out: list[int] = []
        for _ in range(len(turns)):
            stream_id = turns.popleft()
            stream = self._streams.get(stream_id)
            if stream is None or stream.reset:
                continue
            if stream.unsent and room <= 0:
                left_out.append(stream_id)  # one behind it may still end, which takes no room
                continue
            data = b""
            if stream.unsent:
                size = min(room, engine.window_of(stream_id))
                if size <= 0:
                    stream.takes_turns = False  # until its window opens
                    continue
                data = stream.take(size)
                room -= len(data)
                self._control.add(len(data) / _BYTES_PER_UPDATE)
            stream.takes_turns = stream.unsent > 0
            if stream.takes_turns:
                turns.append(stream_id)
                engine.send_data(stream_id, data, False)
                continue
            engine.send_data(stream_id, data, stream.ending)
            if not stream.ending:
                self.drained.append(stream_id)
            elif not stream.received:
                self._answered.append(stream_id)
        turns.extendleft(reversed(left_out))

    def _open_window(self, stream_id: int) -> None:
        """Let streams take turns again that waited for the peer's window."""
        if stream_id:
            stream = self._streams.get(stream_id)
            waiting = {} if stream is None else {stream_id: stream}
        else:
            waiting = self._streams
        for number, stream in waiting.items():
            if stream.unsent and not stream.takes_turns:
                stream.takes_turns = True
                self._turns.append(number)
