"""Proxies: which one a request goes through, and how a connection is made through it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from typing import Any, Final, NamedTuple

from .credentials import basic, pair
from .errors import ProxyConnectionError
from .url import Origin, shown, split_authority

__all__ = ["ProxyServer", "environment_proxy", "make_proxy", "open_socks"]

_PORTS: Final = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_URL: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9]*)://)?([^/?#]*)([/?#].*)?", re.DOTALL)


class ProxyServer(NamedTuple):
    """A proxy and what it wants to know of us; ``authorization`` is the value of a Proxy-Authorization field, or empty."""

    origin: Origin
    authorization: str
    auth: tuple[str, str] | None

    @property
    def socks(self) -> bool:
        """True if the proxy speaks SOCKS instead of HTTP."""
        return self.origin.scheme.startswith("socks")

    def __str__(self) -> str:
        host = f"[{self.origin.host}]" if ":" in self.origin.host else self.origin.host
        return f"{self.origin.scheme}://{host}:{self.origin.port}"

    def __repr__(self) -> str:
        return str(self)  # the tuple's own would show the password


def make_proxy(url: Any, auth: Any = None) -> ProxyServer:
    """A proxy from its URL: http, https, socks4, socks4a, socks5 or socks5h. Raises ValueError naming a bad one.

    A path says nothing about a proxy and is passed over, as other programs do.
    """
    if isinstance(url, ProxyServer):
        return url
    text = str(url).strip()
    match = _URL.fullmatch(text)
    scheme = (match[1] or "http").lower() if match else ""
    if match is None or scheme not in _PORTS or not match[2]:
        raise ValueError(f"not the URL of a proxy: {shown(text)}")
    if "@" in (match[3] or ""):
        raise ValueError(f"a /, ? or # in the password of a proxy has to be percent-encoded: {shown(text)}")
    origin, url_auth = split_authority(scheme, match[2], text, _PORTS[scheme])
    credentials = url_auth
    if auth is not None:
        credentials = pair(auth, "proxy_auth is a pair of user and password")
    return ProxyServer(origin, basic(credentials) if credentials else "", credentials)


def environment_proxy(origin: Origin) -> ProxyServer | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY ask for, in small letters or capitals."""

    def variable(name: str) -> str:
        # A CGI script gets the client's "Proxy" field as HTTP_PROXY: it counts in small letters alone there.
        if name == "http_proxy" and "REQUEST_METHOD" in os.environ:
            return os.environ.get(name, "").strip()
        return os.environ.get(name, "").strip() or os.environ.get(name.upper(), "").strip()

    for name in (f"{origin.scheme}_proxy", "all_proxy"):
        if url := variable(name):
            if _exempt(origin, variable("no_proxy")):
                return None
            try:
                return make_proxy(url)
            except ValueError as error:
                raise ValueError(f"{name} in the environment: {error}") from None
    return None


def _exempt(origin: Origin, exceptions: str) -> bool:
    import ipaddress

    own = origin.tls_name
    try:
        address = ipaddress.ip_address(own)
    except ValueError:
        address = None
    for item in exceptions.lower().replace(",", " ").split():
        if item == "*":
            return True
        match = _EXCEPTION.fullmatch(item)
        host, port = (match[1], match[2]) if match else (item, None)  # of several colons none is before a port
        if port and int(port) != origin.port:
            continue
        host = host.strip("[]").partition("%")[0]
        if address is not None:
            try:
                if address in ipaddress.ip_network(host, strict=False):
                    return True
            except ValueError:
                pass
        host = _ascii_name(host.removeprefix("*").strip("."))
        if host and (own == host or own.endswith("." + host)):
            return True
    return False


_EXCEPTION: Final = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?")


def _ascii_name(name: str) -> str:
    """A name as it is looked up; empty for one that cannot be."""
    if name.isascii():
        return name
    import idna

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return ""


async def open_socks(proxy: ProxyServer, origin: Origin, loop: asyncio.AbstractEventLoop) -> socket.socket:
    """A socket to the origin through a SOCKS proxy, which looks the name up. Raises ProxyConnectionError.

    RuntimeError says that the package python-socks is missing.
    """
    try:
        from python_socks import ProxyError, ProxyType
        from python_socks.async_.asyncio import Proxy
    except ImportError:
        raise RuntimeError(f"{proxy}: for SOCKS the package python-socks is needed: aiohttp-worker[socks]") from None
    kind = ProxyType.SOCKS4 if proxy.origin.scheme.startswith("socks4") else ProxyType.SOCKS5
    user, password = proxy.auth or (None, None)
    remote = proxy.origin.scheme != "socks4"  # plain SOCKS4 carries addresses only
    dialer = Proxy(kind, proxy.origin.host, proxy.origin.port, user, password, remote, loop=loop)
    try:
        opened: socket.socket = await dialer.connect(origin.address, origin.port, timeout=3600)
    except (ProxyError, OSError) as error:
        raise ProxyConnectionError(f"{origin} through the proxy {proxy}: {error}") from error
    return opened
