"""Files go out by the kernel, as fast as each client reads, and end in every way."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiohttp_worker.transport.sendfile import FileSending
from aiohttp_worker.transport.writable_sockets import WritableSockets
from aiohttp_worker.transport.write_queue import WriteQueue
from tests.loops import LOOPS, new_loop

SIZE = 12_000_000  # more than all buffers on the way hold
PATIENCE = 20.0


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    loop = new_loop(request.param)
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    try:
        yield loop
    finally:
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    assert failures == []


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(os.urandom(SIZE))
    return path


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    return ours, theirs


class Connection(asyncio.Protocol):
    """The server's end of a connection, and the client's socket."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pair: Callable[[], tuple[socket.socket, socket.socket]] = tcp_pair
    ) -> None:
        self.loop = loop
        self.ours, self.theirs = pair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.paused = 0
        self.resumed = 0
        loop.run_until_complete(loop.connect_accepted_socket(lambda: self, self.ours))

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.write_queue = WriteQueue(transport, self.ours)

    def connection_lost(self, error: Exception | None) -> None:
        self.write_queue.close()

    def pause_writing(self) -> None:
        self.paused += 1
        self.write_queue.pause()

    def resume_writing(self) -> None:
        self.resumed += 1
        self.write_queue.resume()

    async def receive(self, size: int) -> bytes:
        pieces = []
        while size and (piece := await self.loop.sock_recv(self.theirs, min(size, 1 << 18))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def reset(self) -> None:
        """End the client's side with RST."""
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.theirs.close()

    def close(self) -> None:
        self.transport.abort()
        self.theirs.close()


class Sending:
    """A file on its way, and how it ended."""

    def __init__(
        self,
        connection: Connection,
        path: Path,
        *,
        offset: int = 0,
        size: int = SIZE,
        writable: WritableSockets | None = None,
        slow: Callable[[], bool] = lambda: False,
    ) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._loop = connection.loop
        self.ended: asyncio.Future[tuple[int, OSError | None]] = self._loop.create_future()
        self.sending = FileSending(
            connection.write_queue,
            self._fd,
            offset,
            size,
            writable or WritableSockets(connection.loop, slow),
            connection.pause_writing,
            connection.resume_writing,
            self._done,
        )
        self.sending.run()

    def _done(self, sent: int, error: OSError | None) -> None:
        os.close(self._fd)
        self.ended.set_result((sent, error))  # raises if it ends twice

    def run(self, other: Any = None) -> Any:
        """Let the loop run until it has ended; return what *other* gives."""

        async def both() -> Any:
            result = await other if other is not None else None
            await asyncio.wait_for(self.ended, PATIENCE)
            return result

        return self._loop.run_until_complete(asyncio.wait_for(both(), PATIENCE))


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("pair", [tcp_pair, socket.socketpair])
def test_all_of_it(loop: asyncio.AbstractEventLoop, path: Path, pair: Any, slow: bool) -> None:
    connection = Connection(loop, pair)
    sending = Sending(connection, path, offset=5, size=SIZE - 7, slow=lambda: slow)
    assert not sending.ended.done()
    assert (connection.paused, connection.write_queue.paused, connection.write_queue.unsent > 0) == (1, True, True)
    assert sending.run(connection.receive(SIZE - 7)) == path.read_bytes()[5 : SIZE - 2]
    assert sending.ended.result() == (SIZE - 7, None)
    assert (connection.resumed, connection.write_queue.paused, connection.write_queue.unsent) == (1, False, 0)
    connection.close()


def test_a_short_buffer_while_the_loop_is_quick(loop: asyncio.AbstractEventLoop, path: Path) -> None:
    """And the system's own for what comes after the file."""
    slow = False
    connection = Connection(loop)
    before = connection.ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
    sending = Sending(connection, path, slow=lambda: slow)
    assert connection.ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 128 * 1024
    slow = True
    loop.run_until_complete(connection.receive(SIZE // 2))
    assert connection.ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == before
    sending.run(connection.receive(SIZE // 2))
    assert connection.ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == before
    connection.close()


def test_a_small_file_needs_no_waiting(loop: asyncio.AbstractEventLoop, path: Path) -> None:
    connection = Connection(loop)
    sending = Sending(connection, path, size=10_000)
    assert sending.ended.result() == (10_000, None)
    assert connection.paused == 0
    assert loop.run_until_complete(connection.receive(10_000)) == path.read_bytes()[:10_000]
    connection.close()


def test_behind_what_still_waits(loop: asyncio.AbstractEventLoop, path: Path) -> None:
    connection = Connection(loop)
    connection.write_queue.send([bytes(SIZE)])
    assert connection.write_queue.paused
    sending = Sending(connection, path)
    data = sending.run(connection.receive(2 * SIZE))
    assert data == bytes(SIZE) + path.read_bytes()
    connection.close()


def test_behind_a_little_that_still_waits(loop: asyncio.AbstractEventLoop, path: Path) -> None:
    """So little that the transport does not say when it is gone."""
    connection = Connection(loop)
    while True:  # fill the socket
        try:
            connection.ours.send(bytes(1000))
        except BlockingIOError:
            break
    connection.write_queue.send([b"little"])
    assert (connection.write_queue.paused, connection.write_queue.unsent) == (False, 6)
    sending = Sending(connection, path)

    async def find() -> bytes:
        data = b""
        while b"little" not in data:
            data = data[-6:] + await loop.sock_recv(connection.theirs, 1 << 18)
        rest = data.partition(b"little")[2]
        return rest + await connection.receive(SIZE - len(rest))

    assert sending.run(find()) == path.read_bytes()
    connection.close()


@pytest.mark.parametrize("reading", [True, False], ids=["reading", "not reading"])
def test_a_client_that_resets(loop: asyncio.AbstractEventLoop, path: Path, reading: bool) -> None:
    """Nothing is said about it on the loop, whichever of the two that wait for the socket hears of it first."""
    connection = Connection(loop)
    if not reading:
        connection.transport.pause_reading()
    sending = Sending(connection, path)
    connection.reset()
    sending.run()
    sent, _ = sending.ended.result()
    assert sent < SIZE
    connection.close()


def test_an_end_that_the_socket_tells_before_the_transport(loop: asyncio.AbstractEventLoop, path: Path) -> None:
    """What waits for the queue is woken a turn later in a worker, when the file has ended already: it ends once."""
    connection = Connection(loop)
    connection.resume_writing = lambda: None  # type: ignore[method-assign]
    sending = Sending(connection, path)
    connection.reset()
    sending.sending.run()
    assert isinstance(sending.ended.result()[1], ConnectionError)
    connection.write_queue.close()
    connection.close()


def test_a_connection_that_is_aborted(loop: asyncio.AbstractEventLoop, path: Path) -> None:
    connection = Connection(loop)
    writable = WritableSockets(loop, lambda: False)
    sending = Sending(connection, path, writable=writable)
    connection.transport.abort()
    sending.run()
    assert sending.ended.result()[0] < SIZE
    connection.close()
    # The next has the same number, probably, and the same right.
    another = Connection(loop)
    assert Sending(another, path, writable=writable).run(another.receive(SIZE)) == path.read_bytes()
    another.close()


def test_a_file_that_becomes_shorter(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(SIZE))
    connection = Connection(loop)
    sending = Sending(connection, file)
    os.truncate(file, 0)

    async def read() -> None:
        while not sending.ended.done():
            reading = asyncio.ensure_future(connection.receive(1 << 16))
            await asyncio.wait([reading, sending.ended], return_when=asyncio.FIRST_COMPLETED)
        reading.cancel()

    sending.run(read())
    sent, error = sending.ended.result()
    assert (0 < sent < SIZE, error) == (True, None)
    connection.close()


def test_a_descriptor_that_cannot_be_read(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    connection = Connection(loop)
    sending = Sending(connection, tmp_path)
    sent, error = sending.ended.result()
    assert sent == 0
    assert isinstance(error, OSError)
    connection.close()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.parametrize("sent_before", [0, 1], ids=["at once", "after a while"])
def test_a_file_system_whose_files_the_kernel_does_not_send(
    loop: asyncio.AbstractEventLoop, path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sent_before: int
) -> None:
    """They are read instead; of what waited for the socket nothing is left."""
    by_kernel = os.sendfile
    calls = []

    def sendfile(*arguments: Any) -> int:
        calls.append(arguments)
        if len(calls) > sent_before:
            raise OSError(number, os.strerror(number))
        return by_kernel(*arguments)

    monkeypatch.setattr(os, "sendfile", sendfile)
    connection = Connection(loop)
    writable = WritableSockets(loop, lambda: False)
    sending = Sending(connection, path, writable=writable)
    assert sending.run(connection.receive(SIZE)) == path.read_bytes()
    assert sending.ended.result() == (SIZE, None)
    assert len(calls) == sent_before + 1
    monkeypatch.undo()
    assert Sending(connection, path, writable=writable).run(connection.receive(SIZE)) == path.read_bytes()
    connection.close()


def test_one_that_is_not_read_stops_no_other(loop: asyncio.AbstractEventLoop, path: Path) -> None:
    writable = WritableSockets(loop, lambda: False)
    stalled, read = Connection(loop), Connection(loop)
    waiting = Sending(stalled, path, writable=writable)
    assert Sending(read, path, writable=writable).run(read.receive(SIZE)) == path.read_bytes()
    assert not waiting.ended.done()
    stalled.close()
    waiting.run()
    read.close()


def test_block_by_block(loop: asyncio.AbstractEventLoop, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the loop cannot be told of sockets that are not its own."""
    monkeypatch.setattr(WritableSockets, "available", False)
    connection = Connection(loop)
    sending = Sending(connection, path, offset=1, size=SIZE - 1)
    assert sending.run(connection.receive(SIZE - 1)) == path.read_bytes()[1:]
    assert sending.ended.result() == (SIZE - 1, None)
    connection.close()


def test_block_by_block_and_a_client_that_resets(
    loop: asyncio.AbstractEventLoop, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WritableSockets, "available", False)
    connection = Connection(loop)
    sending = Sending(connection, path)
    connection.reset()
    sending.run()
    assert sending.ended.result()[0] < SIZE
    connection.close()
