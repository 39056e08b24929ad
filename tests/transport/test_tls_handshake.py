"""The handshake: what delays nobody, and who is told what."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest

from aiohttp_worker.transport.tls_handshake import failure_text
from tests.certificates import Authority
from tests.loops import LOOPS
from tests.server.tls_peer import Notes, Peer, Server, run, socket_pair


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(authority.issue("server", "/CN=localhost"))


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_byte_by_byte(loop: str, server: ssl.SSLContext, authority: Authority) -> None:
    async def main() -> None:
        ours, theirs = socket_pair()
        notes = Notes()
        peer = Peer(theirs, authority.client_context())
        await Server(server).accept(ours, notes)
        finished = False
        while not finished:
            try:
                peer.tls.do_handshake()
                finished = True
            except ssl.SSLWantReadError:
                pass
            for byte in peer.outgoing.read():
                await peer.loop.sock_sendall(theirs, bytes([byte]))
                await asyncio.sleep(0)
            if not finished:
                await peer.fill()
        await peer.send(b"hello")
        await notes.until(lambda: notes.received == b"hello")
        theirs.close()
        await notes.lost.wait()

    run(loop, main())


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01"])
def test_a_client_that_stands_still(loop: str, server: ssl.SSLContext, authority: Authority, begin: bytes) -> None:
    """Is given up in time, and keeps nobody waiting."""

    async def main() -> None:
        ours, theirs = socket_pair()
        theirs.send(begin) if begin else None
        accepting = Server(server, handshake_seconds=0.3)
        await accepting.accept(ours, Notes())
        other, others = socket_pair()
        notes = Notes()
        await Server(server).accept(other, notes)
        await Peer(others, authority.client_context()).shake_hands()
        await notes.until(lambda: "made" in notes.calls)
        assert len(accepting.acceptor.handshakes) == 1
        failure = await accepting.failure()
        assert isinstance(failure, TimeoutError)
        assert "more than 0.3 s" in str(failure)
        assert ours.fileno() == -1
        assert theirs.recv(1) == b""
        theirs.close()
        others.close()
        await notes.lost.wait()

    run(loop, main())


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01"])
def test_a_handshake_that_is_aborted(loop: str, server: ssl.SSLContext, begin: bytes) -> None:
    async def main() -> None:
        ours, theirs = socket_pair()
        theirs.send(begin) if begin else None
        accepting = Server(server)
        await accepting.accept(ours, Notes())
        (handshake,) = accepting.acceptor.handshakes
        handshake.abort()
        await accepting.failure()
        assert ours.fileno() == -1
        theirs.close()

    run(loop, main())


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_a_client_that_leaves(loop: str, server: ssl.SSLContext, begin: bytes) -> None:
    async def main() -> None:
        ours, theirs = socket_pair()
        theirs.send(begin) if begin else None
        theirs.close()
        accepting = Server(server)
        await accepting.accept(ours, Notes())
        assert isinstance(await accepting.failure(), ConnectionError)
        assert ours.fileno() == -1

    run(loop, main())


@pytest.mark.parametrize("body", [b"", b"x" * 200_000])
def test_plain_http(loop: str, server: ssl.SSLContext, body: bytes) -> None:
    """Answered with a word in plain HTTP, which arrives though more was on its way."""

    async def main() -> None:
        ours, theirs = socket_pair()
        accepting = Server(server)
        await accepting.accept(ours, Notes())
        running = asyncio.get_running_loop()
        await running.sock_sendall(theirs, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n" + body)
        answer = b""
        while data := await running.sock_recv(theirs, 1000):
            answer += data
        theirs.close()
        failure = await accepting.failure()
        assert isinstance(failure, ConnectionAbortedError)
        assert "plain HTTP" in str(failure)
        head, _, text = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"Content-Length: %d" % len(text) in head
        assert b"this port speaks HTTPS" in text

    run(loop, main())


def test_plain_http_that_never_ends(loop: str, server: ssl.SSLContext) -> None:
    async def main() -> None:
        ours, theirs = socket_pair()
        accepting = Server(server)
        await accepting.accept(ours, Notes())
        running = asyncio.get_running_loop()
        with pytest.raises(OSError):
            while True:
                await running.sock_sendall(theirs, b"POST /" + b"x" * 65536)
        theirs.close()
        assert "plain HTTP" in str(await accepting.failure())

    run(loop, main())


def test_neither_tls_nor_http(loop: str, server: ssl.SSLContext) -> None:
    async def main() -> None:
        ours, theirs = socket_pair()
        theirs.send(b"\0\1\2\3" * 10)
        accepting = Server(server)
        await accepting.accept(ours, Notes())
        assert isinstance(await accepting.failure(), ssl.SSLError)
        assert ours.fileno() == -1
        theirs.close()

    run(loop, main())


def test_a_client_that_trusts_somebody_else(loop: str, server: ssl.SSLContext) -> None:
    """Says so, and that is what is told."""

    async def main() -> None:
        ours, theirs = socket_pair()
        peer = Peer(theirs, ssl.create_default_context())
        accepting = Server(server)
        await accepting.accept(ours, Notes())
        with pytest.raises(ssl.SSLCertVerificationError):
            await peer.shake_hands()
        await peer.flush()
        failure = await accepting.failure()
        assert isinstance(failure, ssl.SSLError)
        assert "unknown ca" in str(failure).lower().replace("_", " ")
        theirs.close()

    run(loop, main())


def test_what_is_said_of_a_failure() -> None:
    error = ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:1006)")
    assert failure_text(error) == "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca"
    assert failure_text(ConnectionResetError("the client left")) == "the client left"
    assert failure_text(ConnectionResetError()) == "ConnectionResetError"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["no certificate", "of nobody", "refuses ours"])
def test_certificates_that_are_refused(
    loop: str, authority: Authority, tmp_path_factory: pytest.TempPathFactory, version: ssl.TLSVersion, kind: str
) -> None:
    """By either end; the other is told, and the reason is known."""
    context = authority.server_context(authority.issue("server", "/CN=localhost"))
    context.maximum_version = version
    client = authority.client_context()
    expected = "the client has no certificate, and cert_reqs asks for one"
    other = Authority(tmp_path_factory.mktemp("other"), "stranger")
    if kind == "refuses ours":
        client = other.client_context()
        expected = "alert unknown ca"
    else:
        context.load_verify_locations(authority.certfile)
        context.verify_mode = ssl.CERT_REQUIRED
    if kind == "of nobody":
        certificate = other.issue("stranger", "/CN=stranger")
        client.load_cert_chain(certificate.certfile, certificate.keyfile)
        expected = "the client's certificate is refused: "

    async def main() -> None:
        ours, theirs = socket_pair()
        accepting = Server(context)
        await accepting.accept(ours, Notes())
        peer = Peer(theirs, client)
        handshake = next(iter(accepting.acceptor.handshakes))
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await peer.shake_hands()
        with contextlib.suppress(ConnectionError):
            await peer.send(b"")  # an alert that is due
        assert expected in failure_text(await accepting.failure())
        assert handshake.begun and not handshake.given_up
        theirs.close()

    run(loop, main())
