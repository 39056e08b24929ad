"""Proxies: what they are sent, TLS through them (also over TLS), and whom the environment asks for."""

from __future__ import annotations

import asyncio
import base64
import socket
from pathlib import Path
from typing import Any

import pytest

import aiohttp
from aiohttp.proxies import environment_proxy, make_proxy
from aiohttp.url import Origin, split
from tests.certificates import Authority

from .raw_server import Peer, RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET = b"Proxy-Authorization: Basic " + base64.b64encode(b"user:pass")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def tunnel(peer: Peer) -> None:
    """CONNECT as a proxy does it."""
    head = await peer.head()
    if SECRET not in head:
        await peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nauth")
        return
    host, _, port = head.split()[1].decode().rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        except ConnectionError:
            pass
        target.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(copy(peer.reader, writer))
        group.create_task(copy(reader, peer.writer))


def test_plain_requests(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK, close=False) as proxy, aiohttp.SocketConnector() as connector:
            for host in ("one.example", "two.example:81"):
                response = await aiohttp.request(
                    "GET", f"http://{host}/a?b", connector=connector, proxy=proxy.url.replace("//", "//user:pass@")
                )
                assert await response.read_and_close() == b"ok"
            assert proxy.heads[0].startswith(b"GET http://one.example/a?b HTTP/1.1\r\nHost: one.example\r\n")
            assert proxy.heads[1].startswith(b"GET http://two.example:81/a?b HTTP/1.1\r\nHost: two.example:81\r\n")
            assert SECRET in proxy.heads[0]
            assert len(proxy.peers) == 1  # one connection serves all hosts

    run(main)


@pytest.mark.parametrize("outer", ["http", "https"])
def test_tls_through_a_proxy(run: Any, authority: Authority, outer: str) -> None:
    """With an https proxy that is TLS in TLS."""
    context = authority.server_context(authority.issue("server", "/CN=localhost"))

    async def main() -> None:
        async with (
            RawServer(OK, close=False, tls=context) as server,
            RawServer(tunnel, tls=context if outer == "https" else None) as proxy,
            aiohttp.ProxyConnector(proxy.url, proxy_auth=("user", "pass"), ssl_context=authority.client_context()) as connector,
        ):
            for _ in range(3):
                async with aiohttp.request("POST", server.url + "/x", data=b"y" * 100_000, connector=connector) as response:
                    assert await response.read() == b"ok"
            assert len(proxy.peers) == len(server.peers) == 1
            assert server.heads[0].startswith(b"POST /x HTTP/1.1\r\n")
            assert b"Proxy-Authorization" not in server.heads[0]
            assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())

    run(main)


def test_refusals(run: Any) -> None:
    async def main() -> None:
        async with RawServer(tunnel) as proxy, aiohttp.SocketConnector(limit=1) as connector:
            with pytest.raises(aiohttp.ProxyConnectionError, match=r"CONNECT 127.0.0.1:1 through the proxy http.*407") as caught:
                await aiohttp.request("GET", "https://127.0.0.1:1/", proxy=proxy.url, connector=connector)
            assert caught.value.status_code == 407
            assert isinstance(caught.value, aiohttp.ClientConnectionError)
            async with aiohttp.request("GET", "http://127.0.0.1:1/", proxy=proxy.url, connector=connector) as response:
                assert response.status == 407
        for scheme in ("http", "https"):
            with pytest.raises(aiohttp.ProxyConnectionError, match="cannot connect"):
                await aiohttp.request("GET", f"{scheme}://127.0.0.1:1/", proxy=proxy.url, connector=None)
        async with RawServer(b"", close=True) as proxy:
            with pytest.raises(aiohttp.ProxyConnectionError, match="without an answer"):
                await aiohttp.request("GET", "https://127.0.0.1:1/", proxy=proxy.url)
        async with RawServer(b"HTTP/1.1 200 OK\r\n\r\nnot TLS at all") as proxy:
            with pytest.raises(aiohttp.ConnectionError):
                await aiohttp.request("GET", "https://127.0.0.1:1/", proxy=proxy.url)

    run(main)


def test_cancelled_in_the_tunnel(run: Any) -> None:
    async def main() -> None:
        async def silent(peer: Peer) -> None:
            await peer.head()
            await peer.reader.read()

        async with RawServer(silent) as proxy, aiohttp.SocketConnector(limit=1, conn_timeout=0.05) as connector:
            with pytest.raises(TimeoutError, match="no connection within"):
                await aiohttp.request("GET", "https://127.0.0.1:1/", proxy=proxy.url, connector=connector)
            assert connector._pool.in_use == 0

    run(main)


ENVIRONMENT = {
    "http_proxy": "http://p:1",
    "HTTPS_PROXY": "p:2",
    "no_proxy": "direct.example, .inner.example,10.0.0.0/8 [::1],port.example:81",
}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://x.example:80", "http://p:1"),
        ("https://x.example:443", "http://p:2"),
        ("http://direct.example:80", None),
        ("http://sub.direct.example:80", None),
        ("http://notdirect.example:80", "http://p:1"),
        ("http://a.inner.example:80", None),
        ("http://10.1.2.3:80", None),
        ("http://11.1.2.3:80", "http://p:1"),
        ("http://::1:80", None),
        ("http://port.example:81", None),
        ("http://port.example:80", "http://p:1"),
    ],
)
def test_environment(monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    found = environment_proxy(Origin(scheme, host, int(port)))
    assert (str(found) if found else None) == proxy
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("no_proxy")
    assert environment_proxy(Origin(scheme, host, int(port))) is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("[::1]:8080", "http://[::1]:81/", False),
        ("[::1]", "http://[::1]:81/", True),
        ("::1", "http://[::1]/", True),
        ("fe80::/10", "http://[fe80::1%25eth0]/", True),
        ("[fe80::1%eth0]", "http://[fe80::1%25eth1]/", True),
        ("0:0::1", "http://[::1]/", True),
        ("10.0.0.1:81", "http://10.0.0.1:81/", True),
        ("10.0.0.1:81", "http://10.0.0.1:82/", False),
        ("bücher.example", "http://xn--bcher-kva.example/", True),
        (".BÜCHER.example:80", "http://www.bücher.example/", True),
        ("xn--bcher-kva.example", "http://bücher.example/", True),
        ("a\u2100b..ü", "http://x.example/", False),
        ("x.example.", "http://x.example/", True),
        ("x.example", "http://x.example./", True),
        ("*.example.", "http://a.x.example./", True),
        ("example.:80", "http://x.example/", True),
        (" , x.example ,", "http://x.example/", True),
        (".", "http://x.example/", False),
        ("x.example:notaport", "http://x.example/", False),
        ("x.example:999999", "http://x.example/", False),
    ],
)
def test_exceptions(monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, direct: bool) -> None:
    monkeypatch.setenv("http_proxy", " http://p:1/path \n")
    monkeypatch.setenv("no_proxy", no_proxy)
    found = environment_proxy(split(url).origin)
    assert (found is None) == direct
    assert str(found) in ("None", "http://p:1")


BAD_PROXIES = [
    "http://user:secret@", "http://user:secret@p:x", "ftp://user:secret@p", "http://user:se/secret@p", "http://user:se#secret@p:1",
    "http://user:12?secret@p", "user:secret", "http://user:secret@p p:1", "http://user:secret@[::1", "socks9://user:secret@p",
    "http://user:secret@p:99999", "http://user:secret@\u2100:1", "http://user:secret\n@p:x",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD_PROXIES)
def test_no_password_in_errors(run: Any, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Whatever is wrong with it, and wherever it comes from."""
    with pytest.raises(ValueError) as caught:
        aiohttp.ProxyConnector(url)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    async def main() -> None:
        async with aiohttp.SocketConnector(trust_env=True) as connector:
            with pytest.raises(ValueError, match="http_proxy in the environment: ") as caught:
                await aiohttp.request("GET", "http://x.example/", connector=connector)
            assert "secret" not in str(caught.value)

    run(main)


def test_a_password_is_not_in_the_text_of_a_proxy() -> None:
    proxy = make_proxy("http://user:secret@p:1")
    assert "secret" not in f"{proxy!r}{proxy}{[proxy]}"
    with pytest.raises(ValueError, match=r"pair of user and password, not \(str, bytes\)"):
        make_proxy("http://p:1", ("user", b"secret"))
    with pytest.raises(ValueError, match="not str"):
        make_proxy("http://p:1", "user:secret")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_credentials_of_the_users_own(run: Any, scheme: str) -> None:
    """A Proxy-Authorization field goes to the proxy, in the place of what its URL has, and to nobody else."""

    async def main() -> None:
        reply = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        async with RawServer(reply, close=False) as proxy, aiohttp.SocketConnector() as connector:
            for _ in range(2):
                asking = aiohttp.request(
                    "GET", f"{scheme}://x.example/", headers={"proxy-authorization": "Bearer mine", "X-A": "b"},
                    proxy=proxy.url.replace("//", "//user:pass@"), connector=connector,
                )  # fmt: skip
                if scheme == "http":
                    (await asking).release()
                    assert b"\r\nX-A: b\r\n" in proxy.heads[-1]
                else:
                    with pytest.raises(aiohttp.ProxyConnectionError, match="407"):
                        await asking
                    assert b"X-A" not in proxy.heads[-1]
                assert proxy.heads[-1].count(b"roxy-") == 1
                assert b"\r\nProxy-Authorization: Bearer mine\r\n" in proxy.heads[-1]

    run(main)


def test_credentials_for_no_proxy_are_refused(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            for options in ({}, {"proxy": "socks5://127.0.0.1:1"}):
                with pytest.raises(ValueError, match="goes through none") as caught:
                    headers = {"Proxy-Authorization": "Bearer secret"}
                    await aiohttp.request("GET", server.url, headers=headers, **options)  # type: ignore[arg-type]
                assert "secret" not in str(caught.value)
            assert server.peers == []

    run(main)


def test_credentials_stay_with_their_origin(run: Any) -> None:
    async def main() -> None:
        moved = b"HTTP/1.1 302 X\r\nLocation: http://%b.example/\r\nContent-Length: 0\r\n\r\n"
        async with RawServer([moved % b"a", moved % b"b", OK]) as proxy:
            async with aiohttp.request("GET", "http://a.example/x", proxy=proxy.url, headers={"Proxy-Authorization": "mine"}):
                pass
            assert [b"Proxy-Authorization: mine" in head for head in proxy.heads] == [True, True, False]

    run(main)


def test_what_a_proxy_is_told_of_an_address(run: Any) -> None:
    """Not its zone, which is of this machine, in none of the two ways."""

    async def main() -> None:
        async with RawServer(OK) as proxy:
            async with aiohttp.request("GET", "http://[fe80::1%25eth0]:8/x", proxy=proxy.url) as response:
                assert response.url == "http://[fe80::1%25eth0]:8/x"
            assert proxy.heads[0].startswith(b"GET http://[fe80::1]:8/x HTTP/1.1\r\nHost: [fe80::1]:8\r\n")
        refusal = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
        async with RawServer(refusal) as proxy:
            with pytest.raises(aiohttp.ProxyConnectionError, match="403"):
                await aiohttp.request("GET", "https://[fe80::1%eth0]/", proxy=proxy.url)
            assert proxy.heads[0].startswith(b"CONNECT [fe80::1]:443 HTTP/1.1\r\nHost: [fe80::1]:443\r\n")

    run(main)


def test_http_proxy_of_a_cgi_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://evil:1")
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    assert environment_proxy(Origin("http", "x", 80)) is None


def test_trust_env(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with RawServer(OK) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "")
            async with aiohttp.SocketConnector(trust_env=True) as connector:
                async with aiohttp.request("GET", "http://x.example/", connector=connector) as response:
                    assert response.status == 200
            with pytest.raises(aiohttp.OsConnectionError):
                await aiohttp.request("GET", "http://x.invalid/")

    run(main)


def test_netrc(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    async def main() -> None:
        async with RawServer(OK, close=False) as server:
            async with aiohttp.SocketConnector(netrc=True) as connector:
                for options in ({}, {"headers": {"Authorization": "mine"}}):
                    async with aiohttp.request("GET", server.url, connector=connector, **options):  # type: ignore[arg-type]
                        pass
                assert b"Authorization: Basic " + base64.b64encode(b"u:p") in server.heads[0]
                assert b"Authorization: mine" in server.heads[1]
                assert server.heads[1].count(b"Authorization") == 1
            async with aiohttp.SocketConnector(trust_env=True) as connector:
                async with aiohttp.request("GET", server.url, connector=connector):
                    assert b"Authorization" not in server.heads[2]
            netrc.write_text("machine localhost login u password p\n")
            async with aiohttp.SocketConnector(netrc=True) as connector:
                address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", server.port))
                connector._resolver._known["localhost.", server.port] = (float("inf"), [address])
                async with aiohttp.request("GET", f"http://localhost.:{server.port}/", connector=connector):
                    assert b"Authorization: Basic " + base64.b64encode(b"u:p") in server.heads[3]
            netrc.write_text("nonsense")
            async with aiohttp.SocketConnector(netrc=True) as connector:
                async with aiohttp.request("GET", server.url, connector=connector):
                    assert b"Authorization" not in server.heads[4]

    run(main)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("host:3128", "http://host:3128"),
        ("https://host", "https://host:443"),
        ("socks5://u:p@host", "socks5://host:1080"),
        ("http://[::1]:8/", "http://[::1]:8"),
        ("  http://host:3128/some/path?x#y \n", "http://host:3128"),
    ],
)
def test_kinds(url: str, shown: str) -> None:
    assert str(make_proxy(url)) == shown


def test_a_unix_socket_has_no_proxy(run: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with aiohttp.UnixSocketConnector(str(tmp_path / "s")) as connector:
            with pytest.raises(ValueError, match="proxy"):
                await aiohttp.request("GET", "http://x/", connector=connector, proxy="http://p:1")

    run(main)
