"""Messages out of frames: joined, decoded, counted, and refused as soon as a rule is broken (RFC 6455 sections 5 and 8.1)."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Any, Final

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from aiohttp_worker.http2.allowance import Allowance

_UTF8: Final = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True, slots=True)
class Pong:
    """Pong of the client.

    :ivar data: of the ping that it answers, or whatever else (section 5.5.3).
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """End of what the client says; nothing more is received.

    :ivar code: that the client gave, 1005 if it gave none, 1006 if it left without a word; the server's, if the client broke
        a rule.
    :ivar reason: that the client gave, or what rule it broke.
    """

    code: int
    reason: str


Event = str | bytes | Pong | Closed


class MessageProtocol(ServerProtocol):
    """Protocol of the library, with messages in the place of frames.

    The library hands out frames when it has read all that came. What is wrong with one is found here before the next is read, so
    that it does not matter how the network has cut them.

    :param idle_frames: allowance of frames that carry nothing.
    :ivar now: the time of a monotonic clock, in seconds.
    :ivar received: messages and pongs that were received.
    """

    def __init__(self, idle_frames: Allowance, now: float, **options: Any) -> None:
        super().__init__(**options)
        self.now = now
        self.received: list[Event] = []
        self._idle_frames = idle_frames
        self._decoder: Any = None  # of the text message that comes
        self._pieces: list[Any] = []

    def recv_frame(self, frame: Frame) -> None:
        """Process a frame.

        :raises ProtocolError: there are too many of its kind, or its kind is out of place.
        :raises UnicodeDecodeError: text is no UTF-8, as soon as that can be seen.
        """
        opcode = frame.opcode
        if opcode is not Opcode.CLOSE and (opcode > Opcode.CLOSE or not frame.data) and not self._idle_frames.take(self.now):
            raise ProtocolError("too many frames that carry nothing")
        super().recv_frame(frame)
        self.events.clear()  # of the library: they would keep what is joined here
        if opcode is Opcode.PONG:
            self.received.append(Pong(bytes(frame.data)))
        elif opcode < Opcode.CLOSE:
            self._receive_data(frame)

    def _receive_data(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            if frame.fin:
                self.received.append(str(frame.data, "utf-8"))
                return
            self._decoder = _UTF8()
        elif frame.fin and frame.opcode is Opcode.BINARY:
            self.received.append(bytes(frame.data))
            return
        piece = bytes(frame.data) if self._decoder is None else self._decoder.decode(bytes(frame.data), frame.fin)
        if piece:
            self._pieces.append(piece)
        if frame.fin:
            pieces, self._pieces = self._pieces, []
            self.received.append(b"".join(pieces) if self._decoder is None else "".join(pieces))
            self._decoder = None
