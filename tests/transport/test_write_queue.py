"""The write queue: bytes sent at once, bytes that wait, pausing, and wake-ups."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiohttp_worker.transport.write_queue import WRITE_HIGH_MARK, WriteQueue
from tests.server.fakes import FakeLoop, FakeTransport

PAIR = tuple[socket.socket, socket.socket]
SIZE = 30_000_000  # more than all buffers on the way hold


class SocketTransport(FakeTransport):
    """A transport whose socket is there, so that what it is given waits until it is asked."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        super().__init__()
        self.stuck = True
        self._socket = sock

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._socket if name == "socket" and self._socket is not None else default


@pytest.fixture
def pair() -> Iterator[PAIR]:
    """A connected pair: ours, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    theirs.settimeout(10)
    yield ours, theirs
    ours.close()
    theirs.close()


def receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def fill(write_queue: WriteQueue) -> int:
    """Send until something waits in the transport; return how much was sent."""
    sent = 0
    while not write_queue.unsent:
        write_queue.send([bytes(262144)])
        sent += 262144
    return sent


def test_pieces_leave_at_once(pair: PAIR) -> None:
    write_queue = WriteQueue(SocketTransport(), pair[0])  # type: ignore[arg-type]
    assert write_queue.direct
    write_queue.send([b"a", b"b", b"c"])
    write_queue.send([])
    assert receive(pair[1], 3) == b"abc"
    assert write_queue.unsent == 0
    write_queue.send([b"%d" % (number % 10) for number in range(200)])  # more than one writev takes
    assert receive(pair[1], 200) == b"0123456789" * 20


def test_the_rest_waits_in_the_transport_in_order(pair: PAIR) -> None:
    transport = SocketTransport()
    write_queue = WriteQueue(transport, pair[0])  # type: ignore[arg-type]
    sent = fill(write_queue)
    assert not write_queue.direct
    write_queue.send([b"last"])
    assert transport.waiting.endswith(b"last")
    assert write_queue.unsent == write_queue.in_transport == len(transport.waiting)
    received = receive(pair[1], sent + 4 - write_queue.unsent)
    assert len(received) == sent + 4 - write_queue.unsent


def test_with_tls_everything_goes_through_the_transport() -> None:
    transport = FakeTransport()
    write_queue = WriteQueue(transport, None)  # type: ignore[arg-type]
    assert write_queue.fd == -1
    assert not write_queue.direct
    write_queue.send([b"a", b"b"])
    assert transport.sent == b"ab"
    assert transport.high_mark == WRITE_HIGH_MARK


def test_what_is_kept_leaves_with_the_next(pair: PAIR) -> None:
    write_queue = WriteQueue(SocketTransport(), pair[0])  # type: ignore[arg-type]
    write_queue.keep([b"a"])
    write_queue.keep([b"b"])
    assert not write_queue.direct
    write_queue.send([b"c"])
    assert receive(pair[1], 3) == b"abc"
    write_queue.keep([b"d"])
    write_queue.release()
    assert receive(pair[1], 1) == b"d"


def test_what_is_corked_leaves_at_release(pair: PAIR) -> None:
    write_queue = WriteQueue(SocketTransport(), pair[0])  # type: ignore[arg-type]
    corked = write_queue.cork([b"a", b"b"])
    write_queue.release()
    assert receive(pair[1], 2) == b"ab"
    assert corked in (True, False)  # where the system has MSG_MORE
    write_queue.send([b"c"])
    assert receive(pair[1], 1) == b"c"


def test_cork_without_a_socket_sends() -> None:
    transport = FakeTransport()
    write_queue = WriteQueue(transport, None)  # type: ignore[arg-type]
    assert not write_queue.cork([b"a"])
    assert transport.sent == b"a"


def test_write_through_keeps_a_little(pair: PAIR, tmp_path: Path) -> None:
    """While the loop cannot run, the socket takes what it can, a little is kept, and what is too much goes to a file."""
    write_queue = WriteQueue(SocketTransport(), pair[0])  # type: ignore[arg-type]
    write_queue.write_through([b"abc"], 10, None)
    assert receive(pair[1], 3) == b"abc"
    assert not write_queue.keeps
    sent = 0
    while not write_queue.keeps:
        write_queue.write_through([b"x" * 5000], 5000, None)
        sent += 5000
    assert not write_queue.direct
    assert not write_queue.must_wait
    write_queue.write_through([b"y" * 6000], 5000, str(tmp_path))
    write_queue.write_through([b"z" * 10], 5000, None)  # behind it, however little it is
    assert write_queue.must_wait
    assert not write_queue.keeps
    spill = write_queue.take_spill()
    assert spill is not None
    waiting = os.pread(spill.fileno(), spill.size, spill.offset)
    assert receive(pair[1], sent + 6010 - len(waiting)) + waiting == b"x" * sent + b"y" * 6000 + b"z" * 10
    assert not write_queue.must_wait
    spill.close()


def test_the_spill_file_goes_out_as_the_client_reads(pair: PAIR) -> None:
    write_queue = WriteQueue(SocketTransport(), pair[0])  # type: ignore[arg-type]
    data = os.urandom(SIZE)
    write_queue.write_through([data], 1000, None)
    assert write_queue.spill is not None
    received = b""
    while write_queue.spill is not None:
        received += pair[1].recv(1_000_000)
        write_queue.write_through([b"."], 1000, None)
        data += b"."
    assert received + receive(pair[1], len(data) - len(received)) == data


def test_everything_goes_behind_the_spill_file(pair: PAIR) -> None:
    write_queue = WriteQueue(SocketTransport(), pair[0])  # type: ignore[arg-type]
    write_queue.write_through([bytes(SIZE)], 1000, None)
    assert write_queue.spill is not None
    size = write_queue.spill.size
    write_queue.send([b"a"])
    assert not write_queue.cork([b"b"])
    write_queue.keep([b"c"])
    write_queue.release()
    assert os.pread(write_queue.spill.fileno(), 10, write_queue.spill.offset + size) == b"abc"
    write_queue.close()
    assert write_queue.spill is None


def test_what_is_kept_goes_before_the_spill_file() -> None:
    transport = FakeTransport()
    write_queue = WriteQueue(transport, None)  # type: ignore[arg-type]
    write_queue.keep([b"a"])
    write_queue.write_through([b"b" * 2000], 1000, None)
    assert write_queue.spill is not None
    assert os.pread(write_queue.spill.fileno(), 2, 0) == b"ab"
    write_queue.close()
    assert write_queue.spill is None


def test_write_through_behind_what_waits() -> None:
    transport = FakeTransport()
    transport.stuck = True
    write_queue = WriteQueue(transport, None)  # type: ignore[arg-type]
    write_queue.send([b"x" * 500])
    write_queue.write_through([b"y" * 400], 1000, None)
    assert write_queue.spill is None
    write_queue.write_through([b"z" * 400], 1000, None)
    assert write_queue.spill is not None
    assert write_queue.spill.size == 400
    write_queue.close()
    assert write_queue.spill is None


def test_a_directory_that_is_not_there_resets_the_connection(pair: PAIR, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    transport = SocketTransport(pair[0])
    write_queue = WriteQueue(transport, pair[0])  # type: ignore[arg-type]
    with pytest.raises(OSError, match="tmp_upload_dir"):
        write_queue.write_through([bytes(SIZE)], 1000, missing)
    assert write_queue.closed
    assert transport.aborted
    write_queue.write_through([b"a"], 1000, missing)  # nothing happens any more


def test_a_client_that_has_gone_while_a_spill_file_is_sent(pair: PAIR) -> None:
    write_queue = WriteQueue(SocketTransport(pair[0]), pair[0])  # type: ignore[arg-type]
    write_queue.write_through([bytes(SIZE)], 1000, None)
    pair[1].close()
    write_queue.write_through([b"a"], 1000, None)
    assert write_queue.closed
    write_queue.close()


def test_a_thread_waits_for_the_client() -> None:
    write_queue = WriteQueue(FakeTransport(), None)  # type: ignore[arg-type]
    write_queue.wake_thread()  # nobody waits
    write_queue.paused = True
    woken = threading.Event()

    def wait() -> None:
        while write_queue.paused:
            write_queue.wait_in_thread()
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    write_queue.close()
    assert woken.wait(10)
    thread.join()


def test_a_peer_that_has_gone_ends_the_connection(pair: PAIR) -> None:
    transport = SocketTransport(pair[0])
    write_queue = WriteQueue(transport, pair[0])  # type: ignore[arg-type]
    pair[1].close()
    for _ in range(10):
        write_queue.send([b"x"])
    assert write_queue.closed
    assert transport.aborted
    assert write_queue.fd == -1
    assert write_queue.unsent == write_queue.unconfirmed == 0
    before = transport.sent
    write_queue.send([b"y"])
    write_queue.keep([b"y"])
    write_queue.release()
    assert transport.sent == before


def test_peer_left(pair: PAIR) -> None:
    write_queue = WriteQueue(SocketTransport(), pair[0])  # type: ignore[arg-type]
    assert not write_queue.peer_left()
    pair[1].shutdown(socket.SHUT_WR)
    assert write_queue.peer_left()
    write_queue.stop()
    assert not write_queue.peer_left()


def test_unconfirmed_counts_the_socket_too(pair: PAIR) -> None:
    transport = SocketTransport(pair[0])
    write_queue = WriteQueue(transport, pair[0])  # type: ignore[arg-type]
    fill(write_queue)
    before = write_queue.unconfirmed
    assert before > write_queue.unsent
    receive(pair[1], 1_000_000)
    while write_queue.unconfirmed == before:  # the kernel confirms
        receive(pair[1], 1)
    assert write_queue.unconfirmed < before


def test_reset_on_close_is_seen_as_an_error(pair: PAIR) -> None:
    transport = SocketTransport(pair[0])
    write_queue = WriteQueue(transport, pair[0])  # type: ignore[arg-type]
    write_queue.give_up()
    assert transport.aborted
    pair[0].close()
    with pytest.raises(ConnectionResetError):
        pair[1].recv(1)


def test_send_file(pair: PAIR, tmp_path: object) -> None:
    path = f"{tmp_path}/file"
    with open(path, "w+b") as file:
        file.write(b"0123456789")
        file.flush()
        write_queue = WriteQueue(SocketTransport(pair[0]), pair[0])  # type: ignore[arg-type]
        assert write_queue.send_file(file.fileno(), 2, 5) == 5
        assert receive(pair[1], 5) == b"23456"
        assert write_queue.send_file(file.fileno(), 10, 5) == 0
        write_queue.keep_short(1024)
        write_queue.keep_short(0)
        fill(write_queue)
        assert write_queue.send_file(file.fileno(), 0, 5) == -1


def test_waiters_are_woken_when_all_is_sent() -> None:
    loop = FakeLoop()
    write_queue = WriteQueue(FakeTransport(), None)  # type: ignore[arg-type]
    called: list[str] = []

    async def wait() -> None:
        await write_queue.drained()
        called.append("task")

    write_queue.pause()
    write_queue.on_resume(lambda: called.append("callback"))
    task = loop.create_task(wait())
    loop.run_ready()
    assert write_queue.paused
    assert called == []
    write_queue.resume()
    loop.run_ready()
    assert sorted(called) == ["callback", "task"]
    assert task.done()
    write_queue.resume()
    assert len(called) == 2  # once


def test_waiters_are_woken_when_the_connection_ends() -> None:
    loop = FakeLoop()
    write_queue = WriteQueue(FakeTransport(), None)  # type: ignore[arg-type]
    called: list[str] = []

    async def wait() -> None:
        await write_queue.drained()

    write_queue.pause()
    write_queue.on_resume(lambda: called.append("callback"))
    waiting, cancelled = loop.create_task(wait()), loop.create_task(wait())
    loop.run_ready()
    cancelled.cancel()
    loop.run_ready()
    write_queue.close()
    loop.run_ready()
    assert waiting.done()
    assert not waiting.cancelled()
    assert called == ["callback"]
    assert write_queue.closed
    assert not write_queue.paused


def test_asyncio_is_asked_for_futures_of_its_loop() -> None:
    write_queue = WriteQueue(FakeTransport(), None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="no running event loop"):
        write_queue.drained()
    assert not asyncio._get_running_loop()
