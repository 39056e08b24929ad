"""Parser of a request's head: bytes to request line and fields (RFC 9112 sections 3 and 5).

The scanner reads what nearly all requests are like. What it flags as odd is read again here, by the grammar, which accepts
it or says what is wrong and with which status it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from .errors import RemoteProtocolError
from .framing import RequestFraming
from .grammar import ABSOLUTE_TARGET, FIELD, HOST, TOKEN, TOKEN_BYTES, VERSION, is_target
from .head_flags import (
    ALL,
    BITS,
    CLOSE,
    CODING,
    ESCAPED,
    EXPECT,
    HTTP_1_0,
    KEEP_ALIVE,
    LENGTH,
    MALFORMED,
    MEANINGS,
    METHOD,
    METHODS,
    ODD,
)
from .head_flags import HOST as HAS_HOST
from .head_scanner import HeadScanner
from .messages import Limits, RequestHead

_FOLD: Final = re.compile(rb"\r\n[ \t]+")
_SPACE_BEFORE_COLON: Final = re.compile(rb"(?:^|(?<=\r\n))([^\s:]+)[ \t]+:")

#: The keys of a request line in a table: method, protocol, path, query, and twice the target.
LINE_KEYS: Final = (":method", ":protocol", ":path", ":query", ":target", ":target")
_ENOUGH: Final = 1 << 60
# Of these most requests have Host alone.
_UNUSUAL: Final = METHOD | HAS_HOST | HTTP_1_0 | LENGTH | CODING | EXPECT | CLOSE | ODD | MALFORMED


def learn_name(name: str) -> tuple[str, int]:
    """Return the key of a field's values and its flags: the name in lower case, where nobody asks for another key."""
    lower = name.lower()
    return lower, MEANINGS.get(lower, 0)


class HeadParser:
    """Parses whole heads; one serves all connections of a worker.

    :param learn: from the name of a field to its key in a table and its flags, see :func:`learn_name`.
    :param keys: of the parts of the request line, see ``LINE_KEYS``.
    :ivar base: what a table has to begin with, besides what is the same for all requests of a connection.
    :ivar incomplete: bytes that the connections have of heads whose end has not come.
    """

    def __init__(
        self,
        limits: Limits,
        learn: Callable[[str], tuple[str, int]] = learn_name,
        keys: tuple[str, ...] = LINE_KEYS,
    ) -> None:
        self.limits = limits
        self.incomplete = 0
        self.base: dict[str, object] = {keys[0]: "GET", keys[1]: "HTTP/1.1", keys[3]: ""}
        self._keys = keys
        self._tidies = limits.permit_obsolete_folding or limits.strip_header_spaces
        size, most = (_ENOUGH, _ENOUGH) if self._tidies else (limits.field_size, limits.fields)
        self._scanner = HeadScanner(learn, keys, limits.request_line, most, size)

    def scan(self, data: bytes, start: int, table: dict[str, object]) -> int:
        """Put into *table* what the head says that begins at *start*.

        :return: where the head ends, in the bits above ``head_flags.BITS``, and its flags; -1 if its end has not come.
        """
        if self._tidies:
            end = data.find(b"\r\n\r\n", start)
            if end < 0:
                return -1
            line, line_end, fields = data[start : end + 4].partition(b"\r\n")
            return (end + 4) << BITS | (self._scanner.read(line + line_end + self._tidy(fields), 0, table) & ALL)
        return self._scanner.read(data, start, table)

    def parse(self, raw: bytes, table: dict[str, object], flags: int) -> RequestHead:
        """Return the head that :meth:`scan` has found.

        :param raw: its bytes.
        :raises RemoteProtocolError: with the status that RFC 9110 or RFC 9112
            names for the fault.
        """
        head = RequestHead(raw, table, flags)
        if flags & _UNUSUAL == HAS_HOST and not self._tidies:
            return head
        if (
            flags & (ODD | MALFORMED)
            or not flags & (HAS_HOST | HTTP_1_0)
            or (flags & CODING and flags & (LENGTH | HTTP_1_0))
            or self._tidies
        ):
            self._parse_odd(head)
            return head
        head.method = METHODS[flags & METHOD]
        if flags & LENGTH:
            head.content_length = length = self._scanner.content_length
            head.has_body = length > 0
        elif flags & CODING:
            head.has_body = head.chunked = True
        if flags & HTTP_1_0:
            head.set_version(1, 0)
            head.keep_alive = flags & (CLOSE | KEEP_ALIVE) == KEEP_ALIVE
        else:
            head.keep_alive = not flags & CLOSE
            # RFC 9110 section 10.1.1: to be ignored in a request of HTTP/1.0.
            head.expect_continue = head.has_body and flags & EXPECT != 0
        return head

    def parse_whole(self, raw: bytes) -> RequestHead:
        """Return the head whose bytes, without its last line end and its empty line, are *raw*.

        :raises RemoteProtocolError: as :meth:`parse`.
        """
        table = self.base.copy()
        data = raw + b"\r\n\r\n"
        return self.parse(data, table, self.scan(data, 0, table) & ALL)

    def _parse_odd(self, head: RequestHead) -> None:
        """Parse by the grammar what is not as in most requests.

        :raises RemoteProtocolError: as :meth:`parse`.
        """
        raw_line, _, raw_fields = head.raw[:-4].partition(b"\r\n")
        authority = self._take_line(head, raw_line)
        fields = self._split(raw_fields)
        head.set_fields(fields)
        framing = RequestFraming(fields)
        framing.apply(head)
        host = framing.host
        if host is None:
            if head.minor:
                raise RemoteProtocolError("no Host field (RFC 9112 section 3.2)")
        elif authority is not None and not _same_host(authority, host):
            raise RemoteProtocolError(f"Host is {host!r} but the target says {authority!r}")
        if head.flags & MALFORMED:
            raise RemoteProtocolError("the head of the request is malformed")  # the grammar has found nothing

    def _split(self, raw: bytes) -> list[tuple[str, str]]:
        """Split a field section into names and values.

        :raises RemoteProtocolError: 431, one of the limits is exceeded; 400, a field is malformed.
        """
        limits = self.limits
        if not raw:
            return []
        lines = raw.split(b"\r\n")
        if len(lines) > limits.fields:
            raise RemoteProtocolError(f"more fields than limit_request_fields ({limits.fields})", 431)
        if len(raw) + 2 > limits.field_size and max(map(len, lines)) + 2 > limits.field_size:
            raise RemoteProtocolError(f"a field is longer than limit_request_field_size ({limits.field_size})", 431)
        fields: list[tuple[str, str]] = []
        for line in self._tidy(raw).split(b"\r\n"):
            match = FIELD.fullmatch(line)
            if match is None:
                raise _malformed_field(line)
            fields.append((match[1].decode("latin-1"), match[2].decode("latin-1").strip(" \t")))
        return fields

    def _tidy(self, raw: bytes) -> bytes:
        """Put right what is no field line, and may be there by Gunicorn's settings."""
        if self.limits.permit_obsolete_folding:
            raw = _FOLD.sub(b" ", raw)
        if self.limits.strip_header_spaces:
            raw = _SPACE_BEFORE_COLON.sub(rb"\1:", raw)
        return raw

    def _take_line(self, head: RequestHead, raw: bytes) -> str | None:
        """Take a request line apart (RFC 9112 section 3), and return the authority in its target.

        :raises RemoteProtocolError: 414, 501, 505, or 400.
        """
        limits = self.limits
        if 0 < limits.request_line < len(raw):
            raise RemoteProtocolError(f"the request line is longer than limit_request_line ({limits.request_line})", 414)
        parts = raw.decode("latin-1").split(" ")
        match = VERSION.fullmatch(parts[-1])
        if len(parts) != 3 or match is None or not is_target(parts[1]) or TOKEN.fullmatch(parts[0]) is None:
            raise RemoteProtocolError(f"malformed request line: {_shown(raw)}")
        method, target, protocol = parts
        if limits.casefold_http_method:
            method = method.upper()
        if method not in METHODS:
            _check_method(method, limits)
        head.set_version(int(match[1]), int(match[2]))
        if head.version[0] != 1 and not limits.permit_unconventional_http_version:
            raise RemoteProtocolError(f"{protocol} is not spoken here", 505)
        authority: str | None = None
        path = target
        if not target.startswith("/"):
            if target == "*":
                if method != "OPTIONS":
                    raise RemoteProtocolError(f"the target * goes with OPTIONS, not {method}")
            else:
                authority, path = _split_absolute(target, method)
        path, _, query = path.partition("?")
        head.method = method
        head.set_target(target, path, query)
        if "%" in path:
            head.flags |= ESCAPED
        for key, value in zip(self._keys, (method, protocol, path, query, target, target), strict=True):
            head.table[key] = value
        return authority


def _check_method(method: str, limits: Limits) -> None:
    """Refuse what is no method here (RFC 9110 section 9.1).

    :raises RemoteProtocolError: 501 for CONNECT; 400 for what no registered
        method looks like, unless Gunicorn's setting permits it.
    """
    if not limits.permit_unconventional_http_method and (not 3 <= len(method) <= 20 or method != method.upper() or "#" in method):
        raise RemoteProtocolError(f"unconventional method: {method!r}")
    if method == "CONNECT":
        raise RemoteProtocolError("CONNECT asks for a tunnel, and this is no proxy", 501)


def _split_absolute(target: str, method: str) -> tuple[str, str]:
    """Split an absolute-form target (RFC 9112 section 3.2.2)."""
    match = ABSOLUTE_TARGET.fullmatch(target)
    if match is None:
        raise RemoteProtocolError(f"malformed target: {target!r}")
    scheme, authority, path = match[1], match[2], match[3]
    if scheme.lower() not in ("http", "https"):
        raise RemoteProtocolError(f"the target has an unknown scheme: {target!r}")
    if not authority or HOST.fullmatch(authority) is None:
        raise RemoteProtocolError(f"the target has no valid authority: {target!r}")
    if not path and method == "OPTIONS":
        return authority, "*"  # RFC 9112 section 3.2.4
    return authority, path if path.startswith("/") else "/" + path


def _malformed_field(line: bytes) -> RemoteProtocolError:
    name, colon, _ = line.partition(b":")
    if not colon:
        return RemoteProtocolError("a field without a colon")
    if TOKEN_BYTES.fullmatch(name) is None:
        return RemoteProtocolError(f"malformed field name: {_shown(name)}")
    # The value may be a secret: it stays out of the log.
    return RemoteProtocolError(f"invalid character in the value of the field {name.decode('ascii')}")


def _same_host(authority: str, host: str) -> bool:
    """Compare as RFC 9110 section 4.2.3 does: case and default ports aside."""
    first, second = authority.lower(), host.lower()
    for port in (":80", ":443", ":"):
        first, second = first.removesuffix(port), second.removesuffix(port)
    return first == second


def _shown(raw: bytes) -> str:
    return repr(raw if len(raw) <= 100 else raw[:100] + b"...")[1:]
