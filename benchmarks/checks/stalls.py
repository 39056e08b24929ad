"""Clients that stop: in the middle of a head, of an upload, of reading an answer; and those that are idle."""

import socket
import time
from collections.abc import Iterator

from benchmarks import proc, sockets
from benchmarks.cell import Cell, kibibytes, mebibytes, milliseconds
from benchmarks.process import Running

HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
PART_OF_AN_UPLOAD = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000
LARGE_DOWNLOAD = b"GET /209715200 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

HEADS = 1000
UPLOADS = 200
READERS = 100
IDLE = 5000


def ending(connections: list[socket.socket], patience: float) -> Cell:
    """Return after how long, and with which status, the server ended the connections."""
    if not connections:
        return Cell("refused")
    end = sockets.wait_for_end(connections, patience)
    said = "/".join(sorted(end.statuses)) or "closed"
    if end.ended < len(connections):
        part = f"{end.ended} of {len(connections)}, " if end.ended else ""
        return Cell(f"{part}not in {patience:.0f} s", float("inf"))
    return Cell(f"{end.seconds:.0f} s, {said}", end.seconds)


def stalled_heads(started: Running, patience: float) -> Iterator[tuple[str, Cell]]:
    port = started.deployment.port
    with sockets.held(port, HEADS, HALF_A_HEAD) as connections:
        yield "1,000 stalled heads: a healthy client", milliseconds(sockets.health(port).median)
        yield "1,000 stalled heads: ended after", ending(connections, patience)


def stalled_uploads(started: Running, patience: float) -> Iterator[tuple[str, Cell]]:
    port = started.deployment.port
    with sockets.held(port, UPLOADS, PART_OF_AN_UPLOAD) as connections:
        yield "200 stalled uploads: a healthy client", milliseconds(sockets.health(port).median)
        yield "200 stalled uploads: ended after", ending(connections, patience)


def slow_readers(started: Running, patience: float) -> Iterator[tuple[str, Cell]]:
    port = started.deployment.port
    before, sockets_before = started.memory().pss, proc.open_sockets(started.session)
    with sockets.held(port, READERS, LARGE_DOWNLOAD, receive_buffer=4096) as connections:
        yield "100 clients that do not read: a healthy client", milliseconds(sockets.health(port).median)
        yield "100 clients that do not read: memory", mebibytes(max(0, started.memory().pss - before))
        yield "100 clients that do not read: ended after", unread_ending(started, sockets_before, connections, patience)


def unread_ending(started: Running, before: int, connections: list[socket.socket], patience: float) -> Cell:
    """Watch the server's own sockets.

    The clients do not see an end: behind data that nobody reads the FIN waits too, and reading would help the server.
    """
    if not connections:
        return Cell("refused")
    accepted = 0
    began = time.monotonic()
    while time.monotonic() - began < patience:
        now = proc.open_sockets(started.session) - before
        accepted = max(accepted, now)
        if accepted >= 0.9 * len(connections) and now <= 0.1 * len(connections):
            seconds = time.monotonic() - began
            return Cell(f"{seconds:.0f} s, closed", seconds)
        time.sleep(0.5)
    return Cell(f"not in {patience:.0f} s", float("inf"))


def idle_connections(started: Running, patience: float) -> Iterator[tuple[str, Cell]]:
    """``patience`` is not used: nothing is waited for."""
    port = started.deployment.port
    sockets.ask(port)
    before = started.memory().pss
    with sockets.held(port, IDLE, sockets.HELLO, answered=True) as connections:
        grown = max(0, started.memory().pss - before)
        if len(connections) < IDLE:
            yield "5,000 idle connections: each", Cell(f"only {len(connections)}", float("inf"))
            return
        yield "5,000 idle connections: each", kibibytes(grown / IDLE)
        yield "5,000 idle connections: all", mebibytes(grown)
        yield "5,000 idle connections: a healthy client", milliseconds(sockets.health(port).median)
