"""The server that clients are measured against: as little as it can be, so that the client is what is measured.

``python client_server.py`` prints its port. It understands GET and POST with Content-Length, and nothing else.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import sys


def make_json() -> bytes:
    """About 100 kB of what an interface gives."""
    source = random.Random(1)
    rows = [
        {
            "id": number,
            "name": f"name {source.random()}",
            "tags": ["a", "b"],
            "value": source.random() * 1000,
            "on": number % 2 == 0,
        }
        for number in range(950)
    ]
    return json.dumps(rows).encode()


def answer(body: bytes, *fields: str) -> bytes:
    """A response with the fields that servers send."""
    head = "\r\n".join(
        (
            "HTTP/1.1 200 OK", "Server: benchmark", "Date: Mon, 23 Nov 2026 00:00:00 GMT", f"Content-Length: {len(body)}",
            'ETag: "abc"', "Cache-Control: no-store", "Vary: Accept-Encoding", *fields, "", "",
        )
    )  # fmt: skip
    return head.encode() + body


ANSWERS = {
    b"/small": answer(b"x" * 100, "Content-Type: text/plain"),
    b"/stream": answer(bytes(10_000_000), "Content-Type: application/octet-stream"),
    b"/json": answer(gzip.compress(make_json()), "Content-Type: application/json", "Content-Encoding: gzip"),
}


class Served(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self.buffer = b""
        self.missing = 0
        self.answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.missing:
            self.missing -= len(data)
            if self.missing <= 0:
                self.transport.write(self.answer)  # type: ignore[attr-defined]
            return
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end]
        rest = len(self.buffer) - end - 4
        self.buffer = b""
        self.answer = ANSWERS[head.split(b" ", 2)[1]]
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        if at >= 0:
            self.missing = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) - rest
            if self.missing > 0:
                return
        self.missing = 0
        self.transport.write(self.answer)  # type: ignore[attr-defined]
        if b"connection: close" in lowered:
            self.transport.close()


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Served, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())
