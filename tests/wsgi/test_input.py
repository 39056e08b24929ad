"""The kinds of ``wsgi.input``: what a read gives, when it waits, and how a body ends."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.buffer import SMALL
from aiohttp_worker.wsgi.input import HIGH_MARK, BlockingReader, BodyCollector, FileReader, StreamReader
from tests.server.fakes import FakeLoop

TEXT = b"one\ntwo\nthree"


def outcome(loop: FakeLoop, read: Callable[[], Any]) -> Any:
    """What awaiting a read gives, or the error that it raises; ``None`` while it waits."""
    found: list[Any] = []

    async def wait() -> None:
        try:
            found.append(await read())
        except Exception as error:
            found.append(error)

    loop.create_task(wait())
    loop.run_ready()
    return found[0] if found else None


class Told:
    """Counts calls."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


def stream(loop: FakeLoop, data: bytes = b"", ended: bool = False) -> StreamReader:
    reader = StreamReader(loop, Told(), Told())
    if data:
        reader.feed(data)
    if ended:
        reader.feed_end()
    return reader


class TestStreamReader:
    @pytest.mark.parametrize(
        ("read", "expected"),
        [
            (lambda reader: reader.read(), TEXT),
            (lambda reader: reader.read(5), TEXT[:5]),
            (lambda reader: reader.read(500), TEXT),
            (lambda reader: reader.read(0), b""),
            (lambda reader: reader.readany(), TEXT),
            (lambda reader: reader.readline(), b"one\n"),
            (lambda reader: reader.readuntil(b"tw"), b"one\ntw"),
            (lambda reader: reader.readexactly(6), TEXT[:6]),
            (lambda reader: reader.readexactly(0), b""),
        ],
    )
    def test_a_whole_body(self, loop: FakeLoop, read: Any, expected: bytes) -> None:
        assert outcome(loop, lambda: read(stream(loop, TEXT, ended=True))) == expected

    @pytest.mark.parametrize(
        ("read", "waits", "then"),
        [
            (lambda reader: reader.read(), True, b"one\ntwo"),
            (lambda reader: reader.read(5), False, b"one"),
            (lambda reader: reader.readany(), False, b"one"),
            (lambda reader: reader.readline(), True, b"one\n"),
            (lambda reader: reader.readexactly(5), True, b"one\nt"),
        ],
    )
    def test_a_body_that_comes_in_pieces(self, loop: FakeLoop, read: Any, waits: bool, then: bytes) -> None:
        reader = stream(loop, b"one")
        future = read(reader)
        assert future.done() is not waits
        assert reader.wanted is waits
        reader.feed(b"\ntwo")
        reader.feed_end()
        assert future.result() == then

    def test_lines_to_the_end(self, loop: FakeLoop) -> None:
        reader = stream(loop, TEXT, ended=True)

        async def lines() -> list[bytes]:
            return [line async for line in reader]

        assert outcome(loop, lines) == [b"one\n", b"two\n", b"three"]
        assert reader.at_eof()

    def test_the_body_ends_before_a_separator(self, loop: FakeLoop) -> None:
        error = outcome(loop, lambda: stream(loop, TEXT, ended=True).readuntil(b"x"))
        assert isinstance(error, asyncio.IncompleteReadError)
        assert error.partial == TEXT

    def test_the_body_ends_before_a_size(self, loop: FakeLoop) -> None:
        error = outcome(loop, lambda: stream(loop, TEXT, ended=True).readexactly(100))
        assert isinstance(error, asyncio.IncompleteReadError)
        assert (error.partial, error.expected) == (TEXT, 100)

    def test_the_client_leaves(self, loop: FakeLoop) -> None:
        """What has come can be read; the read that needs more raises."""
        reader = stream(loop, b"abc")
        waiting = reader.read()
        reader.fail(IncompleteBodyError("gone"))
        assert isinstance(waiting.exception(), IncompleteBodyError)
        assert outcome(loop, lambda: reader.read(2)) == b"ab"
        assert outcome(loop, reader.readany) == b"c"
        assert isinstance(outcome(loop, reader.readany), IncompleteBodyError)

    def test_the_client_leaves_behind_the_end(self, loop: FakeLoop) -> None:
        reader = stream(loop, b"abc", ended=True)
        reader.fail(IncompleteBodyError("gone"))
        assert outcome(loop, reader.read) == b"abc"

    def test_one_reader_at_a_time(self, loop: FakeLoop) -> None:
        reader = stream(loop)
        waiting = reader.read()
        with pytest.raises(RuntimeError, match="read by someone else"):
            reader.readline()
        waiting.cancel()
        again = reader.readline()
        reader.feed(b"line\n")
        assert again.result() == b"line\n"

    def test_a_cancelled_read_takes_nothing(self, loop: FakeLoop) -> None:
        reader = stream(loop)
        reader.readany().cancel()
        reader.feed(b"abc")
        assert reader.buffered == 3
        assert outcome(loop, reader.readany) == b"abc"

    def test_the_first_read_is_told_of_once(self, loop: FakeLoop) -> None:
        want, taken = Told(), Told()
        reader = StreamReader(loop, want, taken)
        assert not reader.was_read
        reader.feed(b"abc")
        assert want.count == 0
        reader.read(1)
        reader.read(1)
        assert reader.was_read
        assert (want.count, taken.count) == (1, 2)

    def test_generators_delegate_to_a_read(self, loop: FakeLoop) -> None:
        reader = stream(loop, TEXT, ended=True)

        def generator() -> Generator[Any, Any, bytes]:
            first = yield from reader.readline()
            rest = yield from reader.read()
            return bytes(first) + bytes(rest)

        async def run() -> bytes:
            import types

            return await types.coroutine(generator)()

        assert outcome(loop, run) == TEXT


class TestFileReader:
    def test_it_is_read_when_asked(self, loop: FakeLoop) -> None:
        reader = FileReader(loop, io.BytesIO(TEXT))
        assert outcome(loop, reader.readline) == b"one\n"
        assert outcome(loop, reader.read) == TEXT[4:]
        assert reader.at_eof()


class TestBodyCollector:
    @pytest.mark.parametrize("pieces", [[], [b"abc"], [b"a"] * 50, [bytes(SMALL), b"x", bytes(SMALL)]])
    def test_in_memory(self, pieces: list[bytes], tmp_path: Path) -> None:
        collector = BodyCollector(1024 * 1024, str(tmp_path))
        for piece in pieces:
            collector.feed(piece)
        whole = b"".join(pieces)
        assert collector.size == collector.in_memory == len(whole)
        file = collector.finish()
        assert isinstance(file, io.BytesIO)
        assert file.read() == whole

    def test_in_a_file(self, tmp_path: Path) -> None:
        collector = BodyCollector(1000, str(tmp_path))
        collector.feed(b"a" * 600)
        assert collector.in_memory == 600
        collector.feed(b"b" * 600)
        assert (collector.size, collector.in_memory) == (1200, 0)
        collector.feed(b"c")
        with collector.finish() as file:
            assert not isinstance(file, io.BytesIO)
            assert file.read() == b"a" * 600 + b"b" * 600 + b"c"
        assert list(tmp_path.iterdir()) == []

    def test_spilled_for_others(self, tmp_path: Path) -> None:
        collector = BodyCollector(1000, str(tmp_path))
        collector.feed(b"abc")
        collector.spill()
        assert collector.in_memory == 0
        with collector.finish() as file:
            assert file.read() == b"abc"

    @pytest.mark.parametrize("size", [10, 2000])
    def test_thrown_away(self, size: int, tmp_path: Path) -> None:
        collector = BodyCollector(1000, str(tmp_path))
        collector.feed(bytes(size))
        collector.close()
        collector.close()

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(OSError):
            BodyCollector(1, str(tmp_path / "missing")).feed(b"abc")


class TestBlockingReader:
    def make(self, data: bytes = b"", ended: bool = False) -> BlockingReader:
        reader = BlockingReader(Told(), Told())
        if data:
            reader.feed(data)
        if ended:
            reader.feed_end()
        return reader

    def test_it_reads_like_a_file(self) -> None:
        for read in (
            lambda file: [file.read(), file.read()],
            lambda file: [file.read(3), file.read(0), file.read(100), file.read(1)],
            lambda file: [file.readline(), file.readline(2), file.readline(), file.readline(), file.readline()],
            lambda file: file.readlines(),
            list,
            lambda file: [file.read1(2), file.readline()],
            lambda file: [file.read(None), file.readline(None)],
        ):
            assert read(self.make(TEXT, ended=True)) == read(io.BytesIO(TEXT))

    def test_readinto(self) -> None:
        buffer = bytearray(5)
        reader = self.make(TEXT, ended=True)
        assert reader.readinto(buffer) == 5  # type: ignore[arg-type]
        assert bytes(buffer) == TEXT[:5]
        assert reader.readable()

    def test_a_thread_waits_for_what_comes(self) -> None:
        reader = self.make(b"ab")
        found: list[bytes] = []
        thread = threading.Thread(target=lambda: found.append(reader.read(4)))
        thread.start()
        reader.feed(b"c")
        reader.feed(b"d")
        thread.join(10)
        assert found == [b"abcd"]

    def test_a_thread_waits_within_a_loop_of_its_own(self) -> None:
        async def view() -> bytes:
            return reader.read(4)

        reader = self.make(b"ab")
        found: list[bytes] = []
        thread = threading.Thread(target=lambda: found.append(asyncio.run(view())))
        thread.start()
        while not reader.waits and thread.is_alive():
            thread.join(0.01)
        reader.feed(b"cd")
        thread.join(10)
        assert found == [b"abcd"]

    def test_a_thread_waits_for_the_end(self) -> None:
        reader = self.make(b"ab")
        found: list[bytes] = []
        thread = threading.Thread(target=lambda: found.append(reader.read()))
        thread.start()
        reader.feed_end()
        thread.join(10)
        assert found == [b"ab"]

    @pytest.mark.parametrize("leaves", [True, False])
    def test_the_end_is_for_all_threads(self, leaves: bool) -> None:
        """An application may read in several threads of its own, and none of them is forgotten."""

        def read() -> None:
            try:
                found.append(reader.read())
            except IncompleteBodyError:
                found.append(b"")

        reader = self.make()
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

    def test_the_client_leaves(self) -> None:
        reader = self.make(b"ab")
        reader.fail(IncompleteBodyError("gone"))
        assert reader.read(2) == b"ab"
        for read in (lambda: reader.read(1), reader.readline, reader.read):
            with pytest.raises(IncompleteBodyError, match="gone"):
                read()

    def test_who_is_told(self) -> None:
        want, taken = Told(), Told()
        reader = BlockingReader(want, taken)
        reader.feed(bytes(HIGH_MARK))
        assert not reader.was_read
        reader.read(10)
        assert reader.was_read
        assert (want.count, taken.count) == (1, 0)
        reader.read(HIGH_MARK - 10)  # now there is room
        assert (want.count, taken.count) == (1, 1)

    @pytest.mark.parametrize("end", ["open", "ended", "failed"])
    def test_handed_over_to_the_loop(self, loop: FakeLoop, end: str) -> None:
        reader = self.make(b"abc", ended=end == "ended")
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

    def test_no_thread_waits_longer_than_it_must(self) -> None:
        reader = self.make(ended=True)
        began = time.perf_counter()
        assert reader.read() == b""
        assert time.perf_counter() - began < 5
