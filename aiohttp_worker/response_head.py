"""A response's status and headers → the bytes of its head (RFC 9112 sections 4 and 5)."""

from __future__ import annotations

import time
from typing import Any, Final

from .http1.errors import LocalProtocolError
from .http1.grammar import CONTENT_LENGTH, FIELD_VALUE, STATUS, TOKEN, is_plain_text
from .http1.memory import Sightings, remember

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

_REMEMBERED: Final = 1024
_MOST_BLOCKS: Final = 512
_LONGEST_BLOCK: Final = 1024  # bytes; what is longer is encoded each time


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


class StatusLine:
    """A status, checked and encoded (RFC 9112 section 4)."""

    __slots__ = ("code", "data")

    def __init__(self, data: bytes, code: int) -> None:
        self.data = data
        self.code = code


class FieldBlock:
    """The fields that an application gave for one response, checked and encoded.

    :ivar data: the lines of those that an application may send.
    :ivar length: of the body as ``Content-Length`` says, ``None`` without.
    :ivar closes: whether they ask for the end of the connection.
    :ivar has_server: whether ``Server`` is among them.
    :ivar has_date: whether ``Date`` is among them.
    :ivar known: whether each of them was known before.
    """

    __slots__ = ("_defaults", "_head", "_line", "closes", "data", "has_date", "has_server", "known", "length")

    def __init__(self, data: bytes, length: int | None, closes: bool, names: set[str], known: bool) -> None:
        self.data = data
        self.known = known
        self.length = length
        self.closes = closes
        self.has_server = "server" in names
        self.has_date = "date" in names
        # The last head that was made of it, and of what.
        self._head = b""
        self._line: StatusLine | None = None
        self._defaults = b""

    def head(self, line: StatusLine, defaults: bytes) -> bytes:
        """Return a head that needs no more than these, its empty line included."""
        if self._line is not line or self._defaults is not defaults:
            self._head = b"".join((line.data, defaults, self.data, b"\r\n"))
            self._line = line
            self._defaults = defaults
        return self._head

    def without_length(self) -> bytes:
        """Return the lines without ``Content-Length``, for a status that allows none (RFC 9110 section 8.6)."""
        return b"".join([line for line in self.data.splitlines(True) if not line.lower().startswith(b"content-length:")])


class HeadEncoder:
    """Encodes the heads of responses; one serves all connections of a worker.

    What was checked and encoded, and came twice, is remembered in bounded
    tables: applications send the same few fields again and again.

    :param server: value of the ``Server`` field.
    """

    def __init__(self, server: str) -> None:
        self._server = f"Server: {server}\r\n".encode("latin-1")
        self._date = b""
        self._defaults = b""
        self._statuses: dict[str, StatusLine] = {}
        self._names: dict[str, str] = {}
        self._lines: dict[Any, _FieldLine] = {}
        self._blocks: dict[Any, FieldBlock] = {}
        self._sightings = Sightings()
        self.set_time(time.time())

    def set_time(self, seconds: float) -> None:
        """Make the ``Date`` of the responses to come; call it once a second."""
        self._date = b"Date: " + http_date(seconds).encode("ascii") + b"\r\n"
        self._defaults = self._server + self._date

    def status_line(self, status: str) -> StatusLine:
        """Check and encode the status line (RFC 9112 section 4).

        :raises LocalProtocolError: the status is malformed.
        """
        line = self._statuses.get(status)
        if line is None:
            if STATUS.fullmatch(status) is None:
                raise LocalProtocolError(f"the status must be like '200 OK', three digits and a reason: {status!r}")
            # RFC 9112 section 4: the space is there even without a reason.
            text = status if len(status) > 3 else status + " "
            line = StatusLine(b"HTTP/1.1 " + text.encode("latin-1") + b"\r\n", int(status[:3]))
            if len(self._statuses) < _REMEMBERED:
                self._statuses[status] = line
        return line

    def defaults_beside(self, fields: FieldBlock) -> bytes:
        """Return those of Server and Date that the application does not send itself."""
        if fields.has_server or fields.has_date:
            return (b"" if fields.has_server else self._server) + (b"" if fields.has_date else self._date)
        return self._defaults

    def field_block(self, headers: list[Any]) -> FieldBlock:
        """Check and encode the fields of a response.

        :raises LocalProtocolError: as :meth:`field_line`, and when the lengths in two fields differ.
        :raises TypeError: as :meth:`field_line`.
        """
        key = tuple(headers)
        try:
            block = self._blocks.get(key)
        except TypeError:  # as the members that are no headers may be no keys either
            block = None
        if block is None:
            block = self._new_block(headers)
            if block.known and len(block.data) <= _LONGEST_BLOCK and self._sightings.seen(key):
                remember(self._blocks, _MOST_BLOCKS, key, block)
        return block

    def _new_block(self, headers: list[Any]) -> FieldBlock:
        known = self._lines
        lines: list[bytes] = []
        names: set[str] = set()
        length: int | None = None
        closes = False
        all_known = True
        for pair in headers:
            try:
                line = known.get(pair)
            except TypeError:
                line = None
            if line is None:
                all_known = False
                line = self.field_line(pair)
            name = line.name
            if name:
                if name == "content-length":
                    if length is not None:
                        if length != line.length:
                            raise LocalProtocolError("two Content-Length headers that differ")
                        continue
                    length = line.length
                elif name in _HOP_BY_HOP:
                    if name == "connection" and b"close" in line.data.lower():
                        closes = True
                    continue
                names.add(name)
            lines.append(line.data)
        return FieldBlock(b"".join(lines), length, closes, names, all_known)

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
        kind = self._names.get(name)
        if kind is None:
            kind = self._learn_name(name)
        if not is_plain_text(value) and FIELD_VALUE.fullmatch(value) is None:
            # The value may be a secret: it stays out of the log.
            raise LocalProtocolError(f"invalid character in the value of the header {name!r}")
        value = value.strip(" \t")
        length = 0
        if kind == "content-length":
            if CONTENT_LENGTH.fullmatch(value) is None:
                raise LocalProtocolError(f"Content-Length is no length: {value!r}")
            length = int(value)
        line = _FieldLine(f"{name}: {value}\r\n".encode("latin-1"), kind, length)
        if len(line.data) <= 256 and self._sightings.seen(pair):
            remember(self._lines, _REMEMBERED, pair, line)
        return line

    def _learn_name(self, name: str) -> str:
        """Return a name in lower case if it means something to the framing or to us, otherwise ""."""
        if TOKEN.fullmatch(name) is None:
            raise LocalProtocolError(f"invalid name of a header: {name!r}")
        lower = name.lower()
        kind = lower if lower in _HOP_BY_HOP or lower in ("content-length", "date", "server") else ""
        if len(name) <= 64:
            remember(self._names, _REMEMBERED, name, kind)
        return kind

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


def _native(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
