"""TLS facts in environ and ``gunicorn.socket``, after real handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiohttp_worker.wsgi.connection_socket import ConnectionSocket, TLSConnectionSocket, connection_socket
from aiohttp_worker.wsgi.tls_environ import distinguished_name, tls_environ
from tests.certificates import ALICE, Authority, Certificate
from tests.loops import LOOPS, new_loop

NOBODY: Any = None  # no test here takes the socket


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server_context(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(authority.issue("server", "/CN=localhost"))


@pytest.fixture(scope="module")
def alice(authority: Authority) -> Certificate:
    return authority.issue(*ALICE)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    def run(coroutine: Any) -> Any:
        with asyncio.Runner(loop_factory=lambda: new_loop(request.param)) as runner:
            return runner.run(coroutine)

    return run


@contextlib.asynccontextmanager
async def connected(
    server_context: ssl.SSLContext | None, client_context: ssl.SSLContext | None, path: Path | None = None
) -> AsyncIterator[tuple[asyncio.BaseTransport, asyncio.StreamWriter]]:
    """The server's transport and the client's end of one connection."""
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def remember(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(writer)

    if path is None:
        server = await asyncio.start_server(remember, "127.0.0.1", 0, ssl=server_context)
    else:
        server = await asyncio.start_unix_server(remember, str(path))
    ends = []
    try:
        if path is None:
            port = server.sockets[0].getsockname()[1]
            _, client = await asyncio.open_connection("localhost", port, family=socket.AF_INET, ssl=client_context)
        else:
            _, client = await asyncio.open_unix_connection(str(path))
        ends.append(client)
        ends.append(await asyncio.wait_for(accepted, 10))
        yield ends[1].transport, client
    finally:
        for end in ends:
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()
        server.close()


def test_with_a_client_certificate(
    run: Callable[[Any], Any], authority: Authority, server_context: ssl.SSLContext, alice: Certificate
) -> None:
    async def check() -> None:
        async with connected(server_context, authority.client_context(alice)) as (transport, _):
            environ = tls_environ(transport.get_extra_info("ssl_object"))
            sock = connection_socket(transport, NOBODY)
            assert isinstance(sock, TLSConnectionSocket)
            assert sock.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(alice.certfile.read_text())
            assert sock.getpeercert()["serialNumber"] == "C68EEECE"
        assert ssl.PEM_cert_to_DER_cert(environ.pop("SSL_CLIENT_CERT")) == ssl.PEM_cert_to_DER_cert(alice.certfile.read_text())
        assert environ.pop("SSL_CIPHER").startswith("TLS_")
        assert int(environ.pop("SSL_CIPHER_USEKEYSIZE")) >= 128
        start, end = environ.pop("SSL_CLIENT_V_START"), environ.pop("SSL_CLIENT_V_END")
        assert ssl.cert_time_to_seconds(end) - ssl.cert_time_to_seconds(start) == 36500 * 86400
        assert int(environ.pop("SSL_CLIENT_V_REMAIN")) == (ssl.cert_time_to_seconds(end) - time.time()) // 86400
        ou = "Zwö".encode().decode("latin-1")
        assert environ == {
            "HTTPS": "on",
            "SSL_PROTOCOL": "TLSv1.3",
            "SSL_CLIENT_VERIFY": "SUCCESS",
            "SSL_CLIENT_M_SERIAL": "C68EEECE",
            "SSL_CLIENT_M_VERSION": "3",
            "SSL_CLIENT_S_DN": f"CN=Alice,T=Dr+OU={ou},OU=One,O=Tests\\, Ltd.,C=CH",
            "SSL_CLIENT_S_DN_C": "CH",
            "SSL_CLIENT_S_DN_O": "Tests, Ltd.",
            "SSL_CLIENT_S_DN_OU": "One",
            "SSL_CLIENT_S_DN_OU_1": ou,
            "SSL_CLIENT_S_DN_T": "Dr",
            "SSL_CLIENT_S_DN_CN": "Alice",
            "SSL_CLIENT_I_DN": "CN=Authority,O=Tests",
            "SSL_CLIENT_I_DN_O": "Tests",
            "SSL_CLIENT_I_DN_CN": "Authority",
            "SSL_CLIENT_SAN_Email_0": "alice@tests.example",
            "SSL_CLIENT_SAN_Email_1": "al@tests.example",
            "SSL_CLIENT_SAN_DNS_0": "alice.tests.example",
        }

    run(check())


def test_without_a_client_certificate(run: Callable[[Any], Any], authority: Authority, server_context: ssl.SSLContext) -> None:
    async def check() -> None:
        async with connected(server_context, authority.client_context()) as (transport, client):
            environ = tls_environ(transport.get_extra_info("ssl_object"))
            sock = connection_socket(transport, NOBODY)
            assert isinstance(sock, TLSConnectionSocket)
            assert sock.getpeercert() is None
            assert sock.getpeercert(True) is None
            assert sock.version() == "TLSv1.3"
            assert (sock.cipher() or "")[0] == environ["SSL_CIPHER"]
            assert sock.getpeername() == client.get_extra_info("sockname")
            assert sock.getsockname() == client.get_extra_info("peername")
            assert sock.fileno() >= 0
            assert sock.family == socket.AF_INET
        assert environ["SSL_CLIENT_VERIFY"] == "NONE"
        assert not [name for name in environ if name.startswith("SSL_CLIENT") and name != "SSL_CLIENT_VERIFY"]

    run(check())


@pytest.mark.parametrize(
    ("offered", "agreed"), [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["h2"], None), ([], None)]
)
def test_alpn(
    run: Callable[[Any], Any],
    authority: Authority,
    server_context: ssl.SSLContext,
    offered: list[str],
    agreed: str | None,
) -> None:
    async def check() -> None:
        server_context.set_alpn_protocols(["http/1.1"])
        client_context = authority.client_context()
        if offered:
            client_context.set_alpn_protocols(offered)
        async with connected(server_context, client_context) as (transport, client):
            sock = connection_socket(transport, NOBODY)
            assert isinstance(sock, TLSConnectionSocket)
            assert sock.selected_alpn_protocol() == agreed
            assert client.get_extra_info("ssl_object").selected_alpn_protocol() == agreed

    run(check())


def test_plain_tcp(run: Callable[[Any], Any]) -> None:
    async def check() -> None:
        async with connected(None, None) as (transport, client):
            sock = connection_socket(transport, NOBODY)
            assert type(sock) is ConnectionSocket
            assert not hasattr(sock, "getpeercert")
            assert sock.getpeername() == client.get_extra_info("sockname")
            assert sock.getsockname() == client.get_extra_info("peername")
            assert sock.fileno() >= 0
            assert sock.family == socket.AF_INET
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
            assert len(sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == 8

    run(check())


def test_plain_unix(run: Callable[[Any], Any], tmp_path: Path) -> None:
    async def check() -> None:
        path = tmp_path / "socket"
        async with connected(None, None, path) as (transport, _):
            sock = connection_socket(transport, NOBODY)
            assert sock.getsockname() == str(path)
            assert sock.getpeername() == ""
            assert sock.family == socket.AF_UNIX

    run(check())


def test_closed_connection() -> None:
    sock = connection_socket(SimpleNamespace(get_extra_info=lambda name, default=None: default), NOBODY)
    assert sock.fileno() == -1
    assert sock.family is None
    for ask in (sock.getpeername, sock.getsockname, lambda: sock.getsockopt(1, 2)):
        with pytest.raises(OSError, match=r"Errno"):
            ask()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ((), ""),
        (((("commonName", "a"),),), "CN=a"),
        (((("countryName", "CH"),), (("commonName", "a"),)), "CN=a,C=CH"),
        (((("commonName", "a"), ("userId", "u")),), "CN=a+UID=u"),
        (((("commonName", "#a"),),), "CN=\\#a"),
        (((("commonName", " a "),),), "CN=\\ a\\ "),
        (((("commonName", " "),),), "CN=\\ "),
        (((("commonName", 'a"+,;<>\\b'),),), 'CN=a\\"\\+\\,\\;\\<\\>\\\\b'),
        (((("commonName", "a\0b"),),), "CN=a\\00b"),
        (((("1.2.3.4", "x"),),), "1.2.3.4=x"),
    ],
)
def test_distinguished_name(name: Any, text: str) -> None:
    assert distinguished_name(name) == text
