"""libnghttp2 by way of ``ngh2``: frames, field compression, states of streams, windows.

All that is asked of a library is in this file, so that another one could take its place.
"""

from __future__ import annotations

import struct
from typing import Final

import ngh2

from .errors import ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR, error_name
from .events import (
    ConnectionEnded,
    ControlFrameReceived,
    DataReceived,
    Event,
    FieldsReceived,
    PeerAnswered,
    PeerLeaving,
    StreamClosed,
    WindowOpened,
)
from .settings import MOST_WINDOW, HTTP2Settings

# RFC 9113 section 6.5.2, and RFC 9218 section 2.1: streams take turns here, whatever a peer says of priorities.
_MAX_CONCURRENT_STREAMS: Final = 0x3
_INITIAL_WINDOW_SIZE: Final = 0x4
_MAX_FRAME_SIZE: Final = 0x5
_MAX_HEADER_LIST_SIZE: Final = 0x6
_NO_RFC7540_PRIORITIES: Final = 0x9

# Of a field section, bytes beyond the limit that are still read, to be answered with 431; what is larger ends the connection.
_BEYOND_LIMIT: Final = 64 * 1024
# Of a field section, so many frames: 64 KiB in the smallest frames that are large.
_MOST_CONTINUATIONS: Final = 16


def _announced(settings: HTTP2Settings) -> dict[int, int]:
    announced = {
        _MAX_CONCURRENT_STREAMS: settings.max_concurrent_streams,
        _INITIAL_WINDOW_SIZE: settings.initial_window_size,
        _MAX_FRAME_SIZE: settings.max_frame_size,
        _NO_RFC7540_PRIORITIES: 1,
    }
    if settings.max_header_list_size:
        announced[_MAX_HEADER_LIST_SIZE] = settings.max_header_list_size
    return announced


def engine_configuration(settings: HTTP2Settings, most_fields: int) -> ngh2.Configuration:
    """Return what the engines of all connections have in common.

    :param most_fields: of a request that is served; some more are still read, to be answered with 431.
    """
    size = settings.max_header_list_size
    return ngh2.Configuration(
        auto_window_update=False,
        max_settings=32,
        max_continuations=_MOST_CONTINUATIONS,
        stream_reset_rate_limit=settings.resets,
        glitch_rate_limit=settings.glitches,
        max_inbound_header_list_size=size + _BEYOND_LIMIT if size else MOST_WINDOW,
        max_inbound_header_count=max(1024, most_fields * 2),
    )


class Engine:
    """The frames of one connection, on the server's side.

    :param upgraded: the payload of HTTP2-Settings (RFC 7540 section 3.2), where a request of HTTP/1.1 becomes stream 1.
    :param upgraded_head: that request's method is HEAD.
    """

    __slots__ = ("_connection", "_ended", "_failed", "_last_stream_id", "_reset_by_peer")

    def __init__(
        self,
        settings: HTTP2Settings,
        configuration: ngh2.Configuration,
        upgraded: bytes | None = None,
        upgraded_head: bool = False,
    ) -> None:
        connection = self._connection = ngh2.Connection(ngh2.Role.SERVER, configuration)
        self._failed = b""  # what is sent in the engine's place, when it can send no more
        self._ended = False
        self._last_stream_id = 0
        self._reset_by_peer = 0
        if upgraded is None:
            connection.initiate_connection(_announced(settings))
        else:
            connection.initiate_upgrade(upgraded, local_settings=_announced(settings), head_request=upgraded_head)
            self._last_stream_id = 1
            connection.events()
        window = settings.connection_window
        if window > 65535:
            connection.set_local_window_size(window)

    @property
    def last_stream_id(self) -> int:
        """The last stream that the peer opened, and that was reported."""
        return self._last_stream_id

    def receive_data(self, data: bytes) -> list[Event]:
        """Receive bytes, and return the events in them."""
        if self._ended:
            return []
        try:
            self._connection.receive_data(data)
        except ngh2.DenialOfServiceError as error:
            return self._fail(ENHANCE_YOUR_CALM, str(error))
        except (ngh2.NGH2Error, ValueError) as error:
            return self._fail(PROTOCOL_ERROR, str(error))
        return self._translate(self._connection.events())

    def data_to_send(self) -> tuple[bytes, list[Event]]:
        """Return all that is for the peer, and what came of sending it."""
        if self._failed:
            failed, self._failed = self._failed, b""
            return failed, []
        if self._ended:
            return b"", []
        data = self._connection.data_to_send()
        return data, self._translate(self._connection.events())

    def send_head(self, stream_id: int, fields: list[tuple[bytes, bytes]], ended: bool) -> None:
        """Begin the answer on a stream."""
        self._connection.send_response(stream_id, fields, end_stream=ended)

    def send_interim(self, stream_id: int, fields: list[tuple[bytes, bytes]]) -> None:
        """Send an interim response, 1xx."""
        self._connection.send_informational_response(stream_id, fields)

    def send_data(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Send a piece of a body, which must fit into the windows."""
        self._connection.send_data(stream_id, data, end_stream=ended)

    @property
    def window(self) -> int:
        """Bytes of data that may be sent on all streams together, now."""
        window: int = self._connection.remote_window_size
        return window

    def window_of(self, stream_id: int) -> int:
        """Return how many bytes of data may be sent on one stream, if all of them may."""
        window: int = self._connection.stream_remote_window_size(stream_id)
        return window

    def credit(self, stream_id: int, size: int) -> None:
        """Let the peer send as much again as was taken of a body."""
        try:
            self._connection.acknowledge_received_data(size, stream_id)
        except (ngh2.NGH2Error, ValueError):
            pass  # the stream is closed, and what it had taken of the connection's window was given back then

    def reset(self, stream_id: int, error_code: int) -> None:
        """Reset a stream."""
        self._connection.reset_stream(stream_id, error_code)

    def announce_goaway(self) -> None:
        """Tell the peer to open no more streams; those that are on their way are still served (RFC 9113 section 6.8)."""
        self._connection.send_shutdown_notice()

    def goaway(self) -> None:
        """Tell the peer which stream was the last that was served."""
        self._connection.send_goaway(NO_ERROR, last_stream_id=self._last_stream_id)

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._connection.ping()

    def terminate(self, error_code: int) -> None:
        """End the connection, after what is to be sent."""
        if not self._ended:
            self._connection.terminate_connection(error_code, last_stream_id=self._last_stream_id)

    def _fail(self, error_code: int, reason: str) -> list[Event]:
        """End a connection whose engine can do no more, by a GOAWAY of our own."""
        self._failed = b"\0\0\x08\x07\0\0\0\0\0" + struct.pack(">II", self._last_stream_id, error_code)
        self._ended = True
        return [ConnectionEnded(error_code, reason)]

    def _translate(self, received: list[ngh2.Event]) -> list[Event]:
        events: list[Event] = []
        for event in received:
            if isinstance(event, ngh2.RequestReceived):
                self._last_stream_id = event.stream_id
                events.append(FieldsReceived(event.stream_id, event.headers, False, event.end_stream))
            elif isinstance(event, ngh2.DataReceived):
                events.append(DataReceived(event.stream_id, event.data, event.end_stream))
            elif isinstance(event, ngh2.StreamClosed):
                by_peer = self._reset_by_peer == event.stream_id
                events.append(StreamClosed(event.stream_id, event.error_code, by_peer))
            elif isinstance(event, ngh2.WindowUpdated):
                events.append(WindowOpened(event.stream_id))
            else:
                self._translate_rare(event, events)
        return events

    def _translate_rare(self, event: ngh2.Event, events: list[Event]) -> None:
        if isinstance(event, ngh2.StreamReset):
            self._reset_by_peer = event.stream_id  # the next event is the stream's end
        elif isinstance(event, ngh2.TrailersReceived):
            events.append(FieldsReceived(event.stream_id, event.headers, True, True))
        elif isinstance(event, ngh2.SettingsReceived):
            events.append(ControlFrameReceived(0))
            events.append(WindowOpened(0))  # of all streams, perhaps (RFC 9113 section 6.9.2)
        elif isinstance(event, ngh2.PingReceived):
            events.append(ControlFrameReceived(0))
        elif isinstance(event, ngh2.PingAcknowledged):
            events.append(PeerAnswered(0))
        elif isinstance(event, ngh2.GoAwayReceived):
            events.append(PeerLeaving(0))
        elif isinstance(event, ngh2.ConnectionClosed):
            self._ended = True
            code = event.error_code
            events.append(ConnectionEnded(code, "" if code == NO_ERROR else error_name(code)))
