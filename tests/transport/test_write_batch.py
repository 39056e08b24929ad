"""Small answers of one turn leave together, and never wait for a slow application."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from aiohttp_worker.transport.write_batch import WriteBatch
from aiohttp_worker.transport.write_queue import WriteQueue


class Transport:
    """What a write queue asks of a transport."""

    def __init__(self) -> None:
        self.aborted = False
        self.written: list[bytes] = []

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.written))

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


class End:
    def __init__(self, pair: Callable[[], tuple[socket.socket, socket.socket]]) -> None:
        self._ours, self._theirs = pair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self.transport = Transport()
        self.write_queue = WriteQueue(self.transport, self._ours)  # type: ignore[arg-type]

    def received(self) -> bytes:
        try:
            return self._theirs.recv(1000)
        except BlockingIOError:
            return b""

    def wait_received(self, seconds: float) -> bytes:
        select.select([self._theirs], [], [], seconds)
        return self.received()

    def fill(self) -> None:
        """Send until the socket takes no more."""
        while not self.transport.written:
            self.write_queue.send([b"x" * 65536])

    def leave(self) -> None:
        self._theirs.close()

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


@pytest.fixture
def end() -> Iterator[Callable[..., End]]:
    ends: list[End] = []

    def make(pair: Callable[[], tuple[socket.socket, socket.socket]] = socket.socketpair) -> End:
        ends.append(End(pair))
        return ends[-1]

    yield make
    for one in ends:
        one.write_queue.close()
        one.close()


def test_they_leave_at_the_end_of_the_turn(end: Callable[..., End]) -> None:
    async def main() -> None:
        first, second = end(), end()
        write_batch = WriteBatch(asyncio.get_running_loop())
        began = time.monotonic()
        write_batch.put(first.write_queue, [b"head", b"one"], began)
        write_batch.put(second.write_queue, [b"two"], began)
        write_batch.put(first.write_queue, [b"pipelined"], began)
        assert (first.received(), second.received()) == (b"", b"")
        await asyncio.sleep(0)
        assert (first.received(), second.received()) == (b"headonepipelined", b"two")
        # And the same in the next turn.
        write_batch.put(first.write_queue, [b"three"], time.monotonic())
        assert first.received() == b""
        await asyncio.sleep(0)
        assert first.received() == b"three"

    asyncio.run(main())


def test_they_are_due_soon(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end()
        write_batch = WriteBatch(asyncio.get_running_loop())
        assert write_batch.until == float("inf")
        write_batch.put(one.write_queue, [b"one"], 1000.0)
        write_batch.put(one.write_queue, [b"two"], 1000.1)
        assert 1000.0 < write_batch.until <= 1000.001, "of the first"
        write_batch.flush()
        assert one.received() == b"onetwo"
        assert write_batch.until == float("inf")
        await asyncio.sleep(0)
        assert one.received() == b""

    asyncio.run(main())


@pytest.mark.parametrize("early", [False, True])
def test_none_waits_for_a_while_after_a_slow_call(end: Callable[..., End], early: bool) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        write_batch = WriteBatch(asyncio.get_running_loop())
        put = write_batch.put_early if early else write_batch.put
        write_batch.note_call(0.004, 1000.0)
        put(one.write_queue, [b"a"], 1000.0)
        assert one.received() == b""
        write_batch.note_call(0.02, 1000.0)
        put(one.write_queue, [b"b"], 1000.19)
        assert one.received() == b"ab", "in their order"
        put(one.write_queue, [b"c"], 1000.21)
        assert one.received() == b""
        write_batch.flush()
        assert one.received() == b"c"

    asyncio.run(main())


def test_what_the_kernel_has_leaves_at_the_end_of_the_turn(end: Callable[..., End]) -> None:
    async def main() -> None:
        first, second = end(_tcp_pair), end(_tcp_pair)
        write_batch = WriteBatch(asyncio.get_running_loop())
        began = time.monotonic()
        write_batch.put_early(first.write_queue, [b"head", b"one"], began)
        write_batch.put_early(second.write_queue, [b"two"], began)
        write_batch.put_early(first.write_queue, [b"pipelined"], began)
        write_batch.put(first.write_queue, [b"whole"], began)
        assert (first.received(), second.received()) == (b"", b"")
        await asyncio.sleep(0)
        assert (first.received(), second.received()) == (b"headonepipelinedwhole", b"two")

    asyncio.run(main())


def test_what_the_kernel_has_leaves_without_us(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        write_batch = WriteBatch(asyncio.get_running_loop())
        write_batch.put_early(one.write_queue, [b"answer"], time.monotonic())
        assert one.wait_received(5) == b"answer", "the loop has not had a turn"
        write_batch.flush()
        assert one.received() == b""

    asyncio.run(main())


def test_what_comes_next_pushes_what_the_kernel_has(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        write_batch = WriteBatch(asyncio.get_running_loop())
        write_batch.put_early(one.write_queue, [b"answer"], time.monotonic())
        assert one.write_queue.direct, "nothing can overtake it"
        one.write_queue.send([b"next"])
        assert one.received() == b"answernext"

    asyncio.run(main())


def test_where_the_kernel_cannot_hold_it_is_sent(end: Callable[..., End]) -> None:
    async def main() -> None:
        unix = end()
        write_batch = WriteBatch(asyncio.get_running_loop())
        write_batch.put_early(unix.write_queue, [b"answer"], time.monotonic())
        assert unix.received() == b"answer"

    asyncio.run(main())


def test_what_a_full_socket_does_not_take_goes_to_the_transport(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        one.fill()
        write_batch = WriteBatch(asyncio.get_running_loop())
        queued = len(one.transport.written)
        write_batch.put_early(one.write_queue, [b"answer"], time.monotonic())
        assert one.transport.written[queued:] == [b"answer"], "behind what waits there"
        one.transport.written.clear()
        write_batch.put_early(one.write_queue, [b"answer"], time.monotonic())
        assert one.transport.written == [b"answer"]

    asyncio.run(main())


def test_a_piece_of_another_answer_goes_behind(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end()
        write_batch = WriteBatch(asyncio.get_running_loop())
        write_batch.put(one.write_queue, [b"whole"], time.monotonic())
        assert not one.write_queue.direct, "a file would overtake it"
        one.write_queue.send([b"streamed"])
        assert one.received() == b"wholestreamed"
        assert one.write_queue.direct
        write_batch.flush()
        assert one.received() == b""

    asyncio.run(main())


@pytest.mark.parametrize("early", [False, True])
def test_a_connection_that_ends_takes_its_answer_along(end: Callable[..., End], early: bool) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        write_batch = WriteBatch(asyncio.get_running_loop())
        put = write_batch.put_early if early else write_batch.put
        put(one.write_queue, [b"last"], time.monotonic())
        one.write_queue.stop()
        assert one.received() == b"last"
        await asyncio.sleep(0)
        assert one.received() == b""

    asyncio.run(main())


@pytest.mark.parametrize("early", [False, True])
def test_a_client_that_has_left_harms_nobody(end: Callable[..., End], early: bool) -> None:
    async def main() -> None:
        gone, lost, other = end(_tcp_pair), end(_tcp_pair), end(_tcp_pair)
        write_batch = WriteBatch(asyncio.get_running_loop())
        put = write_batch.put_early if early else write_batch.put
        for one in (gone, lost, other):
            put(one.write_queue, [b"answer"], time.monotonic())
        gone.leave()
        lost.write_queue.close()
        await asyncio.sleep(0)
        assert other.received() == b"answer"
        assert early or lost.received() == b""
        put(gone.write_queue, [b"reset by now"], time.monotonic())
        write_batch.flush()
        put(gone.write_queue, [b"and now it is known"], time.monotonic())
        write_batch.flush()
        assert gone.transport.aborted

    asyncio.run(main())
