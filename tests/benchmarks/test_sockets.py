"""The clients' side: where an answer ends, and what a healthy client saw."""

import socket

import pytest

from benchmarks.cell import Cell
from benchmarks.layers import parse_instructions
from benchmarks.robustness import better_peers
from benchmarks.sockets import Health, answer_length, read_answer, wait_for_end

HEAD = b"HTTP/1.1 200 OK\r\n"
WITH_LENGTH = HEAD + b"content-length: 5\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", None),
        (HEAD, None),
        (WITH_LENGTH, len(WITH_LENGTH) + 5),
        (CHUNKED + b"5\r\nhello\r\n", None),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", len(CHUNKED) + 15),
        (HEAD + b"\r\nhello", None),
    ],
)
def test_where_an_answer_ends(data: bytes, expected: int | None) -> None:
    assert answer_length(data) == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(WITH_LENGTH + b"hello", WITH_LENGTH + b"hello"), (WITH_LENGTH + b"hel", b""), (HEAD + b"\r\nall", HEAD + b"\r\nall")],
)
def test_a_cut_answer_is_none(sent: bytes, expected: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        assert read_answer(ours) == expected


def test_a_client_that_is_blocked_more_often_than_not_has_no_latency() -> None:
    assert Health([0.1, 0.2, 0.3], blocked=2).median == 0.2
    assert Health([0.1], blocked=1).median is None


def test_ends_are_counted_with_what_was_said() -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    try:
        pairs[0][1].sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        for _, theirs in pairs[:2]:
            theirs.close()
        end = wait_for_end([ours for ours, _ in pairs], 0.1)
        assert (end.ended, end.statuses) == (2, {"408"})
    finally:
        for pair in pairs:
            for side in pair:
                side.close()


def test_a_row_is_lost_only_if_all_of_ours_are_worse() -> None:
    columns = {
        "aiohttp-worker": {"a": Cell("1", 1.0), "b": Cell("3", 3.0)},
        "aiohttp-nostream": {"a": Cell("9", 9.0), "b": Cell("4", 4.0)},
        "granian": {"a": Cell("1", 1.0), "b": Cell("2", 2.0), "c": Cell("-")},
    }
    assert better_peers(columns) == ["b: granian 2, aiohttp-worker 3"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1234567,,instructions:u,100,100.00,,\n", 1234567),
        ("<not supported>,,instructions:u,0,100.00,,\n", None),
        ("==12== I   refs:      12,345,678\n", 12345678),
    ],
)
def test_instructions_of_perf_and_of_valgrind(text: str, expected: int | None) -> None:
    assert parse_instructions(text) == expected
