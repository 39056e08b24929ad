"""Response side of one exchange: its states, how the body is delimited, and how much of it has been given.

What is here follows from RFC 9110 and holds for every version of HTTP; how the head becomes bytes is the business of the
class that extends this.
"""

from __future__ import annotations

import enum
from typing import Final

from .errors import LocalProtocolError
from .framing import LAST_CHUNK, Framing, chunk, response_framing
from .messages import RequestHead
from .response_encoder import FieldBlock, HeadEncoder, StatusLine

_MOST_COPIED: Final = 4096  # bytes of a body; more are cheaper sent from where they are


class ResponseState(enum.Enum):
    """State of a response."""

    IDLE = "there is no request to answer"
    DUE = "a request is to be answered; interim responses may be sent"
    BODY = "the head was given, and the body follows"
    DONE = "the response has ended, complete or not"


class CloseReason(enum.Enum):
    """Reason why a connection ends with the exchange that it carries, for the log."""

    CLIENT = "the client asked for it"
    CLIENT_ENDED = "the client sends no more"
    CLIENT_GONE = "the client went away"
    KEEP_ALIVE = "keep-alive is switched off"
    STOP = "the worker stops"
    HOOK = "a hook asked for it"
    APPLICATION = "the application sent Connection: close"
    FRAMING = "the end of the connection is the end of the body"
    SHORT = "the body is shorter than its Content-Length"
    FAILED = "the application failed"
    BODY_FAILED = "the body of the request cannot be read"
    BODY_UNREAD = "a body is left that nobody reads"
    REFUSED = "the request was refused"
    SWITCHED = "another protocol was spoken on the connection"


# Bound here once: looked up in a class, a member costs more than the rest of a line.
IDLE: Final = ResponseState.IDLE
DUE: Final = ResponseState.DUE
BODY: Final = ResponseState.BODY
DONE: Final = ResponseState.DONE
_NONE: Final = Framing.NONE
_LENGTH: Final = Framing.LENGTH
_CHUNKED: Final = Framing.CHUNKED
_CLOSE: Final = Framing.CLOSE


class ResponseSide:
    """The response side of exchanges that follow one another: :meth:`expect`, then :meth:`start`, :meth:`data`, :meth:`end`.

    What the methods return is to be sent in this order, and is opaque to the caller: an extension whose heads must be encoded in
    the order of sending may return less than that, and add it when the rest is sent.

    ===== ========================== ==========================
    state event                      next
    ===== ========================== ==========================
    IDLE  ``expect``                 DUE
    DUE   ``start``                  BODY
    BODY  ``data``                   BODY
    BODY  ``end``, ``file_sent``     DONE
    DONE  the next exchange          IDLE
    ===== ========================== ==========================

    Everything else is a mistake of the caller.

    :param encoder: of the worker, for heads.
    :ivar response_state: how far the response has come.
    :ivar announced: bytes that the head says the body has, ``None`` if it does not say.
    :ivar sent: bytes of the body that have been given.
    :ivar surplus: whether something was given behind all that can be sent.
    :ivar close_reason: why the connection ends with this exchange, ``None`` if it does not.
    """

    __slots__ = ("_framing", "_request", "announced", "close_reason", "encoder", "response_state", "sent", "surplus")

    def __init__(self, encoder: HeadEncoder) -> None:
        self.encoder = encoder
        self._request: RequestHead | None = None
        self._framing = _NONE
        self.response_state = IDLE
        self.announced: int | None = None
        self.sent = 0
        self.surplus = False
        self.close_reason: CloseReason | None = None

    def expect(self, request: RequestHead) -> None:
        """Begin to answer *request*."""
        self._request = request
        self._framing = _NONE
        self.response_state = DUE
        self.announced = None
        self.sent = 0
        self.surplus = False

    def close_after(self, reason: CloseReason) -> None:
        """End the connection with this exchange; the first reason counts."""
        if self.close_reason is None:
            self.close_reason = reason

    @property
    def keep_alive(self) -> bool:
        """True if the connection goes on after this exchange."""
        return self.close_reason is None

    def start(self, status: StatusLine, fields: FieldBlock, length: int | None) -> bytes:
        """Give the head.

        :param length: of the whole body, where it is known.
        :raises LocalProtocolError: it was given before, or there is no request.
        """
        raise NotImplementedError

    def early_hints(self, headers: object) -> bytes:
        """Give an interim response 103 (RFC 8297).

        :param headers: pairs of name and value.
        :raises LocalProtocolError: a header must not be sent.
        :raises TypeError: one of them is no pair of strings.
        """
        return self.encoder.early_hints(headers)

    def ask_for_body(self) -> bytes:
        """Give an interim response 100, for the body of a request whose client waits for that (RFC 9110 section 10.1.1)."""
        return b"HTTP/1.1 100 Continue\r\n\r\n"

    def delimit(self, status_code: int, fields: FieldBlock, length: int | None) -> Framing:
        """Choose how the body ends, on the way of :meth:`start` (RFC 9112 section 6.3).

        :param length: as for :meth:`start`.
        :raises LocalProtocolError: as :meth:`start`.
        """
        request = self._request
        if self.response_state is not DUE or request is None:
            raise LocalProtocolError("there is no request whose response could begin")
        self.response_state = BODY
        if fields.closes:
            self.close_after(CloseReason.APPLICATION)
        announced = fields.length
        if announced is None and length is not None and (length or request.method != "HEAD"):
            announced = length
        self.announced = announced
        self._framing = framing = response_framing(request.method, status_code, request.version, announced)
        if framing is _CLOSE:
            self.close_after(CloseReason.FRAMING)
        return framing

    def data(self, data: bytes) -> list[bytes]:
        """Give *data* of the body, which is not empty: an empty chunk would be its end.

        :raises LocalProtocolError: the head was not given, or the response has ended.
        """
        if self.response_state is not BODY:
            raise LocalProtocolError("there is no response whose body this could be")
        framing = self._framing
        if framing is _LENGTH:
            assert self.announced is not None
            rest = self.announced - self.sent
            if len(data) > rest:
                self.surplus = True
                data = data[:rest]
                if not data:
                    return []
            self.sent += len(data)
            return [data]
        if framing is _NONE:
            self.surplus = True
            return []
        self.sent += len(data)
        return list(chunk(data)) if framing is _CHUNKED else [data]

    def end(self) -> list[bytes]:
        """End the response.

        :raises LocalProtocolError: the head was not given, or the response has ended.
        """
        if self.response_state is not BODY:
            raise LocalProtocolError("there is no response that could end")
        self.response_state = DONE
        if self._framing is _CHUNKED:
            return [LAST_CHUNK]
        if self.missing:
            self.close_after(CloseReason.SHORT)
        return []

    def whole(self, status: StatusLine, fields: FieldBlock, data: bytes) -> list[bytes]:
        """Give a response whose body is *data*, from its head to its end."""
        size = len(data)
        head = self.start(status, fields, size)
        self.response_state = DONE
        if self._framing is _NONE:
            self.surplus = size > 0
            return [head]
        # The length is known, so the framing is a length.
        announced = self.announced
        if announced is not None and size != announced:
            if size < announced:
                self.close_after(CloseReason.SHORT)
            else:
                data = data[:announced]
                size = announced
                self.surplus = True
        self.sent = size
        return [head + data] if size <= _MOST_COPIED else [head, data]

    def start_file(self, status: StatusLine, fields: FieldBlock, size: int) -> tuple[bytes, int]:
        """Give the head of a response whose body something else sends, unframed; :meth:`file_sent` is its end.

        :param size: of the file, in bytes; announced where the application announced none.
        :return: the head, and how many bytes are to follow.
        """
        head = self.start(status, fields, size)
        if self._framing is _LENGTH and self.announced is not None:
            return head, self.announced
        self.surplus = size > 0
        return head, 0

    def switch_protocols(self) -> None:
        """Give nothing more: who asked sends 101 and what follows it (RFC 9110 section 15.2.2). What is given is dropped."""
        self._framing = _LENGTH
        self.announced = self.sent = 0
        self.response_state = BODY
        self.close_reason = CloseReason.SWITCHED

    def count_switched(self, size: int) -> None:
        """Count *size* bytes that were sent in the other protocol."""
        self.sent += size
        self.announced = self.sent

    @property
    def switched(self) -> bool:
        """True if the connection was left to another protocol."""
        return self.close_reason is CloseReason.SWITCHED

    def file_sent(self, size: int) -> None:
        """End the response, whose body something else has sent.

        :param size: bytes of it that could be sent.
        """
        self.sent += size
        self.end()

    # What became of it.

    @property
    def head_sent(self) -> bool:
        """True if the head was given."""
        return self.response_state is BODY or self.response_state is DONE

    @property
    def complete(self) -> bool:
        """True if nothing can be added to what was given, by the length that the head says."""
        return self._framing is _LENGTH and self.sent == self.announced

    @property
    def chunked(self) -> bool:
        """True if the body goes out in chunks (RFC 9112 section 7.1)."""
        return self._framing is _CHUNKED

    @property
    def missing(self) -> int:
        """Bytes of the announced body that have not been given."""
        if self._framing is not _LENGTH or self.announced is None:
            return 0
        return self.announced - self.sent

    @property
    def irregular(self) -> bool:
        """True if the body, at its end, is shorter than announced, or was given where there can be none."""
        return self.sent != self.announced if self._framing is _LENGTH else self.surplus

    @property
    def dropped(self) -> bool:
        """True if a body was given to a status that has none (RFC 9110 section 6.4.1)."""
        return self.surplus and self._framing is _NONE and self._request is not None and self._request.method != "HEAD"

    @property
    def cut_looks_complete(self) -> bool:
        """True if a body that stops short could be taken for a whole one."""
        return self._framing is _CLOSE
