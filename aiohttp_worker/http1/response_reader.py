"""Reader of HTTP/1 responses for the client: bytes in, heads, data and ends out (RFC 9112 sections 4, 6 and 7).

Pure: no socket and no event loop. llhttp (through httptools) parses; what it leaves open is decided here: responses
that never have a body (RFC 9112 section 6.3), bodies that end with the connection, limits, and bytes after the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from httptools import HttpParserError, HttpParserInvalidStatusError, HttpParserUpgrade, HttpResponseParser

from .errors import RemoteProtocolError


class ResponseSyntaxError(RemoteProtocolError):
    """Bytes of the server that are not an HTTP/1 response; ``str()`` names the fault in one line.

    :ivar events: events before the fault in the same bytes.
    :ivar status_code: 502, the answer of a gateway.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, 502)
        self.events: list[ResponseEvent] = []


class ResponseTooLargeError(ResponseSyntaxError):
    """Head, trailers or chunk extensions of a response beyond the limits."""


class ResponseCutError(RemoteProtocolError):
    """End of the connection inside a response.

    :ivar started: any byte had arrived.
    :ivar head_complete: the head had arrived.
    :ivar missing: number of bytes missing in the body, ``None`` for a chunked one.
    """

    def __init__(self, started: bool, head_complete: bool, missing: int | None) -> None:
        super().__init__("the connection ended inside a response", 502)
        self.started = started
        self.head_complete = head_complete
        self.missing = missing


@dataclass(frozen=True)
class ResponseLimits:
    """Limits of the reader.

    :param head_size: bytes of a head, of all trailers together, and of the framing between two pieces of data.
    """

    head_size: int = 65536


class ResponseHead:
    """Status line and header fields of a response as received (RFC 9112 section 4).

    :ivar keep_alive: the server keeps the connection open after this response.
    :ivar content_codings: the values of all ``Content-Encoding`` fields, joined by commas.
    """

    __slots__ = ("chunked", "content_codings", "content_length", "headers", "keep_alive", "reason", "status_code", "version")

    def __init__(
        self,
        version: tuple[int, int],
        status_code: int,
        reason: bytes,
        headers: list[tuple[bytes, bytes]],
        keep_alive: bool,
        content_length: int | None,
        chunked: bool,
        content_codings: bytes,
    ) -> None:
        self.version = version
        self.status_code = status_code
        self.reason = reason
        self.headers = headers
        self.keep_alive = keep_alive
        self.content_length = content_length
        self.chunked = chunked
        self.content_codings = content_codings

    def __reduce__(self) -> tuple[object, ...]:
        """Return constructor and arguments for ``copy`` and ``pickle``, which compiled classes do not support by themselves."""
        return ResponseHead, (
            self.version,
            self.status_code,
            self.reason,
            self.headers,
            self.keep_alive,
            self.content_length,
            self.chunked,
            self.content_codings,
        )

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status_code} {self.reason!r}>"


class End(Enum):
    """Event at the end of a response."""

    END = "END"


END: Final = End.END
ResponseEvent = ResponseHead | bytes | End

# A body of known length beyond this size bypasses the parser, which would copy it.
_BYPASS: Final = 65536
_VERSIONS: Final = {"1.1": (1, 1), "1.0": (1, 0)}
_FRAMING_FIELDS: Final = frozenset((b"content-length", b"transfer-encoding", b"content-encoding"))
_SHORTEST: Final = min(map(len, _FRAMING_FIELDS))


class ResponseReader:
    """Reads the responses of one connection, one at a time.

    Call ``start`` before each request, then ``feed`` with the bytes that arrive and ``feed_eof`` at the end of the connection.

    :ivar reusable: after END, the connection can carry another exchange.
    :ivar status_line_seen: after a refusal, the status line was understood, so that the fault lies behind it.
    :ivar trailers: fields of the trailer section.
    """

    __slots__ = (
        "_body_missing",
        "_closing",
        "_complete",
        "_events",
        "_fields",
        "_got_data",
        "_head_method",
        "_headers",
        "_in_body",
        "_keep_alive",
        "_limits",
        "_overhead",
        "_parser",
        "_raw",
        "_reason",
        "_refusal",
        "_started",
        "_tunnel_method",
        "_until_eof",
        "reusable",
        "status_line_seen",
        "trailers",
    )

    def __init__(self, limits: ResponseLimits = ResponseLimits()) -> None:
        self._limits = limits
        self._parser: HttpResponseParser | None = None
        self.start("GET")

    def start(self, method: str) -> None:
        """Prepare for the response to a request with this method."""
        self._head_method = method == "HEAD"
        self._tunnel_method = method == "CONNECT"
        self._events: list[ResponseEvent] = []
        self._headers: list[tuple[bytes, bytes]] = []
        self._fields = self._headers
        self._reason = b""
        self._started = self._in_body = self._complete = self._raw = self._until_eof = False
        self._got_data = self._keep_alive = False
        self._body_missing: int | None = None
        self._overhead = 0
        self._refusal: ResponseSyntaxError | None = None
        self._closing = False
        self.reusable = self.status_line_seen = False
        self.trailers: list[tuple[bytes, bytes]] = []

    # Called by the connection.

    def feed(self, data: bytes) -> list[ResponseEvent]:
        """Parse received bytes.

        :return: the events in them.
        :raises ResponseSyntaxError: they are not an HTTP/1 response.
        :raises ResponseTooLargeError: they exceed the limits.
        """
        if self._raw:
            return self._feed_raw(data)
        if self._complete:
            self.reusable = False  # RFC 9112 section 6.3: bytes after the end belong to no request
            return []
        self._started = True
        parser = self._parser
        if parser is None:
            parser = self._parser = _new_parser(self)
        events = self._events
        self._got_data = False
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            if self._complete:
                # Bytes after the end belong to no request.
                self._parser = None
                self.reusable = False
            else:
                self._begin_raw(data[upgrade.args[0] :])
        except HttpParserError as error:
            self._parser = None
            self._end_parsing(parser, error)
        if self._refusal is not None:
            raise self._refused(self._refusal)
        if self._overhead + len(data) > self._limits.head_size:
            self._check_sizes()
        if not self._complete and not self._got_data:
            self._overhead += len(data)
        if events:
            self._events = []
        return events

    def _end_parsing(self, parser: HttpResponseParser, error: HttpParserError) -> None:
        """Handle bytes that llhttp refuses: as bytes after the end, or as a fault unless one was found before.

        :raises ResponseSyntaxError: the first fault.
        """
        if self._complete:
            self.reusable = False
        elif self._refusal is None:
            # A server may leave the reason out, so that neither it nor a field has been seen yet.
            understood = parser.get_status_code() > 99 and not isinstance(error, HttpParserInvalidStatusError)
            self.status_line_seen = bool(self._reason or self._headers) or understood
            raise self._refused(ResponseSyntaxError(str(error) or "bad response")) from None

    def _check_sizes(self) -> None:
        """Refuse heads, trailers and framing beyond the limits; called only once enough bytes have arrived for that."""
        limit = self._limits.head_size
        for fields in (self._headers, self.trailers):
            if sum(len(field_name) + len(field_value) + 4 for field_name, field_value in fields) > limit:
                raise self._refused(ResponseTooLargeError(f"the fields are longer than {limit} bytes"))
        if not self._got_data and not self._complete:
            where = "the framing of a chunk" if self._in_body else "the head"
            raise self._refused(ResponseTooLargeError(f"{where} is longer than {limit} bytes"))

    def _refused(self, error: ResponseSyntaxError) -> ResponseSyntaxError:
        self._parser = None
        self.reusable = False
        error.events = [event for event in self._events if event is not END]
        return error

    def feed_eof(self) -> list[ResponseEvent]:
        """Handle the end of the connection.

        :return: ``[END]`` if it ends a body of unknown length.
        :raises ResponseCutError: it cuts the response.
        """
        self.reusable = False
        self._parser = None
        if self._complete:
            return []
        if self._in_body and self._until_eof:
            self._complete = True
            return [END]
        raise ResponseCutError(self._started, self._in_body, self._body_missing)

    def _feed_raw(self, data: bytes) -> list[ResponseEvent]:
        missing = self._body_missing
        if missing is None:
            return [data]
        if len(data) < missing:
            self._body_missing = missing - len(data)
            return [data]
        self._raw = False
        self._complete = True
        self._body_missing = 0
        self._parser = None  # it still expects the bytes that bypassed it
        self.reusable = self._keep_alive and len(data) == missing
        return [data[:missing], END]

    def _begin_raw(self, rest: bytes) -> None:
        # 101: the bytes that follow are another protocol's, until the connection ends (RFC 9110 section 15.2.2).
        self._parser = None
        self._raw = self._until_eof = True
        self._body_missing = None
        if rest:
            self._events.append(rest)

    # Callbacks of the parser: it would wrap an exception raised in them, so they only set attributes.

    def on_status(self, status: bytes) -> None:
        self._reason += status

    def on_header(self, field_name: bytes, field_value: bytes) -> None:
        self._fields.append((field_name, field_value))

    def on_headers_complete(self) -> None:
        if self._complete or self._in_body:
            self.reusable = False
            return
        parser = self._parser
        assert parser is not None
        status_code = parser.get_status_code()
        headers = self._headers
        if status_code < 200 and status_code != 101:
            self._interim(parser, status_code)
            return
        content_length: int | None = None
        chunked = False
        codings = b""
        for position, (field_name, field_value) in enumerate(headers):
            if len(field_name) < _SHORTEST:
                continue
            name = field_name.lower()
            if name[-1] <= 32:
                # RFC 9112 section 5.1: space before the colon of a response is to be removed; llhttp leaves it.
                name = name.rstrip()
                headers[position] = (field_name.rstrip(), field_value)
            if name in _FRAMING_FIELDS:
                if name == b"content-length":
                    content_length = int(field_value)  # llhttp has let only one of these through, and only digits
                elif name == b"content-encoding":
                    codings = codings + b"," + field_value if codings else field_value
                else:
                    chunked = self._chunked(field_value, chunked)
        version = self._version(parser)
        if self._refusal is not None:
            self.status_line_seen = version is not None
            return
        assert version is not None
        keep_alive = self._keep_alive = parser.should_keep_alive() and not self._closing
        head = ResponseHead(version, status_code, self._reason, headers, keep_alive, content_length, chunked, codings)
        self._events.append(head)
        self._in_body = self._got_data = True
        self._fields = self.trailers
        self._overhead = 0
        self._begin_body(head)

    def _begin_body(self, head: ResponseHead) -> None:
        """Decide how the body ends (RFC 9112 section 6.3)."""
        status_code = head.status_code
        if self._head_method or (self._tunnel_method and status_code < 300):
            # No body, whatever the fields say. The parser would wait for one: it has to go.
            self._events.append(END)
            self._complete = True
            self._parser = None
            self.reusable = self._tunnel_method or head.keep_alive or self._stays_open(head)
        elif status_code in (204, 304):
            self._body_missing = 0
        elif not head.chunked:
            content_length = head.content_length
            if content_length is None:
                self._until_eof = True
            else:
                self._body_missing = content_length
                self._raw = content_length > _BYPASS

    def _version(self, parser: HttpResponseParser) -> tuple[int, int] | None:
        version = _VERSIONS.get(parser.get_http_version())
        if version is None:
            self._refusal = ResponseSyntaxError(f"unknown version of HTTP: {parser.get_http_version()}")
        return version

    def _chunked(self, field_value: bytes, chunked: bool) -> bool:
        """Read one ``Transfer-Encoding`` field (RFC 9112 section 6.1).

        :param chunked: chunked was in one of the fields before it.
        :return: whether chunked has been read by now.
        """
        if self._refusal is not None:
            return chunked  # the first fault is the one that is reported
        again = chunked
        for member in field_value.split(b","):
            coding = member.strip(b" \t").lower()
            if again:
                what = "chunked twice" if coding == b"chunked" else f"{coding!r} after chunked"
                self._refusal = ResponseSyntaxError(f"Transfer-Encoding has {what}")
            elif coding == b"chunked":
                again = True
            else:
                self._refusal = ResponseSyntaxError(f"unknown transfer coding {coding!r}")
                break
        return True

    def _interim(self, parser: HttpResponseParser, status_code: int) -> None:
        """Handle the head of an interim response: the final one follows, whatever its fields say (RFC 9110 section 15.2)."""
        version = self._version(parser)
        headers = self._headers
        if any(name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked" for name, value in headers):
            # llhttp would take everything behind it for its body.
            self._refusal = ResponseSyntaxError("a transfer coding in an interim response")
        if self._refusal is not None:
            self.status_line_seen = version is not None
            return
        assert version is not None
        # "Connection: close" in an interim response is about the final one.
        closing = self._closing = self._closing or _says_close(headers)
        self._events.append(ResponseHead(version, status_code, self._reason, headers, not closing, None, False, b""))

    def _stays_open(self, head: ResponseHead) -> bool:
        # llhttp says "close" for every response whose end it cannot see, but an answer to HEAD ends with its head.
        if head.version == (1, 0) or self._closing:
            return False
        return not _says_close(head.headers)

    def on_body(self, data: bytes) -> None:
        if self._complete:
            self.reusable = False
            return
        self._got_data = True
        self._overhead = 0
        if self._body_missing is not None:
            self._body_missing -= len(data)
        self._events.append(data)

    def on_message_begin(self) -> None:
        if self._complete:
            self.reusable = False

    def on_message_complete(self) -> None:
        if self._complete or not self._in_body:
            # The end of an interim response (RFC 9110 section 15.2), or of a response that was not asked for.
            if not self._complete:
                self._headers = self._fields = []
                self._reason = b""
            return
        parser = self._parser
        if parser is None or self._until_eof:
            return  # 101: see _begin_raw
        self._complete = True
        self._raw = False
        self.reusable = parser.should_keep_alive() and not self._closing
        self._events.append(END)


def _says_close(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"connection" and b"close" in value.lower() for name, value in headers)


def _new_parser(reader: ResponseReader) -> HttpResponseParser:
    parser = HttpResponseParser(reader)
    # Many servers fold lines, end them with LF or put odd bytes into values; the framing fields stay strict.
    parser.set_dangerous_leniencies(
        lenient_headers=True,
        lenient_keep_alive=True,  # the final response comes after an interim one that says "close"
        lenient_optional_cr_before_lf=True,
        lenient_optional_lf_after_cr=True,
        lenient_spaces_after_chunk_size=True,
    )
    return parser
