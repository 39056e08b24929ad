"""Blocking reads of ``wsgi.input`` in threads: results, waiting, the end of the body, and the way back to the loop."""

from __future__ import annotations

import asyncio
import io
import threading
import time

import pytest

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.wsgi.blocking_reader import BlockingReader
from aiohttp_worker.wsgi.input import HIGH_MARK
from tests.server.fakes import FakeLoop

from .reading import TEXT, Counter, outcome, stream


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


def make(data: bytes = b"", ended: bool = False) -> BlockingReader:
    reader = BlockingReader(Counter(), Counter())
    if data:
        reader.feed(data)
    if ended:
        reader.feed_end()
    return reader


def test_reads_are_those_of_a_file() -> None:
    for read in (
        lambda file: [file.read(), file.read()],
        lambda file: [file.read(3), file.read(0), file.read(100), file.read(1)],
        lambda file: [file.readline(), file.readline(2), file.readline(), file.readline(), file.readline()],
        lambda file: file.readlines(),
        list,
        lambda file: [file.read1(2), file.readline()],
        lambda file: [file.read(None), file.readline(None)],
    ):
        assert read(make(TEXT, ended=True)) == read(io.BytesIO(TEXT))


def test_readinto() -> None:
    buffer = bytearray(5)
    reader = make(TEXT, ended=True)
    assert reader.readinto(buffer) == 5  # type: ignore[arg-type]
    assert bytes(buffer) == TEXT[:5]
    assert reader.readable()


def test_thread_waits_for_data() -> None:
    reader = make(b"ab")
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(reader.read(4)))
    thread.start()
    reader.feed(b"c")
    reader.feed(b"d")
    thread.join(10)
    assert found == [b"abcd"]


def test_thread_waits_within_a_loop_of_its_own() -> None:
    async def view() -> bytes:
        return reader.read(4)

    reader = make(b"ab")
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(view())))
    thread.start()
    while not reader.waits and thread.is_alive():
        thread.join(0.01)
    reader.feed(b"cd")
    thread.join(10)
    assert found == [b"abcd"]


def test_thread_waits_for_the_end() -> None:
    reader = make(b"ab")
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(reader.read()))
    thread.start()
    reader.feed_end()
    thread.join(10)
    assert found == [b"ab"]


@pytest.mark.parametrize("leaves", [True, False])
def test_end_wakes_all_threads(leaves: bool) -> None:
    """An application may read in several threads of its own, and none of them is forgotten."""

    def read() -> None:
        try:
            found.append(reader.read())
        except IncompleteBodyError:
            found.append(b"")

    reader = make()
    found: list[bytes] = []
    threads = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    for thread in threads:
        reader.waits = False
        thread.start()
        while not reader.waits:
            thread.join(0.01)
    if leaves:
        reader.fail(IncompleteBodyError("gone"))
    else:
        reader.feed_end()
    for thread in threads:
        thread.join(5)
    assert found == [b""] * 3


def test_client_disconnects() -> None:
    reader = make(b"ab")
    reader.fail(IncompleteBodyError("gone"))
    assert reader.read(2) == b"ab"
    for read in (lambda: reader.read(1), reader.readline, reader.read):
        with pytest.raises(IncompleteBodyError, match="gone"):
            read()


def test_callbacks_at_the_first_read_and_below_the_low_mark() -> None:
    want, taken = Counter(), Counter()
    reader = BlockingReader(want, taken)
    reader.feed(bytes(HIGH_MARK))
    assert not reader.was_read
    reader.read(10)
    assert reader.was_read
    assert (want.count, taken.count) == (1, 0)
    reader.read(HIGH_MARK - 10)  # now there is room
    assert (want.count, taken.count) == (1, 1)


@pytest.mark.parametrize("end", ["open", "ended", "failed"])
def test_unread_bytes_move_to_a_stream(loop: FakeLoop, end: str) -> None:
    reader = make(b"abc", ended=end == "ended")
    if end == "failed":
        reader.fail(IncompleteBodyError("gone"))
    target = stream(loop)
    reader.hand_over(target)
    assert outcome(loop, lambda: target.read(3)) == b"abc"
    if end == "ended":
        assert target.at_eof()
    elif end == "failed":
        assert isinstance(outcome(loop, lambda: target.read(1)), IncompleteBodyError)
    else:
        assert outcome(loop, lambda: target.read(1)) is None
    assert reader.read() == b""


def test_end_without_data_does_not_block() -> None:
    reader = make(ended=True)
    began = time.perf_counter()
    assert reader.read() == b""
    assert time.perf_counter() - began < 5
