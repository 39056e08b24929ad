"""Reads of ``wsgi.input`` on the loop: results, waiting, the end of the body, and misuse."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Generator
from typing import Any

import pytest

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.errors import EofStream
from aiohttp_worker.wsgi import input as wsgi_input
from aiohttp_worker.wsgi.input import WHAT_TO_WRITE, EmptyReader, FileReader, StreamReader, explain_misuse
from tests.server.fakes import FakeLoop

from .reading import TEXT, Counter, outcome, stream


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


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
    def test_whole_body(self, loop: FakeLoop, read: Any, expected: bytes) -> None:
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
    def test_body_in_pieces(self, loop: FakeLoop, read: Any, waits: bool, then: bytes) -> None:
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

    def test_body_ends_before_a_separator(self, loop: FakeLoop) -> None:
        error = outcome(loop, lambda: stream(loop, TEXT, ended=True).readuntil(b"x"))
        assert isinstance(error, asyncio.IncompleteReadError)
        assert error.partial == TEXT

    def test_body_ends_before_a_size(self, loop: FakeLoop) -> None:
        error = outcome(loop, lambda: stream(loop, TEXT, ended=True).readexactly(100))
        assert isinstance(error, asyncio.IncompleteReadError)
        assert (error.partial, error.expected) == (TEXT, 100)

    def test_client_disconnects(self, loop: FakeLoop) -> None:
        """What has come can be read; the read that needs more raises."""
        reader = stream(loop, b"abc")
        waiting = reader.read()
        reader.fail(IncompleteBodyError("gone"))
        assert isinstance(waiting.exception(), IncompleteBodyError)
        assert outcome(loop, lambda: reader.read(2)) == b"ab"
        assert outcome(loop, reader.readany) == b"c"
        assert isinstance(outcome(loop, reader.readany), IncompleteBodyError)

    def test_client_disconnects_after_the_end(self, loop: FakeLoop) -> None:
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

    def test_cancelled_read_takes_nothing(self, loop: FakeLoop) -> None:
        reader = stream(loop)
        reader.readany().cancel()
        reader.feed(b"abc")
        assert reader.buffered == 3
        assert outcome(loop, reader.readany) == b"abc"

    def test_first_read_is_announced_once(self, loop: FakeLoop) -> None:
        want, taken = Counter(), Counter()
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

    def test_lines_as_a_list(self, loop: FakeLoop) -> None:
        reader = stream(loop, TEXT)
        lines = reader.readlines()
        assert not lines.done()
        reader.feed_end()
        assert lines.result() == [b"one\n", b"two\n", b"three"]

    def test_third_read_after_the_end_raises(self, loop: FakeLoop) -> None:
        """The read loops of 2014 end that way; reads of a known end do not count."""
        reader = stream(loop, b"", ended=True)
        assert outcome(loop, reader.readlines) == []
        assert outcome(loop, lambda: reader.read(0)) == b""
        assert outcome(loop, reader.read) == outcome(loop, reader.readany) == b""
        assert isinstance(outcome(loop, reader.read), EofStream)

    @pytest.mark.parametrize("size", [-1, -5])
    def test_negative_size_to_read_exactly(self, loop: FakeLoop, size: int) -> None:
        with pytest.raises(ValueError, match=f"must not be negative: {size}"):
            stream(loop).readexactly(size)

    @pytest.mark.parametrize("arrived", [True, False])
    def test_reads_that_need_not_wait_let_others_run(
        self, loop: FakeLoop, arrived: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A task that reads from the buffer without end gives the loop back after a millisecond."""
        now = 100.0
        monkeypatch.setattr(wsgi_input, "_monotonic", lambda: now)
        taken = Counter()
        reader = StreamReader(loop, Counter(), taken)
        reader.feed(bytes(10))
        assert reader.read(1).done()
        now += 1
        deferred = reader.read(1 if arrived else -1)
        assert not deferred.done()
        assert not reader.wanted  # its data, or the lack of it, is looked at in the next turn
        loop.turn()
        assert deferred.done() is arrived
        assert reader.wanted is not arrived
        assert reader.read(1).done() if arrived else not deferred.done()

    def test_iteration_without_async(self, loop: FakeLoop) -> None:
        with pytest.raises(TypeError, match="async for line"):
            list(stream(loop, TEXT))  # type: ignore[call-overload]


class TestEmptyReader:
    def test_empty_body_is_at_its_end(self, loop: FakeLoop) -> None:
        reader = EmptyReader(loop)
        assert reader.at_eof()
        assert (reader.buffered, reader.was_read, reader.wanted) == (0, True, False)
        assert outcome(loop, reader.read) == b""


class TestMisuse:
    """A read taken for its bytes raises an error that says what to write."""

    @pytest.mark.parametrize(
        "misuse",
        [
            lambda reading: [number + 1 for number in reading],
            bool,
            len,
            lambda reading: reading[0],
            lambda reading: b"a" in reading,
            lambda reading: reading + b"a",
            lambda reading: b"a" + reading,
            lambda reading: reading.decode(),
        ],
    )
    def test_read_used_as_bytes(self, loop: FakeLoop, misuse: Callable[[Any], Any]) -> None:
        with pytest.raises((TypeError, AttributeError), match="data = yield from environ"):
            misuse(stream(loop, TEXT, ended=True).read())

    def test_attribute_of_neither(self, loop: FakeLoop) -> None:
        with pytest.raises(AttributeError, match=r"^nothing$"):
            _ = stream(loop).read().nothing

    def test_note_on_the_error_of_others(self, loop: FakeLoop) -> None:
        reading: Any = stream(loop, TEXT, ended=True).read()
        with pytest.raises(TypeError) as caught:
            json.loads(reading)
        explain_misuse(caught.value)
        explain_misuse(caught.value)
        assert caught.value.__notes__ == [WHAT_TO_WRITE]

    @pytest.mark.parametrize("error", [TypeError("something else"), OSError("ReadFuture")])
    def test_no_note_on_other_errors(self, error: Exception) -> None:
        explain_misuse(error)
        assert not hasattr(error, "__notes__")


class TestFileReader:
    def test_file_is_read_at_the_first_read(self, loop: FakeLoop) -> None:
        reader = FileReader(loop, io.BytesIO(TEXT))
        assert outcome(loop, reader.readline) == b"one\n"
        assert outcome(loop, reader.read) == TEXT[4:]
        assert reader.at_eof()
