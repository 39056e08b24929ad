"""Errors of the client, as a tree. Every error names the request, the server and the reason.

Errors of the connection are also the builtin ``ConnectionError`` (an ``OSError``). ``TimeoutError`` is the builtin one,
which is an ``OSError`` too: whoever catches ``OSError`` catches timeouts with it.
Bad arguments are ``ValueError`` or ``TypeError`` and are raised before a byte is sent.
"""

from __future__ import annotations

import builtins
import http.client
from asyncio import TimeoutError
from collections.abc import Mapping
from typing import Any, Final

from multidict import CIMultiDict, CIMultiDictProxy

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
    "RedirectError",
    "TimeoutError",
    "UnrepeatableBodyError",
]


_OF_OSERROR: Final = ("errno", "strerror", "filename", "filename2")


class _Whole(Exception):
    """An error that can be pickled and copied with everything that it carries."""

    def __reduce__(self) -> tuple[Any, ...]:
        state = dict(self.__dict__)
        for name in _OF_OSERROR:
            # OSError keeps these apart, and only those of its own constructor's would be copied.
            if (value := getattr(self, name, None)) is not None:
                state[name] = value
        headers = state.get("headers")
        proxied = isinstance(headers, CIMultiDictProxy)
        if proxied:
            state["headers"] = CIMultiDict(headers)  # a proxy cannot be pickled
        return _restore, (type(self), self.args, state, proxied)


def _restore(kind: type[_Whole], args: tuple[Any, ...], state: dict[str, Any], proxied: bool) -> _Whole:
    """Make an error without its constructor, whose arguments are not kept."""
    # The first base that has a __new__ may be another than the one that decides how an instance is laid out.
    error: _Whole = OSError.__new__(kind) if issubclass(kind, OSError) else kind.__new__(kind)
    error.args = args
    if proxied:
        state["headers"] = CIMultiDictProxy(state["headers"])
    for name, value in state.items():
        setattr(error, name, value)
    return error


class ConnectionError(_Whole, builtins.ConnectionError):
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


class HttpException(_Whole, http.client.HTTPException):
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
    """Response that breaks RFC 9112."""

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


class RedirectError(HttpException, ValueError):
    """A redirect that cannot be followed: its ``Location`` is not a URL of http or https.

    ``response`` is the redirect, closed; ``url`` what it pointed to.
    """

    # The response is typed Any: its module imports this one.
    def __init__(self, message: str, response: Any = None, url: str = "") -> None:
        super().__init__(message)
        self.response = response
        self.url = url
        if response is not None:
            self.code = response.status
            self.headers = response.headers


class UnrepeatableBodyError(RedirectError, ClientConnectionError):
    """A redirect asks for the same body once more, which cannot be had: it came from a generator, a stream or a pipe."""


class BodyTooLargeError(HttpException):
    """The body is longer than ``max_body_size``; ``partial`` is what was read of it."""

    def __init__(self, message: str, partial: bytes = b"") -> None:
        super().__init__(message)
        self.partial = partial
