"""PEP 3333's side of a response: start_response, and a body into framed pieces.

Pure: what is to be sent comes back as a list of ``bytes``. Who sends it, and
when, is not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from .http1.errors import LocalProtocolError
from .http1.framing import LAST_CHUNK, Framing, chunk, response_framing
from .http1.grammar import CONTENT_LENGTH, FIELD_VALUE, STATUS, TOKEN
from .http1.memory import Sightings

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Headers = list[tuple[str, str]]

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# Fields that say how this hop works (RFC 9110 section 7.6.1). They are the
# server's to send, so what an application says is left out.
_HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)

_REASONS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}

_REMEMBERED: Final = 1024


def http_date(seconds: float) -> str:
    """Return an IMF-fixdate (RFC 9110 section 5.6.7) for a POSIX time."""
    moment = time.gmtime(seconds)
    return (
        f"{_DAYS[moment.tm_wday]}, {moment.tm_mday:02} {_MONTHS[moment.tm_mon - 1]}"
        f" {moment.tm_year:04} {moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02} GMT"
    )


class _FieldLine:
    """A field of a response, checked and encoded."""

    __slots__ = ("data", "length", "name")

    def __init__(self, data: bytes, name: str, length: int) -> None:
        self.data = data
        self.name = name  # of a field that means something to the framing, or ""
        self.length = length


class _StatusLine:
    """A status, checked and encoded."""

    __slots__ = ("code", "data")

    def __init__(self, data: bytes, code: int) -> None:
        self.data = data
        self.code = code


class HeadEncoder:
    """Encodes the heads of responses; one serves all connections of a worker.

    Checked and encoded lines that came twice are remembered, in bounded tables:
    applications send the same few again and again.

    :param server: value of the ``Server`` field.
    """

    def __init__(self, server: str) -> None:
        self._server = f"Server: {server}\r\n".encode("latin-1")
        self._date = b""
        self._defaults = b""
        self._statuses: dict[str, _StatusLine] = {}
        self._lines: dict[Any, _FieldLine] = {}
        self._sightings = Sightings()
        self.set_time(time.time())

    def set_time(self, seconds: float) -> None:
        """Make the ``Date`` of the responses to come; call it once a second."""
        self._date = b"Date: " + http_date(seconds).encode("ascii") + b"\r\n"
        self._defaults = self._server + self._date

    def status_line(self, status: str) -> _StatusLine:
        """Check and encode the status line (RFC 9112 section 4).

        :raises LocalProtocolError: the status is malformed.
        """
        line = self._statuses.get(status)
        if line is None:
            if STATUS.fullmatch(status) is None:
                raise LocalProtocolError(f"the status must be like '200 OK', three digits and a reason: {status!r}")
            # RFC 9112 section 4: the space is there even without a reason.
            text = status if len(status) > 3 else status + " "
            line = _StatusLine(b"HTTP/1.1 " + text.encode("latin-1") + b"\r\n", int(status[:3]))
            if len(self._statuses) < _REMEMBERED:
                self._statuses[status] = line
        return line

    def field_line(self, pair: Any) -> _FieldLine:
        """Check and encode one field.

        :raises LocalProtocolError: the name is no token, or the value has a
            character that no field may have, such as CR or LF.
        :raises TypeError: it is not a tuple of two strings.
        """
        if type(pair) is not tuple or len(pair) != 2:
            raise TypeError(f"a header must be a tuple (name, value), not {pair!r}")
        name, value = pair
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(
                f"a header's name and value must be str, not {type(name).__name__} and {type(value).__name__} ({name!r})"
            )
        if TOKEN.fullmatch(name) is None:
            raise LocalProtocolError(f"invalid name of a header: {name!r}")
        if FIELD_VALUE.fullmatch(value) is None:
            # The value may be a secret: it stays out of the log.
            raise LocalProtocolError(f"invalid character in the value of the header {name!r}")
        value = value.strip(" \t")
        lower = name.lower()
        length = 0
        if lower == "content-length":
            if CONTENT_LENGTH.fullmatch(value) is None:
                raise LocalProtocolError(f"Content-Length is no length: {value!r}")
            length = int(value)
        elif lower not in _HOP_BY_HOP and lower not in ("date", "server"):
            lower = ""
        line = _FieldLine(f"{name}: {value}\r\n".encode("latin-1"), lower, length)
        if len(line.data) <= 256 and self._sightings.seen(pair):
            if len(self._lines) >= _REMEMBERED:
                self._lines.clear()
            self._lines[pair] = line
        return line

    def early_hints(self, headers: Headers) -> bytes:
        """Return an interim response 103 (RFC 8297).

        :raises LocalProtocolError: as :meth:`field_line`.
        """
        lines = [self.field_line((_native(name), _native(value))) for name, value in headers]
        return b"".join(
            (
                b"HTTP/1.1 103 Early Hints\r\n",
                *(line.data for line in lines if not line.name),
                b"\r\n",
            )
        )


class Response:
    """The response to one request, from ``start_response`` to its last byte.

    :param encoder: the worker's.
    :param method: of the request.
    :param version: of the request.
    :param keep_alive: whether the connection may stay open, as far as the
        request and the server's state go; what the response says is added.
    """

    __slots__ = (
        "_content_length",
        "_encoder",
        "_framing",
        "_method",
        "_status_line",
        "_version",
        "before_head",
        "full",
        "head_sent",
        "headers",
        "keep_alive",
        "sent",
        "status",
        "status_code",
    )

    def __init__(self, encoder: HeadEncoder, method: str, version: tuple[int, int], keep_alive: bool) -> None:
        self._encoder = encoder
        self._method = method
        self._version = version
        self._content_length: int | None = None
        self._framing = Framing.NONE
        self.keep_alive = keep_alive
        # Called once, when the head is about to be made.
        self.before_head: Callable[[], None] | None = None
        self.status: str | None = None
        self.status_code = 0
        self._status_line = b""
        self.headers: Headers = []
        self.head_sent = False
        self.full = False  # something was given after all that can be sent
        self.sent = 0  # bytes of the body

    def start(self, status: str, headers: Headers, exc_info: ExcInfo | None = None) -> None:
        """Take up what ``start_response`` was called with (PEP 3333).

        :raises AssertionError: called again without *exc_info*.
        :raises BaseException: the one in *exc_info*, once the head is sent.
        """
        if exc_info is not None:
            if self.head_sent:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self.status is not None:
            raise AssertionError("start_response was called again, and without exc_info (PEP 3333)")
        if type(status) is not str:
            raise TypeError(f"the status must be str, not {type(status).__name__}")
        if not isinstance(headers, list):
            raise TypeError(f"the headers must be a list, not {type(headers).__name__}")
        line = self._encoder.status_line(status)
        status_code = line.code
        if status_code < 200:
            raise LocalProtocolError(f"{status!r} is no final status (RFC 9110 section 15.2)")
        self.status = status
        self.status_code = status_code
        self._status_line = line.data
        self.headers = headers

    def replace(self, status: str, headers: Headers) -> None:
        """Forget what the application started; its head has not been sent."""
        self.status = None
        self.start(status, headers)

    def whole(self, data: bytes) -> list[bytes]:
        """Return head and body of a response that consists of *data* alone."""
        head = self._head(len(data))
        framing = self._framing
        if framing is Framing.NONE:
            return [head]
        expected = self._content_length
        assert expected is not None
        if len(data) != expected:
            if len(data) < expected:
                self.keep_alive = False
            else:
                data = data[:expected]
        self.sent = len(data)
        return [head, data] if data else [head]

    def piece(self, data: bytes) -> list[bytes]:
        """Return what is to be sent for the next *data* of the body, head included.

        Nothing for empty data: an empty chunk would end the body, and the head
        waits for the first byte (PEP 3333, "Handling the Content-Length Header").
        """
        if not data:
            return []
        pieces: list[bytes] = []
        if not self.head_sent:
            pieces.append(self._head(None))
        framing = self._framing
        if framing is Framing.NONE:
            self.full = True
            return pieces
        if framing is Framing.LENGTH:
            assert self._content_length is not None
            rest = self._content_length - self.sent
            if len(data) > rest:
                self.full = True
                data = data[:rest]
            if data:
                pieces.append(data)
        elif framing is Framing.CHUNKED:
            pieces.extend(chunk(data))
        else:
            pieces.append(data)
        self.sent += len(data)
        return pieces

    def end(self) -> list[bytes]:
        """Return what ends the response; afterwards ``keep_alive`` is final."""
        pieces: list[bytes] = []
        if not self.head_sent:
            pieces.append(self._head(0))
        framing = self._framing
        if framing is Framing.CHUNKED:
            pieces.append(LAST_CHUNK)
        elif framing is Framing.CLOSE or self.missing:
            self.keep_alive = False
        return pieces

    @property
    def announced(self) -> int | None:
        """Bytes that the head says the body has, if it says so."""
        return self._content_length

    @property
    def complete(self) -> bool:
        """Whether nothing can be added to what was given, by the length that the head says."""
        return self._framing is Framing.LENGTH and self.sent == self._content_length

    @property
    def missing(self) -> int:
        """Bytes of the announced body that have not been given yet."""
        if self._framing is not Framing.LENGTH or self._content_length is None:
            return 0
        return self._content_length - self.sent

    @property
    def cut_looks_complete(self) -> bool:
        """Whether a body that stops short could be taken for a whole one."""
        return self._framing is Framing.CLOSE

    def start_file(self, size: int) -> tuple[bytes, int | None]:
        """Begin a body that something else sends, unframed.

        :param size: of the file, in bytes; announced where the application
            announced none.
        :return: the head, and how many bytes are to follow; ``None`` when the
            response has begun and is framed piece by piece.
        """
        if self.head_sent:
            return b"", None
        head = self._head(size)
        return head, self._content_length if self._framing is Framing.LENGTH else 0

    def _head(self, length: int | None) -> bytes:
        """Encode the head.

        :param length: of the whole body, where it is known.
        """
        if self.status is None:
            raise AssertionError("the application gave a body before it called start_response (PEP 3333)")
        if self.before_head is not None:
            before_head, self.before_head = self.before_head, None
            before_head()
        encoder = self._encoder
        known = encoder._lines
        parts = [self._status_line, encoder._defaults]
        special = False
        announced: int | None = None
        headers: list[Any] = self.headers
        for pair in headers:
            try:
                line = known.get(pair)
            except TypeError:
                line = None
            if line is None:
                line = encoder.field_line(pair)
            name = line.name
            if name:
                if name == "content-length":
                    if announced is not None and announced != line.length:
                        raise LocalProtocolError("two Content-Length headers that differ")
                    if announced is None:
                        announced = line.length
                        parts.append(line.data)
                    continue
                special = True
                if name in _HOP_BY_HOP:
                    if name == "connection" and b"close" in line.data.lower():
                        self.keep_alive = False
                    continue
            parts.append(line.data)
        if special:
            parts[1] = self._defaults_beside()
        if announced is None and length is not None and (length or self._method != "HEAD"):
            announced = length
            # RFC 9110 section 8.6: never in 204; in 304 it would have to be
            # the length of what is not sent.
            if self.status_code not in (204, 304):
                parts.append(b"Content-Length: %d\r\n" % length)
        framing = response_framing(self._method, self.status_code, self._version, announced)
        self._framing = framing
        self._content_length = announced
        if framing is Framing.CHUNKED:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        elif framing is Framing.CLOSE:
            self.keep_alive = False
        elif self.status_code in (204, 205):
            parts = self._without_body(parts)
        if not self.keep_alive:
            parts.append(b"Connection: close\r\n\r\n")
        elif self._version < (1, 1):
            parts.append(b"Connection: keep-alive\r\n\r\n")
        else:
            parts.append(b"\r\n")
        self.head_sent = True
        return b"".join(parts)

    def _defaults_beside(self) -> bytes:
        """Return those of Server and Date that the application does not send itself."""
        names = {name.lower() for name, _ in self.headers}
        encoder = self._encoder
        return (b"" if "server" in names else encoder._server) + (b"" if "date" in names else encoder._date)

    def _without_body(self, parts: list[bytes]) -> list[bytes]:
        """Drop a Content-Length where a status allows none (RFC 9110 section 8.6)."""
        kept = [part for part in parts if not part.lower().startswith(b"content-length:")]
        if self.status_code == 205:
            kept.append(b"Content-Length: 0\r\n")  # RFC 9110 section 15.3.6
        return kept


def error_response(status_code: int, message: str) -> tuple[str, Headers, bytes]:
    """Return status, headers and body of an answer that the server gives itself."""
    status = f"{status_code} {_REASONS.get(status_code, 'Error')}"
    body = f"{status}\n{message}\n" if message else f"{status}\n"
    data = body.encode("latin-1", "backslashreplace")
    headers = [("Content-Type", "text/plain; charset=iso-8859-1"), ("Content-Length", str(len(data)))]
    return status, headers, data


def _native(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
