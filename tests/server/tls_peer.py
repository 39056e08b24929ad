"""A TLS client whose bytes the test sees, and a protocol that notes its calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from aiohttp_worker.transport.tls_handshake import TLSAcceptor, TLSHandshake
from aiohttp_worker.transport.tls_transport import TLSTransport
from tests.loops import new_loop

SECONDS = 60  # for what never takes long


def run(name: str, main: Coroutine[Any, Any, None]) -> None:
    """Run *main* on a loop of that kind; what the loop is told of is raised."""
    loop = new_loop(name)
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    try:
        loop.run_until_complete(asyncio.wait_for(main, SECONDS))
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
    assert not failures


class Peer:
    """The client's end."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        sock.setblocking(False)
        self.loop = asyncio.get_running_loop()
        self.socket = sock
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    async def flush(self) -> None:
        await self.loop.sock_sendall(self.socket, self.outgoing.read())

    async def fill(self) -> bytes:
        """Receive something, or the end."""
        data = await self.loop.sock_recv(self.socket, 65536)
        self.incoming.write(data) if data else self.incoming.write_eof()
        return data

    async def shake_hands(self, *, keep_last_flight: bool = False) -> None:
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.flush()
                await self.fill()
        if not keep_last_flight:
            await self.flush()

    async def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        await self.flush()

    async def receive(self) -> bytes:
        """Return the next data, or nothing after close_notify.

        :raises ssl.SSLEOFError: the end came without.
        """
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                await self.fill()

    async def receive_exactly(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            data = await self.receive()
            assert data
            received += data
        return bytes(received)

    async def take_what_came(self) -> None:
        """Session tickets, say: closing a socket with unread data resets the connection."""
        with contextlib.suppress(BlockingIOError):
            while self.socket.recv(65536):
                pass

    async def say_goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self.flush()


class Notes:
    """A protocol; :ivar calls: what the transport called, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received = bytearray()
        self.error: Exception | None = None
        self.lost = asyncio.Event()
        self.changed = asyncio.Event()
        self.on_data: Callable[[bytes], None] | None = None
        self.transport: TLSTransport
        self.tasks: set[Any] = set()
        self.half_open = False

    def connection_made(self, transport: TLSTransport) -> None:
        self.transport = transport
        self._note("made")

    def data_received(self, data: bytes) -> None:
        self.tasks.add(asyncio.current_task())
        self.received += data
        self._note("data")
        if self.on_data is not None:
            self.on_data(data)

    def eof_received(self) -> bool:
        self._note("eof")
        return self.half_open

    def connection_lost(self, error: Exception | None) -> None:
        self.error = error
        self._note("lost")
        self.lost.set()

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def _note(self, call: str) -> None:
        if call != "data" or self.calls[-1:] != ["data"]:
            self.calls.append(call)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a call makes it true."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()


class Server:
    """Accepts; :ivar failures: the handshakes that came to nothing."""

    def __init__(self, context: ssl.SSLContext, handshake_seconds: float = SECONDS, linger_seconds: float = SECONDS) -> None:
        self.failures: list[Exception] = []
        self._changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.acceptor = TLSAcceptor(loop, context, handshake_seconds, linger_seconds, self._failed)

    def _failed(self, handshake: TLSHandshake, error: Exception) -> None:
        self.failures.append(error)
        self._changed.set()

    async def accept(self, sock: socket.socket, notes: Notes) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: TLSHandshake(self.acceptor, sock, "", lambda: notes), sock)  # type: ignore[arg-type, return-value]

    async def failure(self) -> Exception:
        """Wait for a handshake that comes to nothing; nothing is left of it."""
        await self._changed.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not self.acceptor.handshakes
        assert len(self.failures) == 1
        return self.failures[0]


def socket_pair(buffer_size: int = 0) -> tuple[socket.socket, socket.socket]:
    """The server's end, ready to be accepted, and the client's."""
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
        if buffer_size:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_size)
    return ours, theirs


@contextlib.asynccontextmanager
async def connected(
    server: ssl.SSLContext, client: ssl.SSLContext, *, linger_seconds: float = SECONDS, buffer_size: int = 0
) -> AsyncIterator[tuple[Notes, Peer]]:
    """Both ends of a connection whose handshake is over."""
    ours, theirs = socket_pair(buffer_size)
    peer = Peer(theirs, client)
    notes = Notes()
    try:
        await Server(server, linger_seconds=linger_seconds).accept(ours, notes)
        await peer.shake_hands()
        await notes.until(lambda: "made" in notes.calls)
        yield notes, peer
    finally:
        theirs.close()
        if "made" in notes.calls:
            notes.transport.abort()
            await notes.lost.wait()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert ours.fileno() == -1
            assert notes.calls.count("lost") == 1
            assert notes.calls[-1] == "lost"
