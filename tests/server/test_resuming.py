"""Going on to send when a slow client has read: whatever happens then, the connection ends once."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from aiohttp_worker.server.http1_connection import HTTP1Connection
from aiohttp_worker.server.settings import Observers, ServerSettings
from aiohttp_worker.server.state import State
from aiohttp_worker.transport.tls_handshake import TLSAcceptor, TLSHandshake
from tests.certificates import Authority
from tests.loops import LOOPS

from .tls_peer import run

PIECE = bytes(300_000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def last_of_all(closed: list[str]) -> Any:
    """The answer ends, and the connection with it, as soon as the client has read."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        class Body:
            def __iter__(self) -> Iterator[bytes]:
                return iter([PIECE] * 20)

            def close(self) -> None:
                closed.append("closed")

        start_response("200 OK", [("Connection", "close")])
        return Body()  # type: ignore[return-value]

    return application


def failing(closed: list[str]) -> Any:
    """The application fails when it goes on."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        class Body:
            def __iter__(self) -> Iterator[bytes]:
                return map(self.piece, range(20))

            def piece(self, number: int) -> bytes:
                if number == 19:
                    raise ValueError("planned")
                return PIECE

            def close(self) -> None:
                closed.append("closed")

        start_response("200 OK", [])
        return Body()  # type: ignore[return-value]

    return application


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("make", [last_of_all, failing])
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_connection_that_ends_when_its_client_has_read(
    loop: str, make: Any, secure: bool, version: str, authority: Authority
) -> None:
    """asyncio's transport calls back from within its own work, and is not closed there; `run` raises what the loop is told of."""
    closed: list[str] = []
    lost: list[Exception | None] = []

    async def main() -> None:
        running = asyncio.get_running_loop()
        ignore = lambda *_, **__: None
        observers = Observers(ignore, ignore, ignore, ignore)
        state = State(running, make(closed), ServerSettings(), {"wsgi.errors": None}, observers)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = socket.socket()
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            theirs.connect(listener.getsockname())
            ours, address = listener.accept()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ours.setblocking(False)

        def connect() -> HTTP1Connection:
            connection = HTTP1Connection(state, ours, address, ours.getsockname())
            told = connection.connection_lost
            watched = Watched(connection)
            watched.connection_lost = lambda error: (lost.append(error), told(error))  # type: ignore[method-assign]
            return watched  # type: ignore[return-value]

        if secure:
            context = authority.server_context(authority.issue("server", "/CN=localhost"))
            acceptor = TLSAcceptor(running, context, 60, 1, ignore)
            await running.connect_accepted_socket(lambda: TLSHandshake(acceptor, ours, address, connect), ours)  # type: ignore[arg-type, return-value]
        else:
            await running.connect_accepted_socket(connect, ours)  # type: ignore[arg-type]
        await asyncio.to_thread(read_slowly, theirs, authority.client_context() if secure else None, version)
        while not lost or not closed:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        theirs.close()

    run(loop, main())
    assert closed == ["closed"]
    assert len(lost) == 1


class Watched:
    """A connection whose end is seen."""

    def __init__(self, connection: HTTP1Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def connection_lost(self, error: Exception | None) -> None:
        raise NotImplementedError


def read_slowly(sock: socket.socket, context: ssl.SSLContext | None, version: str) -> None:
    """Ask, and read all, in a thread."""
    sock.settimeout(30)
    if context is not None:
        sock = context.wrap_socket(sock, server_hostname="localhost")
    sock.sendall(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
    try:
        while sock.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    sock.close()
