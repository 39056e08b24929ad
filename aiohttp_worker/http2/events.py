"""Events of an HTTP/2 connection that the frames of a peer result in."""

from __future__ import annotations

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.messages import RequestHead

Fields = tuple[tuple[bytes, bytes], ...]


class Event:
    """Something that a peer's frames say of a stream, or of the connection.

    :ivar stream_id: 0 for the connection.
    """

    __slots__ = ("stream_id",)

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id


class FieldsReceived(Event):
    """A field section that has come from the peer, checked by the engine alone.

    :ivar trailers: it follows a body; otherwise it begins a request.
    :ivar ended: nothing follows on this stream.
    """

    __slots__ = ("ended", "fields", "trailers")

    def __init__(self, stream_id: int, fields: Fields, trailers: bool, ended: bool) -> None:
        super().__init__(stream_id)
        self.fields = fields
        self.trailers = trailers
        self.ended = ended


class RequestReceived(Event):
    """The head of a request; a body follows if ``head.has_body``."""

    __slots__ = ("head",)

    def __init__(self, stream_id: int, head: RequestHead) -> None:
        super().__init__(stream_id)
        self.head = head


class RequestRefused(Event):
    """The head of a request that is to be answered with an error; its body, if it has one, is not reported."""

    __slots__ = ("error",)

    def __init__(self, stream_id: int, error: RemoteProtocolError) -> None:
        super().__init__(stream_id)
        self.error = error


class DataReceived(Event):
    """A piece of a request's body; the peer may send as much again once it is credited."""

    __slots__ = ("data", "ended")

    def __init__(self, stream_id: int, data: bytes, ended: bool) -> None:
        super().__init__(stream_id)
        self.data = data
        self.ended = ended


class BodyEnded(Event):
    """A request's body is complete, trailers included."""

    __slots__ = ()


class StreamClosed(Event):
    """A stream is over, on both sides.

    :ivar error_code: ``NO_ERROR`` if request and answer are complete.
    :ivar by_peer: the peer has reset it.
    :ivar ours: we have reset it; if neither has, an error says that the peer broke a rule.
    """

    __slots__ = ("by_peer", "error_code", "ours")

    def __init__(self, stream_id: int, error_code: int, by_peer: bool) -> None:
        super().__init__(stream_id)
        self.error_code = error_code
        self.by_peer = by_peer
        self.ours = False


class WindowOpened(Event):
    """More may be sent, on a stream or on all."""

    __slots__ = ()


class ControlFrameReceived(Event):
    """A frame that asks for nothing, and that the engine has answered where it has to be."""

    __slots__ = ()


class PeerAnswered(Event):
    """The peer has acknowledged a PING of ours: what we sent before has arrived."""

    __slots__ = ()


class PeerLeaving(Event):
    """The peer opens no more streams (GOAWAY)."""

    __slots__ = ()


class ConnectionEnded(Event):
    """Nothing is received or sent any more, but for what is to be sent already.

    :ivar reason: for the log; empty if everything was in order.
    """

    __slots__ = ("error_code", "reason")

    def __init__(self, error_code: int, reason: str) -> None:
        super().__init__(0)
        self.error_code = error_code
        self.reason = reason
