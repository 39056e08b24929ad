"""The bytes of a whole head → its request line and fields (RFC 9112 sections 3 and 5).

llhttp (httptools) parses; the limits, and all that llhttp lets through and the
RFCs do not, are refused here.

Clients repeat themselves, so what was parsed is remembered: request lines,
field lines, and whole field sections. llhttp sees a line until it has come twice, and
after that it is looked up. What is remembered is a function of the bytes
alone, and the tables are bounded.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from .caches import Memory
from .errors import RemoteProtocolError
from .framing import check_codings, keeps_alive, read_framing
from .grammar import ABSOLUTE_TARGET, HOST, TOKEN, VERSION, is_target
from .messages import FieldLine, FieldSection, Limits, RequestHead, RequestLine

_FOLD: Final = re.compile(rb"\r\n[ \t]+")
_SPACE_BEFORE_COLON: Final = re.compile(rb"(?:^|(?<=\r\n))([^\s:]+)[ \t]+:")
_SPACE_LAST: Final = re.compile(rb"(?<=[^\s])[ \t]+(?=\r\n|\Z)")

# Fields that say something to the server itself.
_MEANINGFUL: Final = frozenset(("connection", "content-length", "content-type", "expect", "host", "transfer-encoding"))
_COMMON_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))
# After these llhttp waits for a body, which it is not going to get.
_ANNOUNCES_BODY: Final = frozenset((b"content-length", b"transfer-encoding"))

_UNKNOWN: Final = FieldLine("", "", "")

_MOST_LINES: Final = 512  # request lines, and as many field sections
_MOST_FIELD_LINES: Final = 2048
_LONGEST_LINE: Final = 512  # bytes; what is longer is parsed each time
_LONGEST_SECTION: Final = 2048


class HeadParser:
    """Parses whole heads; one serves all connections of a worker.

    :ivar incomplete: bytes that those connections have of heads whose end has not come.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.incomplete = 0
        self._lines: Memory[RequestLine] = Memory(_MOST_LINES, _LONGEST_LINE)
        self._sections: Memory[FieldSection] = Memory(_MOST_LINES, _LONGEST_SECTION)
        self._field_lines: Memory[FieldLine] = Memory(_MOST_FIELD_LINES, _LONGEST_LINE)
        self._received: list[tuple[bytes, bytes]] = []
        self._complete = False
        self._llhttp = self._new_llhttp()

    def parse(self, raw: bytes) -> RequestHead:
        """Parse a head, given without its last line end and its empty line.

        :raises RemoteProtocolError: with the status that RFC 9110 or RFC 9112
            names for the fault.
        """
        raw_line, _, raw_fields = raw.partition(b"\r\n")
        line = self._lines.young.get(raw_line)
        fields = self._sections.young.get(raw_fields)
        if line is None or fields is None:
            head = self._parse_unknown(raw_line, raw_fields)
            line, fields = head.line, head.fields
        else:
            head = RequestHead(line, fields, keeps_alive(line, fields), True)
        host = fields.host
        if host is None:
            if line.minor:
                raise RemoteProtocolError("no Host field (RFC 9112 section 3.2)")
        elif line.authority is not None and not _same_host(line.authority, host):
            raise RemoteProtocolError(f"Host is {host!r} but the target says {line.authority!r}")
        return head

    def _parse_unknown(self, raw_line: bytes, raw_fields: bytes) -> RequestHead:
        """Parse what of a head is not known yet."""
        line = self._lines.young.get(raw_line) or self._lines.recall(raw_line)
        new_line = line is None
        if line is None:
            line = _read_request_line(raw_line, self.limits)
        fields = self._sections.young.get(raw_fields) or self._sections.recall(raw_fields)
        if fields is not None:
            if new_line:
                self._feed(line, [])
        else:
            known = self._field_lines
            lines: list[FieldLine] = []
            places: list[int] = []
            unknown: list[bytes] = []
            for raw in self._split(raw_fields):
                field = known.young.get(raw) or known.recall(raw)
                if field is None:
                    places.append(len(lines))
                    unknown.append(raw)
                    field = _UNKNOWN
                lines.append(field)
            if unknown or new_line:
                new_fields = self._feed(line, unknown)
                for number in range(len(places)):
                    lines[places[number]] = new_fields[number]
            fields = FieldSection(lines)
            for field in lines:
                if field.meaning:
                    _take_meaning(fields, field)
            check_codings(fields)
            fields.kept = self._sections.keep(raw_fields, fields)
        if new_line:
            line.kept = self._lines.keep(raw_line, line)
        return RequestHead(line, fields, keeps_alive(line, fields), False)

    # llhttp calls these while it is fed.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field line as it came."""
        self._received.append((name, value))

    def on_headers_complete(self) -> None:
        """Note that llhttp saw the empty line too."""
        self._complete = True

    def _new_llhttp(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # One parser reads head after head; "Connection: close" in one of them
        # says nothing about the next, which belongs to another connection.
        # It does not see all lines of a head either, if the others are known, so
        # what they say together is judged here (see check_codings).
        parser.set_dangerous_leniencies(lenient_keep_alive=True, lenient_transfer_encoding=True)
        return parser

    def _feed(self, line: RequestLine, raw_fields: list[bytes]) -> list[FieldLine]:
        """Run the lines that are new through llhttp, and return the fields."""
        self._received = []
        self._complete = False
        raw = b"GET %b HTTP/1.1\r\n" % line.target.encode("ascii")
        try:
            self._llhttp.feed_data(raw + b"\r\n".join([*raw_fields, b"\r\n"]))
        except httptools.HttpParserUpgrade:
            pass  # RFC 9110 section 7.8: a server may ignore Upgrade, and we do
        except httptools.HttpParserError as error:
            self._llhttp = self._new_llhttp()
            raise RemoteProtocolError(str(error) or type(error).__name__) from None
        received = self._received
        if not self._complete or len(received) != len(raw_fields):
            self._llhttp = self._new_llhttp()
            raise RemoteProtocolError("the head of the request is malformed")
        if not _ANNOUNCES_BODY.isdisjoint([name.lower() for name, _ in received]):
            self._llhttp = self._new_llhttp()  # this one waits for a body now
        fields: list[FieldLine] = []
        for position, (raw_name, raw_value) in enumerate(received):
            field = _read_field_line(raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t"))
            fields.append(field)
            self._field_lines.keep(raw_fields[position], field)
        return fields

    def _split(self, raw: bytes) -> list[bytes]:
        """Split a field section into its lines.

        :raises RemoteProtocolError: 431, one of the limits is exceeded.
        """
        limits = self.limits
        if not raw:
            return []
        lines = raw.split(b"\r\n")
        if len(lines) > limits.fields:
            raise RemoteProtocolError(f"more fields than limit_request_fields ({limits.fields})", 431)
        if len(raw) + 2 > limits.field_size and max(map(len, lines)) + 2 > limits.field_size:
            raise RemoteProtocolError(f"a field is longer than limit_request_field_size ({limits.field_size})", 431)
        if limits.permit_obsolete_folding or limits.strip_header_spaces or 9 in raw:  # a tab
            lines = self._tidy(raw).split(b"\r\n")
        return lines

    def _tidy(self, raw: bytes) -> bytes:
        """Put right what llhttp does not take, and may be there."""
        limits = self.limits
        if limits.permit_obsolete_folding:
            raw = _FOLD.sub(b" ", raw)
        if limits.strip_header_spaces:
            raw = _SPACE_BEFORE_COLON.sub(rb"\1:", raw)
        return _SPACE_LAST.sub(b"", raw)  # llhttp takes spaces off a coding, not tabs


def _check_method(method: str, limits: Limits) -> None:
    """Refuse what is no method here (RFC 9110 section 9.1).

    :raises RemoteProtocolError: 501 for CONNECT; 400 for what no registered
        method looks like, unless Gunicorn's setting permits it.
    """
    if not limits.permit_unconventional_http_method and (not 3 <= len(method) <= 20 or method != method.upper() or "#" in method):
        raise RemoteProtocolError(f"unconventional method: {method!r}")
    if method == "CONNECT":
        raise RemoteProtocolError("CONNECT asks for a tunnel, and this is no proxy", 501)


def _read_field_line(name: str, value: str) -> FieldLine:
    """Make a field of what llhttp has found to be one.

    :raises RemoteProtocolError: 400, it says something impossible to the server.
    """
    lower = name.lower()
    field = FieldLine(name, value, lower if lower in _MEANINGFUL else "")
    if lower == "host":
        if HOST.fullmatch(value) is None:
            reason = f"Host is no host: {value!r}" if value else "the Host field is empty (RFC 9112 section 3.2)"
            raise RemoteProtocolError(reason)
    elif lower == "connection":
        for member in value.lower().split(","):
            option = member.strip(" \t")
            if option == "close":
                field.close = True
            elif option == "keep-alive":
                field.keep_alive = True
    return field


def _read_request_line(raw: bytes, limits: Limits) -> RequestLine:
    """Take a request line apart (RFC 9112 section 3).

    :raises RemoteProtocolError: 414, 501, 505, or 400.
    """
    if 0 < limits.request_line < len(raw):
        raise RemoteProtocolError(f"the request line is longer than limit_request_line ({limits.request_line})", 414)
    parts = raw.decode("latin-1").split(" ")
    if len(parts) != 3:
        raise _malformed_line(raw)
    method, target, protocol = parts[0], parts[1], parts[2]
    version = (1, 1)
    if protocol != "HTTP/1.1":
        match = VERSION.fullmatch(protocol)
        if match is None:
            raise _malformed_line(raw)
        version = (int(match[1]), int(match[2]))
    if not is_target(target) or (method not in _COMMON_METHODS and TOKEN.fullmatch(method) is None):
        raise _malformed_line(raw)
    if limits.casefold_http_method:
        method = method.upper()
    if method not in _COMMON_METHODS:
        _check_method(method, limits)
    if version[0] != 1 and not limits.permit_unconventional_http_version:
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
    return RequestLine(method, target, authority, path, query, version)


def _take_meaning(fields: FieldSection, field: FieldLine) -> None:
    """Take up a field that says something to the server itself.

    :raises RemoteProtocolError: it is there twice, or malformed.
    """
    name = field.meaning
    if name == "host":
        if fields.host is not None:
            raise RemoteProtocolError("Host is there more than once")
        fields.host = field.value
    elif name == "connection":
        fields.close = fields.close or field.close
        fields.keep_alive = fields.keep_alive or field.keep_alive
    elif name == "content-type":
        if fields.has_type:
            raise RemoteProtocolError("Content-Type is there more than once")
        fields.has_type = True
    elif name == "expect":
        if field.value.lower() != "100-continue":
            raise RemoteProtocolError(f"unknown expectation: {field.value!r}", 417)
        fields.expect_continue = True
    else:
        read_framing(fields, name, field.value)


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


def _same_host(authority: str, host: str) -> bool:
    """Compare as RFC 9110 section 4.2.3 does: case and default ports aside."""
    first, second = authority.lower(), host.lower()
    for port in (":80", ":443", ":"):
        first, second = first.removesuffix(port), second.removesuffix(port)
    return first == second


def _malformed_line(raw: bytes) -> RemoteProtocolError:
    return RemoteProtocolError(f"malformed request line: {_shown(raw)}")


def _shown(raw: bytes) -> str:
    return repr(raw if len(raw) <= 100 else raw[:100] + b"...")[1:]
