"""Reads of ``wsgi.input`` on the loop: results, waiting, the end of the body, and misuse."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Generator
from typing import Any

import pytest

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.wsgi.input import FileReader, StreamReader
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


class TestFileReader:
    def test_it_is_read_when_asked(self, loop: FakeLoop) -> None:
        reader = FileReader(loop, io.BytesIO(TEXT))
        assert outcome(loop, reader.readline) == b"one\n"
        assert outcome(loop, reader.read) == TEXT[4:]
        assert reader.at_eof()
