"""Framing of bodies (Content-Length, chunked, close) and the client's wish for keep-alive, by RFC 9112 sections 6 and 9.3.

The only place for both: of requests, by the fields that were received, and of responses, by the fields that are sent.
"""

from __future__ import annotations

import enum

from .errors import RemoteProtocolError
from .grammar import CONTENT_LENGTH
from .messages import FieldSection, RequestLine

LAST_CHUNK = b"0\r\n\r\n"


class Framing(enum.Enum):
    """Delimitation of the body of a response (RFC 9112 section 6.3)."""

    NONE = "no body, whatever the fields say"
    LENGTH = "Content-Length"
    CHUNKED = "Transfer-Encoding: chunked"
    CLOSE = "the end of the connection"
    STREAM = "the end of the stream (RFC 9113 section 8.1)"


def read_framing(fields: FieldSection, name: str, value: str) -> None:
    """Read one framing field of a request.

    :param name: the field name in lower case.
    :raises RemoteProtocolError: 400 for a malformed or repeated length, and
        for codings after chunked.
    """
    if name == "content-length":
        if fields.content_length is not None:
            raise RemoteProtocolError("Content-Length is there more than once")
        if CONTENT_LENGTH.fullmatch(value) is None:
            raise RemoteProtocolError(f"Content-Length is no length: {value!r}")
        fields.content_length = int(value)
    elif name == "transfer-encoding":
        for member in value.split(","):
            coding = member.strip(" \t").lower()
            if fields.chunked:
                raise RemoteProtocolError(f"a transfer coding after chunked: {value!r}")
            if coding == "chunked":
                fields.chunked = True
            else:
                fields.unknown_coding = coding


def check_codings(fields: FieldSection) -> None:
    """Check the transfer codings once all fields have been read.

    :raises RemoteProtocolError: 400 if chunked is not the last transfer
        coding, so that the body has no end (RFC 9112 section 6.3); 501 if it
        is, behind one that is not supported (section 6.1).
    """
    if fields.unknown_coding is not None:
        raise RemoteProtocolError(f"unknown transfer coding: {fields.unknown_coding!r}", 501 if fields.chunked else 400)


def keeps_alive(line: RequestLine, fields: FieldSection) -> bool:
    """Return whether the client wants to send another request (RFC 9112 section 9.3).

    :raises RemoteProtocolError: 400 if line and fields contradict each other
        about the framing (RFC 9112 section 6.1).
    """
    if fields.chunked:
        if fields.content_length is not None:
            raise RemoteProtocolError("Content-Length beside Transfer-Encoding")
        if not line.minor:
            raise RemoteProtocolError("Transfer-Encoding in a request of HTTP/1.0")
    if line.minor:
        return not fields.close
    return fields.keep_alive and not fields.close


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
