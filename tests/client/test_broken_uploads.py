"""Servers that go away, or say no, in the middle of a long upload."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aiohttp
from tests.certificates import Authority

from .raw_server import Peer, RawServer

SIZE = 64 << 20
ANSWER = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"
PIECE = bytes(range(256)) * 256
FAIR = 0.5
"""Seconds that the loop may be kept from others; before, it was kept until the whole body had been produced."""


def pieces() -> Iterator[bytes]:
    for _ in range(SIZE // len(PIECE)):
        yield PIECE


def small_pieces() -> Iterator[bytes]:
    for _ in range(SIZE // 128):
        yield PIECE[:128]


async def async_pieces() -> AsyncIterator[bytes]:
    for _ in range(SIZE // len(PIECE)):
        yield PIECE


def in_parts(**options: Any) -> dict[str, Any]:
    return {"files": {"f": ("name", io.BytesIO(bytes(SIZE)))}, **options}


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "bytes": lambda: {"data": bytes(SIZE)},
    "2 MB": lambda: {"data": bytes(2 << 20)},
    "bytes in chunks": lambda: {"data": bytes(SIZE), "chunked": 4096},
    "generator": lambda: {"data": pieces()},
    "small pieces": lambda: {"data": small_pieces()},
    "iterator": lambda: {"data": iter([PIECE] * 1000)},
    "async iterator": lambda: {"data": async_pieces()},
    "in memory": lambda: {"data": io.BytesIO(bytes(SIZE))},
    "multipart": in_parts,
    "compressed bytes": lambda: {"data": PIECE * 1000, "compress": True},
    "compressed generator": lambda: {"data": pieces(), "compress": "gzip"},
    "compressed small pieces": lambda: {"data": small_pieces(), "compress": True},
    "file": lambda: {"data": "file"},
    "file in chunks": lambda: {"data": "file", "chunked": True},
    "compressed file": lambda: {"data": "file", "compress": True},
}


class Server:
    """In a thread, so that a loop that is held does not hold it: one connection, of which it reads a little."""

    def __init__(self, how: str, tls: ssl.SSLContext | None = None) -> None:
        self.how = how
        self.tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.over = threading.Event()
        self.listener.settimeout(10)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        peer, _ = self.listener.accept()
        if self.tls is not None:
            peer = self.tls.wrap_socket(peer, server_side=True)
        with peer:
            peer.settimeout(10)
            peer.recv(1000)
            if self.how == "in the middle":
                peer.recv(200_000)
            if self.how in ("answers and goes", "answers and waits"):
                peer.sendall(ANSWER)
            if self.how == "answers and waits":
                assert self.over.wait(10)
            if self.how == "resets":
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.over.set()
        self.thread.join(10)
        self.listener.close()


async def upload(server: Server, options: dict[str, Any]) -> tuple[Any, float]:
    """What comes of it, and the longest time for which the loop had no turn for others."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - before)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10), aiohttp.request("POST", server.url, **options) as response:
            return (response.status, await response.read()), longest
    except aiohttp.ClientConnectionError as error:
        return error, longest
    finally:
        await asyncio.sleep(0)
        watching.cancel()
        server.over.set()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upload") / "file"
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


@pytest.mark.parametrize("how", ["resets", "in the middle", "answers and goes", "answers and waits"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_server_goes_away(run: Any, caplog: Any, path: Path, kind: str, how: str) -> None:
    """The caller hears at once, the answer that came is given, nobody else waits, and the log says nothing of it."""
    if how == "in the middle" and kind.startswith("compressed") and kind != "compressed generator":
        how = "resets"  # the whole body may be in the kernel then
    caplog.set_level(logging.WARNING)
    options = KINDS[kind]()
    with path.open("rb") as file, Server(how) as server:
        if options.get("data") == "file":
            options["data"] = file
        result, longest = run(lambda: upload(server, options))
    if how.startswith("answers"):
        assert result == (413, b"big")
    else:
        assert isinstance(result, aiohttp.ClientConnectionError)
        assert "without an answer" in str(result)
    assert longest < FAIR
    assert not [record.getMessage() for record in caplog.records if not record.getMessage().startswith("Executing")]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of the server and of the client."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    return authority.server_context(authority.issue("server", "/CN=localhost")), authority.client_context()


@pytest.mark.parametrize("how", ["resets", "answers and goes", "answers and waits"])
@pytest.mark.parametrize("kind", ["bytes", "generator", "async iterator", "file", "compressed generator"])
def test_the_server_goes_away_under_tls(run: Any, caplog: Any, path: Path, contexts: Any, kind: str, how: str) -> None:
    """The caller hears at once. The answer of a server that waits is returned; one that goes in the same moment may be lost.

    The loops' TLS lets go of what the kernel has when a write fails; so whether anything came is looked for before each. Between
    look and write there is a moment for the server to answer and to go in.
    """
    caplog.set_level(logging.WARNING)
    options = KINDS[kind]()
    with path.open("rb") as file, Server(how, contexts[0]) as server:
        if options.get("data") == "file":
            options["data"] = file
        result, longest = run(functools.partial(upload_under_tls, server, options, contexts[1]))
    assert longest < FAIR
    assert not [record.getMessage() for record in caplog.records if not record.getMessage().startswith("Executing")]
    if how == "answers and waits":
        assert result == (413, b"big")
    elif how == "resets" or result != (413, b"big"):
        assert isinstance(result, aiohttp.ClientConnectionError)


async def upload_under_tls(server: Server, options: dict[str, Any], context: ssl.SSLContext) -> Any:
    async with aiohttp.SocketConnector(ssl_context=context) as connector:
        return await upload(server, {**options, "connector": connector})


def test_a_file_on_a_kept_connection(run: Any, path: Path) -> None:
    """The kernel sends it to a server that reads when it likes to; afterwards the connection carries the next request as ever."""

    async def script(peer: Peer) -> None:
        for size in (SIZE, 0, SIZE):
            await peer.head()
            while size:
                size -= len(await peer.reader.readexactly(min(size, 1 << 22)))
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def main() -> None:
        async with RawServer(script) as server, aiohttp.SocketConnector() as connector:
            for wanted in (True, False, True):
                with path.open("rb") as file:
                    data = file if wanted else None
                    async with aiohttp.request("PUT", server.url, data=data, connector=connector) as response:
                        assert await response.read() == b"ok"
            assert len(server.peers) == 1

    run(main)


def test_a_file_that_is_closed_while_it_is_sent(run: Any, path: Path) -> None:
    """Its descriptor may be that of another file by then."""

    async def script(peer: Peer) -> None:
        await peer.head()
        file.close()
        while await peer.reader.read(1 << 20):
            pass

    async def main() -> None:
        async with RawServer(script) as server:
            with pytest.raises(ValueError, match="closed file"):
                await aiohttp.request("PUT", server.url, data=file)

    with path.open("rb") as file:
        run(main)


def test_redirected_in_the_middle(run: Any) -> None:
    """303 drops the body, so it does not matter that the generator cannot be sent again."""

    async def script(peer: Peer) -> None:
        await peer.head()
        if peer.number == 1:
            await peer.send(b"HTTP/1.1 303 See Other\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n")
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def main() -> None:
        async with RawServer(script) as server:
            async with aiohttp.request("POST", server.url, data=pieces()) as response:
                assert (response.status, await response.read(), response.method) == (200, b"ok", "GET")

    run(main)


@pytest.mark.parametrize("interim", [b"HTTP/1.0 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n"])
def test_permission_in_an_odd_form(run: Any, interim: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(interim)
        assert await peer.reader.readexactly(4) == b"body"
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def main() -> None:
        async with RawServer(script) as server:
            async with aiohttp.request("POST", server.url, data=b"body", expect100=True) as response:
                assert await response.read() == b"ok"

    run(main)


async def exchange(how: str, url: str, data: Any) -> bytes:
    call = aiohttp.request("POST", url, data=data, timeout=0.2 if how == "timeout" else None)
    if how == "block":
        async with call as response:
            return await response.read()
    response = await call
    if how == "response's block":
        async with response:
            return await response.read()
    return await response.read_and_close()


FAILURES = {"no answer": aiohttp.ClientConnectionError, "timeout": TimeoutError, "cancelled": asyncio.CancelledError}


@pytest.mark.parametrize("how", ["block", "response's block", "read_and_close", *FAILURES])
def test_a_generator_can_be_closed_when_its_request_is_over(run: Any, how: str) -> None:
    """It is in the middle of producing its next piece then; it was "already running" for ``aclosing``."""
    ended = []

    async def produced() -> AsyncIterator[bytes]:
        try:
            while True:
                yield PIECE[:100]
                await asyncio.sleep(0.001)
        finally:
            await asyncio.sleep(0)  # what cleans up may have to wait
            ended.append(True)

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.reader.read(1000)
        if how == "no answer":
            return
        if how not in FAILURES:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
        while await peer.reader.read(1000):
            pass

    async def main() -> None:
        async with RawServer(script) as server, contextlib.aclosing(produced()) as data:
            task = asyncio.ensure_future(exchange(how, server.url, data))
            if how == "cancelled":
                while not server.heads:
                    await asyncio.sleep(0)
                task.cancel()
            if how in FAILURES:
                with pytest.raises(FAILURES[how]):
                    await task
            else:
                assert await task == b"early"
        assert ended == [True]

    run(main)
