"""``start_response`` and ``write`` of PEP 3333, and the error responses of the server (400, 408, 413, 431, 500, 503, …).

Pure: every method returns the bytes to send, and leaves sending to its caller.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from inspect import Parameter, Signature
from types import TracebackType
from typing import Any, ClassVar, Final

from aiohttp_worker.http1.response_encoder import FieldBlock, Headers, StatusLine
from aiohttp_worker.http1.response_side import DUE, ResponseSide

_DUE: Final = DUE
_SWITCHED: Final = "101 Switching Protocols"

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


class StartResponse(abc.ABC):  # noqa: B024  what mypyc compiles takes weak references only with a base that it does not compile
    """The ``start_response`` callable of one request, with the status and headers that the application gave.

    The head waits for the first byte of the body (PEP 3333, "Handling the Content-Length Header").

    :param response: encodes and frames the response.
    """

    # Middleware may inspect the signature before it wraps start_response; a compiled class has none.
    __signature__: ClassVar[Signature] = Signature(
        [
            Parameter("status", Parameter.POSITIONAL_OR_KEYWORD),
            Parameter("headers", Parameter.POSITIONAL_OR_KEYWORD),
            Parameter("exc_info", Parameter.POSITIONAL_OR_KEYWORD, default=None),
        ]
    )

    __slots__ = ("__weakref__", "_fields", "_status_line", "response")

    def __init__(self, response: ResponseSide) -> None:
        self.response = response
        self._status_line: StatusLine | None = None
        self._fields: FieldBlock | None = None

    @property
    def __name__(self) -> str:
        return "start_response"

    # `object`, because mypyc would refuse another type by an error that does not mention PEP 3333.
    def __call__(self, status: object, headers: object, exc_info: object = None) -> Callable[[object], object]:
        """Start the response, or replace it before its head is sent (PEP 3333, "The start_response() Callable").

        Everything is checked here, where the application can catch the error, and nothing changes if anything is wrong. The
        headers are copied: later changes of the list have no effect, as in Gunicorn.

        :return: :meth:`write`.
        :raises AssertionError: called again without *exc_info*.
        :raises BaseException: the one in *exc_info*, once the head is sent.
        :raises LocalProtocolError: the status or a header is malformed or must not be sent.
        :raises TypeError: the status or a header is of a wrong type.
        """
        if exc_info is not None and exc_info:
            try:
                if self.response.head_sent:
                    raise _failure(exc_info)
            finally:
                exc_info = None  # a reference to it would be a cycle (PEP 3333)
        elif self._status_line is not None:
            raise AssertionError("start_response was called again, and without exc_info (PEP 3333)")
        encoder = self.response.encoder
        line = encoder.status_line(status)
        self._fields = encoder.field_block(headers)
        self._status_line = line
        return self.write

    def write(self, data: object) -> object:
        """Send a piece of the body, as PEP 3333 has it; the class that sends implements this."""
        raise NotImplementedError

    @property
    def status(self) -> str | None:
        """Status text given by the application, ``None`` before that."""
        if self.response.switched:
            return _SWITCHED
        return None if self._status_line is None else self._status_line.status

    @property
    def status_code(self) -> int:
        """Status code given by the application, 0 before that."""
        if self.response.switched:
            return 101
        return 0 if self._status_line is None else self._status_line.code

    @property
    def headers(self) -> list[Any]:
        """Name and value of the application's header fields, in a new list."""
        return [] if self._fields is None else list(self._fields.pairs)

    def replace(self, status: str, headers: Headers) -> None:
        """Replace status and headers by an answer of the server; the head must not have been sent."""
        self._status_line = None
        self(status, headers)

    def forget_no_length(self) -> None:
        """Drop a ``Content-Length`` of 0 that a framework counted while the body was empty still."""
        fields = self._fields
        if fields is not None and fields.length == 0 and not self.response.head_sent:
            self._fields = self.response.encoder.field_block(
                [pair for pair in fields.pairs if pair[0].lower() != "content-length"]
            )

    def _started(self) -> StatusLine:
        """Return the status line, when the head is about to be encoded.

        :raises AssertionError: the application has not called ``start_response``.
        """
        line = self._status_line
        if line is None or self._fields is None:
            raise AssertionError("the application gave a body without a start_response() that was accepted (PEP 3333)")
        self.before_head()
        return line

    def before_head(self) -> None:  # noqa: B027  the class that sends may have something to do
        """Do nothing; called once, before the head is encoded, for a class that sends."""

    def whole(self, data: bytes) -> list[bytes]:
        """Return the bytes of a response whose body is *data*."""
        line = self._started()
        assert self._fields is not None
        return self.response.whole(line, self._fields, data)

    def piece(self, data: bytes) -> list[bytes]:
        """Return the bytes to send for the next piece of the body, with the head before the first one.

        Nothing for an empty piece: the head waits for the first byte.
        """
        if type(data) is not bytes:
            data = bytes(memoryview(data))  # the bytes in memory: a subclass may override its methods
        if not data:
            return []
        response = self.response
        if response.response_state is not _DUE:
            return response.data(data)
        line = self._started()
        assert self._fields is not None
        head = response.start(line, self._fields, None)
        return [head, *response.data(data)]

    def end(self) -> list[bytes]:
        """Return the bytes that end the response, with the head if no body was given."""
        response = self.response
        if response.response_state is not _DUE:
            return response.end()
        line = self._started()
        assert self._fields is not None
        head = response.start(line, self._fields, 0)
        return [head, *response.end()]

    def start_file(self, size: int) -> tuple[bytes, int | None]:
        """Start a response whose body is sent by the kernel, without framing.

        :param size: size of the file in bytes, announced if the application announced none.
        :return: the head, and the number of bytes of the body; ``None`` if the response has begun and is framed piece by
            piece.
        """
        if self.response.response_state is not _DUE:
            return b"", None
        line = self._started()
        assert self._fields is not None
        return self.response.start_file(line, self._fields, size)


def _failure(exc_info: object) -> BaseException:
    """Return the exception in *exc_info*, to be raised because the head has been sent.

    :raises TypeError: it contains no exception.
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
    """Return status, headers and body of an error response of the server."""
    status = f"{status_code} {_REASONS.get(status_code, 'Error')}"
    body = f"{status}\n{message}\n" if message else f"{status}\n"
    data = body.encode("latin-1", "backslashreplace")
    headers = [("Content-Type", "text/plain; charset=iso-8859-1"), ("Content-Length", str(len(data)))]
    return status, headers, data
