"""Reads of ``wsgi.input`` as a file whose results can also be awaited and delegated to."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

from aiohttp_worker.http1.errors import EofStream
from aiohttp_worker.wsgi.blocking_reader import BlockingReader
from aiohttp_worker.wsgi.input_file import InputBytes, InputFile, InputLines, let_delegate

from .reading import TEXT, Counter

Steps = Generator[Any, Any, Any]


def file_of(data: bytes = TEXT) -> InputFile:
    return InputFile(io.BufferedReader(io.BytesIO(data)))


def blocking(data: bytes, ended: bool = True) -> BlockingReader:
    reader = BlockingReader(Counter(), Counter())
    reader.feed(data)
    if ended:
        reader.feed_end()
    return reader


def run(generator: Steps) -> Any:
    """Run a generator that never waits, and return its result."""
    try:
        next(generator)
    except StopIteration as end:
        return end.value
    raise AssertionError("the generator waits")


# As a file.


@pytest.mark.parametrize(
    "read",
    [
        lambda file: [file.read(3), file.read(0), file.read(None), file.read()],
        lambda file: [file.read1(3), file.read1()],
        lambda file: [file.readline(), file.readline(2), file.readline(None), file.readline()],
        lambda file: [file.readlines(), file.readlines()],
        lambda file: [file.readlines(None)],
        lambda file: [file.readlines(1)],
        list,
        lambda file: [file.seekable(), file.seek(2), file.tell(), file.seek(-1, io.SEEK_END), file.read()],
        lambda file: [file.readable(), file.writable(), file.isatty(), file.flush(), file.closed],
        lambda file: [file.peek(3)[:3], hasattr(file, "getvalue"), hasattr(file, "_private")],
    ],
)
def test_reads_are_those_of_the_file(read: Callable[[Any], Any]) -> None:
    assert read(file_of()) == read(io.BufferedReader(io.BytesIO(TEXT)))


@pytest.mark.parametrize("name", ["readinto", "readinto1"])
def test_read_into_a_buffer(name: str) -> None:
    buffer = bytearray(5)
    assert getattr(file_of(), name)(buffer) == 5
    assert bytes(buffer) == TEXT[:5]


def test_file_descriptor() -> None:
    with pytest.raises(io.UnsupportedOperation):
        file_of().fileno()


def test_close_is_left_to_the_server() -> None:
    file = file_of()
    with file as same:
        assert same is file
    file.close()
    assert file.read() == TEXT
    assert isinstance(file, io.BufferedIOBase)


def test_ordinary_code_gets_plain_bytes() -> None:
    file = file_of()
    file.is_driven = True
    assert type(file.read(3)) is bytes
    assert type(file.readline()) is bytes
    assert type(file.readlines()) is list


# Delegated to and awaited.


def test_generators_delegate_to_reads() -> None:
    def generator(file: Any) -> Steps:
        return [
            (yield from file.read(3)),
            (yield from file.readline()),
            (yield from file.readexactly(2)),
            (yield from file.readuntil(b"\n")),
            (yield from file.readany()),
            (yield from file.read()),
        ]

    result = run(generator(file_of()))
    assert result == [b"one", b"\n", b"tw", b"o\n", b"three", b""]
    assert {type(data) for data in result} == {bytes}


def test_coroutines_await_reads() -> None:
    async def coroutine() -> Any:
        file: Any = file_of()
        return [await file.readline(), await file.readlines(), await file.read(), [line async for line in file]]

    assert asyncio.run(coroutine()) == [b"one\n", [b"two\n", b"three"], b"", []]


def test_coroutines_iterate_over_lines() -> None:
    async def coroutine() -> Any:
        return [line async for line in file_of()]

    assert asyncio.run(coroutine()) == [b"one\n", b"two\n", b"three"]


def test_read_that_is_kept() -> None:
    def generator(file: Any) -> Steps:
        reading = file.read(3)
        assert type(reading) is InputBytes
        assert reading == b"one"
        return (yield from reading)

    assert type(run(generator(file_of()))) is bytes


@pytest.mark.parametrize("driven", [False, True])
def test_read_that_is_passed_on(driven: bool) -> None:
    """Only a generator that the loop drives may have it awaited elsewhere."""

    def generator(file: Any) -> Steps:
        kinds.append(type(file.read(3)))
        yield from ()

    kinds: list[type] = []
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO(TEXT)}
    let_delegate(environ, driven)
    run(generator(environ["wsgi.input"]))
    assert kinds == [InputBytes if driven else bytes]


def test_iteration_of_kept_bytes_gives_numbers() -> None:
    data = InputBytes(b"abc")
    assert [number for number in data] == [97, 98, 99]  # noqa: C416 - `list(data)` would not iterate here


def test_copies_are_plain() -> None:
    data = InputBytes(b"abc")
    for other in (copy.copy(data), copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert type(other) is bytes
        assert other == b"abc"


def test_lines_are_a_list_and_can_be_awaited() -> None:
    lines = InputLines([b"a\n"])

    def generator() -> Steps:
        return (yield from lines.__await__())

    assert type(run(generator())) is list


# The end of the body.


def test_third_read_after_the_end_raises() -> None:
    def generator(file: Any) -> Steps:
        reads = 0
        try:
            while True:
                yield from file.read(100)
                reads += 1
        except EofStream:
            return reads

    assert run(generator(file_of())) == 3  # the data, and two empty reads


def test_reads_of_nothing_do_not_count() -> None:
    def generator(file: Any) -> Steps:
        for _ in range(10):
            assert (yield from file.read(0)) == b""
        return (yield from file.read())

    assert run(generator(file_of())) == TEXT


@pytest.mark.parametrize(
    ("read", "partial", "expected"),
    [
        (lambda file: file.readexactly(100), TEXT, 100),
        (lambda file: file.readuntil(b"x"), TEXT, None),
        (lambda file: file.readuntil(b"four\n"), TEXT, None),
    ],
)
def test_body_that_ends_too_early(read: Any, partial: bytes, expected: int | None) -> None:
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        read(file_of())
    assert (caught.value.partial, caught.value.expected) == (partial, expected)


def test_negative_size_to_read_exactly() -> None:
    with pytest.raises(ValueError, match="must not be negative: -1"):
        file_of().readexactly(-1)


@pytest.mark.parametrize("make", [lambda: io.BytesIO(TEXT), lambda: blocking(TEXT)])
def test_end_of_the_body(make: Callable[[], Any]) -> None:
    file = InputFile(make())
    assert not file.at_eof()
    assert file.read(3) == b"one"
    assert not file.at_eof()
    file.read()
    assert file.at_eof()


# A body that is still arriving.


def test_blocking_read_on_the_loop_is_awaited_in_a_thread() -> None:
    async def coroutine() -> Any:
        reader = blocking(b"on", ended=False)
        file: Any = InputFile(reader)
        reading = file.read(3)
        lines = None
        while not reader.waits:
            await asyncio.sleep(0)
        reader.feed(b"e")
        data = await reading
        lines = file.readlines()
        reader.feed(b"rest\n")
        reader.feed_end()
        return data, await lines

    assert asyncio.run(coroutine()) == (b"one", [b"rest\n"])


def test_blocking_read_in_a_thread_blocks() -> None:
    reader = blocking(b"on", ended=False)
    file = InputFile(reader)
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(file.read(3)))
    thread.start()
    reader.feed(b"e")
    thread.join(10)
    assert found == [b"one"]


def test_environ_of_another_server_is_left_alone() -> None:
    other = object()
    environ: dict[str, Any] = {"wsgi.input": other}
    let_delegate(environ, True)
    assert environ["wsgi.input"] is other
    environ = {"wsgi.input": blocking(b"")}
    let_delegate(environ)
    file = environ["wsgi.input"]
    assert isinstance(file, InputFile)
    let_delegate(environ, True)
    assert environ["wsgi.input"] is file
    assert file.is_driven
