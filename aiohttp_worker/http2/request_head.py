"""The fields of an HTTP/2 request → its head, as ``http1`` has it (RFC 9113 section 8.3.1).

The fields are put together as the lines of a head of HTTP/1.1, so that the same parser judges them by the same rules and
limits. What could be hidden in that form is refused first.
"""

from __future__ import annotations

from typing import Final

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.head_flags import ALL, CLOSE, EXPECT, KEEP_ALIVE
from aiohttp_worker.http1.messages import Limits, RequestHead
from aiohttp_worker.http1.request_parser import HeadParser

from .events import Fields

# RFC 9110 section 6.5.1: framing, routing and authentication would otherwise change after the fact.
_NOT_IN_TRAILERS: Final = frozenset((b"content-length", b"transfer-encoding", b"host", b"trailer", b"authorization", b"te"))
_FIELD_OVERHEAD: Final = 32  # RFC 9113 section 10.5.1


def read_request_head(parser: HeadParser, fields: Fields, ended: bool, table: dict[str, object]) -> RequestHead:
    """Read the fields that begin a request.

    :param ended: no body follows.
    :param table: what the head's table begins as; what the parser makes of it says HTTP/1.1.
    :raises RemoteProtocolError: as the parser.
    """
    method, scheme, path, authority, host, lines = _take_apart(fields)
    if method == b"CONNECT":
        raise RemoteProtocolError("CONNECT asks for a tunnel, and this is no proxy", 501)
    if scheme not in (b"http", b"https"):
        raise RemoteProtocolError(f"the request has an unknown scheme: {scheme!r}")
    if path[:1] != b"/" and path != b"*":
        raise RemoteProtocolError(f"malformed :path: {path!r}")
    host = _agreed_host(authority, host)
    if host is not None:
        lines.insert(0, b"host: " + host)
    lines.insert(0, b"%b %b HTTP/1.1" % (method, path))
    lines.append(b"\r\n")
    raw = b"\r\n".join(lines)
    ends = len(lines)
    if raw.count(b"\n") != ends or raw.count(b"\r") != ends:
        raise RemoteProtocolError("a line end in a field (RFC 9113 section 8.2.1)")
    head = parser.parse(raw, table, parser.scan(raw, 0, table) & ALL)
    if head.chunked or head.flags & (CLOSE | KEEP_ALIVE):
        raise RemoteProtocolError("a field that is about an HTTP/1.1 connection (RFC 9113 section 8.2.2)")
    head.set_version(2, 0)
    head.has_body = not ended
    head.expect_continue = head.flags & EXPECT != 0 and not ended
    return head


def _take_apart(fields: Fields) -> tuple[bytes, bytes, bytes, bytes | None, bytes | None, list[bytes]]:
    """Return method, scheme, path, authority and Host of a request, and the lines of the other fields.

    :raises RemoteProtocolError: 400, a field cannot be one of a request.
    """
    method = scheme = path = b""
    authority: bytes | None = None
    host: bytes | None = None
    cookie = b""
    lines: list[bytes] = []
    for name, value in fields:
        if name[:1] == b":":
            if name == b":method":
                method = value
            elif name == b":path":
                path = value
            elif name == b":authority":
                authority = value
            elif name == b":scheme":
                scheme = value
            else:
                raise RemoteProtocolError(f"unknown pseudo-header field: {name!r}")
        elif name == b"host":
            host = value
        elif name == b"cookie":
            # RFC 9113 section 8.2.3: one field, which was taken apart to be compressed better.
            cookie = b"%b; %b" % (cookie, value) if cookie else value
        else:
            if b":" in name or b" " in name:
                raise RemoteProtocolError(f"malformed field name: {name!r}")
            lines.append(b"%b: %b" % (name, value))
    if cookie:
        lines.append(b"cookie: " + cookie)
    return method, scheme, path, authority, host, lines


def _agreed_host(authority: bytes | None, host: bytes | None) -> bytes | None:
    """Return the host that a request is for (RFC 9113 section 8.3.1).

    :raises RemoteProtocolError: 400, two fields contradict each other.
    """
    if authority is None or host is None:
        return authority if host is None else host
    if authority.lower() != host.lower():
        raise RemoteProtocolError(f"Host is {host!r} but :authority says {authority!r}")
    return host


def header_list_size(fields: Fields) -> int:
    """Return the size of a field section as RFC 9113 section 10.5.1 counts it."""
    size = 0
    for name, value in fields:
        size += len(name) + len(value) + _FIELD_OVERHEAD
    return size


def check_trailers(limits: Limits, fields: Fields) -> None:
    """Refuse trailer fields that must not be ones, or that are too many or too large.

    :raises RemoteProtocolError: with the status for it.
    """
    if len(fields) > limits.fields:
        raise RemoteProtocolError("more trailers than limit_request_fields", 431)
    for name, value in fields:
        if name in _NOT_IN_TRAILERS:
            raise RemoteProtocolError(f"{name.decode('latin-1')} in a trailer section")
        if len(name) + len(value) + 4 > limits.field_size:
            raise RemoteProtocolError(f"a trailer is longer than limit_request_field_size ({limits.field_size})", 431)
