"""Connections of a worker in this process: a real loop in a thread, a socket pair for each, any application."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from aiohttp_worker.server.http1_connection import HTTP1Connection
from aiohttp_worker.server.settings import Observers, ServerSettings
from aiohttp_worker.server.state import State
from tests.loops import new_loop

PATIENCE = 10.0


class LiveLoop:
    """A loop that runs in a thread until the end of a `with` block."""

    def __init__(self, name: str) -> None:
        self.loop = new_loop(name)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.loop.run_forever()

    def __enter__(self) -> LiveLoop:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()

    def call(self, function: Any, *arguments: Any) -> Any:
        """Call a function on the loop, from a plain callback, and wait for it."""
        done = threading.Event()
        results: list[Any] = []

        def run() -> None:
            try:
                results.append(function(*arguments))
            except BaseException as error:
                results.append(error)
            done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(PATIENCE), "the loop is held"
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    def wait_for(self, coroutine: Any) -> Any:
        """Run a coroutine on the loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)


class LiveService:
    """What the connections of one application share, and what was logged."""

    def __init__(self, live: LiveLoop, application: Any, **settings: Any) -> None:
        self.live = live
        self.logged: list[str] = []
        self.errors: list[BaseException] = []

        def log(message: str, *arguments: Any, **_: Any) -> None:
            self.logged.append(message % arguments if arguments else message)

        def log_exception(error: BaseException, message: str) -> None:
            self.errors.append(error)

        observers = Observers(log, log, lambda *_, **__: None, log_exception)

        def make() -> State:
            state = State(
                live.loop, application, ServerSettings(**{"slow_call": 0, **settings}), {"wsgi.errors": None}, observers
            )
            if state.pool is not None:
                state.pool.start()
            return state

        self.state: State = live.call(make)

    def stop(self) -> None:
        self.live.call(self.state.abort)
        if self.state.pool is not None:
            self.live.call(self.state.pool.stop)

    def connect(self) -> socket.socket:
        """Return the client's end of a new connection."""
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        theirs.setblocking(False)

        async def accept() -> None:
            await self.live.loop.connect_accepted_socket(lambda: HTTP1Connection(self.state, theirs, "", ""), theirs)

        self.live.wait_for(accept())
        return ours

    def exchange(self, *pieces: bytes) -> Answer:
        """Send a request in pieces on a connection of its own, and read the answer."""
        with self.connect() as client:
            for piece in pieces:
                client.sendall(piece)
            return read_answer(client)

    def get(self, target: str = "/") -> Answer:
        return self.exchange(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode())


class Answer:
    def __init__(self, status: int, body: bytes, complete: bool) -> None:
        self.status = status
        self.body = body
        self.complete = complete


def read_answer(client: socket.socket) -> Answer:
    response = http.client.HTTPResponse(client)
    response.begin()
    try:
        body = response.read()
    except http.client.IncompleteRead as error:
        return Answer(response.status, error.partial, False)
    return Answer(response.status, body, True)


@contextmanager
def serving(live: LiveLoop, application: Any, **settings: Any) -> Iterator[LiveService]:
    state = LiveService(live, application, **settings)
    try:
        yield state
    finally:
        state.stop()


def with_length(target: str, body: bytes) -> list[bytes]:
    return [b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (target.encode(), len(body)) + body]


def slowly(target: str, body: bytes) -> list[bytes]:
    (whole,) = with_length(target, body)
    head = len(whole) - len(body)
    return [whole[:head], *(whole[place : place + 1] for place in range(head, len(whole)))]


def chunked(target: str, body: bytes) -> list[bytes]:
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % target.encode()
    middle = len(body) // 2
    parts = [part for part in (body[:middle], body[middle:]) if part]
    return [head, *(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]
