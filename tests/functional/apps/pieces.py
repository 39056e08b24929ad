"""Parts of the asynchronous applications: awaitables, and bodies that report their use."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator

import gate
from gate import query
from probe import PLAIN, Environ, StartResponse, say

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
loops: list[asyncio.AbstractEventLoop] = []
waiters: list[asyncio.Future[str]] = []


def start(start_response: StartResponse, *headers: tuple[str, str]) -> None:
    start_response("200 OK", [*PLAIN, *headers])


def place() -> str:
    """What of the loop can be seen from here."""
    try:
        asyncio.get_running_loop()
        loop = "visible"
    except RuntimeError:
        loop = "hidden"
    thread = "main" if threading.current_thread() is threading.main_thread() else "pool"
    return f"{loop} {thread}"


async def later(value: str) -> str:
    await asyncio.sleep(0)
    return value


class AsyncPieces:
    """An asynchronous iterable that says when it is closed, and by which method."""

    def __init__(self, key: str, count: int = 3, fail_after: int | None = None) -> None:
        self._key = key
        self._left = count
        self._fail_after = fail_after
        self._sent = 0

    def __aiter__(self) -> "AsyncPieces":
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        if self._sent == self._fail_after:
            raise RuntimeError(f"planned failure {self._key}")
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        self._sent += 1
        return b"piece %d;" % (self._sent - 1)

    async def aclose(self) -> None:
        say(f"aclosed {self._key}")


class AsyncPiecesWithClose(AsyncPieces):
    aclose = None  # type: ignore[assignment]

    def close(self) -> None:
        say(f"closed {self._key} {place()}")


async def async_pieces(environ: Environ) -> AsyncIterator[bytes]:
    """An async generator that stands at the gate before its second piece."""
    key = query(environ, "key")
    try:
        yield b"first"
        if query(environ, "gate"):
            await gate.pass_through(environ)
        yield b"second"
    except asyncio.CancelledError:
        say(f"cancelled {key}")
        raise
    finally:
        say(f"finally {key} {place()} {variable.get()}")


class Both:
    """An iterable of both kinds: synchronous is what PEP 3333 asks for."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"synchronous"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"asynchronous"


class Told(Both):
    """Django's way: an attribute says which of the two is meant."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async


async def later_bytes(data: bytes) -> bytes:
    await asyncio.sleep(0)
    return data
