"""TLS on real servers: what the application learns, and what clients that do it wrong get."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Certificate

from .client import Cut, RawClient
from .conftest import Serve
from .observing import environ_of, wait_until
from .server import NO_STREAM, STREAM, Gate, Server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.issue("server", "/CN=localhost")


@pytest.fixture(scope="module")
def alice(authority: Authority) -> Certificate:
    return authority.issue("alice", "/O=Tests/CN=Alice", "email:alice@tests.example")


@pytest.fixture(params=["inline", "threads", "nostream"])
def server(
    request: pytest.FixtureRequest, shared_server: Serve, loop: str, authority: Authority, certificate: Certificate
) -> Server:
    """One that asks for certificates, and takes clients without."""
    return shared_server(
        "facts:application",
        worker_class=NO_STREAM if request.param == "nostream" else STREAM,
        threads=2 if request.param == "threads" else 1,
        loop=loop,
        certfile=str(certificate.certfile),
        keyfile=str(certificate.keyfile),
        ca_certs=str(authority.certfile),
        cert_reqs=int(ssl.CERT_OPTIONAL),
        environ={"AIOHTTP_WORKER_HANDSHAKE_TIMEOUT": "1"},
    )


def secure(server: Server, context: ssl.SSLContext, hostname: str = "localhost", **arguments: Any) -> RawClient:
    return server.connect(tls=context, server_hostname=hostname, **arguments)


def test_requests_and_answers(server: Server, authority: Authority) -> None:
    with secure(server, authority.client_context()) as client:
        assert client.get("/hello").body == b"Hello, world!\n"
        assert client.post("/echo", b"x" * 300_000).body == b"x" * 300_000
        assert client.get("/many-items").body == b"one two three"
        client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        assert [client.receive().status_code for _ in range(3)] == [200] * 3


def test_files_go_through_the_read_loop(server: Server, authority: Authority, tmp_path: Path) -> None:
    """The kernel cannot encrypt what it sends by itself."""
    data = b"0123456789" * 100_000
    (tmp_path / "file").write_bytes(data)
    with secure(server, authority.client_context()) as client:
        assert client.get(f"/wrapped-file?path={tmp_path}/file&key=tls").body == data
        assert client.get(f"/wrapped-file?path={tmp_path}/file&key=tls&offset=10&length=20").body == data[10:30]


def test_write_to_a_client_that_reads_late(server: Server, authority: Authority) -> None:
    expected = b"".join(bytes([i % 256]) * 16384 for i in range(1000)) + b"last"
    for length in ["", "&length=1"]:
        with secure(server, authority.client_context(), receive_buffer=4096) as client:
            client.request("GET", f"/write-big?pieces=1000&key=late{length}")
            with secure(server, authority.client_context()) as other:
                assert other.get("/hello").status_code == 200
            assert client.receive().body == expected
            assert client.get("/hello").status_code == 200


def test_environ(server: Server, authority: Authority) -> None:
    with secure(server, authority.client_context()) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        cipher = client.socket.cipher()
        told = environ_of(client.get("/environ-as-json"))
    assert cipher is not None
    assert told["wsgi.url_scheme"] == "https"
    assert told["HTTPS"] == "on"
    assert told["SSL_PROTOCOL"] == "TLSv1.3"
    assert told["SSL_CIPHER"] == cipher[0]
    assert told["SSL_CLIENT_VERIFY"] == "NONE"
    assert "SSL_CLIENT_CERT" not in told
    assert told["SERVER_PORT"] == str(server.address[1])
    assert all(type(value) is str for key, value in told.items() if key.startswith("SSL_"))


def test_client_certificate(server: Server, authority: Authority, alice: Certificate) -> None:
    with secure(server, authority.client_context(alice)) as client:
        told = environ_of(client.get("/environ-as-json"))
        sock = json.loads(client.get("/certificate").body)
        name = list(client.socket.getsockname())
    assert told["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert told["SSL_CLIENT_S_DN"] == "CN=Alice,O=Tests"
    assert told["SSL_CLIENT_I_DN_CN"] == "Authority"
    assert told["SSL_CLIENT_SAN_Email_0"] == "alice@tests.example"
    assert ssl.PEM_cert_to_DER_cert(told["SSL_CLIENT_CERT"]) == ssl.PEM_cert_to_DER_cert(alice.certfile.read_text())
    assert sock["tls"] is True
    assert sock["certificate"]["subject"] == [[["organizationName", "Tests"]], [["commonName", "Alice"]]]
    assert sock["binary"] > 100
    assert sock["version"] == "TLSv1.3"
    assert sock["peername"] == name
    assert sock["fileno"] is True


def test_gunicorn_socket_without_tls(shared_server: Serve, loop: str) -> None:
    server = shared_server("facts:application", worker_class=STREAM, loop=loop)
    with server.connect() as client:
        sock = json.loads(client.get("/certificate").body)
        name = list(client.socket.getsockname())
    assert sock == {"peername": name, "sockname": list(server.address), "fileno": True, "tls": False}


def test_variables_do_not_outlive_their_connection(server: Server, authority: Authority, alice: Certificate) -> None:
    with secure(server, authority.client_context(alice)) as first, secure(server, authority.client_context()) as second:
        for _ in range(2):
            assert environ_of(first.get("/environ-as-json"))["SSL_CLIENT_VERIFY"] == "SUCCESS"
            assert environ_of(second.get("/environ-as-json"))["SSL_CLIENT_VERIFY"] == "NONE"


def test_a_certificate_of_somebody_else_is_refused(server: Server, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger").issue("stranger", "/CN=Alice")
    context = authority.client_context(stranger)
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)), secure(server, context) as client:
        client.get("/hello")
    with secure(server, authority.client_context()) as client:
        assert client.get("/hello").status_code == 200


def test_required_certificates(
    shared_server: Serve, loop: str, authority: Authority, certificate: Certificate, alice: Certificate
) -> None:
    server = shared_server(
        "facts:application",
        worker_class=STREAM,
        loop=loop,
        certfile=str(certificate.certfile),
        keyfile=str(certificate.keyfile),
        ca_certs=str(authority.certfile),
        cert_reqs=int(ssl.CERT_REQUIRED),
    )
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)), secure(server, authority.client_context()) as client:
        client.get("/hello")
    with secure(server, authority.client_context(alice)) as client:
        assert client.get("/hello").status_code == 200


@pytest.mark.parametrize(("offered", "agreed"), [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["h2"], None)])
def test_alpn(server: Server, authority: Authority, offered: list[str], agreed: str | None) -> None:
    context = authority.client_context()
    context.set_alpn_protocols(offered)
    with secure(server, context) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == agreed
        assert json.loads(client.get("/certificate").body)["alpn"] == agreed


def test_plain_http_on_a_tls_port(server: Server, authority: Authority) -> None:
    """Is told what is wrong, in plain HTTP, at once."""
    with server.connect() as client:
        client.request("GET", "/hello")
        answer = client.receive()
        assert answer.status_code == 400
        assert "this port speaks HTTPS" in answer.text
        client.end_of_sending()
        began = time.monotonic()
        client.receive_until_close()
        assert time.monotonic() - began < 0.9, "not the handshake's time limit"
    with secure(server, authority.client_context()) as client:
        assert client.get("/hello").status_code == 200


def test_what_the_log_says_of_handshakes_that_fail(
    serve: Serve, authority: Authority, certificate: Certificate, loop: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whom, and why; once for each, and nothing of those who just come and go."""
    server = serve(
        "facts:application",
        worker_class=STREAM,
        loop=loop,
        certfile=str(certificate.certfile),
        keyfile=str(certificate.keyfile),
        ca_certs=str(authority.certfile),
        cert_reqs=int(ssl.CERT_REQUIRED),
    )
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "stranger")
    of_nobody = authority.client_context()
    nobody = stranger.issue("nobody", "/CN=nobody")
    of_nobody.load_cert_chain(nobody.certfile, nobody.keyfile)
    for _ in range(5):
        server.connect().close()  # a port scanner
    for context in (authority.client_context(), authority.client_context(), of_nobody, stranger.client_context()):
        with pytest.raises((ssl.SSLError, ConnectionError, Cut)), secure(server, context) as client:
            client.get("/hello")
    with server.connect() as client:
        client.request("GET", "/hello")
        assert client.receive().status_code == 400
    lines = server.wait_for_log(r"\[WARNING\] TLS handshake with 127\.0\.0\.1 failed: ", count=4)
    reasons = [line.partition(" failed: ")[2] for line in lines]
    assert reasons[0] == "the client has no certificate, and cert_reqs asks for one"
    assert reasons[1].startswith("the client's certificate is refused: ")
    assert "alert unknown ca" in reasons[2]
    assert reasons[3] == "plain HTTP on a port that speaks HTTPS"
    with secure(server, authority.client_context(authority.issue("somebody", "/CN=somebody"))) as client:
        assert client.get("/hello").status_code == 200
    assert len(server.log.wait_for("WARNING")) == 4


def test_tls_on_a_plain_port(shared_server: Serve, loop: str, authority: Authority) -> None:
    server = shared_server("facts:application", worker_class=STREAM, loop=loop)
    began = time.monotonic()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secure(server, authority.client_context())
    assert time.monotonic() - began < 2
    assert server.get("/hello").status_code == 200


def test_a_handshake_that_stands_still(server: Server, authority: Authority) -> None:
    """Keeps nobody waiting, and is given up."""
    with server.connect() as silent, server.connect() as slow:
        slow.send(b"\x16\x03\x01")
        with secure(server, authority.client_context()) as client:
            assert client.get("/hello").status_code == 200
        began = time.monotonic()
        silent.receive_until_close()
        slow.receive_until_close()
        assert time.monotonic() - began < 4


def test_a_client_that_leaves_without_goodbye(server: Server, authority: Authority) -> None:
    since = server.log.length
    with secure(server, authority.client_context()) as client:
        client.request("GET", "/endless?key=unceremonious")
        client.receive_head()
        client.reset()
    server.log.wait_for("closed unceremonious", since=since)
    with secure(server, authority.client_context()) as client:
        assert client.get("/hello").status_code == 200


def test_a_goodbye_is_said(server: Server, authority: Authority) -> None:
    """close_notify before the end, so that a cut cannot be taken for it (RFC 8446 section 6.1)."""
    context = authority.client_context()
    with secure(server, context) as client:
        client.request("GET", "/hello", headers=[("Connection", "close")])
        client.receive()
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.recv(1) == b""  # an end without goodbye would raise SSLEOFError


def test_slow_readers_stop_the_application(server: Server, authority: Authority) -> None:
    """Backpressure reaches through TLS."""
    since = server.log.length
    with secure(server, authority.client_context(), receive_buffer=4096) as client:
        client.request("GET", "/big?size=50000000&key=slow")
        client.receive_head()
        server.log.wait_for("produced slow 0", since=since)
        wait_until(lambda: stands_still(server))
        produced = server.log.text(since).count("produced slow")
        assert produced * 65536 < 20_000_000
        client.reset()
    server.log.wait_for("closed slow", since=since)


def stands_still(server: Server) -> bool:
    """Whether the application produces nothing for a while."""
    try:
        server.log.wait_for("produced", since=server.log.length, timeout=0.3)
    except AssertionError:
        return True
    return False


SNI = """
def ssl_context(conf, default_ssl_context_factory):
    import ssl
    context = default_ssl_context_factory()
    other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    other.load_cert_chain({certfile!r}, {keyfile!r})
    def choose(sock, name, _):
        if name == "other.example":
            sock.context = other
    context.sni_callback = choose
    return context
"""


def test_a_certificate_for_each_name(serve: Serve, loop: str, authority: Authority, certificate: Certificate) -> None:
    other = authority.issue("other", "/CN=other.example", "DNS:other.example")
    server = serve(
        "facts:application",
        worker_class=STREAM,
        loop=loop,
        certfile=str(certificate.certfile),
        keyfile=str(certificate.keyfile),
        extra=SNI.format(certfile=str(other.certfile), keyfile=str(other.keyfile)),
    )
    for name, common in [("localhost", "localhost"), ("other.example", "other.example")]:
        with secure(server, authority.client_context(), name) as client:
            assert isinstance(client.socket, ssl.SSLSocket)
            peer: Any = client.socket.getpeercert()
            assert dict(field[0] for field in peer["subject"])["commonName"] == common
            assert client.get("/hello").status_code == 200


def test_the_hook_alone_switches_tls_on(serve: Serve, loop: str, authority: Authority, certificate: Certificate) -> None:
    extra = f"""
def ssl_context(conf, default_ssl_context_factory):
    import ssl
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain({str(certificate.certfile)!r}, {str(certificate.keyfile)!r})
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
"""
    server = serve("facts:application", worker_class=STREAM, loop=loop, extra=extra)
    context = authority.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with secure(server, context) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        assert environ_of(client.get("/environ-as-json"))["wsgi.url_scheme"] == "https"


@pytest.fixture
def unready(certificate: Certificate, tmp_path: Path) -> Iterator[Server]:
    server = Server(
        "facts:application",
        worker_class=STREAM,
        directory=tmp_path,
        certfile=str(certificate.certfile),
        keyfile=str(tmp_path / "missing.key"),
    )
    yield server
    server.stop(check=False)


def test_a_missing_key_is_named(unready: Server) -> None:
    unready.spawn()
    assert unready.wait() != 0
    assert "missing.key" in unready.log.text()


def test_term_lets_answers_be_finished(
    serve: Serve, loop: str, authority: Authority, certificate: Certificate, gate: Gate
) -> None:
    files = {"certfile": str(certificate.certfile), "keyfile": str(certificate.keyfile)}
    server = serve("facts:gated", worker_class=STREAM, loop=loop, **files)
    with secure(server, authority.client_context()) as client:
        client.request("GET", f"/?gate={gate.port}")
        gate.arrived()
        server.signal(15)
        server.wait_for_log("Handling signal: term")
        gate.open()
        assert client.receive().status_code == 200
    assert server.wait() == 0


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01\x02\x00"], ids=["silent", "in the handshake"])
def test_those_that_do_nothing_make_room(serve: Serve, authority: Authority, certificate: Certificate, begin: bytes) -> None:
    files = {"certfile": str(certificate.certfile), "keyfile": str(certificate.keyfile)}
    patient = {"AIOHTTP_WORKER_HANDSHAKE_TIMEOUT": "600"}
    server = serve("facts:application", worker_class=STREAM, worker_connections=3, environ=patient, **files)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.send(begin)
    with secure(server, authority.client_context()) as client:
        assert client.get("/hello").status_code == 200
    for client in clients:
        client.close()


def test_a_connection_reset_in_the_handshake(server: Server, authority: Authority) -> None:
    for data in (b"", b"\x16\x03\x01\x02\x00"):
        with server.connect() as client:
            if data:
                client.send(data)
            client.reset()
    with secure(server, authority.client_context()) as client:
        assert client.get("/hello").status_code == 200
