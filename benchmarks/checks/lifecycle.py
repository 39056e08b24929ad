"""Stopping, reloading and replacing workers under 50 clients: how many of their requests fail?"""

import asyncio
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


@dataclass
class Clients:
    """The clients of one run, and what happened to their requests."""

    port: int
    answered: int = 0
    failed: int = 0  # sent on an established connection and not answered; or refused although the server should run
    stopping: bool = False  # to be refused is no failure any more, and ends a client
    ended: bool = False

    async def run(self, reconnects: bool) -> None:
        """Ask without a pause until told to end, or refused by a server that was told to stop."""
        connection: socket.socket | None = None
        try:
            while not self.ended:
                if connection is None:
                    connection = await self.connect()
                    if connection is None:
                        if self.stopping:
                            return
                        self.failed += 1
                        await asyncio.sleep(0.01)
                        continue
                if not await self.ask(connection, ONCE if reconnects else KEEP_ALIVE):
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

    async def ask(self, connection: socket.socket, request: bytes) -> bool:
        """Send a request, count its answer or failure, and return whether the connection can be used again."""
        loop = asyncio.get_running_loop()
        data = b""
        whole = False
        try:
            await loop.sock_sendall(connection, request)
            while not whole:
                received = await loop.sock_recv(connection, 65_536)
                if not received:
                    # Without a length the answer ends with the connection.
                    whole = b"\r\n\r\n" in data and b"content-length" not in data.lower()
                    break
                data += received
                length = answer_length(data)
                whole = length is not None and len(data) >= length
        except OSError:
            whole = False
        if not whole or not data.startswith(b"HTTP/1.1 200"):
            if not self.ended:
                self.failed += 1
            return False
        self.answered += 1
        return request is KEEP_ALIVE and b"connection: close" not in data.lower() and bool(received)


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
