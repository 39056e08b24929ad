"""PEP 3333's side of a response: start_response, and a body into framed pieces.

Pure: what is to be sent comes back as a list of ``bytes``. Who sends it, and
when, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from aiohttp_worker.http1.framing import LAST_CHUNK, Framing, chunk, response_framing
from aiohttp_worker.http1.response_encoder import FieldBlock, HeadEncoder, Headers, StatusLine

_MOST_COPIED: Final = 4096  # bytes of a body; more are cheaper sent from where they are

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
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}


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
        "_fields",
        "_framing",
        "_method",
        "_says_keep_alive",
        "_status_line",
        "_version",
        "before_head",
        "full",
        "head_sent",
        "keep_alive",
        "sent",
        "status",
        "status_code",
    )

    def __init__(self, encoder: HeadEncoder, method: str, version: tuple[int, int], keep_alive: bool) -> None:
        self._encoder = encoder
        self._method = method
        self._version = version
        # To a client of HTTP/1.0, which does not expect it.
        self._says_keep_alive = version[0] < 1 or (version[0] == 1 and version[1] < 1)
        self._content_length: int | None = None
        self._framing = Framing.NONE
        self.keep_alive = keep_alive
        # Called once, when the head is about to be made.
        self.before_head: Callable[[], None] | None = None
        self.status: str | None = None
        self.status_code = 0
        self._status_line: StatusLine | None = None
        self._fields: FieldBlock | None = None
        self.head_sent = False
        self.full = False  # something was given after all that can be sent
        self.sent = 0  # bytes of the body

    def start(self, status: object, headers: object, exc_info: object = None) -> None:
        """Take up what ``start_response`` was called with (PEP 3333).

        All of it is checked here, where the application can do something about
        it, and nothing is taken up if any of it is wrong. What counts are the
        headers as they are now, as in Gunicorn.

        :raises AssertionError: called again without *exc_info*.
        :raises BaseException: the one in *exc_info*, once the head is sent.
        :raises LocalProtocolError: the status or a header must not be sent.
        :raises TypeError: one of them is of another type.
        """
        if exc_info is not None and exc_info:
            if self.head_sent:
                raise _failure(exc_info)
        elif self.status is not None:
            raise AssertionError("start_response was called again, and without exc_info (PEP 3333)")
        encoder = self._encoder
        line = encoder.status_line(status)
        self._fields = encoder.field_block(headers)
        self._status_line = line
        self.status = line.status
        self.status_code = line.code

    @property
    def headers(self) -> list[Any]:
        """Name and value of the fields that are the application's, in a new list."""
        return [] if self._fields is None else list(self._fields.pairs)

    def replace(self, status: str, headers: Headers) -> None:
        """Forget what the application started; its head has not been sent."""
        self.status = self._status_line = None
        self.start(status, headers)

    def forget_no_length(self) -> None:
        """Forget a length of 0: it was counted before the body was there."""
        fields = self._fields
        if fields is not None and fields.length == 0 and not self.head_sent:
            self._fields = self._encoder.field_block([pair for pair in fields.pairs if pair[0].lower() != "content-length"])

    def whole(self, data: bytes) -> list[bytes]:
        """Return head and body of a response that consists of *data* alone."""
        head = self._head(len(data))
        framing = self._framing
        if framing is not Framing.NONE:
            expected = self._content_length
            assert expected is not None
            if len(data) != expected:
                if len(data) < expected:
                    self.keep_alive = False
                else:
                    data = data[:expected]
            self.sent = len(data)
            if len(data) > _MOST_COPIED:
                return [head, data]
            return [head + data]
        self.full = bool(data)
        return [head]

    def piece(self, data: bytes) -> list[bytes]:
        """Return what is to be sent for the next *data* of the body, head included.

        Nothing for empty data: an empty chunk would end the body, and the head
        waits for the first byte (PEP 3333, "Handling the Content-Length Header").
        """
        if type(data) is not bytes:
            data = bytes(memoryview(data))  # what it consists of, whatever its class says of that
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
    def chunked(self) -> bool:
        """Whether the body goes out in chunks (RFC 9112 section 7.1)."""
        return self._framing is Framing.CHUNKED

    @property
    def missing(self) -> int:
        """Bytes of the announced body that have not been given yet."""
        if self._framing is not Framing.LENGTH or self._content_length is None:
            return 0
        return self._content_length - self.sent

    @property
    def irregular(self) -> bool:
        """Whether, at its end, the body is shorter than announced, or was given where there can be none."""
        if self._framing is Framing.LENGTH:
            return self.sent != self._content_length
        return self.full

    @property
    def dropped(self) -> bool:
        """Whether a body was given to a status that has none (RFC 9110 section 6.4.1)."""
        return self.full and self._framing is Framing.NONE and self._method != "HEAD"

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
        if self._framing is Framing.LENGTH:
            return head, self._content_length
        self.full = size > 0
        return head, 0

    def _head(self, length: int | None) -> bytes:
        """Encode the head.

        :param length: of the whole body, where it is known.
        """
        line = self._status_line
        fields = self._fields
        if line is None or fields is None:
            raise AssertionError("the application gave a body without a start_response() that was accepted (PEP 3333)")
        if self.before_head is not None:
            before_head, self.before_head = self.before_head, None
            before_head()
        encoder = self._encoder
        if fields.closes:
            self.keep_alive = False
        announced = fields.length
        if announced is None and length is not None and (length or self._method != "HEAD"):
            announced = length
        framing = response_framing(self._method, self.status_code, self._version, announced)
        self._framing = framing
        self._content_length = announced
        if framing is Framing.CLOSE:
            self.keep_alive = False
        self.head_sent = True
        if framing is Framing.LENGTH and fields.length is not None and self.keep_alive and not self._says_keep_alive:
            return fields.head(line, encoder.defaults_beside(fields))
        parts = [line.data, encoder.defaults_beside(fields), fields.data]
        status_code = self.status_code
        if status_code == 204 or status_code == 205:
            # RFC 9110 section 8.6: none in 204; of 205 section 15.3.6 says that it has none or 0.
            parts[2] = fields.without_length()
            if status_code == 205:
                parts.append(b"Content-Length: 0\r\n")
        elif framing is Framing.CHUNKED:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        elif fields.length is None and announced is not None and status_code != 304:
            # In 304 it would have to be the length of what is not sent.
            parts.append(b"Content-Length: %d\r\n" % announced)
        if not self.keep_alive:
            parts.append(b"Connection: close\r\n\r\n")
        elif self._says_keep_alive:
            parts.append(b"Connection: keep-alive\r\n\r\n")
        else:
            parts.append(b"\r\n")
        return b"".join(parts)


def _failure(exc_info: object) -> BaseException:
    """Return the exception of an *exc_info* whose response cannot be replaced any more.

    :raises TypeError: there is none in it.
    """
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple | list) and len(exc_info) >= 2:
        kind, error, traceback = [*exc_info, None][:3]
        if error is None and isinstance(kind, type) and issubclass(kind, BaseException):
            error = kind()
        if isinstance(error, BaseException):
            return error.with_traceback(traceback) if isinstance(traceback, TracebackType) else error
    raise TypeError(f"the head of the response is sent, and exc_info has no exception to raise: {exc_info!r}")


def error_response(status_code: int, message: str) -> tuple[str, Headers, bytes]:
    """Return status, headers and body of an answer that the server gives itself."""
    status = f"{status_code} {_REASONS.get(status_code, 'Error')}"
    body = f"{status}\n{message}\n" if message else f"{status}\n"
    data = body.encode("latin-1", "backslashreplace")
    headers = [("Content-Type", "text/plain; charset=iso-8859-1"), ("Content-Length", str(len(data)))]
    return status, headers, data
