"""Reads of a fake loop's streams, for the tests of each kind of ``wsgi.input``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp_worker.wsgi.input import StreamReader
from tests.server.fakes import FakeLoop

TEXT = b"one\ntwo\nthree"


def outcome(loop: FakeLoop, read: Callable[[], Any]) -> Any:
    """Result of awaiting a read, or the error that it raises; ``None`` while it waits."""
    found: list[Any] = []

    async def wait() -> None:
        try:
            found.append(await read())
        except Exception as error:
            found.append(error)

    loop.create_task(wait())
    loop.run_ready()
    return found[0] if found else None


class Counter:
    """Callback that counts its calls."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def stream(loop: FakeLoop, data: bytes = b"", ended: bool = False) -> StreamReader:
    reader = StreamReader(loop, Counter(), Counter())
    if data:
        reader.feed(data)
    if ended:
        reader.feed_end()
    return reader
