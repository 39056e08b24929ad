"""Clients made of plain blocking sockets: many held open at once, and a healthy one that asks."""

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from .servers import HOST

HELLO = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PROBE_SECONDS = 2.0
OPEN_SECONDS = 30.0


@contextlib.contextmanager
def held(port: int, count: int, payload: bytes, answered: bool = False, receive_buffer: int = 0) -> Iterator[list[socket.socket]]:
    """Open connections that have each sent ``payload``, and close them afterwards.

    :param answered: wait for an answer on each.
    :param receive_buffer: bytes the kernel keeps for each; 0 leaves the system's choice.

    There may be fewer than ``count``: a server that refuses, or does not answer, ends the opening.
    """
    opened: list[socket.socket] = []
    deadline = time.monotonic() + OPEN_SECONDS
    try:
        while len(opened) < count and time.monotonic() < deadline:
            connection = socket.socket()
            opened.append(connection)
            try:
                connection.settimeout(PROBE_SECONDS)
                if receive_buffer:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
                connection.connect((HOST, port))
                connection.sendall(payload)
                if answered and not read_answer(connection):
                    raise ConnectionError("no answer")
            except OSError:
                opened.pop().close()
                break
        yield opened
    finally:
        for connection in opened:
            connection.close()


def read_answer(connection: socket.socket) -> bytes:
    """Return one whole answer that has a Content-Length, b"" if the connection ended before.

    :raises OSError: on a reset or when the socket's time-out passed.
    """
    data = b""
    while (length := answer_length(data)) is None or len(data) < length:
        received = connection.recv(65_536)
        if not received:
            # Without a length the answer ends with the connection.
            return data if length is None and b"\r\n\r\n" in data else b""
        data += received
    return data


def answer_length(data: bytes) -> int | None:
    """Return how long the answer is that begins ``data``, None if its head does not say so yet."""
    head, separator, _ = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return len(head) + 4 + int(value)
        if name == b"transfer-encoding":
            end = data.find(b"\r\n0\r\n\r\n", len(head))
            return end + 7 if end >= 0 else None
    return None


def ask(port: int, seconds: float = PROBE_SECONDS) -> float | None:
    """Return the seconds until a new connection has its answer, None if there was none in time."""
    started = time.perf_counter()
    try:
        with socket.create_connection((HOST, port), timeout=seconds) as connection:
            connection.sendall(HELLO)
            if not read_answer(connection).startswith(b"HTTP/1.1 200"):
                return None
    except OSError:
        return None
    return time.perf_counter() - started


@dataclass
class Health:
    """What a healthy client saw."""

    seconds: list[float] = field(default_factory=list)
    blocked: int = 0

    def ask(self, port: int) -> None:
        answered = ask(port)
        if answered is None:
            self.blocked += 1
        else:
            self.seconds.append(answered)

    @property
    def median(self) -> float | None:
        """The median latency, None if more requests had no answer than had one."""
        return median(self.seconds) if len(self.seconds) > self.blocked else None


def health(port: int, times: int = 30) -> Health:
    """Ask again and again, giving up after three requests without an answer."""
    seen = Health()
    for _ in range(times):
        seen.ask(port)
        if seen.blocked >= 3:
            break
    return seen


@dataclass(frozen=True)
class Ending:
    """How connections that make no progress came to their end."""

    ended: int
    seconds: float  # until the last of those
    statuses: frozenset[str]  # what the server still said


def wait_for_end(connections: list[socket.socket], seconds: float) -> Ending:
    """Wait until the server has closed all connections, at most for the given time."""
    started = time.monotonic()
    ended, last = 0, 0.0
    statuses: set[str] = set()
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while ended < len(connections) and time.monotonic() - started < seconds:
            for key, _ in selector.select(1.0):
                connection = key.fileobj  # type: ignore[assignment]
                try:
                    data = connection.recv(4096)
                except OSError:
                    data = b""
                if data.startswith(b"HTTP/1.1 "):
                    statuses.add(data[9:12].decode("latin-1"))
                if not data:
                    selector.unregister(connection)
                    ended, last = ended + 1, time.monotonic() - started
    return Ending(ended, last, frozenset(statuses))
