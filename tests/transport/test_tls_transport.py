"""The transport for TLS, on every loop, with a client that does what it likes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.loops import LOOPS
from tests.server.tls_peer import Notes, Peer, Server, connected, run, socket_pair

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(authority.issue("server", "/CN=localhost"))


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def client(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext:
    context = authority.client_context()
    context.minimum_version = context.maximum_version = request.param
    return context


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def pattern(size: int) -> bytes:
    """Bytes in which nothing can be missing or change places unnoticed."""
    return b"".join(struct.pack(">I", number) for number in range(size // 4))


def test_both_directions(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client) as (notes, peer):
            notes.on_data = lambda data: notes.transport.write(data.upper())
            for word in (b"one", b"two"):
                await peer.send(word)
                assert await peer.receive_exactly(3) == word.upper()
            notes.transport.writelines([b"a", b"", b"b"])
            assert await peer.receive() == b"ab", "one record"
            notes.transport.write(b"")
            assert notes.tasks == {None}, "applications run in plain callbacks"
            assert not notes.transport.can_write_eof()

    run(loop, main())


def test_facts(loop: str, server: ssl.SSLContext, authority: Authority) -> None:
    alice = authority.client_context(authority.issue("alice", "/CN=Alice"))

    async def main() -> None:
        async with connected(server, alice) as (notes, peer):
            ask = notes.transport.get_extra_info
            assert ask("socket").fileno() >= 0
            assert ask("ssl_object").version() == peer.tls.version()
            assert ask("sslcontext") is server
            assert ask("cipher") == peer.tls.cipher()
            assert ask("peercert")["subject"] == ((("commonName", "Alice"),),)
            assert ask("peername") == ask("sockname") == ""
            assert ask("something else", 1) == 1
            assert ask("compression") is None

    run(loop, main())


def test_what_comes_with_the_end_of_the_handshake(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        ours, theirs = socket_pair()
        peer = Peer(theirs, client)
        notes = Notes()
        await Server(server).accept(ours, notes)
        await peer.shake_hands(keep_last_flight=client.maximum_version is ssl.TLSVersion.TLSv1_3)
        await peer.send(b"early")
        await notes.until(lambda: notes.received == b"early")
        assert notes.tasks == {None}
        peer.socket.close()
        await notes.lost.wait()

    run(loop, main())


def test_an_upload(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        data = pattern(2 * MEGABYTE)
        async with connected(server, client) as (notes, peer):
            await peer.send(data)
            await notes.until(lambda: len(notes.received) == len(data))
            assert notes.received == data

    run(loop, main())


def test_reading_is_paused(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client) as (notes, peer):
            transport = notes.transport
            notes.on_data = lambda _: transport.pause_reading()
            await peer.send(b"one")
            await notes.until(lambda: notes.received == b"one")
            assert not transport.is_reading()
            await peer.send(b"two")
            transport.write(b"still sending")
            assert await peer.receive_exactly(13) == b"still sending"
            assert notes.received == b"one"
            transport.pause_reading()
            transport.resume_reading()
            transport.resume_reading()
            assert transport.is_reading()
            await notes.until(lambda: notes.received == b"onetwo")

    run(loop, main())


@pytest.mark.parametrize("piece", [3 * MEGABYTE, 65536, 1000_000])
def test_a_slow_reader_gets_everything(loop: str, server: ssl.SSLContext, client: ssl.SSLContext, piece: int) -> None:
    """Three megabytes, of which no more are kept than the marks allow."""
    data = pattern(3 * MEGABYTE)

    async def main() -> None:
        async with connected(server, client, buffer_size=32768) as (notes, peer):
            transport = notes.transport
            transport.set_write_buffer_limits(high=65536, low=0)
            most = 0

            async def produce() -> None:
                nonlocal most
                for start in range(0, len(data), piece):
                    transport.write(data[start : start + piece])
                    size = transport.get_write_buffer_size()
                    most = max(most, size)
                    assert (size > 65536) <= (notes.calls[-1] == "pause")
                    await notes.until(lambda: notes.calls[-1] != "pause")
                transport.close()

            producing = asyncio.ensure_future(produce())
            received = hashlib.sha256()
            while chunk := await peer.receive():
                received.update(chunk)
            await producing
            assert received.digest() == hashlib.sha256(data).digest()
            assert most <= piece + 65536 + 32768
            assert "resume" in notes.calls

    run(loop, main())


def test_marks(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """As asyncio understands them."""

    async def main() -> None:
        async with connected(server, client, buffer_size=4096) as (notes, peer):
            transport = notes.transport
            for limits in ({}, {"high": 400_000}, {"low": 100_000}):
                transport.set_write_buffer_limits(**limits)
                transport.write(b"x" * 500_000)
                assert notes.calls[-1] == "pause"
                await peer.receive_exactly(500_000)
                await notes.until(lambda: notes.calls[-1] == "resume")

    run(loop, main())


def test_close_sends_the_rest_and_says_goodbye(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client, buffer_size=4096) as (notes, peer):
            transport = notes.transport
            transport.write(b"x" * MEGABYTE)
            transport.close()
            assert transport.is_closing()
            assert transport.get_write_buffer_size() > 0
            transport.write(b"too late")
            transport.close()
            transport.resume_reading()
            transport.pause_reading()
            assert await peer.receive_exactly(MEGABYTE) == b"x" * MEGABYTE
            assert await peer.receive() == b"", "close_notify"
            assert "lost" not in notes.calls, "the client may still be sending"
            await peer.send(b"y" * 3000)
            await peer.say_goodbye()
            peer.socket.close()
            await notes.lost.wait()
            assert notes.error is None
            assert not notes.received

    run(loop, main())


def test_a_client_that_does_not_leave(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client, linger_seconds=0.05) as (notes, peer):
            notes.transport.close()
            assert await peer.receive() == b""
            await notes.lost.wait()
            assert notes.error is None

    run(loop, main())


def test_a_client_that_never_stops_sending(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client) as (notes, peer):
            notes.transport.close()
            with pytest.raises(OSError):
                while True:
                    await peer.send(b"x" * 65536)
            await notes.lost.wait()

    run(loop, main())


def test_no_room_for_goodbye(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """A slow client is given its time, however long; the protocol can end it."""

    async def main() -> None:
        async with connected(server, client, linger_seconds=0.001, buffer_size=4096) as (notes, peer):
            notes.transport.write(b"x" * MEGABYTE)
            notes.transport.close()
            assert await peer.receive()
            assert notes.transport.get_write_buffer_size() > 0
            assert "lost" not in notes.calls
            notes.transport.abort()
            await notes.lost.wait()

    run(loop, main())


def test_the_client_says_goodbye(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """What came before is delivered, what was written is sent, and both are done."""

    async def main() -> None:
        async with connected(server, client, buffer_size=4096) as (notes, peer):
            notes.on_data = lambda _: notes.transport.write(b"x" * 100_000)
            peer.tls.write(b"last words")
            await peer.say_goodbye()
            await notes.until(lambda: "eof" in notes.calls)
            assert notes.received == b"last words"
            received = 0
            while data := await peer.loop.sock_recv(peer.socket, 65536):
                received += len(data)
            assert received > 100_000
            await notes.lost.wait()
            assert notes.calls == ["made", "data", "pause", "eof", "lost"] or "resume" in notes.calls
            assert notes.error is None

    run(loop, main())


@pytest.mark.parametrize("half", [True, False], ids=["half closed", "closed"])
def test_an_end_without_goodbye(loop: str, server: ssl.SSLContext, client: ssl.SSLContext, half: bool) -> None:
    async def main() -> None:
        async with connected(server, client) as (notes, peer):
            await peer.send(b"cut")
            if half:
                peer.socket.shutdown(socket.SHUT_WR)
                while await peer.fill():
                    pass  # up to the end of the server's side
            else:
                await peer.take_what_came()
                peer.socket.close()
            await notes.lost.wait()
            assert notes.calls == ["made", "data", "eof", "lost"]
            assert notes.received == b"cut"

    run(loop, main())


def test_an_end_in_the_middle_of_a_record(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client) as (notes, peer):
            await peer.send(b"one")
            peer.tls.write(b"two")
            await peer.loop.sock_sendall(peer.socket, peer.outgoing.read()[:-1])
            await peer.take_what_came()
            peer.socket.close()
            await notes.lost.wait()
            assert notes.received == b"one"
            assert notes.calls == ["made", "data", "eof", "lost"]

    run(loop, main())


def test_the_client_leaves_while_much_is_to_be_sent(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client, buffer_size=4096) as (notes, peer):
            notes.transport.pause_reading()
            notes.transport.write(b"x" * MEGABYTE)
            await peer.receive()
            peer.socket.close()
            await notes.lost.wait()
            assert isinstance(notes.error, ConnectionError)
            notes.transport.write(b"more")
            notes.transport.close()

    run(loop, main())


def test_abort_while_much_is_to_be_sent(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client, buffer_size=4096) as (notes, peer):
            notes.transport.write(b"x" * MEGABYTE)
            await peer.receive()
            notes.transport.abort()
            assert "lost" not in notes.calls, "never from inside a call of the protocol's"
            assert notes.transport.get_write_buffer_size() == 0
            notes.transport.abort()
            await notes.lost.wait()
            assert notes.error is None
            with pytest.raises(ssl.SSLEOFError):
                while await peer.receive():
                    pass

    run(loop, main())


def test_what_is_no_record(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client) as (notes, peer):
            peer.tls.write(b"good")
            await peer.loop.sock_sendall(peer.socket, peer.outgoing.read() + b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
                await peer.receive()
            await notes.lost.wait()
            assert notes.received == b"good"
            assert isinstance(notes.error, ssl.SSLError)
            assert "eof" not in notes.calls

    run(loop, main())


def test_a_protocol_that_fails(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Loses its connection, and the loop is told."""

    def fail(_: bytes) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with connected(server, client) as (notes, peer):
            notes.on_data = fail
            await peer.send(b"x")
            await notes.lost.wait()
        assert [type(context["exception"]) for context in told] == [ZeroDivisionError]

    run(loop, main())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_an_end_inside_data_received(loop: str, server: ssl.SSLContext, client: ssl.SSLContext, end: str) -> None:
    async def main() -> None:
        async with connected(server, client) as (notes, peer):
            notes.on_data = lambda _: getattr(notes.transport, end)()
            peer.tls.write(b"x")
            await peer.say_goodbye()
            await notes.until(lambda: bool(notes.received))
            peer.socket.close()
            await notes.lost.wait()
            assert "eof" not in notes.calls

    run(loop, main())


def test_an_end_before_the_first_turn(loop: str, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def main() -> None:
        async with connected(server, client) as (notes, peer):
            notes.transport.abort()
            await notes.lost.wait()
            assert notes.calls == ["made", "lost"]
            with pytest.raises((ssl.SSLError, OSError)):
                while await peer.receive():
                    pass

    run(loop, main())


@pytest.mark.slow
def test_new_keys(loop: str, server: ssl.SSLContext, authority: Authority, tmp_path: Path) -> None:
    """RFC 8446 section 4.6.3; openssl's client asks for them with a line ``K``, and for the server's with ``k``."""

    async def main() -> None:
        running = asyncio.get_running_loop()
        notes = Notes()
        notes.on_data = lambda data: notes.transport.write(data.upper())
        with socket.create_server(("127.0.0.1", 0)) as listening, openssl_client(listening, tmp_path / "log") as say:
            listening.setblocking(False)
            accepted, _ = await running.sock_accept(listening)
            await Server(server).accept(accepted, notes)
            for line, answer in [(b"one\n", b"ONE\n"), (b"K\n", b"KEYUPDATE\n"), (b"two\n", b"TWO\n"), (b"k\n", b"KEYUPDATE\n")]:
                # Now and then openssl takes its own command for text to send; then it is told again.
                attempts = 0
                while not attempts or (answer == b"KEYUPDATE\n" and line.upper() in notes.received.upper() and attempts < 9):
                    notes.received.clear()
                    say(line)
                    await until(lambda a=answer, x=line: a in content(tmp_path / "log") or x in notes.received)  # type: ignore[misc]
                    attempts += 1
                await until(lambda a=answer: a in content(tmp_path / "log"))  # type: ignore[misc]
            notes.transport.write(b"the end\n")
            await until(lambda: b"the end\n" in content(tmp_path / "log"))
        notes.transport.abort()
        await notes.lost.wait()

    run(loop, main())


@contextlib.contextmanager
def openssl_client(listening: socket.socket, log: Path) -> Iterator[Callable[[bytes], Any]]:
    """``openssl s_client``; yields what writes to its input."""
    command = ["openssl", "s_client", "-tls1_3", "-connect", f"127.0.0.1:{listening.getsockname()[1]}"]
    with log.open("wb") as output:
        asking = subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
        assert asking.stdin is not None
        try:
            yield asking.stdin.write
        finally:
            asking.stdin.close()
            asking.kill()
            asking.wait()


async def until(condition: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 20
        await asyncio.sleep(0.005)


def content(path: Path) -> bytes:
    return path.read_bytes()
