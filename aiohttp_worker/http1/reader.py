"""Bytes → the events of requests: head, data, end (RFC 9112).

A head is cut out of the stream at its empty line and parsed whole, so nothing
behind it is touched before it is asked for, and pipelined requests wait as the
bytes they are. llhttp (httptools) parses; the limits, and all that llhttp lets
through and the RFCs do not, are refused here.

Clients repeat themselves: request lines and field sections that were parsed
once are remembered, in bounded tables that all connections of a worker share.
What is remembered is a function of the bytes alone.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import httptools

from .chunks import ChunkedBody
from .errors import RemoteProtocolError
from .framing import check_codings, keeps_alive, read_framing
from .grammar import ABSOLUTE_TARGET, HOST, REQUEST_LINE, TARGET
from .head import FieldSection, Limits, RequestHead, RequestLine

# What no line of a head holds (RFC 9112 section 2.2).
_BARE: Final = re.compile(rb"\r(?!\n|\Z)|(?<!\r)\n")
_SPACE_LAST: Final = re.compile(rb"(?<=[^\s])[ \t]+(?=\r\n)")
_FOLD: Final = re.compile(rb"\r\n[ \t]+")
_SPACE_BEFORE_COLON: Final = re.compile(rb"(?:^|(?<=\r\n))([^\s:]+)[ \t]+:")

_REMEMBERED: Final = 512  # request lines, and as many field sections and names
_REMEMBERED_SIZE: Final = 2048  # bytes; longer ones are parsed each time
_MEANINGFUL: Final = frozenset(("connection", "content-length", "content-type", "expect", "host", "transfer-encoding"))
_SMALL_BODY: Final = bytes(16384)


class Event(enum.Enum):
    """What :meth:`RequestReader.next_event` returns besides heads and data."""

    NEED_DATA = "more bytes are needed"
    END = "the body is complete"


NEED_DATA: Final = Event.NEED_DATA
END: Final = Event.END


class HeadParser:
    """Parses whole heads; one serves all connections of a worker."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        # Each in two generations: when the young one is full it becomes the old
        # one, and what is asked for again moves back.
        self._lines: dict[bytes, RequestLine] = {}
        self._old_lines: dict[bytes, RequestLine] = {}
        self._sections: dict[bytes, FieldSection] = {}
        self._old_sections: dict[bytes, FieldSection] = {}
        self._names: dict[bytes, tuple[str, str]] = {}
        self._received: list[tuple[bytes, bytes]] = []
        self._complete = False
        self._llhttp = self._new_llhttp()

    def parse(self, data: bytes, start: int, end: int) -> RequestHead:
        """Parse the head in ``data[start:end]``, without its empty line.

        :raises RemoteProtocolError: with the status that RFC 9110 or RFC 9112
            names for the fault.
        """
        line_end = data.find(b"\r\n", start, end)
        if line_end < 0:
            line_end = end
        raw_line = data[start:line_end]
        line = self._lines.get(raw_line)
        if line is None:
            line = self._recall_line(raw_line)
        raw_fields = data[line_end + 2 : end + 2]
        fields = self._sections.get(raw_fields)
        if fields is None:
            fields = self._recall_fields(raw_fields)
        keep_alive = keeps_alive(line, fields)
        if fields.host is None:
            if line.version >= (1, 1):
                raise RemoteProtocolError("no Host field (RFC 9112 section 3.2)")
        elif line.authority is not None and not _same_host(line.authority, fields.host):
            raise RemoteProtocolError(f"Host is {fields.host!r} but the target says {line.authority!r}")
        return RequestHead(line, fields, keep_alive)

    def _recall_line(self, raw: bytes) -> RequestLine:
        line = self._old_lines.get(raw) or self._parse_line(raw)
        if len(raw) <= _REMEMBERED_SIZE:
            if len(self._lines) >= _REMEMBERED:
                self._old_lines, self._lines = self._lines, {}
            self._lines[raw] = line
        return line

    def _recall_fields(self, raw: bytes) -> FieldSection:
        fields = self._old_sections.get(raw) or self._parse_fields(raw)
        if len(raw) <= _REMEMBERED_SIZE:
            if len(self._sections) >= _REMEMBERED:
                self._old_sections, self._sections = self._sections, {}
            self._sections[raw] = fields
        return fields

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
        parser.set_dangerous_leniencies(lenient_keep_alive=True)
        return parser

    def _feed(self, head: bytes) -> list[tuple[bytes, bytes]]:
        """Run a whole head through llhttp and return its fields."""
        self._received = []
        self._complete = False
        try:
            self._llhttp.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # RFC 9110 section 7.8: a server may ignore Upgrade, and we do
        except httptools.HttpParserError as error:
            self._llhttp = self._new_llhttp()
            raise RemoteProtocolError(_reason(error)) from None
        if not self._complete:
            self._llhttp = self._new_llhttp()
            raise RemoteProtocolError("the head of the request is malformed")
        return self._received

    def _parse_line(self, raw: bytes) -> RequestLine:
        limits = self.limits
        if 0 < limits.request_line < len(raw):
            raise RemoteProtocolError(f"the request line is longer than limit_request_line ({limits.request_line})", 414)
        match = REQUEST_LINE.fullmatch(raw)
        if match is None:
            raise RemoteProtocolError(f"malformed request line: {_shown(raw)}")
        method = match[1].decode("ascii")
        if limits.casefold_http_method:
            method = method.upper()
        if not limits.permit_unconventional_http_method and (
            not 3 <= len(method) <= 20 or method != method.upper() or "#" in method
        ):
            raise RemoteProtocolError(f"unconventional method: {method!r}")
        if method == "CONNECT":
            raise RemoteProtocolError("CONNECT asks for a tunnel, and this is no proxy", 501)
        version = (int(match[3]), int(match[4]))
        if version[0] != 1 and not limits.permit_unconventional_http_version:
            raise RemoteProtocolError(f"HTTP/{version[0]}.{version[1]} is not spoken here", 505)
        target = match[2].decode("latin-1")
        if TARGET.fullmatch(target) is None:
            raise RemoteProtocolError(f"malformed target: {_shown(match[2])}")
        authority: str | None = None
        path = target
        if not target.startswith("/"):
            if target == "*":
                if method != "OPTIONS":
                    raise RemoteProtocolError(f"the target * goes with OPTIONS, not {method}")
            else:
                authority, path = _split_absolute(target, method)
        path, _, query = path.partition("?")
        self._feed(b"GET " + match[2] + b" HTTP/1.1\r\n\r\n")
        return RequestLine(method, target, authority, path, query, version)

    def _parse_fields(self, raw: bytes) -> FieldSection:
        limits = self.limits
        if raw.count(b"\r\n") > limits.fields:
            raise RemoteProtocolError(f"more fields than limit_request_fields ({limits.fields})", 431)
        if len(raw) > limits.field_size:
            start = 0
            while start < len(raw):
                line_end = raw.find(b"\r\n", start) + 2
                if line_end - start > limits.field_size:
                    raise RemoteProtocolError(
                        f"a field is longer than limit_request_field_size ({limits.field_size})",
                        431,
                    )
                start = line_end
        parsed = raw
        if limits.permit_obsolete_folding:
            parsed = _FOLD.sub(b" ", parsed)
        if limits.strip_header_spaces:
            parsed = _SPACE_BEFORE_COLON.sub(rb"\1:", parsed)
        if b"\t\r\n" in parsed:
            parsed = _SPACE_LAST.sub(b"", parsed)  # llhttp takes spaces off a coding, not tabs
        received = self._feed(b"GET / HTTP/1.1\r\n" + parsed + b"\r\n")
        try:
            fields = self._read_fields(received)
        except RemoteProtocolError:
            self._llhttp = self._new_llhttp()  # this one waits for the body of what is refused
            raise
        self._finish_body(fields)
        return fields

    def _read_fields(self, received: list[tuple[bytes, bytes]]) -> FieldSection:
        headers: list[tuple[str, str]] = []
        fields = FieldSection(headers)
        names = self._names
        for raw_name, raw_value in received:
            known = names.get(raw_name)
            if known is None:
                known = self._learn_name(raw_name)
            name, meaning = known
            value = raw_value.decode("latin-1").strip(" \t")
            headers.append((name, value))
            if meaning:
                _take_meaning(fields, meaning, value)
        check_codings(fields)
        return fields

    def _learn_name(self, raw: bytes) -> tuple[str, str]:
        """Remember a name as a native string, and in lower case if it means something."""
        name = raw.decode("latin-1")
        lower = name.lower()
        known = (name, lower if lower in _MEANINGFUL else "")
        if len(self._names) >= _REMEMBERED:
            self._names.clear()
        self._names[raw] = known
        return known

    def _finish_body(self, fields: FieldSection) -> None:
        """Bring llhttp, which now waits for a body, to the start of the next head."""
        length = fields.content_length
        if fields.chunked or (length and length > len(_SMALL_BODY)):
            self._llhttp = self._new_llhttp()
        elif length:
            try:
                self._llhttp.feed_data(memoryview(_SMALL_BODY)[:length])
            except httptools.HttpParserError:  # it ignored the body: an Upgrade
                self._llhttp = self._new_llhttp()


class _State(enum.Enum):
    HEAD = 1
    LENGTH = 2
    CHUNKED = 3
    END = 4


class RequestReader:
    """The requests of one connection, as events.

    ``feed()`` what was received, then call ``next_event()`` until it returns
    ``NEED_DATA``. A head whose ``has_body`` is false is its own end; after any
    other come its data and then ``END``.
    """

    __slots__ = (
        "_chunked",
        "_data",
        "_line_ends",
        "_parser",
        "_partial",
        "_position",
        "_remaining",
        "_scanned",
        "_state",
    )

    def __init__(self, parser: HeadParser) -> None:
        self._parser = parser
        self._data = b""
        self._position = 0
        self._partial: bytearray | None = None  # a head whose end has not come yet
        self._scanned = 0  # how much of it has been searched for its end
        self._line_ends = 0  # and the line ends found there
        self._state = _State.HEAD
        self._remaining = 0
        self._chunked: ChunkedBody | None = None

    @property
    def buffered(self) -> int:
        """How many bytes wait to be read."""
        if self._partial is not None:
            return len(self._partial)
        return len(self._data) - self._position

    @property
    def between_requests(self) -> bool:
        """Whether nothing of a next request has come yet."""
        return self._state is _State.HEAD and self._partial is None and self._position == len(self._data)

    @property
    def starts_tls(self) -> bool:
        """Whether what waits is the beginning of a TLS handshake (RFC 8446 section 5.1)."""
        waiting = self._data[self._position :] if self._partial is None else self._partial
        return self._state is _State.HEAD and waiting.startswith(b"\x16\x03")

    def feed(self, data: bytes) -> None:
        """Take up received bytes, without looking at them."""
        if self._partial is not None:
            self._partial += data
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
        if self._state is _State.HEAD:
            return self._next_head()
        if self._state is _State.LENGTH:
            return self._next_data()
        if self._state is _State.CHUNKED:
            return self._next_chunk()
        self._state = _State.HEAD
        return END

    def feed_eof(self) -> None:
        """Take up the end of the connection.

        :raises RemoteProtocolError: 400, when it cuts a request short.
        """
        if not self.between_requests:
            part = "head" if self._state is _State.HEAD else "body"
            raise RemoteProtocolError(f"the connection ended within the {part} of a request")

    def _next_head(self) -> RequestHead | Event:
        if self._partial is not None:
            return self._continue_head()
        data = self._data
        start = self._position
        if start == len(data):
            return NEED_DATA
        if data.startswith(b"\r\n", start):
            # RFC 9112 section 2.2: empty lines before a request are ignored.
            while data.startswith(b"\r\n", start):
                start += 2
            self._position = start
            if start == len(data):
                return NEED_DATA
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            self._partial = bytearray(memoryview(data)[start:])
            self._scanned = self._line_ends = 0
            self._data = b""
            self._position = 0
            return self._continue_head()
        head = self._parser.parse(data, start, end)
        self._position = end + 4
        if head.has_body:
            self._expect_body(head)
        return head

    def _continue_head(self) -> RequestHead | Event:
        """Look for the end of a head in the bytes that are new."""
        partial = self._partial
        assert partial is not None
        if partial == b"\r\n":
            self._partial = None
            return NEED_DATA
        if partial.find(b"\r\n\r\n", max(0, self._scanned - 3)) < 0:
            self._check_partial(partial)
            self._scanned = len(partial)
            return NEED_DATA
        self._data = bytes(partial)
        self._position = 0
        self._partial = None
        return self._next_head()

    def _check_partial(self, partial: bytearray) -> None:
        """Refuse a head that is too large before all of it has come."""
        limits = self._parser.limits
        if partial.startswith(b"\x16"):
            raise RemoteProtocolError("the head of the request is malformed")
        if _BARE.search(partial, max(0, self._scanned - 1)) is not None:
            raise RemoteProtocolError("a CR or an LF alone in the head")
        self._line_ends += partial.count(b"\n", self._scanned)
        if self._line_ends == 0:
            if 0 < limits.request_line < len(partial) - 1:
                raise RemoteProtocolError(
                    f"the request line is longer than limit_request_line ({limits.request_line})",
                    414,
                )
            return
        last = partial.rfind(b"\n")
        if len(partial) - last > limits.field_size:
            raise RemoteProtocolError(f"a field is longer than limit_request_field_size ({limits.field_size})", 431)
        if self._line_ends - 1 > limits.fields:
            raise RemoteProtocolError(f"more fields than limit_request_fields ({limits.fields})", 431)

    def _expect_body(self, head: RequestHead) -> None:
        length = head.fields.content_length
        if length is not None:
            self._state = _State.LENGTH
            self._remaining = length
        else:
            self._state = _State.CHUNKED
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
            self._state = _State.END
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
            self._state = _State.HEAD
            return END
        return NEED_DATA


def _take_meaning(fields: FieldSection, name: str, value: str) -> None:
    """Take up a field that means something to the server itself.

    :raises RemoteProtocolError: it is there twice, or malformed.
    """
    if name == "host":
        if fields.host is not None:
            raise RemoteProtocolError("Host is there more than once")
        if HOST.fullmatch(value) is None:
            raise RemoteProtocolError(f"Host is no host: {value!r}")
        fields.host = value
    elif name == "content-type":
        if fields.has_type:
            raise RemoteProtocolError("Content-Type is there more than once")
        fields.has_type = True
    elif name == "expect":
        if value.lower() != "100-continue":
            raise RemoteProtocolError(f"unknown expectation: {value!r}", 417)
        fields.expect_continue = True
    else:
        read_framing(fields, name, value)


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


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _shown(raw: bytes) -> str:
    return repr(raw if len(raw) <= 100 else raw[:100] + b"...")[1:]
