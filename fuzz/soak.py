"""Mixed traffic against a real Gunicorn on this machine, to find growth, leaks and failures.

    python -m fuzz.soak --minutes 10

Healthy clients (each answer is checked) run beside hostile ones: files of the corpus and mutations of them, cut uploads,
stalled heads and bodies, clients that do not read. At the end the worker must be the one that was started, with the
descriptors it had, and the memory it uses must be what it was after a tenth of the time. The exit code says whether it is so.

The column MiB is what the process has, with the pages that the C library keeps for later: with bodies of all sizes these
are some MiB more after each minute, up to a point. For the verdict it is asked to give them back.
"""

import argparse
import asyncio
import contextlib
import random
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.functional.server import _NEGLIGENCE as NEGLIGENCE  # the same complaints as in the tests
from tests.functional.server import NO_STREAM, STREAM, Server

from .material import REQUESTS, WORDS

LIMITS = {
    "AIOHTTP_WORKER_HEAD_TIMEOUT": "2",
    "AIOHTTP_WORKER_BODY_TIMEOUT": "2",
    "AIOHTTP_WORKER_WRITE_TIMEOUT": "2",
    "AIOHTTP_WORKER_LINGER_TIMEOUT": "1",
}
KINDS: dict[str, dict[str, Any]] = {
    "inline": {"application": "fuzz.soak_application:application", "worker_class": STREAM},
    "collected": {"application": "fuzz.soak_application:application", "worker_class": NO_STREAM},
    "threads": {"application": "fuzz.soak_application:application", "worker_class": STREAM, "threads": 4},
    "coroutine": {"application": "fuzz.soak_application:coroutine", "worker_class": STREAM},
}
GROWTH = 8 * 1024 * 1024  # bytes of memory that may come and not go: tables of what was parsed, which are bounded
HOST = b"Host: localhost\r\n"


class Traffic:
    """Clients of all kinds, until the time is over."""

    def __init__(self, port: int, seed: int) -> None:
        self.port = port
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []

    async def run(self, end: float, clients: int) -> None:
        healthy = [self.keep_alive, self.post, self.post_chunked, self.post_large, self.pipeline, self.stream, self.error]
        hostile = [
            self.corpus,
            self.mutation,
            self.cut,
            self.reset,
            self.stalled_head,
            self.stalled_body,
            self.no_reader,
            self.leave,
        ]
        kinds = [*healthy, *healthy, *hostile]
        await asyncio.gather(*(self.client(kinds, end) for _ in range(clients)))

    async def client(self, kinds: Sequence[Callable[..., Awaitable[None]]], end: float) -> None:
        while time.monotonic() < end:
            kind = self.random.choice(kinds)
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                self.failures.append(f"{kind.__name__}: {error!r}")
                continue
            try:
                await asyncio.wait_for(kind(reader, writer), 30)
            except (AssertionError, OSError, EOFError, ValueError, TimeoutError) as error:
                self.failures.append(f"{kind.__name__}: {error!r}")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            self.done[kind.__name__] += 1

    # Healthy

    async def keep_alive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(self.random.randrange(1, 50)):
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert await answer(reader) == (200, b"hello")

    async def post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(self.random.randrange(1, 5)):
            size = self.random.randrange(1, 100_000)
            writer.write(b"POST /length HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size + bytes(size))
            await writer.drain()
            assert await answer(reader) == (200, b"%d" % size)

    async def post_chunked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /length HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        total = 0
        for _ in range(self.random.randrange(0, 20)):
            size = self.random.randrange(1, 5000)
            total += size
            writer.write(b"%x;a=b\r\n" % size + bytes(size) + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\nA: b\r\n\r\n")
        assert await answer(reader) == (200, b"%d" % total)

    async def post_large(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = 3_000_000
        writer.write(b"POST /length HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % size)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(bytes(size))
        await writer.drain()
        assert await answer(reader) == (200, b"%d" % size)

    async def pipeline(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 50)
        for _ in range(50):
            assert await answer(reader) == (200, b"hello")

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = self.random.choice([b"/stream", b"/events"])
        writer.write(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        status_code, data = await answer(reader)
        assert status_code == 200
        assert len(data) == (64 * 16384 if path == b"/stream" else sum(len(b"data: %d\n\n" % n) for n in range(20)))

    async def error(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /error HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await answer(reader))[0] == 500

    # Hostile: whatever comes back, or nothing

    async def corpus(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.send_noise(reader, writer, self.random.choice(REQUESTS))

    async def mutation(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = self.random.choice(REQUESTS)
        for _ in range(self.random.randrange(1, 6)):
            place = self.random.randrange(len(data) + 1)
            data = data[:place] + self.random.choice(WORDS) + data[place + self.random.randrange(6) :]
        await self.send_noise(reader, writer, data)

    async def send_noise(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            place = self.random.randrange(len(data) + 1)
            writer.write(data[:place])
            await writer.drain()
            writer.write(data[place:])
            if self.random.random() < 0.5:
                writer.write_eof()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), self.random.random())

    async def cut(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"POST /length HTTP/1.1\r\n" + HOST + b"Content-Length: 900000\r\n\r\n" + bytes(self.random.randrange(800_000))
        )
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            writer.write_eof()
            assert b" 200 " not in await reader.read()

    async def reset(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = self.random.choice([b"/length", b"/stream", b"/events"])
        writer.write(b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        await asyncio.sleep(self.random.random() / 10)
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def stalled_head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost")
        assert b" 408 " in await reader.read()

    async def stalled_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /length HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nabc")
        assert b" 408 " in await reader.read()

    async def no_reader(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write((b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n") * 8)
        await asyncio.sleep(4 * self.random.random())

    async def leave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.random.random() / 10)


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one response."""
    head = await reader.readuntil(b"\r\n\r\n")
    status_code = int(head.split(b" ", 2)[1])
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])}
    if b"content-length" in fields:
        return status_code, await reader.readexactly(int(fields[b"content-length"]))
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append(await reader.readexactly(size))
        assert await reader.readexactly(2) == b"\r\n"
    assert await reader.readexactly(2) == b"\r\n"
    return status_code, b"".join(pieces)


def memory(pid: int) -> int:
    """Bytes that are resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def memory_in_use(server: Server, pid: int) -> int:
    """Bytes, without what the C library keeps for later."""
    assert server.get("/trim").status_code == 200
    return memory(pid)


async def watch(server: Server, pid: int, traffic: Traffic, start: float, end: float) -> int:
    """Print a line from time to time; return the memory in use after a tenth of the time."""
    settled = 0
    step = max(2.0, (end - start) / 20)
    print(f"{'seconds':>8} {'MiB':>7} {'fds':>5} {'clients':>8} {'failures':>8}")
    while True:
        now = time.monotonic()
        print(
            f"{now - start:8.0f} {memory(pid) / 1048576:7.1f} {descriptors(pid):5}"
            f" {traffic.done.total():8} {len(traffic.failures):8}",
            flush=True,
        )
        if not settled and now - start >= (end - start) / 10:
            settled = await asyncio.to_thread(memory_in_use, server, pid)
        if now + step > end:
            return settled
        await asyncio.sleep(step)


def soak(kind: str, seconds: float, clients: int, seed: int, loop: str) -> bool:
    """Run one kind of application under traffic; say whether nothing was found."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(
            directory=Path(folder), loop=loop, environ=LIMITS, accesslog=None, keepalive=2, tmp_upload_dir=folder, **KINDS[kind]
        )
        server.start()
        try:
            pid = server.worker_pids()[0]
            assert server.get("/").status_code == 200
            before = descriptors(pid)

            async def run() -> tuple[Traffic, int]:
                assert isinstance(server.address, tuple)
                traffic = Traffic(server.address[1], seed)
                start = time.monotonic()
                end = start + seconds
                _, settled = await asyncio.gather(traffic.run(end, clients), watch(server, pid, traffic, start, end))
                return traffic, settled

            traffic, settled = asyncio.run(run())
            end = time.monotonic() + 15
            while descriptors(pid) > before and time.monotonic() < end:
                time.sleep(0.2)
            after = descriptors(pid)
            growth = memory_in_use(server, pid) - settled
            pids = server.worker_pids()
        finally:
            server.stop(check=False)
        log = server.log.text()
    unexpected = log.count("Traceback (most recent call last)") - log.count("ValueError: the soak asked for it")
    print(f"{kind}, {loop}: {dict(traffic.done)}")
    findings = [f"{number} x {text}" for text, number in Counter(traffic.failures).most_common(10)]
    if growth > GROWTH:
        findings.append(f"memory grew by {growth / 1048576:.1f} MiB after the first tenth")
    if after > before:
        findings.append(f"{after - before} descriptors are left open")
    if pids != [pid]:
        findings.append(f"workers were restarted: {pids}")
    if unexpected:
        findings.append(f"{unexpected} tracebacks that nobody asked for")
    if neglected := NEGLIGENCE.findall(log):
        findings.append(f"{len(neglected)} complaints of the event loop or the garbage collector: {set(neglected)}")
    if server.exit_code:
        findings.append(f"the server ended with exit code {server.exit_code}")
    if unexpected or neglected or server.exit_code:
        Path("soak.log").write_text(log)
        findings.append("its log is in soak.log")
    for finding in findings:
        print(f"FOUND: {finding}")
    print(f"in use after the first tenth {settled / 1048576:.1f} MiB, at the end {(settled + growth) / 1048576:.1f} MiB\n")
    return not findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="in total (default: 10)")
    parser.add_argument("--clients", type=int, default=40, help="at the same time (default: 40)")
    parser.add_argument("--kind", choices=KINDS, action="append", help="of application, again for more (default: all)")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--seed", type=int, default=1, help="of the choices that clients make")
    arguments = parser.parse_args()
    kinds = arguments.kind or list(KINDS)
    seconds = arguments.minutes * 60 / len(kinds)
    good = [soak(kind, seconds, arguments.clients, arguments.seed, arguments.loop) for kind in kinds]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
