"""WebSocket connection of a server: bytes in, messages and their end out, and bytes to be sent (RFC 6455).

Pure: there is no clock, no transport and no WSGI here.
"""

from __future__ import annotations

from typing import Final

from websockets.exceptions import ProtocolError
from websockets.frames import Close
from websockets.protocol import OPEN, SEND_EOF

from .messages import Closed, Event, MessageProtocol

__all__ = ["ABNORMAL", "FAILED", "GOING_AWAY", "NORMAL", "Closed", "Event", "ServerConnection"]

_MOST_IN_CONTROL: Final = 125  # bytes in a control frame (section 5.5)

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
ABNORMAL: Final = 1006
FAILED: Final = 1011


class ServerConnection:
    """WebSocket connection after its opening handshake.

    ``receive_data()`` returns what has come of it. After that, and after each method that sends, ``data_to_send()``.

    :param protocol: of an accepted handshake.
    :ivar closed: the event of the end, once it was returned.
    :ivar ended: whether nothing will be sent any more, once what ``data_to_send()`` returned was; the server then ends the
        connection (section 7.1.1).
    """

    def __init__(self, protocol: MessageProtocol) -> None:
        self._protocol = protocol
        self.closed: Closed | None = None
        self.ended = False

    @property
    def subprotocol(self) -> str | None:
        """Subprotocol that was agreed on."""
        return self._protocol.subprotocol

    @property
    def open(self) -> bool:
        """True as long as messages can be sent."""
        return self._protocol.state is OPEN

    # What is received.

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Receive bytes; return messages, pongs and the end, in their order.

        :param now: the time of a monotonic clock, in seconds.
        """
        if self.closed is not None:
            return []
        protocol = self._protocol
        protocol.now = now
        protocol.receive_data(data)
        events, protocol.received = protocol.received, []
        if protocol.parser_exc is not None:
            sent = protocol.close_sent
            events.append(self._close(ABNORMAL if sent is None else sent.code, str(protocol.parser_exc)))
        elif protocol.close_rcvd is not None:
            events.append(self._close(protocol.close_rcvd.code, protocol.close_rcvd.reason))
        return events

    def receive_eof(self) -> list[Event]:
        """Receive the end of the connection; return the end, unless it was returned before."""
        if self.closed is not None:
            return []
        self._protocol.receive_eof()
        return [self._close(ABNORMAL, "")]

    def _close(self, code: int, reason: str) -> Closed:
        self.closed = closed = Closed(code, reason)
        return closed

    # What is sent. Nothing is, once the end has begun: the caller learns of that by the event.

    def send(self, message: str | bytes) -> None:
        """Send a message."""
        if self.open:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)

    def ping(self, data: bytes) -> None:
        """Send a ping.

        :raises ValueError: *data* is longer than 125 bytes.
        """
        if len(data) > _MOST_IN_CONTROL:
            raise ValueError(f"a ping has at most {_MOST_IN_CONTROL} bytes, not {len(data)} (RFC 6455 section 5.5)")
        if self.open:
            self._protocol.send_ping(data)

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Begin to end the connection; the client has to answer.

        :raises ValueError: *code* must not be sent (section 7.4), or *reason* is longer than 123 bytes of UTF-8.
        """
        size = len(reason.encode())
        if size > _MOST_IN_CONTROL - 2:
            raise ValueError(f"a reason has at most {_MOST_IN_CONTROL - 2} bytes, not {size} (RFC 6455 section 5.5)")
        try:
            Close(code, reason).check()
        except ProtocolError:
            raise ValueError(
                f"{code!r} is no code to close with: 1000 to 1014 without 1004 to 1006, or 3000 to 4999 (RFC 6455 section 7.4)"
            ) from None
        if self.open:
            self._protocol.send_close(code, reason)

    def data_to_send(self) -> list[bytes]:
        """Return what is to be sent now."""
        data = self._protocol.data_to_send()
        if data and data[-1] == SEND_EOF:
            self.ended = True
            data.pop()
        return data
