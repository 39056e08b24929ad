"""Connections that send a byte now and then, and the latency of a healthy client beside them."""

import contextlib
import time
from collections.abc import Iterator

from .. import sockets
from ..cell import BLOCKED, Cell, milliseconds
from ..process import Running

CONNECTIONS = 1000
SECONDS = 8.0
TICK = 0.01  # seconds; one request of the healthy client in each
HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def slow_loris(started: Running, patience: float) -> Iterator[tuple[str, Cell]]:
    """``patience`` is not used: the trouble lasts for ``SECONDS``."""
    port = started.deployment.port
    sockets.health(port, 100)  # warm
    alone = sockets.health(port, 300).median
    with sockets.held(port, CONNECTIONS, HEAD) as connections:
        seen = sockets.Health()
        each_tick = max(1, round(len(connections) * TICK))  # a byte per connection and second
        turn = 0
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends and seen.blocked < 3:
            tick_ends = time.monotonic() + TICK
            for _ in range(each_tick if connections else 0):
                turn = (turn + 1) % len(connections)
                with contextlib.suppress(OSError):  # the server has had enough of it
                    connections[turn].send(b"a")
            seen.ask(port)
            time.sleep(max(0.0, tick_ends - time.monotonic()))
    yield "1,000 slow-loris: a healthy client", milliseconds(seen.median)
    if seen.median is None or alone is None:
        yield "1,000 slow-loris: × its latency without", BLOCKED
    else:
        yield "1,000 slow-loris: × its latency without", Cell(f"{seen.median / alone:.2f}", seen.median / alone)
