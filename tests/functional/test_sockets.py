"""WebSocket libraries for threads take the connection from ``environ["gunicorn.socket"]``, as under Gunicorn's gthread."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.certificates import Authority
from tests.loops import LOOPS

from .conftest import Serve
from .server import NO_STREAM, STREAM, Server

UPGRADE = b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


KINDS = [("plain", LOOPS[0], STREAM), ("plain", LOOPS[-1], NO_STREAM), ("tls", LOOPS[0], NO_STREAM), ("tls", LOOPS[-1], STREAM)]


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def server(shared_server: Serve, kind: Any, authority: Authority) -> Server:
    tls = {}
    if kind[0] == "tls":
        certificate = authority.issue("server", "/CN=localhost")
        tls = {"certfile": str(certificate.certfile), "keyfile": str(certificate.keyfile)}
    return shared_server("sockets:application", worker_class=kind[2], loop=kind[1], threads=4, **tls)


@pytest.fixture
def context(kind: Any, authority: Authority) -> ssl.SSLContext | None:
    return authority.client_context() if kind[0] == "tls" else None


def open_websocket(server: Server, context: ssl.SSLContext | None, path: str, **options: Any) -> ClientConnection:
    scheme = "ws" if context is None else "wss"
    host, port = server.address
    options.setdefault("sock", socket.create_connection((host, port)))
    return connect(f"{scheme}://localhost:{port}{path}", ssl=context, **options)


@pytest.fixture
def stream(server: Server, context: ssl.SSLContext | None) -> Iterator[socket.socket]:
    """A connection that is spoken to in bytes."""
    with socket.create_connection(server.address, timeout=10) as plain:
        if context is None:
            yield plain
        else:
            with context.wrap_socket(plain, server_hostname="localhost") as one:
                yield one


def read_all(sock: socket.socket) -> bytes:
    received = bytearray()
    try:
        while data := sock.recv(65536):
            received += data
    except (ConnectionResetError, ssl.SSLEOFError):
        received += b"<reset>"
    return bytes(received)


def read_head(sock: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += sock.recv(1)
    return received


@pytest.mark.parametrize("path", ["/flask-sock", "/returns"])
def test_flask(server: Server, context: ssl.SSLContext | None, path: str) -> None:
    mark, logged = server.access.length, server.log.length
    with open_websocket(server, context, path) as websocket:
        for message in ("text", b"bytes", "ü" * 100_000, ""):
            websocket.send(message)
            assert websocket.recv(timeout=10) == message
        websocket.close(1000, "bye")
    (line,) = server.access.wait_for(rf'"GET {path} HTTP/1.1" 101 \d+', since=mark)
    assert int(line.split('" 101 ')[1].split()[0]) > 200
    assert "ERROR" not in server.log.text(logged)


def test_engineio(server: Server, context: ssl.SSLContext | None) -> None:
    mark = server.access.length
    with open_websocket(server, context, "/engine.io/?EIO=4&transport=websocket") as websocket:
        opening = str(websocket.recv(timeout=10))
        assert opening[0] == "0" and json.loads(opening[1:])["sid"]
        websocket.send("4hello")
        assert websocket.recv(timeout=10) == "4hello"
    server.access.wait_for(r'"GET /engine.io/\S+ HTTP/1.1" 101 ', since=mark)


def test_what_came_early_is_not_lost(server: Server, stream: socket.socket) -> None:
    stream.sendall(UPGRADE % b"/raw" + b"early ")
    assert read_head(stream).startswith(b"HTTP/1.1 101 ")
    stream.sendall(b"late!")
    assert read_all(stream) == b"early late!"


def test_much_in_both_directions(server: Server, stream: socket.socket) -> None:
    stream.sendall(UPGRADE % b"/raw")
    read_head(stream)
    for _ in range(20):
        data = bytes(range(256)) * 500
        stream.sendall(data)
        received = b""
        while len(received) < len(data):
            received += stream.recv(65536)
        assert received == data
    stream.sendall(b"!")
    assert read_all(stream) == b"!"


def test_all_is_sent_when_the_application_returns(server: Server, stream: socket.socket) -> None:
    stream.sendall(UPGRADE % b"/leaves")
    assert read_all(stream) == b"x" * 3_000_000 + b"."


def test_time_limit_and_shutdown(server: Server, stream: socket.socket) -> None:
    stream.sendall(UPGRADE % b"/times-out")
    assert read_all(stream) == b"timeout"


def test_client_that_leaves(server: Server, stream: socket.socket) -> None:
    mark = server.log.length
    stream.sendall(UPGRADE % b"/raw")
    read_head(stream)
    if isinstance(stream, ssl.SSLSocket):
        stream.unwrap()
    else:
        stream.shutdown(socket.SHUT_WR)
    server.log.wait_for("disconnected: ", since=mark)
    assert read_all(stream) == b""


def test_application_that_fails(server: Server, stream: socket.socket) -> None:
    mark, logged = server.access.length, server.log.length
    stream.sendall(UPGRADE % b"/fails")
    assert read_all(stream) == b"one"
    server.access.wait_for('"GET /fails HTTP/1.1" 101 3 ', since=mark)
    server.log.wait_for("LookupError: on purpose", since=logged)


@pytest.mark.parametrize("request_head", [b"GET /raw HTTP/1.1\r\nHost: a\r\n\r\n", UPGRADE.replace(b"1.1", b"1.0") % b"/raw"])
def test_request_that_asks_for_no_other_protocol(server: Server, stream: socket.socket, request_head: bytes) -> None:
    mark = server.log.length
    stream.sendall(request_head)
    assert b"500 Internal Server Error" in stream.recv(65536)
    server.log.wait_for(r"RuntimeError: environ\['gunicorn.socket'\] .* Upgrade: websocket", since=mark)


@pytest.mark.parametrize("loop", LOOPS)
def test_one_thread_is_refused(shared_server: Serve, loop: str) -> None:
    server = shared_server("sockets:application", worker_class=STREAM, loop=loop)
    mark = server.log.length
    with server.connect() as client:
        client.send(UPGRADE % b"/raw")
        assert client.receive().status_code == 500
    server.log.wait_for(r"RuntimeError: environ\['gunicorn.socket'\] .*--threads", since=mark)
    assert server.get("/nothing").status_code == 404


def test_worker_connections_count_them(serve: Serve) -> None:
    """Both places are taken by conversations, so the third client waits until one is over."""
    server = serve("sockets:application", worker_class=STREAM, loop=LOOPS[-1], threads=4, worker_connections=2)
    with open_websocket(server, None, "/flask-sock") as first, open_websocket(server, None, "/flask-sock") as second:
        with server.connect() as third:
            third.send(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
            for websocket in (first, second):
                websocket.send("still here")
                assert websocket.recv(timeout=10) == "still here"
            assert third.is_quiet(0.2)
            first.close()
            assert third.receive().status_code == 404


def test_graceful_stop_waits_for_them(serve: Serve) -> None:
    server = serve("sockets:application", worker_class=STREAM, loop=LOOPS[-1], threads=4, graceful_timeout=30)
    with open_websocket(server, None, "/flask-sock") as websocket:
        websocket.send("before")
        assert websocket.recv(timeout=10) == "before"
        server.begin_to_stop()
        websocket.send("meanwhile")
        assert websocket.recv(timeout=10) == "meanwhile"
    assert server.wait() == 0


def test_graceful_timeout_ends_them(serve: Serve) -> None:
    server = serve("sockets:application", worker_class=STREAM, loop=LOOPS[-1], threads=4, graceful_timeout=1, forgives="unclosed")
    with socket.create_connection(server.address, timeout=10) as stream:
        stream.sendall(UPGRADE % b"/raw")
        read_head(stream)
        server.begin_to_stop()
        assert read_all(stream) in (b"", b"<reset>")
    assert server.wait() == 0
