"""squid, tinyproxy and microsocks, with a TLS server and a plain one behind them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import aiohttp
from tests.certificates import Authority
from tests.client.raw_server import RawServer

from .servers import free_port, program, running

pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def behind(authority: Authority) -> AsyncIterator[tuple[RawServer, RawServer]]:
    context = authority.server_context(authority.issue("behind", "/CN=localhost"))
    async with RawServer(OK, close=False) as plain, RawServer(OK, close=False, tls=context) as tls:
        yield plain, tls


async def both(authority: Authority, proxy: str, plain: RawServer, tls: RawServer, **options: Any) -> None:
    """Two requests to each; PUT, because tinyproxy closes connections without saying so, and PUT is sent again."""
    async with aiohttp.SocketConnector(ssl_context=authority.client_context()) as connector:
        for server in (plain, tls):
            for number in range(2):
                async with aiohttp.request(
                    "PUT", f"{server.url}/x", data=b"y" * 50_000, connector=connector, proxy=proxy, timeout=20, **options
                ) as response:
                    assert response.status == 200, await response.text()
                    assert await response.read() == b"ok"
                assert server.bodies[number] == b"y" * 50_000
                assert server.heads[number].startswith(b"PUT /x HTTP/1.1\r\n")


def test_squid(run: Any, folder: Path, authority: Authority) -> None:
    squid = program("squid")
    port = free_port()
    config = folder / "squid.conf"
    user = "cache_effective_user proxy\n" if os.getuid() == 0 else ""
    (folder / "logs").mkdir(mode=0o777)
    (folder / "logs").chmod(0o777)
    config.write_text(f"""http_port 127.0.0.1:{port}
{user}memory_cache_shared off
shared_transient_entries_limit 0
cache deny all
http_access allow all
pid_filename {folder}/logs/squid.pid
access_log none
cache_log {folder}/logs/cache.log
cache_store_log none
coredump_dir {folder}/logs
shutdown_lifetime 0 seconds
""")

    async def main() -> None:
        async with behind(authority) as (plain, tls):
            await both(authority, f"http://127.0.0.1:{port}", plain, tls)
            assert b"Via:" in plain.heads[0]
            gone = free_port()
            async with aiohttp.request("GET", f"http://127.0.0.1:{gone}/", proxy=f"http://127.0.0.1:{port}") as response:
                assert response.status == 503
            with pytest.raises(aiohttp.ProxyConnectionError, match="503") as caught:
                await aiohttp.request("GET", f"https://127.0.0.1:{gone}/", proxy=f"http://127.0.0.1:{port}")
            assert caught.value.status_code == 503

    with running([squid, "-N", "-f", str(config)], port, folder=folder):
        run(main)


def test_tinyproxy(run: Any, folder: Path, authority: Authority) -> None:
    tinyproxy = program("tinyproxy")
    port = free_port()
    config = folder / "tinyproxy.conf"
    config.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 30\nMaxClients 20\nBasicAuth user secret\nLogLevel Critical\n")

    async def main() -> None:
        async with behind(authority) as (plain, tls):
            await both(authority, f"http://user:secret@127.0.0.1:{port}", plain, tls)
            await both(authority, f"http://127.0.0.1:{port}", plain, tls, proxy_auth=("user", "secret"))
            async with aiohttp.request("GET", plain.url, proxy=f"http://127.0.0.1:{port}") as response:
                assert response.status == 407
            with pytest.raises(aiohttp.ProxyConnectionError, match="407"):
                await aiohttp.request("GET", tls.url, proxy=f"http://127.0.0.1:{port}")

    with running([tinyproxy, "-d", "-c", str(config)], port, folder=folder):
        run(main)


@pytest.mark.parametrize("auth", ["", "user:secret@"])
def test_microsocks(run: Any, folder: Path, authority: Authority, auth: str) -> None:
    microsocks = program("microsocks")
    pytest.importorskip("python_socks", reason="the package python-socks is not installed")
    port = free_port()

    async def main() -> None:
        async with behind(authority) as (plain, tls):
            for scheme in ("socks5", "socks5h"):
                await both(authority, f"{scheme}://{auth}127.0.0.1:{port}", plain, tls)
                for server in (plain, tls):
                    server.bodies.clear()
                    server.heads.clear()
            named = plain.url.replace("127.0.0.1", "localhost")
            async with aiohttp.request("GET", named, proxy=f"socks5h://{auth}127.0.0.1:{port}") as response:
                assert response.status == 200
            with pytest.raises(aiohttp.ProxyConnectionError, match="through the proxy socks5"):
                await aiohttp.request("GET", f"http://127.0.0.1:{free_port()}/", proxy=f"socks5://{auth}127.0.0.1:{port}")
            if auth:
                with pytest.raises(aiohttp.ProxyConnectionError):
                    await aiohttp.request("GET", plain.url, proxy=f"socks5://user:wrong@127.0.0.1:{port}")

    words = ["-u", "user", "-P", "secret"] if auth else []
    with running([microsocks, "-i", "127.0.0.1", "-p", str(port), *words], port, folder=folder):
        run(main)
