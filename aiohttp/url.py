"""Pure: URLs as they go on the wire (RFC 3986; RFC 9112 section 3.2).

What is legal stays byte for byte; only characters that no URL may have are percent-encoded. Nothing is decoded.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, quote_plus, unquote

from .header_text import encode_field, printable

__all__ = ["Origin", "URL", "add_params", "form_urlencode", "join", "split"]


class Origin(NamedTuple):
    """Scheme, host (ASCII, without brackets) and port: what one connection can serve."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{host_text(self, self.host)}"

    @property
    def address(self) -> str:
        """The host without the zone of an IPv6 address, which means nothing to anybody else (RFC 6874 section 1)."""
        return self.host.partition("%")[0]

    @property
    def tls_name(self) -> str:
        """The name for SNI and for the check of the certificate: no zone, no trailing dot (RFC 6066 section 3)."""
        return self.address.removesuffix(".")


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
        if "%" in origin.host:
            address, _, zone = origin.host.partition("%")
            self.text = f"{origin.scheme}://{host_text(origin, f'{address}%25{quote(zone)}')}{path}"

    def __str__(self) -> str:
        return self.text

    @property
    def absolute_form(self) -> str:
        """Request target for a proxy, in absolute form (RFC 9112 section 3.2.2)."""
        return f"{self.origin.scheme}://{self.host_field}{self.path}"


_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PARTS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_AUTHORITY: Final = re.compile(r"(?:(.*)@)?(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?", re.DOTALL)
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# RFC 3986 section 3.4: pchar, "/" and "?".
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]]|%(?![0-9A-Fa-f]{2})")


_USER: Final = re.compile(r"\A([A-Za-z][A-Za-z0-9+.\-]*://)?.*@", re.DOTALL)
_ODD_PORT: Final = re.compile(r"\A((?:[A-Za-z][A-Za-z0-9+.\-]*://)?[^/?#:\[\]@]*):(?![0-9]*(?:[/?#]|\Z))[^/?#]*")


def shown(url: str) -> str:
    """A URL, however malformed, as an error shows it: without anything that can be part of a password."""
    text = _USER.sub(lambda match: f"{match[1] or ''}***@", url)
    return repr(_ODD_PORT.sub(r"\1:***", text))


def host_text(origin: Origin, host: str) -> str:
    """Host and port: IPv6 addresses in brackets, the port only where it is not the scheme's own."""
    if ":" in host:
        host = f"[{host}]"
    return host if origin.port == _DEFAULT_PORTS.get(origin.scheme) else f"{host}:{origin.port}"


def host_field(origin: Origin) -> str:
    """The value of the Host field (RFC 9110 section 7.2)."""
    return host_text(origin, origin.address)


def quote_illegal(text: str) -> str:
    """Percent-encode, as UTF-8, the characters that may not stand in a path or query; raises ValueError for controls.

    Octets of a header that are not UTF-8 (see ``header_text``) are encoded as they came.
    """
    if _CONTROL.search(text):
        raise ValueError(f"a URL cannot have control characters: {shown(text)}")
    return _ILLEGAL.sub(_quote_match, text)


def _quote_match(match: re.Match[str]) -> str:
    try:
        return "".join(f"%{octet:02X}" for octet in encode_field(match.group()))
    except UnicodeEncodeError:
        raise ValueError(f"a URL cannot have the character {match.group()!r}") from None


@lru_cache(maxsize=1024)
def split(url: str) -> URL:
    """Split an http or https URL. Raises ValueError that names the URL and what is wrong with it."""
    if _CONTROL.search(url):
        raise ValueError(f"a URL cannot have control characters: {shown(url)}")
    match = _PARTS.fullmatch(url)
    if match is None:
        raise ValueError(f"not an absolute URL: {shown(url)}")
    scheme, authority, path, query, fragment = match.groups("")
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError(f"scheme {scheme!r} is neither http nor https: {shown(url)}")
    origin, auth = split_authority(scheme, authority, url, _DEFAULT_PORTS[scheme])
    return URL(origin, quote_illegal((path or "/") + query), auth, fragment[1:])


def split_authority(scheme: str, authority: str, url: str, default_port: int) -> tuple[Origin, tuple[str, str] | None]:
    """Split ``user:password@host:port`` (RFC 3986 section 3.2). Raises ValueError that names the URL."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError(f"bad host or port: {shown(url)}")
    userinfo, host, port_digits = match.groups()
    port = default_port
    if port_digits:
        port = int(port_digits[:6])
        if not 0 < port <= 65535:
            raise ValueError(f"the port is not between 1 and 65535: {shown(url)}")
    auth = None
    if userinfo is not None:
        user, _, password = userinfo.partition(":")
        auth = (unquote(user, errors="surrogateescape"), unquote(password, errors="surrogateescape"))
    return Origin(scheme, _ascii_host(host, url), port), auth


def _ascii_host(host: str, url: str) -> str:
    if host.startswith("["):
        address, percent, zone = host[1:-1].partition("%")
        try:
            socket.inet_pton(socket.AF_INET6, address)
        except (OSError, ValueError):
            raise ValueError(f"bad IPv6 address: {shown(url)}") from None
        # RFC 6874 section 2 writes "%25eth0", people and ip(8) write "%eth0".
        if len(zone) > 2:
            zone = zone.removeprefix("25")
        zone = unquote(zone)
        if percent and not re.fullmatch(r"[!-.0-~]+", zone):
            raise ValueError(f"bad zone of an IPv6 address: {shown(url)}")
        return address.lower() + percent + zone
    if not host.isascii():
        import idna  # its tables are large, and most hosts do not need them

        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            why = f" ({printable(str(error))})" if "@" not in url else ""
            raise ValueError(f"bad host name{why}: {shown(url)}") from None
    host = host.lower()
    if (
        not _HOST.fullmatch(host)
        or len(host) > 254
        or not all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))
    ):
        raise ValueError(f"bad host name: {shown(url)}")
    return host


def form_urlencode(fields: Any, encoding: str = "utf-8") -> str:
    """``application/x-www-form-urlencoded`` of a mapping or of pairs; a sequence as value repeats the name.

    Raises TypeError for what is neither, LookupError never: the charset is checked before.
    """
    return "&".join(
        [f"{_quoted(name, encoding, 'a name')}={_quoted(value, encoding, name)}" for name, value in field_pairs(fields)]
    )


def _quoted(value: Any, encoding: str, name: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return quote_plus(bytes(value))
    text = value if isinstance(value, str) else value_text(name, value)
    if text.isascii():
        return quote_plus(text, encoding=encoding)
    return quote_plus(encode_text(text, encoding, f"a value for {name!r}"))


def encode_text(text: str, encoding: str, what: str) -> bytes:
    """Text in a charset; octets of a header that are not UTF-8 go on as they came. Raises ValueError that names ``what``."""
    try:
        return text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} has the character {text[error.start]!r}, which is not in {encoding}") from None


_NO_TEXT: Final[Any] = object.__str__


def value_text(name: Any, value: Any) -> str:
    """The text of a value in a form, a query or a cookie: str, a number, or what makes a text of itself.

    Raises ValueError for None, and for what Python can only describe: ``{'a': 1}`` or ``<object at 0x…>`` is in nobody's form.
    """
    if isinstance(value, str):
        return value
    if type(value).__str__ is _NO_TEXT and not isinstance(value, int | float):
        what = "None" if value is None else f"of the type {type(value).__name__}"
        raise ValueError(f"a value for {name!r} is {what}, which has no text: give a str, or leave it out")
    return str(value)


def pairs(fields: Any) -> Iterable[tuple[Any, Any]]:
    """Names and values of a mapping, multidict or sequence of pairs. Raises TypeError for anything else."""
    if isinstance(fields, Mapping) or hasattr(fields, "items"):
        yield from fields.items()
        return
    if isinstance(fields, str | bytes) or not isinstance(fields, Iterable):
        raise TypeError(f"a mapping or pairs of name and value are needed, not {type(fields).__name__}")
    for item in fields:
        if isinstance(item, str | bytes) or not isinstance(item, Sequence) or len(item) != 2:
            raise TypeError(f"a pair of name and value is needed, not {type(item).__name__}")
        yield item[0], item[1]


def field_pairs(fields: Any) -> Iterable[tuple[Any, Any]]:
    """Names and values of a mapping, multidict or sequence of pairs, sequences as values spread out."""
    for name, value in fields.items() if isinstance(fields, Mapping) else pairs(fields):
        if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
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
        raise TypeError(f"params must be a mapping, pairs, str or bytes, not {type(params).__name__}")
    if not text:
        return url
    path = url.path
    joint = "?" if "?" not in path else "" if path[-1] in "?&" else "&"
    return URL(url.origin, path + joint + text, url.auth, url.fragment)


def _quote_octets(octets: bytes) -> str:
    return quote_illegal("".join(chr(o) if o < 128 else f"%{o:02X}" for o in octets))


def join(base: URL, reference: str) -> str:
    """Resolve the value of a Location or Link field against the URL that was asked for (RFC 3986 section 5.2).

    ``urllib.parse.urljoin`` loses empty parts: the ``;`` of ``/x;``, the ``?`` of ``/x?``, and the lack of a host in ``http://``.
    """
    match = _REFERENCE.fullmatch(reference)
    assert match is not None  # it takes any text
    scheme, authority, path, query, fragment = match.groups()
    if scheme is not None and (authority is not None or scheme.lower() != base.origin.scheme):
        return f"{scheme}:{authority or ''}{_remove_dots(path) if authority else path}{query or ''}{fragment or ''}"
    # "http:x" from an http URL is taken as "x", as RFC 3986 section 5.2.2 allows and browsers do.
    if authority is not None:
        return f"{base.origin.scheme}:{authority}{_remove_dots(path)}{query or ''}{fragment or ''}"
    base_path, mark, base_query = base.path.partition("?")
    root = base.text[: len(base.text) - len(base.path)]
    if not path:
        return f"{root}{base_path}{mark + base_query if query is None else query}{fragment or ''}"
    if not path.startswith("/"):
        path = f"{base_path.rpartition('/')[0]}/{path}"
    return f"{root}{_remove_dots(path)}{query or ''}{fragment or ''}"


# RFC 3986 appendix B
_REFERENCE: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.\-]*):)?(//[^/?#]*)?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)


def _remove_dots(path: str) -> str:
    """A path without its ``.`` and ``..`` (RFC 3986 section 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    first, *segments = path.split("/")
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join([first, *kept])
