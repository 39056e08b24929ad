"""nginx and HAProxy, with the files of configs/, in front of two Gunicorns."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .client import Cut, RawClient
from .observing import Load, environ_of, free_port, wait_until
from .server import ROOT, STREAM, Gate, Server

CONFIGS = ROOT / "configs"


class Front:
    """A front end that listens at `port`, and the two servers behind it."""

    def __init__(self, kind: str, directory: Path, **settings: Any) -> None:
        self.kind = kind
        self._directory = directory
        self._settings = settings
        self.port = free_port()
        self._ports = [free_port(), free_port()]
        self.servers: list[Server] = []
        self._count = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for port in self._ports:
            self.servers.append(self._server(port))
        name = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[self.kind]
        text = (CONFIGS / name).read_text()
        for old, new in zip((8080, 8001, 8002), (self.port, *self._ports), strict=True):
            assert text.count(f"127.0.0.1:{old}") == 1
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        path = self._directory / name
        path.write_text(text)
        executable = shutil.which(self.kind, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert executable is not None
        # nginx's own workers would be somebody else, who may not read the tests' directories.
        directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        command = {
            "nginx": [executable, "-p", str(self._directory), "-c", str(path), "-g", directives],
            "haproxy": [executable, "-db", "-f", str(path)],
        }[self.kind]
        with (self._directory / "output").open("wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=output, stdout=output)
        wait_until(self.answers)

    def answers(self) -> bool:
        try:
            with self.connect() as client:
                return client.get("/hello").status_code == 200
        except (OSError, Cut):
            return False

    def connect(self, **arguments: Any) -> RawClient:
        return RawClient(("127.0.0.1", self.port), **arguments)

    def restart(self, index: int) -> None:
        """End one of the servers and start it anew, while the other goes on."""
        old = self.servers[index]
        old.signal(signal.SIGTERM)
        old.wait()
        old.stop()
        self.servers[index] = self._server(self._ports[index])

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
        for server in self.servers:
            server.stop()

    def _server(self, port: int) -> Server:
        self._count += 1
        server = Server(
            "facts:application",
            worker_class=STREAM,
            directory=self._directory / str(self._count),
            bind=f"127.0.0.1:{port}",
            workers=2,
            threads=4,
            keepalive=75,
            accesslog=None,
            proxy_protocol="v2" if self.kind == "haproxy" else "off",
            **self._settings,
        )
        return server.start()


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    if shutil.which(request.param, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        pytest.skip(f"{request.param} is not installed")
    directory = tmp_path_factory.mktemp(request.param)
    front = Front(request.param, directory)
    try:
        front.start()
        yield front
    finally:
        front.stop()


def from_address(front: Front, address: str) -> RawClient:
    """A client with an address of its own."""
    client = RawClient(("127.0.0.1", front.port))
    client.socket.close()
    client.socket = socket.create_connection(("127.0.0.1", front.port), timeout=10, source_address=(address, 0))
    return client


def test_the_client_is_known(front: Front) -> None:
    with from_address(front, "127.0.0.9") as client:
        port = str(client.socket.getsockname()[1])
        told = environ_of(client.get("/environ-as-json", host="name.example:81"))
    assert told["wsgi.url_scheme"] == "http"
    assert told["HTTP_HOST"] == "name.example:81"
    if front.kind == "haproxy":
        assert (told["REMOTE_ADDR"], told["REMOTE_PORT"]) == ("127.0.0.9", port)
        assert (told["PROXY_PROTOCOL"], told["PROXY_PORT"]) == ("TCP4", str(front.port))
    else:
        assert told["REMOTE_ADDR"] == "127.0.0.1"
        assert told["HTTP_X_FORWARDED_FOR"] == "127.0.0.9"


def test_a_client_cannot_choose_its_scheme(front: Front) -> None:
    with front.connect() as client:
        told = environ_of(client.get("/environ-as-json", headers=[("X-Forwarded-Proto", "https")]))
    assert told["wsgi.url_scheme"] == "http"


def test_connections_are_kept(front: Front) -> None:
    """Towards Gunicorn as well: not one per request."""
    with front.connect() as client:
        told = [environ_of(client.get("/environ-as-json")) for _ in range(40)]
    ports = {(one["SERVER_PORT"], one["REMOTE_PORT"]) for one in told}
    assert len(ports) <= 10


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_bodies(front: Front, framing: str) -> None:
    data = os.urandom(500_000)
    with front.connect() as client:
        if framing == "length":
            assert client.post("/echo", data).body == data
        client.request("POST", "/echo", chunks=[data[:100], data[100:]])
        assert client.receive().body == data
        assert client.get("/many-items").body == b"one two three"


def test_a_stream_is_not_held_back(front: Front, gate: Gate) -> None:
    """The first piece is there before the second exists."""
    with front.connect() as client:
        client.request("GET", f"/events/two-steps?gate={gate.port}&key=streamed")
        client.receive_head()
        assert client.receive_chunk() == b"first"
        gate.let_through()
        assert client.receive_chunk() == b"second"
        assert client.receive_chunk() == b""


def test_an_upload_is_not_held_back(front: Front) -> None:
    """The application reads its beginning before there is an end."""
    since = [server.log.length for server in front.servers]

    def seen() -> bool:
        return any("first b'begin'" in server.log.text(at) for server, at in zip(front.servers, since, strict=True))

    with front.connect() as client:
        client.start_upload("/upload/first-bytes")
        client.send_chunk(b"begin")
        wait_until(seen)
        client.send_chunk(b"ning")
        client.end_upload()
        assert client.receive().body == b"9"


def test_a_client_that_leaves_ends_the_work(front: Front) -> None:
    with front.connect() as client:
        client.request("GET", "/events/endless?key=front")
        client.receive_head()
        client.reset()
    wait_until(lambda: any("closed front" in server.log.text() for server in front.servers))


@pytest.mark.slow
@pytest.mark.parametrize("body", [None, b"x" * 1000], ids=["get", "post"])
def test_no_request_fails_while_servers_restart(front: Front, body: bytes | None) -> None:
    with Load(("127.0.0.1", front.port), path="/echo" if body else "/hello", body=body, strict=True) as load:
        for index in (0, 1, 0):
            front.restart(index)
            wait_until(lambda index=index: is_asked(front, index))
            load.more(100)
    assert load.failures == []


@pytest.mark.slow
def test_no_request_fails_while_servers_reload(front: Front) -> None:
    with Load(("127.0.0.1", front.port), body=b"x" * 1000, path="/echo", strict=True) as load:
        for server in front.servers * 2:
            booted = server.log.length
            server.signal(signal.SIGHUP)
            server.log.wait_for("Booting worker", since=booted, count=2)
            server.log.wait_for("Worker exiting", since=booted, count=2)
            load.more(100)
    assert load.failures == []


def is_asked(front: Front, index: int) -> bool:
    """Whether the front end sends requests to the server; it takes a while to see that one is back."""
    with front.connect() as client:
        told = json.loads(client.get("/process").body)
    return bool(told["ppid"] == front.servers[index].process.pid)
