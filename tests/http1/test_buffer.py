"""Reads from the buffer: the same bytes, whatever pieces they arrived in."""

import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiohttp_worker.http1.buffer import SMALL, Buffer


def filled(*pieces: bytes, small: int = 0) -> Buffer:
    buffer = Buffer(small)
    for piece in pieces:
        buffer.feed(piece)
    return buffer


def test_empty_buffer() -> None:
    buffer = Buffer()
    assert len(buffer) == 0
    assert buffer.take(5) == buffer.take_any() == buffer.take_all() == b""
    assert buffer.take_line() is None
    assert buffer.find(b"x") == -1


def test_empty_pieces_are_dropped() -> None:
    buffer = filled(b"", b"a", b"")
    assert buffer.take_any() == b"a"
    assert buffer.take_any() == b""


def test_take_any_gives_the_piece_itself() -> None:
    piece = b"a piece that is not copied"
    assert filled(piece).take_any() is piece
    assert filled(piece).take(1000) is piece
    assert filled(piece).take_all() is piece


def test_take() -> None:
    buffer = filled(b"abc", b"def", b"ghi")
    assert buffer.take(2) == b"ab"
    assert len(buffer) == 7
    assert buffer.take(5) == b"cdefg"
    assert buffer.take(0) == b""
    assert buffer.take(100) == b"hi"
    assert len(buffer) == 0


def test_take_any_after_a_part_was_taken() -> None:
    buffer = filled(b"abc", b"def")
    buffer.take(1)
    assert buffer.take_any() == b"bc"
    assert buffer.take_any() == b"def"


def test_clear() -> None:
    buffer = filled(b"abc", b"def")
    buffer.take(1)
    buffer.clear()
    assert len(buffer) == 0
    buffer.feed(b"x")
    assert buffer.take_all() == b"x"


@pytest.mark.parametrize(
    ("pieces", "separator", "start", "found"),
    [
        ([b"abc"], b"c", 0, 2),
        ([b"abc"], b"c", 2, 2),
        ([b"abc"], b"c", 3, -1),
        ([b"a", b"b", b"c"], b"abc", 0, 0),
        ([b"xa", b"b", b"cx"], b"abc", 0, 1),
        ([b"xa", b"b", b"cx"], b"abc", 1, 1),
        ([b"xa", b"b", b"cx"], b"abc", 2, -1),
        ([b"--bound", b"ary--"], b"boundary", 0, 2),
        ([b"\r", b"\n"], b"\r\n", 0, 0),
        ([b"\r\r", b"\n"], b"\r\n", 0, 1),
        ([b"abab", b"ac"], b"abac", 0, 2),
    ],
)
def test_find(pieces: list[bytes], separator: bytes, start: int, found: int) -> None:
    assert filled(*pieces).find(separator, start) == found


def test_find_after_a_part_was_taken() -> None:
    buffer = filled(b"xxab", b"cd")
    buffer.take(2)
    assert buffer.find(b"bc") == 1


def test_take_until() -> None:
    buffer = filled(b"a\r", b"\nb", b"\r\nc")
    assert buffer.take_until(b"\r\n") == b"a\r\n"
    assert buffer.take_until(b"\r\n") == b"b\r\n"
    assert buffer.take_until(b"\r\n") is None
    assert buffer.take_all() == b"c"


def test_take_until_with_a_limit() -> None:
    buffer = filled(b"abc", b"d\ne")
    assert buffer.take_until(b"\n", 2) == b"ab"
    assert buffer.take_until(b"\n", 3) == b"cd\n"
    assert buffer.take_until(b"\n", 2) is None
    assert buffer.take_until(b"\n", 1) == b"e"


def test_take_until_after_a_failed_search() -> None:
    buffer = filled(b"abc\r")
    assert buffer.take_until(b"\r\n") is None
    buffer.feed(b"\nd")
    assert buffer.take_until(b"\r\n") == b"abc\r\n"
    assert buffer.take_until(b"\r\n") is None
    assert buffer.take_until(b"d") == b"d"


def test_take_until_after_a_take() -> None:
    buffer = filled(b"abcdef")
    assert buffer.take_until(b"x") is None
    assert buffer.take(4) == b"abcd"
    buffer.feed(b"xyz")
    assert buffer.take_until(b"x") == b"efx"
    assert buffer.take_until(b"x") is None
    assert buffer.take_any() == b"yz"
    buffer.feed(b"x")
    assert buffer.take_until(b"x") == b"x"


def test_small_pieces_are_joined() -> None:
    """Each with the two bytes of one chunk, 128 KiB in objects would be 7 MiB."""
    tracemalloc.start()
    try:
        buffer = Buffer()
        data = bytes(2)
        for _ in range(64 * 1024):
            buffer.feed(data)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 512 * 1024
    assert buffer.take_all() == bytes(128 * 1024)


def test_large_pieces_are_not_copied() -> None:
    pieces = [bytes(SMALL), bytes(SMALL), b"small"]
    buffer = filled(*pieces, small=SMALL)
    assert [buffer.take_any() for _ in pieces] == pieces


def test_line_in_many_pieces() -> None:
    """Searched from its beginning for each of them, this would take minutes."""
    buffer = Buffer()
    for _ in range(200_000):
        buffer.feed(b"x")
        assert buffer.take_line() is None
    buffer.feed(b"\n")
    line = buffer.take_line()
    assert line is not None
    assert len(line) == 200_001


@settings(derandomize=True, database=None, max_examples=100, deadline=None)
@given(
    small=st.integers(0, 8),
    pieces=st.lists(st.text("ab\n", max_size=5).map(str.encode), max_size=8),
    reads=st.lists(st.tuples(st.sampled_from(["take", "line", "any", "find"]), st.integers(0, 7)), max_size=10),
)
def test_reads_are_those_of_one_piece(small: int, pieces: list[bytes], reads: list[tuple[str, int]]) -> None:
    buffer = filled(*pieces, small=small)
    file = io.BytesIO(b"".join(pieces))
    for kind, size in reads:
        position = file.tell()
        rest = file.read()
        file.seek(position)
        assert len(buffer) == len(rest)
        if kind == "take":
            assert buffer.take(size) == file.read(size)
        elif kind == "find":
            assert buffer.find(b"a\n", size) == rest.find(b"a\n", size)
        elif kind == "any":
            data = buffer.take_any()
            assert data == file.read(len(data))
            assert data or not rest
        elif (line := buffer.take_line(size)) is None:
            assert b"\n" not in rest
            assert len(rest) < size
        else:
            assert line == file.readline(size)
    assert buffer.take_all() == file.read()
