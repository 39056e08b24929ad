"""Small answers of one turn leave together, and never wait for a slow application."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from aiohttp_worker.flow import Outbox, Sender


class Transport:
    """What a sender asks of a transport, upon a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.aborted = False
        self.written: list[bytes] = []

    def get_extra_info(self, name: str) -> socket.socket:
        return self._sock

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.written))

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True


class End:
    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self.transport = Transport(self._ours)
        self.sender = Sender(self.transport, direct=True)  # type: ignore[arg-type]

    def received(self) -> bytes:
        try:
            return self._theirs.recv(1000)
        except BlockingIOError:
            return b""

    def leave(self) -> None:
        self._theirs.close()

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


@pytest.fixture
def end() -> Iterator[Callable[[], End]]:
    ends: list[End] = []

    def make() -> End:
        ends.append(End())
        return ends[-1]

    yield make
    for one in ends:
        one.close()


def test_they_leave_at_the_end_of_the_turn(end: Callable[[], End]) -> None:
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


def test_they_are_due_soon(end: Callable[[], End]) -> None:
    async def main() -> None:
        one = end()
        outbox = Outbox(asyncio.get_running_loop())
        assert outbox.until == float("inf")
        outbox.put(one.sender, [b"one"], 1000.0)
        outbox.put(one.sender, [b"two"], 1000.1)
        assert 1000.0 < outbox.until < 1000.001, "of the first"
        outbox.flush()
        assert one.received() == b"onetwo"
        assert outbox.until == float("inf")
        await asyncio.sleep(0)
        assert one.received() == b""

    asyncio.run(main())


def test_none_waits_after_a_slow_call(end: Callable[[], End]) -> None:
    async def main() -> None:
        one = end()
        outbox = Outbox(asyncio.get_running_loop())
        outbox.note_call(0.0001, 1000.0)
        outbox.put(one.sender, [b"a"], 1000.0)
        assert one.received() == b""
        outbox.note_call(0.02, 1000.0)
        outbox.put(one.sender, [b"b"], 1000.9)
        assert one.received() == b"ab", "in their order"
        outbox.put(one.sender, [b"c"], 1001.1)
        assert one.received() == b""
        outbox.flush()
        assert one.received() == b"c"

    asyncio.run(main())


def test_a_piece_of_another_answer_goes_behind(end: Callable[[], End]) -> None:
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


def test_a_connection_that_ends_takes_its_answer_along(end: Callable[[], End]) -> None:
    async def main() -> None:
        one = end()
        outbox = Outbox(asyncio.get_running_loop())
        outbox.put(one.sender, [b"last"], time.monotonic())
        one.sender.stop()
        assert one.received() == b"last"
        await asyncio.sleep(0)
        assert one.received() == b""

    asyncio.run(main())


def test_a_client_that_has_left_harms_nobody(end: Callable[[], End]) -> None:
    async def main() -> None:
        gone, lost, other = end(), end(), end()
        outbox = Outbox(asyncio.get_running_loop())
        for one in (gone, lost, other):
            outbox.put(one.sender, [b"answer"], time.monotonic())
        gone.leave()
        lost.sender.close()
        await asyncio.sleep(0)
        assert other.received() == b"answer"
        assert gone.transport.aborted
        assert lost.received() == b""

    asyncio.run(main())
