"""Handover of a connection to a thread of the application: its own socket, or one end of a pair."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aiohttp_worker.server.handover import Relay, SecondDescriptor
from tests.loops import LOOPS

from .fakes import FakeServer
from .live import PATIENCE, LiveLoop, LiveService, serving

UPGRADE = b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"


class Application:
    """Sends back what comes up to `!`, and keeps what a test looks at."""

    def __init__(self) -> None:
        self.environ: dict[str, Any] = {}
        self.returned = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.environ = environ
        sock = environ["gunicorn.socket"]
        try:
            sock.send(b"<")
            while data := sock.recv(65536):
                sock.sendall(data)
                if data.endswith(b"!"):
                    break
            start_response("200 OK", [("Content-Length", "3")])
            return [b"not", b"sent"]
        finally:
            self.returned.set()


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture(params=LOOPS)
def service(request: pytest.FixtureRequest, application: Application) -> Iterator[LiveService]:
    with LiveLoop(request.param) as live, serving(live, application, threads=2) as one:
        yield one
        # By the end of each test its client has gone, and the application returns; only then is the socket closed.
        live.wait_for(all_returned(one))


async def all_returned(service: LiveService) -> None:
    while service.state.handovers:
        await asyncio.sleep(0)


def read_all(sock: socket.socket) -> bytes:
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


def handover_of(service: LiveService) -> Any:
    (handover,) = service.state.handovers.values()
    return handover


@pytest.mark.parametrize(("early", "kind"), [(b"", SecondDescriptor), (b"early", Relay)])
def test_conversation(service: LiveService, early: bytes, kind: type) -> None:
    with service.connect() as client:
        client.sendall(UPGRADE + early)
        expected = b"<" + early
        while expected:
            expected = expected.removeprefix(client.recv(len(expected)))
        assert type(handover_of(service)) is kind
        client.sendall(b"one!")
        assert read_all(client) == b"one!"
    assert not service.errors and not service.logged


@pytest.mark.parametrize("early", [b"", b"early"])
def test_worker_that_aborts_wakes_the_thread(service: LiveService, application: Application, early: bytes) -> None:
    with service.connect() as client:
        client.sendall(UPGRADE + early)
        assert client.recv(1) == b"<"
        service.live.call(service.state.abort)
        assert application.returned.wait(PATIENCE)


def test_client_that_does_not_read_holds_the_thread_and_not_the_memory(service: LiveService) -> None:
    """What a relay takes from the application is bounded by the write queue's mark and the sockets."""
    with service.connect() as client:
        client.sendall(UPGRADE + b"early")
        assert client.recv(1) == b"<"
        relay = handover_of(service)
        data = bytes(65536)
        client.settimeout(0.3)
        sent = 0
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                sent += client.send(data)
        assert sent < 8_000_000
        assert service.live.call(lambda: relay._connection.write_queue.in_transport) < 400_000
        client.settimeout(PATIENCE)
        received = 0
        while received < sent:
            received += len(client.recv(65536))
        client.shutdown(socket.SHUT_WR)
        assert len(read_all(client)) < 100


def test_second_taking_is_the_same_socket(service: LiveService, application: Application) -> None:
    with service.connect() as client:
        client.sendall(UPGRADE)
        assert client.recv(1) == b"<"
        sock = application.environ["gunicorn.socket"]
        assert sock.gettimeout() is None
        with pytest.raises(RuntimeError, match="once"):
            handover_of(service)._connection.take_socket()
        client.sendall(b"!")
        assert read_all(client) == b"!"
        assert application.returned.wait(PATIENCE)
        with pytest.raises(OSError, match="Bad file descriptor"):
            sock.recv(1)
        sock.close()


def test_a_task_of_the_loop_is_refused(service: LiveService, application: Application) -> None:
    """It would wait for itself."""
    with service.connect() as client:
        client.sendall(UPGRADE)
        assert client.recv(1) == b"<"
        (connection,) = service.state.connections
        with pytest.raises(RuntimeError, match="--threads"):
            service.live.call(connection.take_socket)  # type: ignore[attr-defined]


@pytest.mark.parametrize("take", ["recv", "send", "sendall", "settimeout", "setblocking", "shutdown", "makefile", "setsockopt"])
def test_refused_without_threads(take: str) -> None:
    arguments = {"recv": (1,), "send": (b"",), "sendall": (b"",), "settimeout": (1,), "setblocking": (True,), "shutdown": (1,)}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        sock = environ["gunicorn.socket"]
        assert sock.fileno() == -1
        sock.close()  # of no effect
        getattr(sock, take)(*arguments.get(take, ()))
        return []

    server = FakeServer(application)
    server.receive(UPGRADE)
    assert server.status_codes() == [500]
    assert "set --threads" in server.logged[0]
