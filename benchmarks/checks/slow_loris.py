"""Connections that send a byte now and then, and the latency of a healthy client beside them."""

import contextlib
import socket
import time
from collections.abc import Iterator

from benchmarks import sockets
from benchmarks.cell import BLOCKED, Cell, milliseconds
from benchmarks.process import Running

CONNECTIONS = 1000
SECONDS = 6.0
TICK = 0.01  # seconds; one request of the healthy client in each
HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def slow_loris(started: Running, patience: float) -> Iterator[tuple[str, Cell]]:
    """``patience`` is not used: the trouble lasts for ``SECONDS``."""
    port = started.deployment.port
    sockets.health(port, 100)  # warm
    alone = ask_beside(port, []).median
    with sockets.held(port, CONNECTIONS, HEAD) as connections:
        beside = ask_beside(port, connections).median
    yield "1,000 slow-loris: a healthy client", milliseconds(beside)
    if beside is None or alone is None:
        yield "1,000 slow-loris: × its latency without", BLOCKED
    else:
        yield "1,000 slow-loris: × its latency without", Cell(f"{beside / alone:.2f}", beside / alone)


def ask_beside(port: int, connections: list[socket.socket]) -> sockets.Health:
    """Ask at a steady pace, while each of the connections sends a byte per second."""
    seen = sockets.Health()
    each_tick = round(len(connections) * TICK)
    turn = 0
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends and seen.blocked < 3:
        tick_ends = time.monotonic() + TICK
        for _ in range(each_tick):
            turn = (turn + 1) % len(connections)
            with contextlib.suppress(OSError):  # the server has had enough of it
                connections[turn].send(b"a")
        time.sleep(TICK / 2)  # the bytes are no part of the latency, what the server keeps doing about them is
        seen.ask(port)
        time.sleep(max(0.0, tick_ends - time.monotonic()))
    return seen
