"""An asynchronous response body that gets through any framework."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator


class Marker(bytes):
    """Stands in an iterable for the asynchronous body that it carries.

    It is not empty, because Bottle and others skip empty pieces while they look
    for the first one.
    """

    body: AsyncBody


class AsyncBody:
    """Carries an asynchronous iterable of ``bytes`` as the body of a response.

    WebOb, Pyramid and Falcon hand an asynchronous iterator to the server as it
    is, and Django has its own way. Flask and Bottle insist on iterating: under
    our workers this object gives them one marker, behind which the worker goes
    on with ``async for``. Under any other server it is iterated synchronously,
    on a loop of its own, so the application stays portable.

    Middleware that joins, compresses or measures the body sees the marker
    instead of the data; such a response needs to go around it.

    :param iterable: yields ``bytes``.
    :raises TypeError: it cannot be iterated asynchronously.
    """

    def __init__(self, iterable: AsyncIterable[bytes]) -> None:
        if not hasattr(type(iterable), "__aiter__"):
            raise TypeError(f"AsyncBody takes an asynchronous iterable, such as the call of an async generator, not {iterable!r}")
        self._iterable = iterable

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._iterable.__aiter__()

    def __iter__(self) -> Iterator[bytes]:
        if _served_by_us():
            marker = Marker(b" ")
            marker.body = self
            return iter((marker,))
        return _iterate(self._iterable)

    async def aclose(self) -> None:
        """Close the iterable, if it can be closed."""
        close = getattr(self._iterable, "aclose", None)
        if close is not None:
            await close()


_ours = False


def declare_server() -> None:
    """Tell this process that our workers serve it (they call this at start)."""
    global _ours
    _ours = True


def _served_by_us() -> bool:
    return _ours


def _iterate(iterable: AsyncIterable[bytes]) -> Iterator[bytes]:
    """Iterate without a running loop, one step of a loop of our own at a time."""
    import asyncio  # here, because the protocol's part of the package must not need it

    loop = asyncio.new_event_loop()
    iterator = iterable.__aiter__()

    async def step() -> bytes:
        return await iterator.__anext__()

    try:
        while True:
            try:
                piece = loop.run_until_complete(step())
            except StopAsyncIteration:
                return
            yield piece
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            loop.run_until_complete(close())
        loop.close()
