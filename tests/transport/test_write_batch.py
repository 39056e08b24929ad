"""Small answers of one turn leave together, and never wait for a slow application."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from aiohttp_worker.transport.write_batch import Outbox
from aiohttp_worker.transport.write_queue import Sender


class Transport:
    """What a sender asks of a transport."""

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
        self.sender = Sender(self.transport, self._ours)  # type: ignore[arg-type]

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
            self.sender.send([b"x" * 65536])

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
        one.sender.close()
        one.close()


def test_they_leave_at_the_end_of_the_turn(end: Callable[..., End]) -> None:
    async def main() -> None:
        first, second = end(), end()
        outbox = Outbox(asyncio.get_running_loop())
        began = time.monotonic()
        outbox.put(first.sender, [b"head", b"one"], began)
        outbox.put(second.sender, [b"two"], began)
        outbox.put(first.sender, [b"pipelined"], began)
        assert (first.received(), second.received()) == (b"", b"")
        await asyncio.sleep(0)
        assert (first.received(), second.received()) == (b"headonepipelined", b"two")
        # And the same in the next turn.
        outbox.put(first.sender, [b"three"], time.monotonic())
        assert first.received() == b""
        await asyncio.sleep(0)
        assert first.received() == b"three"

    asyncio.run(main())


def test_they_are_due_soon(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end()
        outbox = Outbox(asyncio.get_running_loop())
        assert outbox.until == float("inf")
        outbox.put(one.sender, [b"one"], 1000.0)
        outbox.put(one.sender, [b"two"], 1000.1)
        assert 1000.0 < outbox.until <= 1000.001, "of the first"
        outbox.flush()
        assert one.received() == b"onetwo"
        assert outbox.until == float("inf")
        await asyncio.sleep(0)
        assert one.received() == b""

    asyncio.run(main())


@pytest.mark.parametrize("early", [False, True])
def test_none_waits_for_a_while_after_a_slow_call(end: Callable[..., End], early: bool) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        outbox = Outbox(asyncio.get_running_loop())
        put = outbox.put_early if early else outbox.put
        outbox.note_call(0.004, 1000.0)
        put(one.sender, [b"a"], 1000.0)
        assert one.received() == b""
        outbox.note_call(0.02, 1000.0)
        put(one.sender, [b"b"], 1000.19)
        assert one.received() == b"ab", "in their order"
        put(one.sender, [b"c"], 1000.21)
        assert one.received() == b""
        outbox.flush()
        assert one.received() == b"c"

    asyncio.run(main())


def test_what_the_kernel_has_leaves_at_the_end_of_the_turn(end: Callable[..., End]) -> None:
    async def main() -> None:
        first, second = end(_tcp_pair), end(_tcp_pair)
        outbox = Outbox(asyncio.get_running_loop())
        began = time.monotonic()
        outbox.put_early(first.sender, [b"head", b"one"], began)
        outbox.put_early(second.sender, [b"two"], began)
        outbox.put_early(first.sender, [b"pipelined"], began)
        outbox.put(first.sender, [b"whole"], began)
        assert (first.received(), second.received()) == (b"", b"")
        await asyncio.sleep(0)
        assert (first.received(), second.received()) == (b"headonepipelinedwhole", b"two")

    asyncio.run(main())


def test_what_the_kernel_has_leaves_without_us(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        outbox = Outbox(asyncio.get_running_loop())
        outbox.put_early(one.sender, [b"answer"], time.monotonic())
        assert one.wait_received(5) == b"answer", "the loop has not had a turn"
        outbox.flush()
        assert one.received() == b""

    asyncio.run(main())


def test_what_comes_next_pushes_what_the_kernel_has(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        outbox = Outbox(asyncio.get_running_loop())
        outbox.put_early(one.sender, [b"answer"], time.monotonic())
        assert one.sender.direct, "nothing can overtake it"
        one.sender.send([b"next"])
        assert one.received() == b"answernext"

    asyncio.run(main())


def test_where_the_kernel_cannot_hold_it_is_sent(end: Callable[..., End]) -> None:
    async def main() -> None:
        unix = end()
        outbox = Outbox(asyncio.get_running_loop())
        outbox.put_early(unix.sender, [b"answer"], time.monotonic())
        assert unix.received() == b"answer"

    asyncio.run(main())


def test_what_a_full_socket_does_not_take_goes_to_the_transport(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        one.fill()
        outbox = Outbox(asyncio.get_running_loop())
        queued = len(one.transport.written)
        outbox.put_early(one.sender, [b"answer"], time.monotonic())
        assert one.transport.written[queued:] == [b"answer"], "behind what waits there"
        one.transport.written.clear()
        outbox.put_early(one.sender, [b"answer"], time.monotonic())
        assert one.transport.written == [b"answer"]

    asyncio.run(main())


def test_a_piece_of_another_answer_goes_behind(end: Callable[..., End]) -> None:
    async def main() -> None:
        one = end()
        outbox = Outbox(asyncio.get_running_loop())
        outbox.put(one.sender, [b"whole"], time.monotonic())
        assert not one.sender.direct, "a file would overtake it"
        one.sender.send([b"streamed"])
        assert one.received() == b"wholestreamed"
        assert one.sender.direct
        outbox.flush()
        assert one.received() == b""

    asyncio.run(main())


@pytest.mark.parametrize("early", [False, True])
def test_a_connection_that_ends_takes_its_answer_along(end: Callable[..., End], early: bool) -> None:
    async def main() -> None:
        one = end(_tcp_pair)
        outbox = Outbox(asyncio.get_running_loop())
        put = outbox.put_early if early else outbox.put
        put(one.sender, [b"last"], time.monotonic())
        one.sender.stop()
        assert one.received() == b"last"
        await asyncio.sleep(0)
        assert one.received() == b""

    asyncio.run(main())


@pytest.mark.parametrize("early", [False, True])
def test_a_client_that_has_left_harms_nobody(end: Callable[..., End], early: bool) -> None:
    async def main() -> None:
        gone, lost, other = end(_tcp_pair), end(_tcp_pair), end(_tcp_pair)
        outbox = Outbox(asyncio.get_running_loop())
        put = outbox.put_early if early else outbox.put
        for one in (gone, lost, other):
            put(one.sender, [b"answer"], time.monotonic())
        gone.leave()
        lost.sender.close()
        await asyncio.sleep(0)
        assert other.received() == b"answer"
        assert early or lost.received() == b""
        put(gone.sender, [b"reset by now"], time.monotonic())
        outbox.flush()
        put(gone.sender, [b"and now it is known"], time.monotonic())
        outbox.flush()
        assert gone.transport.aborted

    asyncio.run(main())
