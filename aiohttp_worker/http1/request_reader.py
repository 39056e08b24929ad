"""Reader of requests for the server: bytes in, heads, data and ends out (RFC 9112).

A head is cut out of the stream at its empty line and parsed whole, so nothing
behind it is touched before it is asked for, and pipelined requests wait as the
bytes they are.
"""

from __future__ import annotations

import enum
from typing import Final

from .chunked import ChunkedBody
from .errors import RemoteProtocolError
from .head_flags import ALL, BITS
from .messages import RequestHead
from .request_parser import HeadParser

__all__ = ["END", "NEED_DATA", "Event", "HeadParser", "RequestReader"]

# Bytes of heads that are not complete, on all connections together. Beyond that none
# may be large, whatever it is allowed to be alone.
_MOST_INCOMPLETE: Final = 32 * 1024 * 1024
_LARGE: Final = 64 * 1024


class Event(enum.Enum):
    """Results of :meth:`RequestReader.next_event` besides heads and data."""

    NEED_DATA = "more bytes are needed"
    END = "the body is complete"


NEED_DATA: Final = Event.NEED_DATA
END: Final = Event.END


class _State(enum.Enum):
    HEAD = 1
    LENGTH = 2
    CHUNKED = 3
    END = 4


# Bound here once: looked up in a class, a member costs more than the rest of a line.
_HEAD: Final = _State.HEAD
_LENGTH: Final = _State.LENGTH
_CHUNKED: Final = _State.CHUNKED
_END: Final = _State.END


class PartialHead:
    """Head whose end has not come yet.

    :ivar scanned: bytes of it that have been searched for its end.
    :ivar line_ends: line ends found there.
    """

    __slots__ = ("data", "line_ends", "scanned")

    def __init__(self, data: bytearray) -> None:
        self.data = data
        self.scanned = 0
        self.line_ends = 0


class RequestReader:
    """The requests of one connection, as events.

    ``feed()`` what was received, then call ``next_event()`` until it returns
    ``NEED_DATA``. A head whose ``has_body`` is false is its own end; after any
    other come its data and then ``END``.

    :param base: what the table of each head begins as: the parser's, with what is the same for all requests of the connection.
    """

    __slots__ = (
        "_base",
        "_chunked",
        "_data",
        "_last_head",
        "_last_raw",
        "_parser",
        "_partial",
        "_position",
        "_remaining",
        "_state",
    )

    def __init__(self, parser: HeadParser, base: dict[str, object] | None = None) -> None:
        self._parser = parser
        self._base = parser.base if base is None else base
        self._data = b""
        self._position = 0
        self._partial: PartialHead | None = None
        self._state = _HEAD
        self._remaining = 0
        self._chunked: ChunkedBody | None = None
        # Programs that poll send the same request over and over.
        self._last_raw = b""
        self._last_head: RequestHead | None = None

    @property
    def buffered(self) -> int:
        """Number of bytes that wait to be read."""
        if self._partial is not None:
            return len(self._partial.data)
        return len(self._data) - self._position

    @property
    def between_requests(self) -> bool:
        """True if nothing of a next request has come yet."""
        return self._state is _HEAD and self._partial is None and self._position == len(self._data)

    @property
    def starts_tls(self) -> bool:
        """True if the bytes that wait begin a TLS handshake (RFC 8446 section 5.1)."""
        waiting = self._data[self._position :] if self._partial is None else self._partial.data
        return self._state is _HEAD and waiting.startswith(b"\x16\x03")

    def feed(self, data: bytes) -> None:
        """Add received bytes, without looking at them."""
        if self._partial is not None:
            self._partial.data += data
        elif self._position == len(self._data):
            self._data = data
            self._position = 0
        else:
            self._data = self._data[self._position :] + data
            self._position = 0

    def next_event(self) -> RequestHead | bytes | Event:
        """Return the next head, piece of data, ``END`` or ``NEED_DATA``.

        :raises RemoteProtocolError: the connection must be closed after the
            answer with the error's status.
        """
        if self._state is _HEAD:
            return self._next_head()
        if self._state is _LENGTH:
            return self._next_data()
        if self._state is _CHUNKED:
            return self._next_chunk()
        self._state = _HEAD
        return END

    def take_whole_body(self) -> bytes | None:
        """Take a body that has come with its head, instead of its events; ``None`` if it has not.

        To be called right after the event of a head with a Content-Length.
        """
        end = self._position + self._remaining
        if self._state is not _LENGTH or end > len(self._data):
            return None
        body = self._data[self._position : end]
        self._position = end
        self._remaining = 0
        self._state = _HEAD
        return body

    def take_rest(self) -> bytes:
        """Take everything that was received behind the last request: it belongs to another protocol."""
        rest = self._data[self._position :]
        self._position = len(self._data)
        return rest

    def forget(self) -> None:
        """Let go of the last head, of what was made of it, of what has come of the next, and of the base."""
        self._last_head = None
        self._base = {}
        self._drop_partial()

    def feed_eof(self) -> None:
        """Handle the end of the connection.

        :raises RemoteProtocolError: 400, when it cuts a request short.
        """
        if not self.between_requests:
            part = "head" if self._state is _HEAD else "body"
            raise RemoteProtocolError(f"the connection ended within the {part} of a request")

    def _next_head(self) -> RequestHead | Event:
        if self._partial is not None:
            return self._continue_head(self._partial)
        data = self._data
        start = self._position
        if start == len(data):
            return NEED_DATA
        last = self._last_head
        if last is not None and start == 0 and data.startswith(self._last_raw):
            self._position = len(self._last_raw)
            if last.has_body:
                self._expect_body(last)
            return last
        if data[start] == 13:
            # RFC 9112 section 2.2: empty lines before a request are ignored.
            while data.startswith(b"\r\n", start):
                start += 2
            self._position = start
            if start == len(data):
                return NEED_DATA
        table = self._base.copy()
        found = self._parser.scan(data, start, table)
        if found < 0:
            return self._begin_partial(data, start)
        end = found >> BITS
        raw = data[start:end] if start or end < len(data) else data
        self._position = end
        head = self._parser.parse(raw, table, found & ALL)
        if raw == self._last_raw:
            head.repeated = True
            self._last_head = head
        else:
            self._last_raw = raw
            self._last_head = None
        if head.has_body:
            self._expect_body(head)
        return head

    def _begin_partial(self, data: bytes, start: int) -> RequestHead | Event:
        """Keep the beginning of a head whose end has not come yet."""
        self._partial = partial = PartialHead(bytearray(memoryview(data)[start:]))
        self._data = b""
        self._position = 0
        return self._continue_head(partial)

    def _continue_head(self, partial: PartialHead) -> RequestHead | Event:
        """Look for the end of a head in the bytes that are new."""
        data = partial.data
        if data == b"\r\n":
            self._drop_partial()
            return NEED_DATA
        if data.find(b"\r\n\r\n", max(0, partial.scanned - 3)) < 0:
            self._check_partial(partial)
            return NEED_DATA
        self._data = bytes(data)
        self._position = 0
        self._drop_partial()
        return self._next_head()

    def _drop_partial(self) -> None:
        if self._partial is not None:
            self._parser.incomplete -= self._partial.scanned
            self._partial = None

    def _check_partial(self, partial: PartialHead) -> None:
        """Refuse a head that is too large before all of it has come."""
        parser = self._parser
        limits = parser.limits
        data = partial.data
        scanned = partial.scanned
        partial.scanned = size = len(data)
        parser.incomplete += size - scanned
        if parser.incomplete > _MOST_INCOMPLETE and size > _LARGE:
            raise RemoteProtocolError("too large a head, while many are coming", 431)
        if data.startswith(b"\x16"):
            raise RemoteProtocolError("the head of the request is malformed")
        if _has_bare(data, scanned):
            raise RemoteProtocolError("a CR or an LF alone in the head")
        partial.line_ends += data.count(b"\n", scanned)
        if partial.line_ends == 0:
            if 0 < limits.request_line < size - 1:
                raise RemoteProtocolError(
                    f"the request line is longer than limit_request_line ({limits.request_line})",
                    414,
                )
            return
        last = data.rfind(b"\n")
        if size - last > limits.field_size:
            raise RemoteProtocolError(f"a field is longer than limit_request_field_size ({limits.field_size})", 431)
        if partial.line_ends - 1 > limits.fields:
            raise RemoteProtocolError(f"more fields than limit_request_fields ({limits.fields})", 431)

    def _expect_body(self, head: RequestHead) -> None:
        length = head.content_length
        if length is not None:
            self._state = _LENGTH
            self._remaining = length
        else:
            self._state = _CHUNKED
            self._chunked = ChunkedBody(self._parser.limits)

    def _next_data(self) -> bytes | Event:
        data = self._data
        start = self._position
        available = len(data) - start
        if available == 0:
            return NEED_DATA
        if available <= self._remaining:
            piece = data[start:] if start else data
            self._data = b""
            self._position = 0
        else:
            piece = data[start : start + self._remaining]
            self._position = start + self._remaining
        self._remaining -= len(piece)
        if self._remaining == 0:
            self._state = _END
        return piece

    def _next_chunk(self) -> bytes | Event:
        body = self._chunked
        assert body is not None
        if not body.pieces and not body.complete:
            if self._position == len(self._data):
                return NEED_DATA
            self._position = body.feed(self._data, self._position)
        if body.pieces:
            pieces = body.pieces
            body.pieces = []
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if body.complete:
            self._chunked = None
            self._state = _HEAD
            return END
        return NEED_DATA


def _has_bare(head: bytearray, start: int) -> bool:
    """Say whether a CR or an LF stands alone from *start* on (RFC 9112 section 2.2); a CR at the end may still get its LF."""
    if start and head[start - 1] == 13:
        start -= 1
    pairs = head.count(b"\r\n", start)
    return head.count(b"\n", start) != pairs or head.count(b"\r", start) != pairs + (head[-1] == 13)
