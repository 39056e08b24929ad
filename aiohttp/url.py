"""Pure: URLs as they go on the wire (RFC 3986; RFC 9112 section 3.2).

What is legal stays byte for byte; only characters that no URL may have are percent-encoded. Nothing is decoded.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus, unquote

__all__ = ["Origin", "URL", "add_params", "form_urlencode", "join", "split"]


class Origin(NamedTuple):
    """Scheme, host (ASCII, without brackets) and port: what one connection can serve."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{host_field(self)}"


class URL:
    """A URL split into what the request needs of it."""

    __slots__ = ("auth", "fragment", "host_field", "origin", "path", "text")

    def __init__(self, origin: Origin, path: str, auth: tuple[str, str] | None, fragment: str) -> None:
        self.origin = origin
        self.path = path  # with the query: the origin-form of the target
        self.auth = auth
        self.fragment = fragment
        self.host_field = host_field(origin)
        self.text = f"{origin.scheme}://{self.host_field}{path}"

    def __str__(self) -> str:
        return self.text


_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PARTS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_AUTHORITY: Final = re.compile(r"(?:(.*)@)?(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?", re.DOTALL)
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# RFC 3986 section 3.4: pchar, "/" and "?".
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]]|%(?![0-9A-Fa-f]{2})")


def host_field(origin: Origin) -> str:
    """The value of the Host field: the port only where it is not the scheme's own (RFC 9110 section 7.2)."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if origin.port == _DEFAULT_PORTS.get(origin.scheme) else f"{host}:{origin.port}"


def quote_illegal(text: str) -> str:
    """Percent-encode, as UTF-8, the characters that may not stand in a path or query; raises ValueError for controls."""
    if _CONTROL.search(text):
        raise ValueError(f"a URL cannot have control characters: {text!r}")
    return _ILLEGAL.sub(_quote_match, text)


def _quote_match(match: re.Match[str]) -> str:
    try:
        return "".join(f"%{octet:02X}" for octet in match.group().encode("utf-8"))
    except UnicodeEncodeError:
        raise ValueError(f"a URL cannot have the character {match.group()!r}") from None


@lru_cache(maxsize=1024)
def split(url: str) -> URL:
    """Split an http or https URL. Raises ValueError that names the URL and what is wrong with it."""
    if _CONTROL.search(url):
        raise ValueError(f"a URL cannot have control characters: {url!r}")
    match = _PARTS.fullmatch(url)
    if match is None:
        raise ValueError(f"not an absolute URL: {url!r}")
    scheme, authority, path, query, fragment = match.groups("")
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError(f"scheme {scheme!r} is neither http nor https: {url!r}")
    origin, auth = split_authority(scheme, authority, url, _DEFAULT_PORTS[scheme])
    return URL(origin, quote_illegal((path or "/") + query), auth, fragment[1:])


def split_authority(scheme: str, authority: str, url: str, default_port: int) -> tuple[Origin, tuple[str, str] | None]:
    """Split ``user:password@host:port`` (RFC 3986 section 3.2). Raises ValueError that names the URL."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError(f"bad host or port: {url!r}")
    userinfo, host, port_digits = match.groups()
    port = default_port
    if port_digits:
        port = int(port_digits[:6])
        if not 0 < port <= 65535:
            raise ValueError(f"port {port_digits} is not between 1 and 65535: {url!r}")
    auth = None
    if userinfo is not None:
        user, _, password = userinfo.partition(":")
        auth = (unquote(user), unquote(password))
    return Origin(scheme, _ascii_host(host, url), port), auth


def _ascii_host(host: str, url: str) -> str:
    if host.startswith("["):
        address, _, zone = host[1:-1].partition("%25")
        try:
            socket.inet_pton(socket.AF_INET6, address)
        except (OSError, ValueError):
            raise ValueError(f"bad IPv6 address: {url!r}") from None
        if zone and not re.fullmatch(r"[A-Za-z0-9._~-]+", zone):
            raise ValueError(f"bad zone of an IPv6 address: {url!r}")
        return address.lower() + (f"%{zone}" if zone else "")
    if not host.isascii():
        import idna  # its tables are large, and most hosts do not need them

        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(f"bad host name ({error}): {url!r}") from None
    host = host.lower()
    if not _HOST.fullmatch(host) or len(host) > 254:
        raise ValueError(f"bad host name {host!r}: {url!r}")
    return host


def form_urlencode(fields: Any, encoding: str = "utf-8") -> str:
    """``application/x-www-form-urlencoded`` of a mapping or of pairs; a sequence as value repeats the name.

    Raises TypeError for what is neither, LookupError never: the charset is checked before.
    """
    return "&".join([f"{_quoted(name, encoding)}={_quoted(value, encoding)}" for name, value in field_pairs(fields)])


def _quoted(value: Any, encoding: str) -> str:
    if isinstance(value, bytes | bytearray):
        return quote_plus(bytes(value))
    return quote_plus(value if isinstance(value, str) else str(value), encoding=encoding)


def field_pairs(fields: Any) -> Iterable[tuple[Any, Any]]:
    """Names and values of a mapping, multidict or sequence of pairs, sequences as values spread out."""
    items = fields.items() if isinstance(fields, Mapping) else fields
    for item in items:
        if isinstance(item, str | bytes) or not isinstance(item, Sequence) or len(item) != 2:
            raise TypeError(f"a pair of name and value is needed, not {item!r}")
        name, value = item
        if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
            for one in value:
                yield name, one
        else:
            yield name, value


def add_params(url: URL, params: Any) -> URL:
    """The URL with ``params`` appended to its query. Raises TypeError for what is no mapping, pairs, str or bytes."""
    if isinstance(params, bytes | bytearray):
        text = quote_illegal(bytes(params).decode("latin-1")) if params.isascii() else _quote_octets(bytes(params))
    elif isinstance(params, str):
        text = quote_illegal(params)
    elif isinstance(params, Iterable):
        text = form_urlencode(params)
    else:
        raise TypeError(f"params must be a mapping, pairs, str or bytes, not {params!r}")
    if not text:
        return url
    path = url.path
    joint = "?" if "?" not in path else "" if path[-1] in "?&" else "&"
    return URL(url.origin, path + joint + text, url.auth, url.fragment)


def _quote_octets(octets: bytes) -> str:
    return quote_illegal("".join(chr(o) if o < 128 else f"%{o:02X}" for o in octets))


def join(base: URL, reference: str) -> str:
    """Resolve the value of a Location field against the URL that was asked for (RFC 3986 section 5.2)."""
    from urllib.parse import urljoin

    return urljoin(base.text, reference)
