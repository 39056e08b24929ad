"""HTTP/2 on real servers, asked by clients that others wrote: hyper-h2's state machine, curl and h2load."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Certificate

pytest.importorskip("ngh2", reason="the engine of HTTP/2 is an extra")
pytest.importorskip("h2", reason="without it Gunicorn itself refuses the setting")

from .conftest import Serve
from .http2_client import HTTP2Client
from .server import NO_STREAM, STREAM, Gate, Server

CANCEL, INTERNAL_ERROR = 8, 2

SETTINGS: dict[str, dict[str, Any]] = {
    "cleartext": {"worker_class": STREAM, "http2_cleartext": "prior-knowledge"},
    "tls": {"worker_class": STREAM, "loop": "uvloop", "tls": True},
    "threads": {"worker_class": STREAM, "loop": "uvloop", "threads": 3, "http2_cleartext": "both"},
    "threads-tls": {"worker_class": STREAM, "threads": 3, "tls": True},
    "nostream": {"worker_class": NO_STREAM, "http2_cleartext": "prior-knowledge"},
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.issue("server", "/CN=localhost")


def with_files(certificate: Certificate, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, with a certificate where they ask for TLS."""
    settings = {"http_protocols": "h2,h1", **settings}
    if settings.pop("tls", False):
        settings |= {"certfile": str(certificate.certfile), "keyfile": str(certificate.keyfile)}
    return settings


@pytest.fixture(params=SETTINGS)
def server(request: pytest.FixtureRequest, shared_server: Serve, certificate: Certificate) -> Server:
    if SETTINGS[request.param].get("loop") == "uvloop":
        pytest.importorskip("uvloop")
    return shared_server("http2:application", **with_files(certificate, SETTINGS[request.param]))


def connect(server: Server, authority: Authority, **arguments: Any) -> HTTP2Client:
    secure = server.url.startswith("https")
    return HTTP2Client(server, authority.client_context() if secure else None, **arguments)


@pytest.fixture
def client(server: Server, authority: Authority) -> Any:
    with connect(server, authority) as one:
        yield one


def test_requests_and_answers(client: HTTP2Client) -> None:
    for _ in range(3):
        answer = client.get("/hello")
        assert (answer.status_code, answer.body) == (200, b"hello")
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["server"] == "aiohttp-worker"
        assert answer.headers["content-length"] == "5"
        assert "connection" not in answer.headers


def test_environ(client: HTTP2Client) -> None:
    fields = [("x-a", "b"), ("cookie", "a=b"), ("cookie", "c=d")]
    environ = json.loads(client.get("/environ?q=1", headers=fields).body)
    assert environ["SERVER_PROTOCOL"] == "HTTP/2.0"
    assert (environ["HTTP_HOST"], environ["HTTP_X_A"], environ["HTTP_COOKIE"]) == ("localhost", "b", "a=b; c=d")
    assert (environ["QUERY_STRING"], environ["RAW_URI"]) == ("q=1", "/environ?q=1")
    assert environ["wsgi.url_scheme"] == client.scheme
    assert environ["REMOTE_ADDR"] == "127.0.0.1"


def test_a_hundred_requests_at_once(client: HTTP2Client) -> None:
    numbers = [client.request("/hello" if number % 2 else "/pieces") for number in range(100)]
    answers = [client.wait(number) for number in numbers]
    assert [answer.status_code for answer in answers] == [200] * 100
    assert {len(answer.body) for answer in answers} == {5, 60_000}


@pytest.mark.parametrize("size", [0, 5, 70_000, 3_000_000])
def test_bodies(client: HTTP2Client, size: int) -> None:
    body = os.urandom(size)
    answer = client.get("/digest", method="POST", body=body)
    assert answer.body == hashlib.sha256(body).hexdigest().encode()


def test_bodies_at_once(client: HTTP2Client) -> None:
    """Pieces of several bodies in turn."""
    numbers = [client.begin("/digest") for _ in range(5)]
    for _ in range(10):
        for number in numbers:
            client.send(number, b"x" * 10_000)
    for number in numbers:
        client.send(number, b"", ended=True)
    expected = hashlib.sha256(b"x" * 100_000).hexdigest().encode()
    assert [client.wait(number).body for number in numbers] == [expected] * 5


@pytest.mark.parametrize(("target", "size"), [("/pieces?count=500", 3_000_000), ("/written", 600_000), ("/file", 500_000)])
def test_large_answers(client: HTTP2Client, target: str, size: int) -> None:
    answer = client.get(target)
    assert (answer.status_code, len(answer.body)) == (200, size)


def test_asynchronous_applications(client: HTTP2Client) -> None:
    assert client.get("/coroutine").body == b"awaited"


def test_a_hundred_event_streams(client: HTTP2Client) -> None:
    numbers = [client.request("/events") for _ in range(90)]
    while not all(b"data: 2" in client.answers[number].body for number in numbers):
        client.receive()
    for number in numbers:
        client.reset(number)
    assert client.get("/hello").body == b"hello"


@pytest.mark.parametrize("target", ["/nothing?status=204", "/nothing?status=304"])
def test_answers_without_a_body(client: HTTP2Client, target: str) -> None:
    answer = client.get(target)
    assert (answer.body, answer.ended) == (b"", True)


def test_head(client: HTTP2Client) -> None:
    answer = client.get("/hello", method="HEAD")
    assert (answer.status_code, answer.body, answer.headers["content-length"]) == (200, b"", "5")


def test_early_hints(client: HTTP2Client) -> None:
    answer = client.get("/hints")
    assert answer.interim[0]["link"] == "</a.css>; rel=preload"
    assert answer.body == b"hinted"


def test_an_application_that_fails_in_the_middle(client: HTTP2Client) -> None:
    answer = client.get("/fails")
    assert (answer.body, answer.reset) == (b"part", INTERNAL_ERROR)
    assert client.get("/hello").status_code == 200


def test_refused_requests(client: HTTP2Client) -> None:
    assert client.get("/hello", headers=[("expect", "tea")]).status_code == 417
    assert client.get("/" + "a" * 5000).status_code == 414
    assert client.get("/hello", headers=[("x", "a" * 9000)]).status_code == 431
    assert client.get("/hello").status_code == 200


def test_a_slow_reader_does_not_hold_up_others(server: Server, authority: Authority) -> None:
    with connect(server, authority, window=10_000, read=False) as client:
        slow = [client.request("/pieces?count=500") for _ in range(3)]
        client.state.increment_flow_control_window(1_000_000)
        client.flush()
        while not all(len(client.answers[number].body) == 10_000 for number in slow):
            client.receive()
        assert client.get("/hello").body == b"hello"


def test_the_access_log(server: Server, client: HTTP2Client) -> None:
    client.get("/hello?logged")
    server.access.wait_for(r'"GET /hello\?logged HTTP/2\.0" 200 5')


def test_early_answers(server: Server, client: HTTP2Client) -> None:
    """The answer is complete, and the rest of the body is not wanted (RFC 9113 section 8.1)."""
    number = client.begin("/coroutine", headers=[("content-length", "1000000")])
    answer = client.answers[number]
    if server.threads == 1:  # the body is collected first, and never comes
        client.reset(number)
    else:
        while not answer.ended:
            client.receive()
        assert (answer.status_code, answer.body) == (200, b"awaited")
    assert client.get("/hello").status_code == 200


# One server each.


def test_alpn(serve: Serve, authority: Authority, certificate: Certificate) -> None:
    """Who offers HTTP/1.1 alone, or nothing, speaks that."""
    server = serve("http2:application", **with_files(certificate, SETTINGS["tls"] | {"loop": "asyncio"}))
    for offered, agreed in ((["http/1.1"], "http/1.1"), ([], None), (["h2", "http/1.1"], "h2")):
        context = authority.client_context()
        if offered:
            context.set_alpn_protocols(offered)
        with server.connect(tls=context, server_hostname="localhost") as client:
            assert isinstance(client.socket, ssl.SSLSocket)
            assert client.socket.selected_alpn_protocol() == agreed
            if agreed != "h2":
                assert client.get("/hello").status_code == 200


def test_the_order_of_the_setting_counts(serve: Serve, authority: Authority, certificate: Certificate) -> None:
    server = serve(
        "http2:application", **with_files(certificate, {"worker_class": STREAM, "tls": True, "http_protocols": "h1,h2"})
    )
    context = authority.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with server.connect(tls=context, server_hostname="localhost") as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"


def test_a_graceful_stop(serve: Serve, gate: Gate, certificate: Certificate) -> None:
    """The client hears twice that the server stops, and what it asked for is answered."""
    server = serve("http2:application", **with_files(certificate, SETTINGS["cleartext"]))
    with HTTP2Client(server) as client:
        number = client.request(f"/waiting?gate={gate.port}")
        gate.arrived()
        server.signal(signal.SIGTERM)
        while len(client.goaways) < 2:
            client.receive()
        assert client.goaways == [(0x7FFFFFFF, 0), (number, 0)]
        gate.open()
        assert client.wait(number).body == b"late"
        client.wait_for_end()
    assert server.wait() == 0


def test_max_requests(serve: Serve, certificate: Certificate) -> None:
    """The next worker is started, and no request is lost."""
    server = serve("http2:application", **with_files(certificate, SETTINGS["cleartext"]), max_requests=5)
    for _ in range(3):
        with HTTP2Client(server) as client:
            answers = [client.wait(client.request("/hello")) for _ in range(5)]
            assert [answer.status_code for answer in answers] == [200] * 5
            client.wait_for_end()
            assert client.goaways[0] == (0x7FFFFFFF, 0)
    assert len(server.worker_pids(3)) >= 3


def test_who_leaves(serve: Serve, gate: Gate, certificate: Certificate) -> None:
    """RST_STREAM and the end of the connection both cancel what was asked for."""
    server = serve("http2:application", **with_files(certificate, SETTINGS["cleartext"]), asgi_disconnect_grace_period=0)
    with HTTP2Client(server) as client:
        number = client.request(f"/waiting?gate={gate.port}")
        gate.arrived()
        client.reset(number)
        gate.left()
        client.request(f"/waiting?gate={gate.port}")
        gate.arrived()
    gate.left()


def test_rapid_reset(serve: Serve, certificate: Certificate) -> None:
    """CVE-2023-44487: the connection is ended, and others are served."""
    server = serve("http2:application", **with_files(certificate, SETTINGS["cleartext"]))
    with HTTP2Client(server) as client, HTTP2Client(server) as other:
        try:
            for _ in range(4000):
                client.reset(client.request("/coroutine"))
        except OSError:
            pass
        try:
            client.wait_for_end()
        except OSError:
            pass  # more was sent than the server reads after the end
        assert other.get("/hello").status_code == 200
    server.wait_for_log(r"WARNING.* Invalid HTTP/2 from 127\.0\.0\.1: ")


def test_keepalive(serve: Serve, certificate: Certificate) -> None:
    server = serve("http2:application", **with_files(certificate, SETTINGS["cleartext"]), keepalive=1)
    with HTTP2Client(server) as client:
        assert client.get("/hello").status_code == 200
        client.wait_for_end()
        assert client.goaways == [(1, 0)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(server: Server, authority: Authority, tmp_path: Path) -> None:
    secure = server.url.startswith("https")
    how = ["--http2", "--cacert", str(authority.certfile)] if secure else ["--http2-prior-knowledge"]
    url = server.url.replace("127.0.0.1", "localhost") if secure else server.url
    upload = tmp_path / "upload"
    upload.write_bytes(os.urandom(2_000_000))
    report = ["-sS", "--max-time", "20", "-w", "\n%{http_version} %{http_code}"]
    for target, arguments, expected in (
        ("/hello", [], "hello"),
        ("/digest", ["--data-binary", f"@{upload}"], hashlib.sha256(upload.read_bytes()).hexdigest()),
        ("/digest", ["-T", str(upload), "-H", "Expect: 100-continue"], hashlib.sha256(upload.read_bytes()).hexdigest()),
    ):
        run = subprocess.run(["curl", *report, *how, *arguments, url + target], capture_output=True, text=True, check=True)
        assert run.stdout.split("\n") == [expected, "2 200"]


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
def test_h2load(server: Server) -> None:
    command = ["h2load", "-n", "2000", "-c", "10", "-m", "20", server.url + "/hello", server.url + "/pieces"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert re.search(r"2000 succeeded, 0 failed, 0 errored, 0 timeout", run.stdout), run.stdout


def test_unix_socket(serve: Serve, tmp_path: Path, certificate: Certificate) -> None:
    """Who reached it is trusted, as a front end is."""
    path = tmp_path / "socket"
    server = serve("http2:application", **with_files(certificate, SETTINGS["cleartext"]), bind=f"unix:{path}")
    assert server.url
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        assert sock.recv(9)[3] == 4  # SETTINGS
