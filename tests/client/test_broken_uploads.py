"""Servers that go away, or say no, in the middle of a long upload."""

from __future__ import annotations

import asyncio
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
    """The loops' TLS lets go of what the kernel has when a write fails; so whether anything came is looked for before each.

    Between look and write there is a moment for the server to answer and to go in: then the answer is lost, and we try again.
    """
    caplog.set_level(logging.WARNING)
    for _ in range(5):
        options = KINDS[kind]()
        with path.open("rb") as file, Server(how, contexts[0]) as server:
            if options.get("data") == "file":
                options["data"] = file
            result, longest = run(functools.partial(upload_under_tls, server, options, contexts[1]))
        assert longest < FAIR
        assert not [record.getMessage() for record in caplog.records if not record.getMessage().startswith("Executing")]
        if result == (413, b"big"):
            assert how.startswith("answers")
            break
        assert isinstance(result, aiohttp.ClientConnectionError)
        assert how != "answers and waits"
        if how == "resets":
            break
    else:
        pytest.fail(f"no answer in five uploads, but {result!r}")


async def upload_under_tls(server: Server, options: dict[str, Any], context: ssl.SSLContext) -> Any:
    async with aiohttp.SocketConnector(ssl_context=context) as connector:
        return await upload(server, {**options, "connector": connector})
