"""Cookies: read tolerantly, kept where they belong, sent verbatim (RFC 6265)."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable, Container, Iterable, Mapping
from http.cookies import Morsel, SimpleCookie
from typing import Any, Final

from .header_text import decode_field, printable, refuse_controls
from .url import URL, pairs, value_text

__all__ = ["CookieJar", "cookie_field", "parse_set_cookie", "response_cookies"]

_MOST_PER_DOMAIN: Final = 180
_MOST_DOMAINS: Final = 3000
_ATTRIBUTES: Final = frozenset(("expires", "path", "domain", "max-age", "secure", "httponly", "samesite", "comment", "version"))
_BAD: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_NAME: Final = re.compile(r"[\x00-\x20\x7f;,=\ud800-\udc7f\udd00-\udfff]")
_BAD_RECEIVED_NAME: Final = re.compile(r"[\x00-\x1f\x7f;=\ud800-\udc7f\udd00-\udfff]")
_MONTHS: Final = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_TIME: Final = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})")
_IP: Final = re.compile(r"[0-9.]+|.*:.*")


def parse_set_cookie(value: str) -> tuple[str, str, dict[str, str]] | None:
    """Name, value as sent and attributes of one Set-Cookie field (RFC 6265 section 5.2); None if there is no name."""
    pair, *attributes = value.split(";")
    name, equals, coded = pair.partition("=")
    name, coded = name.strip(" \t"), coded.strip(" \t")
    if not equals or not name or _BAD.search(value):
        return None
    found: dict[str, str] = {}
    for attribute in attributes:
        key, _, text = attribute.partition("=")
        key = key.strip().lower()
        if key in _ATTRIBUTES:
            found[key] = text.strip()
    return name, coded, found


def _morsel(name: str, coded: str, attributes: Mapping[str, str]) -> Morsel[str]:
    morsel: Morsel[str] = Morsel()
    value = coded[1:-1] if len(coded) > 1 and coded[0] == coded[-1] == '"' else coded
    # ``set`` refuses names that servers do use.
    restore: Callable[[dict[str, str]], None] = getattr(morsel, "__setstate__")  # noqa: B009 (typeshed does not know it)
    restore({"key": name, "value": value, "coded_value": coded})
    for key, text in attributes.items():
        morsel[key] = True if key in ("secure", "httponly") else text
    return morsel


def response_cookies(fields: Iterable[str]) -> SimpleCookie:
    """The cookies of all Set-Cookie fields of a response; those that cannot be read are left out."""
    cookies = SimpleCookie()
    for field in fields:
        parsed = parse_set_cookie(field)
        if parsed is not None:
            dict.__setitem__(cookies, parsed[0], _morsel(*parsed))
    return cookies


def cookie_pairs(cookies: Any) -> list[tuple[str, str]]:
    """Names and values of a mapping or pairs of str or Morsel. Raises ValueError for what cannot be in a Cookie field."""
    found = []
    for name, value in pairs(cookies):
        # The name in a Morsel came from a server, which will know it again.
        bad = _BAD_RECEIVED_NAME if isinstance(value, Morsel) else _BAD_NAME
        if not isinstance(name, str) or not name or bad.search(name):
            raise ValueError(f"not the name of a cookie: {name!r}")
        if isinstance(value, Morsel):
            text = value.coded_value
        else:
            text = decode_field(bytes(value)) if isinstance(value, bytes | bytearray) else value_text(name, value)
        refuse_controls(text, f"the value of the cookie {printable(name)}")
        if ";" in text:
            raise ValueError(f"the value of the cookie {printable(name)} cannot have ';', which would end it")
        found.append((name, text))
    return found


def cookie_field(shared: Iterable[tuple[str, str]], own: Iterable[tuple[str, str]], field: str) -> str:
    """The value of the Cookie field: the user's own field, then the request's cookies, then the shared ones."""
    own = list(own)
    parts = [field] if field else []
    parts += [f"{name}={value}" for name, value in own]
    names = {name for name, _ in own} | {pair.partition("=")[0].strip() for pair in field.split(";")}
    parts += [f"{name}={value}" for name, value in shared if name not in names]
    return "; ".join(parts)


def without_cookies(field: str, names: Container[str]) -> str:
    """The value of a Cookie field without the cookies of these names."""
    pairs = [pair.strip(" \t") for pair in field.split(";")]
    return "; ".join(pair for pair in pairs if pair.partition("=")[0].rstrip(" \t") not in names)


def parse_date(text: str) -> float | None:
    """The date of an Expires attribute in any order of its parts (RFC 6265 section 5.1.1), as seconds since 1970."""
    clock = _TIME.search(text)
    day = year = month = 0
    for word in re.split(r"[^0-9A-Za-z:]+", text):
        if word.isdigit() and len(word) <= 2 and not day:
            day = int(word)
        elif word.isdigit() and 2 <= len(word) <= 4 and not year:
            year = int(word)
            year += 2000 if year < 70 else 1900 if year < 100 else 0
        elif word[:3].lower() in _MONTHS and not month:
            month = _MONTHS[word[:3].lower()]
    if clock is None or not 1 <= day <= 31 or not month or year < 1601:
        return None
    hour, minute, second = (int(part) for part in clock.groups())
    if hour > 23 or minute > 59 or second > 59:
        return None
    return calendar.timegm((year, month, day, hour, minute, second))


def _trusted(url: URL) -> bool:
    """True if nobody can read what is sent there."""
    return url.origin.scheme == "https" or url.origin.host in ("localhost", "127.0.0.1", "::1")


def _keeps_promise(name: str, attributes: Mapping[str, str]) -> bool:
    """True if a cookie is what its name says that it is (RFC 6265bis section 4.1.3)."""
    prefix = name[:9].lower()
    if prefix.startswith("__host-"):
        return "secure" in attributes and attributes.get("path") == "/" and not attributes.get("domain")
    return prefix != "__secure-" or "secure" in attributes


class _Stored:
    __slots__ = ("coded", "expires", "host_only", "made", "name", "path", "secure")

    def __init__(self, name: str, coded: str, path: str, secure: bool, expires: float | None, host_only: bool) -> None:
        self.name = name
        self.coded = coded
        self.path = path
        self.secure = secure
        self.expires = expires
        self.host_only = host_only
        self.made = time.monotonic()

    def fits_path(self, path: str) -> bool:
        # RFC 6265 section 5.1.4
        own = self.path
        return path == own or (path.startswith(own) and (own[-1] == "/" or path[len(own) : len(own) + 1] == "/"))


class CookieJar:
    """Jar of the cookies that servers have set.

    A Domain attribute is honoured if it is the host itself. Wider domains need the package publicsuffixlist, which knows
    ``co.uk`` from ``example.uk``; without it such a cookie goes back to the very host that set it and to no other.
    """

    def __init__(self) -> None:
        self._domains: dict[str, dict[tuple[str, str], _Stored]] = {}
        self._everywhere: dict[str, str] = {}
        self._suffixes: Any = None
        self._suffixes_tried = False

    def update(self, cookies: Any, url: URL | None = None) -> None:
        """Add cookies of the user's: for the host of ``url``, or without it for every request."""
        for name, value in cookie_pairs(cookies):
            if url is None:
                self._everywhere[name] = value
            else:
                self._keep(url.origin.host, _Stored(name, value, "/", False, None, True))

    def receive(self, fields: Iterable[str], url: URL) -> list[tuple[str, bool]]:
        """Take the Set-Cookie fields of a response to a request for ``url`` (RFC 6265 section 5.3).

        Returns the names of those that were taken, and whether they were deleted.
        """
        changed = []
        for field in fields:
            parsed = parse_set_cookie(field)
            if parsed is not None and (deleted := self._receive_one(*parsed, url)) is not None:
                changed.append((parsed[0], deleted))
        return changed

    def _receive_one(self, name: str, coded: str, attributes: dict[str, str], url: URL) -> bool | None:
        """True if the cookie was deleted rather than kept, None if it was neither."""
        host = url.origin.host
        domain, host_only = host, True
        wanted = attributes.get("domain", "").lstrip(".").lower()
        if wanted and wanted != host:
            if not host.endswith("." + wanted) or _IP.fullmatch(host):
                return None  # RFC 6265 section 5.3, step 6: a domain that is not the server's
            if self._registrable(wanted):
                domain, host_only = wanted, False
        elif wanted and not _IP.fullmatch(host) and self._registrable(host):
            host_only = False
        path = attributes.get("path", "")
        if not path.startswith("/"):
            path = url.path.partition("?")[0].rpartition("/")[0] or "/"
        secure = "secure" in attributes
        trusted = _trusted(url)
        if (secure and not trusted) or not _keeps_promise(name, attributes):
            return None
        if not secure and not trusted and self._secure_one(name, host, path):
            return None
        expires = self._expires(attributes)
        if expires is not None and expires <= time.time():
            self._domains.get(domain, {}).pop((path, name), None)
            return True
        self._keep(domain, _Stored(name, coded, path, secure, expires, host_only))
        return False

    def _secure_one(self, name: str, host: str, path: str) -> bool:
        """True if there is a secure cookie that one of this name would hide (RFC 6265bis section 5.7, step 17)."""
        domain = host
        while domain:
            for cookie in self._domains.get(domain, {}).values():
                if cookie.name == name and cookie.secure and cookie.fits_path(path):
                    return True
            domain = domain.partition(".")[2]
        return False

    @staticmethod
    def _expires(attributes: Mapping[str, str]) -> float | None:
        seconds = attributes.get("max-age", "")
        if re.fullmatch(r"-?[0-9]{1,12}", seconds):
            return time.time() + int(seconds)
        return parse_date(attributes["expires"]) if "expires" in attributes else None

    def _keep(self, domain: str, cookie: _Stored) -> None:
        cookies = self._domains.setdefault(domain, {})
        key = (cookie.path, cookie.name)
        old = cookies.get(key)
        if old is not None:
            cookie.made = old.made  # RFC 6265 section 5.3, step 11
        cookies[key] = cookie
        if len(cookies) > _MOST_PER_DOMAIN:
            del cookies[next(iter(cookies))]
        if len(self._domains) > _MOST_DOMAINS:
            del self._domains[next(iter(self._domains))]

    def _registrable(self, domain: str) -> bool:
        """True if somebody can own the domain, so that all hosts in it are theirs."""
        if not self._suffixes_tried:
            self._suffixes_tried = True
            try:
                from publicsuffixlist import PublicSuffixList
            except ImportError:
                return False
            self._suffixes = PublicSuffixList()
        return self._suffixes is not None and self._suffixes.privatesuffix(domain) is not None

    def pairs(self, url: URL) -> list[tuple[str, str]]:
        """The cookies for a request, longer paths first (RFC 6265 section 5.4)."""
        found: list[_Stored] = []
        host = url.origin.host
        domain = host
        path = url.path.partition("?")[0]
        trusted = _trusted(url)
        now = time.time()
        while domain:
            cookies = self._domains.get(domain)
            if cookies:
                for key, cookie in list(cookies.items()):
                    if cookie.expires is not None and cookie.expires <= now:
                        del cookies[key]
                    elif (domain == host or not cookie.host_only) and (trusted or not cookie.secure) and cookie.fits_path(path):
                        found.append(cookie)
            domain = domain.partition(".")[2]
        found.sort(key=lambda cookie: (-len(cookie.path), cookie.made))
        pairs = [(cookie.name, cookie.coded) for cookie in found]
        return pairs + [pair for pair in self._everywhere.items() if pair[0] not in {name for name, _ in pairs}]

    def as_simple_cookie(self) -> SimpleCookie:
        """All cookies, by name."""
        cookies = SimpleCookie()
        for domain, stored in self._domains.items():
            for cookie in stored.values():
                attributes = {"path": cookie.path, "domain": domain} | ({"secure": "1"} if cookie.secure else {})
                dict.__setitem__(cookies, cookie.name, _morsel(cookie.name, cookie.coded, attributes))
        for name, value in self._everywhere.items():
            dict.__setitem__(cookies, name, _morsel(name, value, {}))
        return cookies
