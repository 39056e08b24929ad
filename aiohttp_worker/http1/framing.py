"""Framing of bodies (Content-Length, chunked, close) and the client's wish for keep-alive, by RFC 9112 sections 6 and 9.3.

The only place for both: of requests, by the fields that were received, and of responses, by the fields that are sent.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from .errors import RemoteProtocolError
from .grammar import CONTENT_LENGTH, HOST
from .head_flags import CLOSE, EXPECT, KEEP_ALIVE, MEANINGS
from .messages import RequestHead

LAST_CHUNK = b"0\r\n\r\n"


class Framing(enum.Enum):
    """Delimitation of the body of a response (RFC 9112 section 6.3)."""

    NONE = "no body, whatever the fields say"
    LENGTH = "Content-Length"
    CHUNKED = "Transfer-Encoding: chunked"
    CLOSE = "the end of the connection"
    STREAM = "the end of the stream (RFC 9113 section 8.1)"


class RequestFraming:
    """Fields of a request that speak to the server itself: Host, Connection, Expect and those of framing (RFC 9112).

    :param fields: names, in any case, and values.
    :raises RemoteProtocolError: 400 for a field that is there twice and may not, or is malformed, and for a transfer coding after
        chunked; 417 for an expectation other than 100-continue.
    """

    __slots__ = ("chunked", "close", "content_length", "expect_continue", "has_type", "host", "keep_alive", "unknown_coding")

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self.host: str | None = None
        self.content_length: int | None = None
        self.has_type = False
        self.chunked = False
        self.unknown_coding: str | None = None
        self.expect_continue = False
        # Of Connection (RFC 9110 section 7.6.1).
        self.close = False
        self.keep_alive = False
        has_codings = has_length = False
        # Of several faults, the first is one that makes the message unreadable.
        for name, value in fields:
            lower = name.lower()
            if lower == "content-length":
                has_length = True
                self._take_length(value)
            elif lower == "transfer-encoding":
                has_codings = True
                if not value:
                    raise RemoteProtocolError("an empty Transfer-Encoding")
        if has_codings and has_length:  # not by content_length: compiled, it would still be taken for the None above
            raise RemoteProtocolError("Content-Length beside Transfer-Encoding")
        for name, value in fields:
            if name.lower() == "host" and HOST.fullmatch(value) is None:
                reason = f"Host is no host: {value!r}" if value else "the Host field is empty (RFC 9112 section 3.2)"
                raise RemoteProtocolError(reason)
        for name, value in fields:
            lower = name.lower()
            if lower in MEANINGS:
                self._take(lower, value)

    def _take(self, name: str, value: str) -> None:
        if name == "host":
            if self.host is not None:
                raise RemoteProtocolError("Host is there more than once")
            self.host = value
        elif name == "connection":
            options = [member.strip(" \t") for member in value.lower().split(",")]
            self.close = self.close or "close" in options
            self.keep_alive = self.keep_alive or "keep-alive" in options
        elif name == "content-type":
            if self.has_type:
                raise RemoteProtocolError("Content-Type is there more than once")
            self.has_type = True
        elif name == "expect":
            if value.lower() != "100-continue":
                raise RemoteProtocolError(f"unknown expectation: {value!r}", 417)
            self.expect_continue = True
        elif name == "transfer-encoding":
            self._take_codings(value)

    def _take_length(self, value: str) -> None:
        if self.content_length is not None:
            raise RemoteProtocolError("Content-Length is there more than once")
        if CONTENT_LENGTH.fullmatch(value) is None:
            raise RemoteProtocolError(f"Content-Length is no length: {value!r}")
        self.content_length = int(value)

    def _take_codings(self, value: str) -> None:
        for member in value.split(","):
            coding = member.strip(" \t").lower()
            if self.chunked:
                raise RemoteProtocolError(f"a transfer coding after chunked: {value!r}")
            if coding == "chunked":
                self.chunked = True
            else:
                self.unknown_coding = coding

    def apply(self, head: RequestHead) -> None:
        """Tell *head*, whose version is known, of its body, and whether the client wants to send another request.

        :raises RemoteProtocolError: 400 when chunked is not the last transfer coding, so that the body has no end (RFC 9112
            section 6.3), and when line and fields contradict each other about the framing (section 6.1); 501 for a transfer
            coding that is not decoded here (section 6.1).
        """
        if self.unknown_coding is not None:
            raise RemoteProtocolError(f"unknown transfer coding: {self.unknown_coding!r}", 501 if self.chunked else 400)
        if self.chunked and not head.minor:
            raise RemoteProtocolError("Transfer-Encoding in a request of HTTP/1.0")
        head.chunked = self.chunked
        head.content_length = self.content_length
        head.has_body = self.chunked or bool(self.content_length)
        head.flags |= EXPECT * self.expect_continue | CLOSE * self.close | KEEP_ALIVE * self.keep_alive
        # RFC 9110 section 10.1.1: to be ignored in a request of HTTP/1.0.
        head.expect_continue = self.expect_continue and head.has_body and head.minor
        head.keep_alive = not self.close and (head.minor or self.keep_alive)


def response_framing(
    method: str,
    status_code: int,
    version: tuple[int, int],
    content_length: int | None,
) -> Framing:
    """Choose the delimitation of a response's body (RFC 9112 section 6.3).

    :param version: of the request.
    :param content_length: length announced by the application, if any.
    """
    if method == "HEAD" or status_code in (204, 205, 304) or status_code < 200:
        return Framing.NONE
    if content_length is not None:
        return Framing.LENGTH
    if version >= (2, 0):
        return Framing.STREAM
    if version >= (1, 1):
        return Framing.CHUNKED
    return Framing.CLOSE


def chunk(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return *data*, which must not be empty, as a chunk in three pieces (RFC 9112 section 7.1).

    In pieces, because copying a large body costs more than passing three buffers to the kernel.
    """
    return b"%x\r\n" % len(data), data, b"\r\n"
