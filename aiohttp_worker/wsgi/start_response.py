"""start_response of PEP 3333: its rules, what the application said by it, and the responses of the server's own errors.

Pure: what is to be sent comes back as a list of ``bytes``. Who sends it, and
when, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from types import TracebackType
from typing import Any, ClassVar, Final

from aiohttp_worker.http1.response_encoder import FieldBlock, Headers, StatusLine
from aiohttp_worker.http1.response_side import DUE, ResponseSide

_DUE: Final = DUE

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


class StartResponse:
    """What an application gets as ``start_response``, and what it has said by it.

    The head waits for the first byte of the body (PEP 3333, "Handling the Content-Length Header").

    :param response: what makes bytes of the head and the body.
    """

    # What else a function has, for those that look at a start_response before they wrap it.
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

    # What applications give is `object`: mypyc would refuse a type in words of its own.
    def __call__(self, status: object, headers: object, exc_info: object = None) -> Callable[[object], object]:
        """Take status and headers (PEP 3333, "The start_response() Callable").

        All of it is checked here, where the application can do something about
        it, and nothing is taken up if any of it is wrong. What counts are the
        headers as they are now, as in Gunicorn.

        :return: :meth:`write`.
        :raises AssertionError: called again without *exc_info*.
        :raises BaseException: the one in *exc_info*, once the head is sent.
        :raises LocalProtocolError: the status or a header must not be sent.
        :raises TypeError: one of them is of another type.
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
        """PEP 3333's ``write``, of which whoever sends says what it does."""
        raise NotImplementedError

    @property
    def status(self) -> str | None:
        """The status that the application gave, ``None`` if it gave none."""
        return None if self._status_line is None else self._status_line.status

    @property
    def status_code(self) -> int:
        """Its number, 0 if the application gave none."""
        return 0 if self._status_line is None else self._status_line.code

    @property
    def headers(self) -> list[Any]:
        """Name and value of the fields that are the application's, in a new list."""
        return [] if self._fields is None else list(self._fields.pairs)

    def replace(self, status: str, headers: Headers) -> None:
        """Forget what the application started; its head has not been sent."""
        self._status_line = None
        self(status, headers)

    def forget_no_length(self) -> None:
        """Forget a length of 0: it was counted before the body was there."""
        fields = self._fields
        if fields is not None and fields.length == 0 and not self.response.head_sent:
            self._fields = self.response.encoder.field_block(
                [pair for pair in fields.pairs if pair[0].lower() != "content-length"]
            )

    def _started(self) -> StatusLine:
        """Return the status.

        :raises AssertionError: there is none.
        """
        line = self._status_line
        if line is None or self._fields is None:
            raise AssertionError("the application gave a body without a start_response() that was accepted (PEP 3333)")
        self.before_head()
        return line

    def before_head(self) -> None:
        """Do what is to be done when the head is about to be made."""

    def whole(self, data: bytes) -> list[bytes]:
        """Return what is to be sent for a response that consists of *data* alone."""
        line = self._started()
        assert self._fields is not None
        return self.response.whole(line, self._fields, data)

    def piece(self, data: bytes) -> list[bytes]:
        """Return what is to be sent for the next *data* of the body, head included.

        Nothing for empty data: the head waits for the first byte.
        """
        if type(data) is not bytes:
            data = bytes(memoryview(data))  # what it consists of, whatever its class says of that
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
        """Return what ends the response, with the head of one that has no body."""
        response = self.response
        if response.response_state is not _DUE:
            return response.end()
        line = self._started()
        assert self._fields is not None
        head = response.start(line, self._fields, 0)
        return [head, *response.end()]

    def start_file(self, size: int) -> tuple[bytes, int | None]:
        """Begin a body that something else sends, unframed.

        :param size: of the file, in bytes; announced where the application
            announced none.
        :return: the head, and how many bytes are to follow; ``None`` when the
            response has begun and is framed piece by piece.
        """
        if self.response.response_state is not _DUE:
            return b"", None
        line = self._started()
        assert self._fields is not None
        return self.response.start_file(line, self._fields, size)


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
