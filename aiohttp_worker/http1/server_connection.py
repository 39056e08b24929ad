"""HTTP/1 connection of a server: request side and response side, keep-alive, framing of what is sent (RFC 9112).

Pure: bytes in, events out, and bytes to be sent. There is no clock, no transport and no WSGI here.
"""

from __future__ import annotations

import enum
from typing import Final

from .errors import RemoteProtocolError
from .framing import Framing
from .messages import RequestHead
from .request_reader import END, NEED_DATA, Event, HeadParser, RequestReader
from .response_encoder import FieldBlock, HeadEncoder, StatusLine
from .response_side import DONE as ANSWERED
from .response_side import IDLE as UNASKED
from .response_side import CloseReason, ResponseSide

__all__ = ["END", "NEED_DATA", "PAUSED", "CloseReason", "RequestState", "ServerConnection"]


class RequestState(enum.Enum):
    """State of a request: how much of it has been read."""

    IDLE = "nothing, or the beginning of its head"
    BODY = "its head"
    DONE = "all of it"
    BROKEN = "something that cannot be understood, nor what follows it"


class Pause(enum.Enum):
    """Event besides those of the reader."""

    PAUSED = "what follows is read in the next cycle, if there is one"


PAUSED: Final = Pause.PAUSED
IDLE: Final = RequestState.IDLE
BODY: Final = RequestState.BODY
DONE: Final = RequestState.DONE
BROKEN: Final = RequestState.BROKEN
_LENGTH: Final = Framing.LENGTH
_CHUNKED: Final = Framing.CHUNKED

# Whom a request that cannot be read is answered like: with a body, and in words that every client understands.
_ANYBODY: Final = RequestHead(b"GET * HTTP/1.1\r\n\r\n", {}, 0)


class ServerConnection(ResponseSide):
    """HTTP cycles of one connection: requests, one after the other, and the response to each.

    ``receive_data()``, then ``next_event()`` until it returns ``NEED_DATA`` or ``PAUSED``. The response to a head may begin
    before the body of the request has been read. After both have ended, ``next_cycle()``.

    ====== ============================== ======
    state  event                          next
    ====== ============================== ======
    IDLE   a head that has a body         BODY
    IDLE   a head that has none           DONE
    BODY   the end of the body            DONE
    DONE   ``next_cycle()``               IDLE
    any    an error, or ``refuse()``      BROKEN
    ====== ============================== ======

    The two sides meet twice. A head makes a response due. And the next head is read when both sides are done and nobody wants
    the connection to end, which is decided in ``next_cycle()`` alone.

    :param parser: of the worker, for heads of requests.
    :param encoder: of the worker, for heads of responses.
    :param base: what the table of each head begins as, see :class:`RequestReader`.
    :ivar request_state: how much of the request has been read.
    :ivar eof: whether the client has ended its side: nothing follows what was received.
    """

    __slots__ = ("_reader", "eof", "request_state")

    def __init__(self, parser: HeadParser, encoder: HeadEncoder, base: dict[str, object] | None = None) -> None:
        super().__init__(encoder)
        self._reader = RequestReader(parser, base)
        self.request_state = IDLE
        self.eof = False

    # The request side.

    @property
    def buffered(self) -> int:
        """Bytes that were received and wait to be read."""
        return self._reader.buffered

    @property
    def between_requests(self) -> bool:
        """True if nothing of a next request has been received."""
        return self._reader.between_requests

    @property
    def starts_tls(self) -> bool:
        """True if the beginning of a TLS handshake waits (RFC 8446 section 5.1)."""
        return self._reader.starts_tls

    def receive_data(self, data: bytes) -> None:
        """Receive bytes, without looking at them."""
        self._reader.feed(data)

    def receive_eof(self) -> None:
        """Receive the end of the client's side; what was received is still read."""
        self.eof = True

    def check_eof(self) -> None:
        """Complain about the end of the client's side.

        :raises RemoteProtocolError: 400, it cuts a request short.
        """
        self._reader.feed_eof()

    def next_event(self) -> RequestHead | bytes | Event | Pause:
        """Return the next head, piece of a body, ``END`` of a body, ``NEED_DATA`` or ``PAUSED``.

        :raises RemoteProtocolError: the connection must end after the answer with the error's status.
        """
        state = self.request_state
        if state is not IDLE and state is not BODY:
            return PAUSED
        try:
            event = self._reader.next_event()
        except RemoteProtocolError:
            self.request_state = BROKEN
            raise
        if isinstance(event, RequestHead):
            self.request_state = BODY if event.has_body else DONE
            self.expect(event)
            if not event.keep_alive:
                self.close_after(CloseReason.CLIENT)
        elif event is END:
            self.request_state = DONE
        return event

    def take_whole_body(self) -> bytes | None:
        """Take a body that was received with its head, instead of its events; ``None`` if it was not.

        To be called right after the event of a head with a Content-Length.
        """
        body = self._reader.take_whole_body()
        if body is not None:
            self.request_state = DONE
        return body

    def switch(self) -> bytes:
        """Leave the connection to another protocol (RFC 9110 section 7.8), after a request without a body.

        :return: what was received behind the request.
        """
        self.switch_protocols()
        return self._reader.take_rest()

    def take_rest(self) -> bytes:
        """Take what was received after :meth:`switch`."""
        return self._reader.take_rest()

    def forget(self) -> None:
        """Forget what was received, and what was made of the last head."""
        self._reader.forget()

    def next_cycle(self) -> bool:
        """Begin the next cycle; return False if there can be none.

        Not before the last byte of the present one has been read and the last of its response given (RFC 9112 section 9.3.2), and
        not if the connection is to end.
        """
        if self.close_reason is not None or self.request_state is not DONE or self.response_state is not ANSWERED:
            return False
        self.request_state = IDLE
        self.response_state = UNASKED
        return True

    # The response side.

    def start(self, status: StatusLine, fields: FieldBlock, length: int | None) -> bytes:
        """Encode the head of the response.

        :param length: of the whole body, where it is known.
        :raises LocalProtocolError: it was given before, or there is no request.
        """
        code = status.code
        framing = self.delimit(code, fields, length)
        request = self._request
        assert request is not None
        encoder = self.encoder
        keep_alive = self.close_reason is None
        # A client of HTTP/1.0 does not expect the connection to stay, and is told so.
        says_keep_alive = not request.minor
        if framing is _LENGTH and fields.length is not None and keep_alive and not says_keep_alive:
            return fields.head(status, encoder.defaults_beside(fields))
        parts = [status.data, encoder.defaults_beside(fields), fields.data]
        if code == 204 or code == 205:
            # RFC 9110 section 8.6: none in 204; of 205 section 15.3.6 says that it has none or 0.
            parts[2] = fields.without_length()
            if code == 205:
                parts.append(b"Content-Length: 0\r\n")
        elif framing is _CHUNKED:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        elif fields.length is None and self.announced is not None and code != 304:
            # In 304 it would have to be the length of what is not sent.
            parts.append(b"Content-Length: %d\r\n" % self.announced)
        if not keep_alive:
            parts.append(b"Connection: close\r\n\r\n")
        elif says_keep_alive:
            parts.append(b"Connection: keep-alive\r\n\r\n")
        else:
            parts.append(b"\r\n")
        return b"".join(parts)

    def refuse(self, status: StatusLine, fields: FieldBlock, data: bytes) -> list[bytes]:
        """Answer what cannot be read, or is not served, and read nothing more.

        :param data: the body of the response.
        """
        self.request_state = BROKEN
        self.close_after(CloseReason.REFUSED)
        self.expect(_ANYBODY)
        return self.whole(status, fields, data)
