"""Pure: the head of a request (RFC 9112 section 3), checked before a byte is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aiohttp_worker import __version__
from aiohttp_worker.http1.grammar import CONTENT_LENGTH, TOKEN

from .body import Body, BytesBody
from .decompression import accept_encoding
from .header_text import check_field_value, decode_field, encode_field
from .url import URL, join, pairs, split

__all__ = ["Redirect", "Request", "check_method", "check_redirects", "check_version", "follow"]

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
IDEMPOTENT: Final = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"))
_BODY_EXPECTED: Final = frozenset(("POST", "PUT", "PATCH"))
REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))


def check_method(method: str) -> str:
    """The method in capitals. Raises ValueError if it is not a token (RFC 9110 section 9.1)."""
    if method in _METHODS:
        return method
    if not isinstance(method, str) or not TOKEN.fullmatch(method):
        raise ValueError(f"not a method: {method!r}")
    return method.upper()


def check_version(version: Any) -> tuple[int, int]:
    """(1, 1) or (1, 0), also from ``"1.1"``. Raises ValueError for anything else."""
    if version == (1, 1):
        return (1, 1)
    text = version if isinstance(version, str) else ".".join(map(str, version)) if isinstance(version, tuple | list) else ""
    if text not in ("1.0", "1.1"):
        raise ValueError(f"version must be (1, 0) or (1, 1), not {version!r}")
    return (1, 0) if text == "1.0" else (1, 1)


class Request:
    """One request as it goes out: everything in it has been checked.

    ``fields`` are the user's field lines, ``names`` their names in small letters.
    """

    __slots__ = (
        "accept_field", "body", "chunked", "close_asked", "connection_options", "cookie", "expect100", "fields", "host_field",
        "keep_alive_asked", "method", "names", "proxy_authorization", "removed", "length", "upgrade", "url", "version",
    )  # fmt: skip

    def __init__(self, method: str, url: URL, version: tuple[int, int]) -> None:
        self.method = method
        self.url = url
        self.version = version
        self.fields: list[tuple[str, str]] | None = None
        self.names: set[str] | frozenset[str] = frozenset()
        self.removed: set[str] | None = None
        self.body: Body | None = None
        self.chunked = False
        self.length: int | None = None
        self.cookie = ""
        self.host_field = url.host_field
        self.expect100 = False
        self.close_asked = self.keep_alive_asked = False
        self.connection_options: tuple[str, ...] = ()
        self.upgrade = ""
        self.proxy_authorization = ""

    def set_headers(self, headers: Any) -> None:
        """Take the user's fields. Raises ValueError naming the one that cannot be sent."""
        items = headers.items() if isinstance(headers, Mapping) else pairs(headers)
        fields: list[tuple[str, str]] = []
        names: set[str] = set()
        for name, value in items:
            if isinstance(name, bytes):
                name = decode_field(name)
            elif not isinstance(name, str):
                raise TypeError(f"the name of a field must be str, not {name!r}")
            lowered = name.lower()
            if not TOKEN.fullmatch(name):
                raise ValueError(f"not the name of a field: {name!r}")
            if value is None:
                if self.removed is None:
                    self.removed = set()
                self.removed.add(lowered)
                continue
            value = check_field_value(name, value)
            if (take := _OWN_FIELDS.get(lowered)) is not None:
                take(self, value)
                if lowered != "te":
                    continue
            names.add(lowered)
            fields.append((name, value))
        if "upgrade" in self.connection_options and not self.upgrade:
            raise ValueError("Connection: upgrade says nothing without an Upgrade field")
        self.fields = fields
        self.names = names

    # Fields that decide how the request is sent, so that they are more than lines to be copied.

    def _take_host(self, value: str) -> None:
        if self.host_field != self.url.host_field:
            raise ValueError(f"a request has one Host field, not {self.host_field!r} and {value!r}")
        self.host_field = value

    def _take_cookie(self, value: str) -> None:
        self.cookie = f"{self.cookie}; {value}" if self.cookie else value

    def _take_content_length(self, value: str) -> None:
        if not CONTENT_LENGTH.fullmatch(value):
            raise ValueError(f"not a Content-Length: {value!r}")
        self.length = int(value)

    def _take_transfer_encoding(self, value: str) -> None:
        if value.lower() != "chunked":
            raise ValueError(f"the only transfer coding is chunked, not {value!r}")
        self.chunked = True

    def _take_expect(self, value: str) -> None:
        if value.lower() != "100-continue":
            raise ValueError(f"the only expectation is 100-continue, not {value!r}")
        self.expect100 = True

    def _take_connection(self, value: str) -> None:
        options = [option.strip().lower() for option in value.split(",")]
        self.close_asked = self.close_asked or "close" in options
        self.keep_alive_asked = self.keep_alive_asked or "keep-alive" in options
        for option in options:
            if option and not TOKEN.fullmatch(option):
                raise ValueError(f"not an option of a Connection field: {option!r}")
            if option not in ("", "close", "keep-alive"):
                self._add_connection_option(option)

    def _take_upgrade(self, value: str) -> None:
        self.upgrade = value
        self._add_connection_option("upgrade")  # RFC 9110 section 7.8

    def _take_te(self, value: str) -> None:
        if value.lower() != "trailers":
            raise ValueError(f"no transfer coding but chunked can be undone, so TE can be trailers alone, not {value!r}")
        self._add_connection_option("te")  # RFC 9110 section 10.1.4

    def _take_trailer(self, value: str) -> None:
        raise ValueError("a request cannot have trailers here, so it cannot announce them in a Trailer field")

    def _take_proxy_authorization(self, value: str) -> None:
        self.proxy_authorization = value

    def _add_connection_option(self, option: str) -> None:
        if option not in self.connection_options:
            self.connection_options = (*self.connection_options, option)

    def set_authorization(self, value: str) -> None:
        """Put this in the place of any Authorization field."""
        value = check_field_value("Authorization", value)
        self.fields = [field for field in self.fields or () if field[0].lower() != "authorization"]
        self.fields.append(("Authorization", value))
        self.names = {*self.names, "authorization"}

    def redirected(self, method: str, url: URL, keep_body: bool, cross_origin: bool) -> Request:
        """The request that follows a redirect: what is secret stays with its origin, and what is of the body with the body."""
        follower = Request(method, url, self.version)
        follower.close_asked = self.close_asked
        follower.keep_alive_asked = self.keep_alive_asked
        follower.removed = self.removed
        follower.connection_options = tuple(option for option in self.connection_options if option != "upgrade")
        if not cross_origin:
            follower.cookie = self.cookie
            follower.proxy_authorization = self.proxy_authorization
            follower.host_field = self.host_field
            if url.auth is None and self.url.auth is not None:
                follower.url = URL(url.origin, url.path, self.url.auth, url.fragment)
        fields = self.fields or []
        if cross_origin:
            fields = [field for field in fields if field[0].lower() != "authorization"]
        if keep_body:
            follower.body, follower.chunked, follower.length = self.body, self.chunked, self.length
            follower.expect100 = self.expect100
        else:
            fields = [field for field in fields if not field[0].lower().startswith("content-")]
        follower.fields = fields
        follower.names = {name.lower() for name, _ in fields}
        return follower

    def set_body(self, body: Body, chunked: bool) -> None:
        """Decide how the body is delimited (RFC 9112 section 6). Raises ValueError where that is impossible."""
        self.body = body
        if chunked or self.chunked:
            if self.version == (1, 0):
                raise ValueError("HTTP/1.0 has no chunked bodies: version=(1, 0) with chunked")
            self.chunked = True
            self.length = None
            return
        if body.length is not None:
            if self.length is not None and self.length != body.length:
                raise ValueError(f"Content-Length is {self.length}, but the body has {body.length} bytes")
            self.length = body.length
        elif self.length is None:
            self.chunked = True

    def head(self, target: str, close: bool, extra: str, cookie: str) -> bytes:
        """The bytes of the head. ``target`` is the request target, ``extra`` field lines that go before the user's."""
        names = self.names
        removed = self.removed
        if self.body is None and self.fields is None and removed is None and not (cookie or extra or self.connection_options):
            return _plain_head(self.method, target, self.host_field, self.version, close, self.keep_alive_asked)
        lines = [f"{self.method} {target} HTTP/{'1.1' if self.version == (1, 1) else '1.0'}\r\nHost: {self.host_field}\r\n"]
        if removed is None and not names:
            lines.append(_default_lines())
        else:
            for lowered, line in _defaults():
                if lowered not in names and (removed is None or lowered not in removed):
                    # A part of a coded body is good for nothing, and the numbers of a Range count coded bytes.
                    identity = lowered == "accept-encoding" and "range" in names
                    lines.append("Accept-Encoding: identity\r\n" if identity else line)
        lines.append(extra)
        if self.fields:
            lines.append("".join([f"{name}: {value}\r\n" for name, value in self.fields]))
        if cookie:
            lines.append(f"Cookie: {cookie}\r\n")
        lines.append(self._connection_lines(close))
        if self.body is not None:
            lines.append(self._body_lines(self.body))
        elif self.method in _BODY_EXPECTED:
            lines.append("Content-Length: 0\r\n")  # RFC 9110 section 8.6
        lines.append("\r\n")
        return encode_field("".join(lines))

    def _connection_lines(self, close: bool) -> str:
        """Return the lines of Connection and Upgrade (RFC 9110 sections 7.6.1 and 7.8)."""
        options = self.connection_options
        if self.upgrade:
            return f"Connection: {', '.join(options)}\r\nUpgrade: {self.upgrade}\r\n"
        if close:
            options = ("close", *options)
        elif self.version == (1, 0) and self.keep_alive_asked:
            options = ("keep-alive", *options)
        return f"Connection: {', '.join(options)}\r\n" if options else ""

    def _body_lines(self, body: Body) -> str:
        """Return the lines that describe and delimit the body."""
        lines = ""
        if body.content_type is not None and "content-type" not in self.names and "content-type" not in (self.removed or ()):
            lines = f"Content-Type: {body.content_type}\r\n"
        if body.content_coding is not None:
            lines += f"Content-Encoding: {body.content_coding}\r\n"
        lines += "Transfer-Encoding: chunked\r\n" if self.chunked else f"Content-Length: {self.length}\r\n"
        return f"{lines}Expect: 100-continue\r\n" if self.expect100 else lines

    @property
    def replayable(self) -> bool:
        """True if the request can be sent a second time."""
        return self.body is None or isinstance(self.body, BytesBody) or self.body.replayable


_OWN_FIELDS: Final[Mapping[str, Callable[[Request, str], None]]] = {
    "connection": Request._take_connection,
    "content-length": Request._take_content_length,
    "cookie": Request._take_cookie,
    "expect": Request._take_expect,
    "host": Request._take_host,
    "proxy-authorization": Request._take_proxy_authorization,
    "te": Request._take_te,
    "trailer": Request._take_trailer,
    "transfer-encoding": Request._take_transfer_encoding,
    "upgrade": Request._take_upgrade,
}


@lru_cache(maxsize=512)
def _plain_head(method: str, target: str, host: str, version: tuple[int, int], close: bool, keep_alive: bool) -> bytes:
    """The head of a request without anything of its own; programs ask for the same thing again and again."""
    minor = version[1]
    kept = "Connection: close\r\n" if close else "Connection: keep-alive\r\n" if minor == 0 and keep_alive else ""
    length = "Content-Length: 0\r\n" if method in _BODY_EXPECTED else ""
    head = f"{method} {target} HTTP/1.{minor}\r\nHost: {host}\r\n{_default_lines()}{kept}{length}\r\n"
    return encode_field(head)


@lru_cache(maxsize=1)
def _defaults() -> tuple[tuple[str, str], ...]:
    return (
        ("accept", "Accept: */*\r\n"),
        ("accept-encoding", f"Accept-Encoding: {accept_encoding()}\r\n"),
        ("user-agent", f"User-Agent: aiohttp-worker/{__version__}\r\n"),
    )


@lru_cache(maxsize=1)
def _default_lines() -> str:
    return "".join(line for _, line in _defaults())


class Redirect(NamedTuple):
    """The next request: with the body or without, and whether it goes to another origin."""

    method: str
    url: URL
    keep_body: bool
    cross_origin: bool


def check_redirects(number: object) -> int | None:
    """Return the largest number of redirects, None for any. Raises ValueError for anything that is no number of them."""
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
        raise ValueError(f"max_redirects is a number of responses, or None for no limit, not {number!r}")
    return number


def follow(status_code: int, method: str, url: URL, location: str) -> Redirect:
    """Decide on the next request. Raises ValueError if ``location`` is not a URL that can be asked for.

    Servers send UTF-8 and latin-1 here although they must not: ``header_text`` has kept the octets, and they are percent-encoded.
    """
    target = split(join(url, location.strip(" \t")))
    if (status_code == 303 and method != "HEAD") or (status_code in (301, 302) and method == "POST"):
        return Redirect("GET", target, False, target.origin != url.origin)
    return Redirect(method, target, True, target.origin != url.origin)
