"""Uploads that end too early, and the part of them that the application sees."""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator

from benchmarks import sockets
from benchmarks.cell import Cell
from benchmarks.environment import Environment
from benchmarks.process import Running
from benchmarks.servers import HOST

HEAD = b"POST /record HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY = b"x" * 5000
BY_LENGTH = HEAD + b"Content-Length: 1000000\r\n\r\n" + BODY
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1388\r\n" + BODY + b"\r\n"
TIMES = 5
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST


def cut_uploads(started: Running, environment: Environment) -> Iterator[tuple[str, Cell]]:
    """An application may not be called at all, or meet an error; a short body without one looks whole to it."""
    port = started.deployment.port
    environment.record.write_text("")
    for payload in (BY_LENGTH, CHUNKED):
        for reset in (False, True):
            for _ in range(TIMES):
                cut(port, payload, reset)
    seen = wait_for_notes(environment, 4 * TIMES)
    if sockets.ask(port) is None:
        yield "20 cut uploads: looked whole", Cell("blocked", float("inf"))
        return
    whole = sum(line.endswith("bytes") for line in seen)
    yield "20 cut uploads: looked whole", Cell(str(whole), whole)


def cut(port: int, payload: bytes, reset: bool) -> None:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=5) as connection:
        connection.sendall(payload)
        time.sleep(0.02)  # the server has begun to read
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def wait_for_notes(environment: Environment, count: int, seconds: float = 2.0) -> list[str]:
    """Return the notes; there are fewer than ``count`` where the application was not called."""
    deadline = time.monotonic() + seconds
    while True:
        lines = environment.record.read_text().splitlines()
        if len(lines) >= count or time.monotonic() > deadline:
            return lines
        time.sleep(0.05)
