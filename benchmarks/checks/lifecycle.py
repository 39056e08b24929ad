"""Stopping, reloading and replacing workers under 50 clients, and the number of requests that fail."""

import asyncio
import enum
import signal
import socket
from dataclasses import dataclass

from benchmarks.process import Running
from benchmarks.servers import HOST
from benchmarks.sockets import answer_length

CLIENTS = 50  # every second one opens a new connection for each request
BEFORE = 0.7  # seconds of load before the event
AFTER = 2.0  # and after it
LIMIT = 10.0  # for the clients to end

KEEP_ALIVE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ONCE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class Outcome(enum.Enum):
    """How a request ended."""

    KEPT = "answered, and the connection can be used again"
    CLOSED = "answered for the last time"
    FAILED = "not answered, or not as it should be"


@dataclass
class Clients:
    """The clients of one run, and what happened to their requests."""

    port: int
    answered: int = 0
    failed: int = 0  # sent on an established connection and not answered; or refused although the server should run
    failed_kept: int = 0  # those of them that were sent on a connection that had been used before
    stopping: bool = False  # to be refused is no failure any more, and ends a client
    ended: bool = False

    async def run(self, reconnects: bool) -> None:
        """Ask without a pause until told to end, or refused by a server that was told to stop."""
        connection: socket.socket | None = None
        request = ONCE if reconnects else KEEP_ALIVE
        used = False
        try:
            while not self.ended:
                if connection is None:
                    connection = await self.connect()
                    used = False
                    if connection is None:
                        if self.stopping:
                            return
                        self.failed += 1
                        await asyncio.sleep(0.01)
                        continue
                outcome = await ask(connection, request)
                if outcome is not Outcome.FAILED:
                    self.answered += 1
                elif not self.ended:
                    self.failed += 1
                    self.failed_kept += used
                used = True
                if outcome is not Outcome.KEPT:
                    connection.close()
                    connection = None
        finally:
            if connection is not None:
                connection.close()

    async def connect(self) -> socket.socket | None:
        """Return a new connection, None if nobody listens."""
        connection = socket.socket()
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (HOST, self.port))
        except OSError:
            connection.close()
            return None
        return connection


async def ask(connection: socket.socket, request: bytes) -> Outcome:
    """Send a request and wait for its whole answer."""
    loop = asyncio.get_running_loop()
    data = b""
    try:
        await loop.sock_sendall(connection, request)
        while (length := answer_length(data)) is None or len(data) < length:
            received = await loop.sock_recv(connection, 65_536)
            if not received:
                # Without a length the answer ends with the connection.
                cut = b"\r\n\r\n" not in data or length is not None
                return Outcome.FAILED if cut or not is_good(data) else Outcome.CLOSED
            data += received
    except OSError:
        return Outcome.FAILED
    if not is_good(data):
        return Outcome.FAILED
    return Outcome.KEPT if request is KEEP_ALIVE and b"connection: close" not in data.lower() else Outcome.CLOSED


def is_good(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 200")


async def under_load(started: Running, number: signal.Signals | None) -> Clients:
    """Run the clients, send the server a signal in the middle, and return what they saw."""
    clients = Clients(started.deployment.port)
    tasks = [asyncio.create_task(clients.run(reconnects=bool(index % 2))) for index in range(CLIENTS)]
    await asyncio.sleep(BEFORE)
    clients.stopping = number == signal.SIGTERM
    if number is not None:
        started.signal(number)
    if not clients.stopping:
        await asyncio.sleep(AFTER)
        clients.ended = True
    _, hanging = await asyncio.wait(tasks, timeout=LIMIT)
    clients.failed += len(hanging)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return clients


def run(started: Running, number: signal.Signals | None) -> Clients:
    """:func:`under_load`, on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(under_load(started, number))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(under_load(started, number))
