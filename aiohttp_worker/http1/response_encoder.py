"""Encoder of a response's head: status and headers to bytes (RFC 9112 sections 4 and 5)."""

from __future__ import annotations

import time
from typing import Any, Final

from .caches import remember
from .errors import LocalProtocolError
from .field_writer import write_fields
from .grammar import CONTENT_LENGTH, FIELD_VALUE, STATUS, TOKEN, is_plain_text
from .head_flags import DATE, SERVER

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


def http_date(seconds: float) -> str:
    """Return an IMF-fixdate (RFC 9110 section 5.6.7) for a POSIX time."""
    moment = time.gmtime(seconds)
    return (
        f"{_DAYS[moment.tm_wday]}, {moment.tm_mday:02} {_MONTHS[moment.tm_mon - 1]}"
        f" {moment.tm_year:04} {moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02} GMT"
    )


class _FieldLine:
    """A field of a response, checked and encoded."""

    __slots__ = ("data", "length", "name", "pair")

    def __init__(self, pair: Any, data: bytes, name: str, length: int) -> None:
        self.pair = pair  # its name and value
        self.data = data
        self.name = name  # of a field that means something to the framing, or ""
        self.length = length


class StatusLine:
    """A status, checked and encoded (RFC 9112 section 4)."""

    __slots__ = ("code", "data", "status")

    def __init__(self, status: str, data: bytes, code: int) -> None:
        self.status = status
        self.data = data
        self.code = code


class FieldBlock:
    """Fields that an application gave for one response, checked and encoded.

    :ivar pairs: name and value of those that an application may send.
    :ivar data: the lines of them.
    :ivar length: of the body as ``Content-Length`` says, ``None`` without.
    :ivar closes: whether they ask for the end of the connection.
    :ivar has_server: whether ``Server`` is among them.
    :ivar has_date: whether ``Date`` is among them.
    """

    __slots__ = ("_defaults", "_head", "_line", "closes", "data", "has_date", "has_server", "length", "pairs")

    def __init__(self, pairs: list[Any], data: bytes, length: int | None, closes: bool, found: int) -> None:
        self.pairs = pairs
        self.data = data
        self.length = length
        self.closes = closes
        self.has_server = found & SERVER != 0
        self.has_date = found & DATE != 0
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

    What nearly all applications send is checked and encoded by :func:`write_fields`, the rest field by field. Statuses, and what
    names of the latter mean, are remembered in bounded tables.

    :param server: value of the ``Server`` field.
    """

    def __init__(self, server: str) -> None:
        self._server = f"Server: {server}\r\n".encode("latin-1")
        self._date = b""
        self._defaults = b""
        self._statuses: dict[str, StatusLine] = {}
        self._last: FieldBlock | None = None  # many applications send the same again
        self._names: dict[str, str] = {}
        self.set_time(time.time())

    def set_time(self, seconds: float) -> None:
        """Make the ``Date`` of the responses to come; call it once a second."""
        self._date = b"Date: " + http_date(seconds).encode("ascii") + b"\r\n"
        self._defaults = self._server + self._date

    def status_line(self, status: object) -> StatusLine:
        """Check and encode the status line (RFC 9112 section 4).

        :raises LocalProtocolError: the status is malformed, or none that a response can end with.
        :raises TypeError: it is no string.
        """
        if type(status) is not str:
            status = _characters(status)
        line = self._statuses.get(status)
        if line is None:
            if STATUS.fullmatch(status) is None:
                raise LocalProtocolError(f"the status must be like '200 OK', three digits and a reason: {status!r}")
            code = int(status[:3])
            if code < 200:
                raise LocalProtocolError(f"{status!r} is no final status (RFC 9110 section 15.2)")
            # RFC 9112 section 4: the space is there even without a reason.
            text = status if len(status) > 3 else status + " "
            line = StatusLine(status, b"HTTP/1.1 " + text.encode("latin-1") + b"\r\n", code)
            if len(self._statuses) < _REMEMBERED:
                self._statuses[status] = line
        return line

    def defaults_beside(self, fields: FieldBlock) -> bytes:
        """Return those of Server and Date that the application does not send itself."""
        if fields.has_server or fields.has_date:
            return (b"" if fields.has_server else self._server) + (b"" if fields.has_date else self._date)
        return self._defaults

    def field_block(self, headers: object) -> FieldBlock:
        """Check and encode the fields of a response, as they are now.

        :param headers: pairs of name and value: a list, or whatever gives them one by one.
        :raises LocalProtocolError: as :meth:`field_line`, and when the lengths in two fields differ.
        :raises TypeError: as :meth:`field_line`, and when there are no pairs in it.
        """
        if type(headers) is not list:
            headers = _listed(headers)
        last = self._last
        if last is not None and headers == last.pairs:
            return last
        written = write_fields(headers)
        if written is None:
            return self._encode_odd(headers)
        length = written[1]
        block = FieldBlock(headers.copy(), written[0], length if length >= 0 else None, False, written[2])
        self._last = block
        return block

    def _encode_odd(self, headers: list[Any]) -> FieldBlock:
        """Encode field by field what is not as most applications send it, or find the reason to refuse it."""
        pairs: list[Any] = []
        lines: list[bytes] = []
        found = 0
        length: int | None = None
        closes = False
        for pair in headers:
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
                else:
                    found |= SERVER if name == "server" else DATE
            pairs.append(line.pair)
            lines.append(line.data)
        return FieldBlock(pairs, b"".join(lines), length, closes, found)

    def field_line(self, header: object) -> _FieldLine:
        """Check and encode one field.

        :raises LocalProtocolError: the name is no token, or the value has a
            character that no field may have, such as CR or LF.
        :raises TypeError: it is no pair of two strings.
        """
        if type(header) is tuple and len(header) == 2 and type(header[0]) is str and type(header[1]) is str:
            pair = header
        else:
            pair = _pair(header)
        name, value = pair
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
        return _FieldLine((name, value), f"{name}: {value}\r\n".encode("latin-1"), kind, length)

    def _learn_name(self, name: str) -> str:
        """Return a name in lower case if it means something to the framing or to us, otherwise ""."""
        if TOKEN.fullmatch(name) is None:
            raise LocalProtocolError(f"invalid name of a header: {name!r}")
        lower = name.lower()
        kind = lower if lower in _HOP_BY_HOP or lower in ("content-length", "date", "server") else ""
        if len(name) <= 64:
            remember(self._names, _REMEMBERED, name, kind)
        return kind

    def early_hints(self, headers: object) -> bytes:
        """Return an interim response 103 (RFC 8297).

        :param headers: as for :meth:`field_block`; names and values may be ``bytes`` here, as Gunicorn has it.
        :raises LocalProtocolError: as :meth:`field_line`.
        :raises TypeError: as :meth:`field_block`.
        """
        if type(headers) is not list:
            headers = _listed(headers)
        lines = [self.field_line(tuple([_native(part) for part in _parts(header)])) for header in headers]
        return b"".join(
            (
                b"HTTP/1.1 103 Early Hints\r\n",
                *(line.data for line in lines if not line.name),
                b"\r\n",
            )
        )


def _listed(headers: object) -> list[Any]:
    """Return as a list what an application gave for one."""
    if isinstance(headers, dict) or (hasattr(headers, "items") and not hasattr(headers, "__iter__")):
        raise TypeError(f"the headers must be a list of pairs (name, value), not {type(headers).__name__}: give its items()")
    if isinstance(headers, str | bytes) or not (hasattr(headers, "__iter__") or hasattr(headers, "__getitem__")):
        raise TypeError(f"the headers must be a list of pairs (name, value), not {shown(headers)}")
    pairs: Any = headers
    return list(pairs)


def _parts(header: object) -> tuple[Any, ...]:
    """Return name and value of a header, whatever they are.

    :raises TypeError: it is no pair.
    """
    if isinstance(header, tuple | list):
        parts = tuple(header)
        if len(parts) == 2:
            return parts
        raise TypeError(f"a header must be a pair (name, value), not {type(header).__name__} of {len(parts)}: {shown(header)}")
    raise TypeError(f"a header must be a pair (name, value), not {shown(header)}")


def _pair(header: object) -> tuple[str, str]:
    """Return name and value of a header, as plain strings."""
    name, value = _parts(header)
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(
            f"a header's name and value must be str, not {type(name).__name__} and {type(value).__name__} ({shown(name)})"
        )
    return _characters(name), _characters(value)


def _characters(text: object) -> str:
    """Return what a string consists of; what a subclass says that it is may be something else.

    :raises TypeError: it is no string.
    """
    if not isinstance(text, str):
        raise TypeError(f"the status must be str, not {type(text).__name__}: {shown(text)}")
    return text if type(text) is str else str.__str__(text)


def shown(value: object) -> str:
    """Return a value for an error message, cut where it is long, with what was probably forgotten."""
    text = repr(value)
    if len(text) > 60:
        text = text[:57] + "..."
    if hasattr(type(value), "__await__"):
        return f"{text}: it was not awaited, is an await missing?"
    if callable(value) and not isinstance(value, type):
        return f"{text}: it was not called, are its parentheses missing?"
    return text


def _native(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value
