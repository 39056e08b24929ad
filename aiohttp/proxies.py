"""Proxies: which one a request goes through, and how a connection is made through it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from typing import Any, Final, NamedTuple

from .credentials import basic
from .errors import ProxyConnectionError
from .url import Origin, split_authority

__all__ = ["ProxyServer", "environment_proxy", "make_proxy", "open_socks"]

_PORTS: Final = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_URL: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9]*)://)?([^/?#]*)/?", re.DOTALL)


class ProxyServer(NamedTuple):
    """A proxy and what it wants to know of us; ``authorization`` is the value of a Proxy-Authorization field, or empty."""

    origin: Origin
    authorization: str
    auth: tuple[str, str] | None

    @property
    def socks(self) -> bool:
        """Whether it speaks SOCKS, not HTTP."""
        return self.origin.scheme.startswith("socks")

    def __str__(self) -> str:
        return f"{self.origin.scheme}://{self.origin.host}:{self.origin.port}"


def make_proxy(url: Any, auth: Any = None) -> ProxyServer:
    """A proxy from its URL: http, https, socks4, socks4a, socks5 or socks5h. Raises ValueError naming a bad one."""
    if isinstance(url, ProxyServer):
        return url
    text = str(url)
    match = _URL.fullmatch(text)
    scheme = (match[1] or "http").lower() if match else ""
    if match is None or scheme not in _PORTS or not match[2]:
        raise ValueError(f"not the URL of a proxy: {text!r}")
    origin, url_auth = split_authority(scheme, match[2], text, _PORTS[scheme])
    credentials = url_auth
    if auth is not None:
        if not isinstance(auth, tuple | list) or len(auth) != 2:
            raise ValueError(f"proxy_auth is a pair of user and password, not {auth!r}")
        credentials = (str(auth[0]), str(auth[1]))
    return ProxyServer(origin, basic(credentials) if credentials else "", credentials)


def environment_proxy(origin: Origin) -> ProxyServer | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY ask for, in small letters or capitals."""

    def variable(name: str) -> str:
        # A CGI script gets the client's "Proxy" field as HTTP_PROXY: it counts in small letters alone there.
        if name == "http_proxy" and "REQUEST_METHOD" in os.environ:
            return os.environ.get(name, "")
        return os.environ.get(name) or os.environ.get(name.upper()) or ""

    url = variable(f"{origin.scheme}_proxy") or variable("all_proxy")
    if not url or _exempt(origin, variable("no_proxy")):
        return None
    return make_proxy(url)


def _exempt(origin: Origin, exceptions: str) -> bool:
    import ipaddress

    try:
        address = ipaddress.ip_address(origin.host)
    except ValueError:
        address = None
    for item in exceptions.lower().replace(",", " ").split():
        if item == "*":
            return True
        if address is not None:
            try:
                if address in ipaddress.ip_network(item.strip("[]"), strict=False):
                    return True
            except ValueError:
                pass
        host, _, port = item.rpartition(":") if re.fullmatch(r"[^:]+:[0-9]+", item) else (item, "", "")
        if port and int(port) != origin.port:
            continue
        host = host.removeprefix("*").lstrip(".").strip("[]")
        if host and (origin.host == host or origin.host.endswith("." + host)):
            return True
    return False


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
        opened: socket.socket = await dialer.connect(origin.host, origin.port, timeout=3600)
    except (ProxyError, OSError) as error:
        raise ProxyConnectionError(f"{origin} through the proxy {proxy}: {error}") from error
    return opened
