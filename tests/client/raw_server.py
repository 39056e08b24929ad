"""A server that sends given bytes and keeps what it receives."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: RawServer) -> None:
        self.reader = reader
        self.writer = writer
        self.server = server
        self.number = len(server.peers) + 1
        self.ended = asyncio.Event()

    async def head(self) -> bytes:
        """The next head; raises EOFError at the end of the connection."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.server.heads.append(head)
        return head

    async def line(self) -> bytes:
        return await self.reader.readuntil(b"\n")

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: head, and body without its chunks."""
        head = await self.head()
        body = b""
        if b"\r\ntransfer-encoding: chunked" in head.lower():
            while size := int((await self.line()).split(b";")[0], 16):
                self.server.chunks.append(size)
                body += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
        elif match := re.search(rb"\r\ncontent-length: *(\d+)", head.lower()):
            body = await self.reader.readexactly(int(match[1]))
        self.server.bodies.append(body)
        return head, body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def close(self) -> None:
        self.writer.close()


class RawServer:
    """Answers each request with the next of ``replies`` (the last one again and again), or runs a script per connection."""

    def __init__(
        self,
        replies: bytes | list[bytes] | Script,
        *,
        close: bool = True,
        path: str | None = None,
        tls: Any = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._script: Script = replies if callable(replies) else self._reply
        self._replies = [replies] if isinstance(replies, bytes) else replies
        self._close = close
        self._path = path
        self._tls = tls
        self._host = host
        self._port = port
        self.peers: list[Peer] = []
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.chunks: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def _reply(self, peer: Peer) -> None:
        assert isinstance(self._replies, list)
        while True:
            await peer.request()
            reply = self._replies[min(len(self.bodies), len(self._replies)) - 1]
            await peer.send(reply)
            if self._close:
                return

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer, self)
        self.peers.append(peer)
        try:
            await self._script(peer)
        except (EOFError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            peer.ended.set()
            writer.close()
            try:
                await writer.wait_closed()
            except (OSError, asyncio.CancelledError):
                pass

    async def __aenter__(self) -> Self:
        if self._path is not None:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
            self.url = "http://localhost"
        else:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]
            host = f"[{self._host}]" if ":" in self._host else self._host
            self.url = f"{'https' if self._tls else 'http'}://{host}:{self.port}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
