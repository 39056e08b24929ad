"""Names and addresses as the server sees them: Host, SNI and certificate."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

import aiohttp
from tests.certificates import Authority

from .raw_server import RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def with_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not with_ipv6(), reason="no IPv6 here")


def serving(authority: Authority, names: list[str | None]) -> ssl.SSLContext:
    """TLS settings that note the names that clients ask for."""
    context = authority.server_context(authority.issue("dialled", "/CN=localhost", "DNS:localhost,IP:127.0.0.1,IP:::1"))
    context.sni_callback = lambda _, name, __: names.append(name)
    return context


@needs_ipv6
@pytest.mark.parametrize("zone", ["%25lo", "%lo", "%251", "%1"])
def test_zone(run: Any, zone: str) -> None:
    async def main() -> None:
        async with RawServer(OK, host="::1") as server:
            async with aiohttp.request("GET", f"http://[::1{zone}]:{server.port}/") as response:
                assert await response.read() == b"ok"
            assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in server.heads[0]

    run(main)


@needs_ipv6
def test_zone_and_certificate(run: Any, authority: Authority) -> None:
    names: list[str | None] = []

    async def main() -> None:
        async with RawServer(OK, host="::1", tls=serving(authority, names)) as server:
            async with aiohttp.SocketConnector(ssl_context=authority.client_context()) as connector:
                url = f"https://[::1%25lo]:{server.port}/"
                async with aiohttp.request("GET", url, connector=connector) as response:
                    assert await response.read() == b"ok"
                assert response.url == url
            assert names == [None]  # RFC 6066 section 3: no addresses

    run(main)


def test_zone_that_is_not_there(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(aiohttp.OsConnectionError, match="nosuch0"):
            await aiohttp.request("GET", "http://[fe80::1%nosuch0]:8/")

    run(main)


def test_trailing_dot(run: Any, authority: Authority) -> None:
    """It says that the name is whole, and is no part of it."""
    names: list[str | None] = []

    async def main() -> None:
        connector = aiohttp.SocketConnector(ssl_context=authority.client_context())
        async with RawServer(OK, tls=serving(authority, names)) as server, connector:
            address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", server.port))
            connector._resolver._known["localhost.", server.port] = (float("inf"), [address])
            async with aiohttp.request("GET", f"https://localhost.:{server.port}/", connector=connector) as response:
                assert await response.read() == b"ok"
            assert f"\r\nHost: localhost.:{server.port}\r\n".encode() in server.heads[0]
            assert names == ["localhost"]

    run(main)
