"""Kept connections that their server ends while the loop does not look."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from typing import Any

import pytest

import aiohttp
from tests.certificates import Authority

from .raw_server import Peer, RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """In a thread: answers each connection's first request, ends it when told to, and answers whatever comes on the second."""

    def __init__(self, how: str, tls: ssl.SSLContext | None) -> None:
        self.how = how
        self.tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.end = threading.Event()
        self.ended = threading.Event()
        self.accepted = 0
        self.requests = 0
        self.listener.settimeout(10)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        while True:
            peer, _ = self.listener.accept()
            if self.end.is_set() and not self.requests:
                return
            self.accepted += 1
            if self.tls is not None:
                peer = self.tls.wrap_socket(peer, server_side=True)
            with peer:
                peer.settimeout(10)
                self.answer(peer)
                if self.accepted > 1:
                    return
                assert self.end.wait(10)
                if self.how == "is alive":
                    self.ended.set()
                    self.answer(peer)
                    return
                if self.how == "speaks":
                    peer.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                if self.how == "resets":
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.ended.set()

    def answer(self, peer: socket.socket) -> None:
        received = b""
        while not received.endswith(b"\r\n\r\n" if received.startswith(b"GET") else b"body"):
            data = peer.recv(65536)
            if not data:
                return
            received += data
        self.requests += 1
        peer.sendall(OK)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.thread.join(10)
        self.listener.close()


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    return authority.server_context(authority.issue("server", "/CN=localhost")), authority.client_context()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("how", ["goes", "resets", "speaks", "is alive"])
@pytest.mark.parametrize(("method", "old"), [("POST", False), ("GET", True), ("GENERATOR", False)])
def test_seen_before_it_is_used(run: Any, contexts: Any, how: str, tls: bool, method: str, old: bool) -> None:
    """The server acts between two steps of the program, so that the loop has no turn to see it. Nothing is repeated here."""

    def pieces() -> Any:
        yield b"body"

    async def main() -> None:
        async with aiohttp.SocketConnector(ssl_context=contexts[1], retry=False) as connector:
            async with aiohttp.request("GET", server.url, connector=connector) as response:
                assert await response.read() == b"ok"
            for _ in range(3 if tls else 0):
                await asyncio.sleep(0.01)  # for what TLS sends behind the handshake
            server.end.set()
            assert server.ended.wait(10)
            kept = connector._pool.oldest()
            assert kept is not None
            if old:
                kept.idle_since -= 2
            options: dict[str, Any] = {}
            if method != "GET":
                options["data"] = b"body"
            if method == "GENERATOR":
                options = {"data": pieces(), "headers": {"Content-Length": "4"}}
            made = "PUT" if method == "GENERATOR" else method
            async with aiohttp.request(made, server.url, connector=connector, **options) as response:
                assert await response.read() == b"ok"
            assert server.accepted == (1 if how == "is alive" else 2)
            assert connector._pool.in_use == 0

    with Server(how, contexts[0] if tls else None) as server:
        run(main)


@pytest.mark.parametrize(
    ("method", "options", "repeated"),
    [
        ("GET", {}, True),
        ("DELETE", {}, True),
        ("PUT", {"data": b"body"}, True),
        ("POST", {"data": b"body"}, False),
        ("PATCH", {"data": b"body"}, False),
        ("PUT", {"data": iter([b"body"]), "headers": {"Content-Length": "4"}}, False),
        ("GET", {"retry": False}, False),
    ],
)
def test_what_is_repeated(run: Any, method: str, options: dict[str, Any], repeated: bool) -> None:
    """The server takes the second request and goes: as the docstring of the connector says."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 2 or len(peer.server.bodies) == 1:
            await peer.send(OK)
        if peer.number == 1:
            await peer.request()

    retry = options.get("retry", True)
    options = {name: value for name, value in options.items() if name != "retry"}
    if "data" in options and not isinstance(options["data"], bytes):
        options = {**options, "data": iter([b"body"])}

    async def main() -> None:
        async with RawServer(script) as server, aiohttp.SocketConnector(retry=retry) as connector:
            async with aiohttp.request("GET", server.url, connector=connector) as response:
                assert await response.read() == b"ok"
            call = aiohttp.request(method, server.url, connector=connector, **options)
            if repeated:
                async with call as response:
                    assert await response.read() == b"ok"
            else:
                with pytest.raises(aiohttp.ClientConnectionError, match="without an answer"):
                    await call
            assert len(server.peers) == (2 if repeated else 1)

    run(main)
