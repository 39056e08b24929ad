"""One upload and one download of 1 GiB, and the memory they take."""

import contextlib
import socket
import time
from collections.abc import Iterator

from benchmarks import proc, sockets
from benchmarks.cell import Cell, mebibytes, rate
from benchmarks.process import Running
from benchmarks.servers import HOST

SIZE = 2**30
SECONDS = 90.0
PIECE = bytes(2**20)


def upload(port: int, size: int = SIZE) -> float | None:
    """Return the seconds until the answer to an upload, None if it is not the right one or too late."""
    started = time.monotonic()
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=SECONDS) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(PIECE)):
            if time.monotonic() - started > SECONDS:
                return None
            connection.sendall(PIECE)
        if sockets.read_answer(connection).endswith(b"%d" % size):
            return time.monotonic() - started
    return None


def download(port: int, size: int = SIZE) -> float | None:
    """Return the seconds until a whole download is there, None if it is too short or too late."""
    buffer = bytearray(2**20)
    started = time.monotonic()
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=SECONDS) as connection:
        connection.sendall(b"GET /%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % size)
        received = 0
        while received < size and time.monotonic() - started < SECONDS:
            count = connection.recv_into(buffer)
            if not count:
                return None
            received += count
        if received >= size:
            return time.monotonic() - started
    return None


def upload_of_1_gib(started: Running, patience: float) -> Iterator[tuple[str, Cell]]:
    """``patience`` is not used: ``SECONDS`` is the limit."""
    row = "upload of 1 GiB" if started.deployment.interface == "wsgi" else "upload of 1 GiB, read by a coroutine"
    before = started.memory().rss
    seconds = upload(started.deployment.port)
    yield row, rate(SIZE, seconds)
    yield f"{row}: memory", grown(started, before)


def download_of_1_gib(started: Running, patience: float) -> Iterator[tuple[str, Cell]]:
    """``patience`` is not used: ``SECONDS`` is the limit."""
    before = started.memory().rss
    seconds = download(started.deployment.port)
    yield "download of 1 GiB", rate(SIZE, seconds)
    yield "download of 1 GiB: memory", grown(started, before)


def grown(started: Running, before: int) -> Cell:
    """Return by how much the peak lies above the memory before, all processes together."""
    return mebibytes(max(0, proc.memory(started.session).peak_rss - before))
