"""A server's end of a connection, with a client of hand-written frames."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp_worker.http1.messages import Limits
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http2.engine import engine_configuration
from aiohttp_worker.http2.events import BodyEnded, ConnectionEnded, Event, RequestReceived
from aiohttp_worker.http2.server_connection import ServerConnection
from aiohttp_worker.http2.settings import HTTP2Settings

from .frames import ACK, DATA, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, Frame, frame, parse, settings

OPENING = PREFACE + settings() + frame(SETTINGS, b"", 0, ACK)
ALL = 1 << 30


class Served:
    """A connection whose frames are recorded.

    :ivar frames: that the server has sent.
    :ivar events: that the client's frames came to.
    :ivar now: what the clock says.
    """

    def __init__(self, announced: HTTP2Settings | None = None, limits: Limits | None = None, opening: bytes = OPENING) -> None:
        announced = announced or HTTP2Settings()
        limits = limits or Limits()
        self.now = 0.0
        self.frames: list[Frame] = []
        self._cut = b""  # of a frame that is not complete
        self.events: list[Event] = []
        self.parser = HeadParser(limits)
        configuration = engine_configuration(announced, limits.fields)
        self.connection = ServerConnection(announced, configuration, self.parser, self.parser.base, self.now)
        self.flush()
        if opening:
            self.receive(opening)

    def receive(self, *sent: bytes) -> list[Event]:
        """Receive what the client sends, and send what there is to be sent."""
        events: list[Event] = []
        for data in sent:
            events += self.connection.receive_data(data, self.now)
            events += self.flush_events()
        self.events += events
        return events

    def receive_each(self, pieces: Iterable[bytes], most: int) -> int:
        """Receive pieces until the connection is ended; return how many were taken.

        :param most: so many pieces.
        """
        number = 0
        for data in pieces:
            if number >= most or self.connection.ended:
                break
            self.receive(data)
            number += 1
        return number

    def flush(self, most: int = ALL) -> list[Frame]:
        """Send what there is to be sent, and return its frames."""
        before = len(self.frames)
        self.events += self.flush_events(most)
        return self.frames[before:]

    def flush_events(self, most: int = ALL) -> list[Event]:
        pieces, events = self.connection.data_to_send(most, self.now)
        self._cut += b"".join(pieces)
        whole = 0
        while len(self._cut) >= whole + 9 and len(self._cut) >= (
            end := whole + 9 + int.from_bytes(self._cut[whole : whole + 3], "big")
        ):
            whole = end
        self.frames += parse(self._cut[:whole])
        self._cut = self._cut[whole:]
        return events

    def answer(self, events: Iterable[Event], body: bytes = b"ok") -> None:
        """Answer the requests that are complete."""
        for event in events:
            if isinstance(event, BodyEnded) or (isinstance(event, RequestReceived) and not event.head.has_body):
                self.connection.send_head(event.stream_id, [(b":status", b"200")])
                self.connection.send_data(event.stream_id, body, True)
        self.flush()

    def of(self, kind: int, stream_id: int | None = None) -> list[Frame]:
        """Return the frames of one type that the server has sent."""
        return [one for one in self.frames if one.type == kind and stream_id in (None, one.stream_id)]

    def body(self, stream_id: int = 1) -> bytes:
        """Return what has been sent of an answer's body."""
        return b"".join(one.payload for one in self.of(DATA, stream_id))

    @property
    def heads(self) -> int:
        """How many answers have begun."""
        return len(self.of(HEADERS))

    @property
    def resets(self) -> list[int]:
        """The error codes of streams that were reset."""
        return [one.error_code for one in self.of(RST_STREAM)]

    @property
    def goaways(self) -> list[int]:
        """The error codes of GOAWAY frames."""
        return [one.error_code for one in self.of(GOAWAY)]

    @property
    def end(self) -> ConnectionEnded | None:
        """What ended the connection."""
        return next((event for event in self.events if isinstance(event, ConnectionEnded)), None)
