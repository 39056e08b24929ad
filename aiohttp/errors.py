"""What can go wrong, as a tree. Every error says what was asked of whom and what happened.

Errors of the connection are also the builtin ``ConnectionError`` (an ``OSError``). ``TimeoutError`` is the builtin one,
which is an ``OSError`` too: whoever catches ``OSError`` catches timeouts with it.
Bad arguments are ``ValueError`` or ``TypeError`` and are raised before a byte is sent.
"""

from __future__ import annotations

import builtins
import http.client
from asyncio import TimeoutError
from collections.abc import Mapping
from typing import Any

__all__ = [
    "BadRequestException",
    "BadStatusLine",
    "BodyTooLargeError",
    "ClientConnectionError",
    "ConnectionError",
    "ContentEncodingError",
    "HttpBadRequest",
    "HttpErrorException",
    "HttpException",
    "IncompleteRead",
    "InvalidHeader",
    "LineTooLong",
    "OsConnectionError",
    "ProxyConnectionError",
    "TimeoutError",
]


class ConnectionError(builtins.ConnectionError):
    """The connection could not be made, or broke."""


class OsConnectionError(ConnectionError):
    """The operating system refused: no route, no such name, nobody listens, a bad certificate."""


class ClientConnectionError(ConnectionError):
    """The connection broke, or what came over it was not a whole HTTP response."""


class ProxyConnectionError(OsConnectionError, ClientConnectionError):
    """The proxy could not be reached, or refused to connect us; ``status_code`` is its answer, if there was one."""

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


class HttpException(http.client.HTTPException):
    """An error of the protocol, also one of ``http.client``'s.

    ``code`` is a status code, ``headers`` those of the response, where there are any.
    """

    code: int | None = None
    headers: Mapping[str, str] | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class HttpErrorException(HttpException):
    """The response has a status code of 400 or more; raised by ``raise_for_status()`` alone."""

    def __init__(self, code: int, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers


class HttpBadRequest(HttpException):
    """What came is not what RFC 9112 allows."""

    code = 400


BadRequestException = HttpBadRequest


class BadStatusLine(HttpBadRequest, ClientConnectionError, http.client.BadStatusLine):
    """The answer is not HTTP."""


class InvalidHeader(HttpBadRequest, ClientConnectionError):
    """A header field, or the framing of the body, cannot be understood."""


class LineTooLong(HttpBadRequest, ClientConnectionError, http.client.LineTooLong):
    """The head of the response is longer than the connector's limit."""


class ContentEncodingError(HttpBadRequest, ClientConnectionError):
    """The body is not in the coding that its Content-Encoding field announces (RFC 9110 section 8.4)."""


class IncompleteRead(HttpBadRequest, ClientConnectionError, http.client.IncompleteRead, EOFError):
    """The body ended too early. ``partial`` is what arrived, ``expected`` the number of bytes missing, if known."""

    def __init__(self, partial: bytes, expected: int | None = None, message: str = "") -> None:
        if not message:
            more = "more" if expected is None else f"{expected} more"
            message = f"the body ended after {len(partial)} bytes, {more} expected"
        super().__init__(message)
        self.partial = partial
        self.expected = expected

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.partial, self.expected, self.message)


class BodyTooLargeError(HttpException):
    """The body is longer than ``max_body_size``; ``partial`` is what was read of it."""

    def __init__(self, message: str, partial: bytes = b"") -> None:
        super().__init__(message)
        self.partial = partial
