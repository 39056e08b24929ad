"""Handover of a connection to an application that speaks another protocol on it from a thread (RFC 9110 section 7.8).

The application gets a blocking socket. Where nothing stands between that and the network it is the connection's own, by a second
descriptor, and the loop leaves it alone. With TLS, and behind bytes that were received or written before, it is one end of
a pair, and the loop carries bytes between the other end and the connection.

The connection stays in the worker's registry, with its request, until the application returns; then it ends.
"""

from __future__ import annotations

import abc
import asyncio
import os
import socket
import threading
from typing import Any, Final, Protocol

from aiohttp_worker.errors import ClientDisconnectedError
from aiohttp_worker.http1.server_connection import ServerConnection
from aiohttp_worker.transport.read_gate import ReadGate
from aiohttp_worker.transport.write_queue import WriteQueue

from .lifetime import CLOSED, Lifetime
from .state import State

_NO_THREAD: Final = (
    "environ['gunicorn.socket'] can be read and written where each request has a thread, and this one is in the worker's event"
    " loop, which others need: set --threads to the number of WebSockets at a time and a few more"
)
_NO_UPGRADE: Final = (
    "environ['gunicorn.socket'] can be read and written after a request with Upgrade: websocket and without a body,"
    " once, before anything is answered"
)
_GONE: Final = "the client went away"


class Switchable(Protocol):
    """Connection that can be handed over, as far as that needs to know it."""

    state: State
    http: ServerConnection
    lifetime: Lifetime
    gate: ReadGate
    write_queue: WriteQueue
    transport: Any
    exchange: Any

    def close(self, more_comes: bool = False) -> None:
        """End the connection, after everything is sent."""


class Handover(abc.ABC):
    """Connection that an application has taken.

    :ivar sock: what the application reads and writes.
    """

    sock: socket.socket

    def __init__(self, connection: Switchable) -> None:
        self._connection = connection

    @abc.abstractmethod
    def receive(self, data: bytes) -> None:
        """Receive bytes from the client."""

    @abc.abstractmethod
    def receive_eof(self) -> None:
        """Receive the end of what the client sends."""

    @abc.abstractmethod
    def can_write(self) -> None:
        """Resume what waited for the client to read."""

    def lost(self) -> None:
        """Let go of the thread that reads or writes: the connection is closed."""
        if self._connection.exchange is None:
            del self._connection.state.handovers[self._connection]
        self.wake()

    @abc.abstractmethod
    def wake(self) -> None:
        """Wake the thread that reads or writes, with the end of what it reads."""

    @abc.abstractmethod
    def end(self) -> None:
        """End the connection, after what the application wrote is sent."""


class SecondDescriptor(Handover):
    """Handover of the connection's own socket."""

    def __init__(self, connection: Switchable) -> None:
        super().__init__(connection)
        connection.gate.shut()
        self.sock = socket.socket(fileno=os.dup(connection.write_queue.fd))
        # Of the open file, so it holds for the transport, too. That does not use it until end().
        self.sock.setblocking(True)

    def receive(self, data: bytes) -> None:
        """Receive nothing: the transport does not read."""

    def receive_eof(self) -> None:
        """Receive nothing, likewise."""

    def can_write(self) -> None:
        """Resume nothing: the transport does not write."""

    def wake(self) -> None:
        """Wake the thread that reads or writes."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # closed already, or reset

    def end(self) -> None:
        """End the connection; what the client still sends is read and thrown away for a while."""
        if self.sock.fileno() >= 0:
            os.set_blocking(self.sock.fileno(), False)
            self.sock.close()
            if self._connection.lifetime.phase is not CLOSED:
                self._connection.close(more_comes=True)


class Relay(Handover, asyncio.Protocol):
    """Handover of one end of a pair; the loop is at the other.

    :param early: bytes that were received before.
    """

    def __init__(self, connection: Switchable, early: bytes) -> None:
        super().__init__(connection)
        self._early = [early] if early else []
        self._eof = False
        self._lost = False
        self._transport: Any = None
        connection.gate.shut()
        self.sock, ours = socket.socketpair()
        ours.setblocking(False)
        loop = connection.state.loop
        self._task = loop.create_task(loop.create_unix_connection(lambda: self, sock=ours))

    # From the client to the application.

    def receive(self, data: bytes) -> None:
        """Pass bytes on to the application."""
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.write(data)

    def receive_eof(self) -> None:
        """Pass the end of what the client sends on."""
        self._eof = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def wake(self) -> None:
        """Wake the thread that reads or writes."""
        self._lost = True
        if self._transport is not None:
            self._transport.close()

    def pause_writing(self) -> None:
        """Stop reading from the client: the application does not take what has come."""
        self._connection.gate.shut()

    def resume_writing(self) -> None:
        """Read from the client again."""
        self._connection.gate.reopen()

    # From the application to the client.

    def connection_made(self, transport: Any) -> None:
        """Begin to carry bytes."""
        self._transport = transport
        for data in self._early:
            transport.write(data)
        self._early = []
        if self._lost:
            transport.close()
        elif self._eof:
            transport.write_eof()
        else:
            self._connection.gate.reopen()

    def data_received(self, data: bytes) -> None:
        """Send bytes of the application to the client."""
        write_queue = self._connection.write_queue
        write_queue.send([data])
        if write_queue.paused:
            self._transport.pause_reading()

    def can_write(self) -> None:
        """Read from the application again: the client has read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """End the connection: the application has closed its end."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """End the connection, when all that the application wrote was taken."""
        if not self._lost:
            self._connection.close(more_comes=not self._eof)

    def end(self) -> None:
        """Close the application's end. What it wrote is still in the pair, and the end of the connection follows that."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other end is closed
        self.sock.close()


def take_socket(connection: Switchable) -> socket.socket:
    """Hand *connection* over to the application; called in its thread, which waits for the loop.

    :raises ClientDisconnectedError: the client has gone.
    :raises RuntimeError: the application has no thread to wait in, or the request asks for no other protocol.
    """
    state = connection.state
    if state.bodies.loop_for_caller() is None:
        raise RuntimeError(_NO_THREAD)
    answered = threading.Event()
    result: list[socket.socket | Exception] = []

    def hand_over() -> None:
        try:
            result.append(_hand_over(connection).sock)
        except Exception as error:
            result.append(error)
        answered.set()

    state.post(hand_over)
    answered.wait()
    (taken,) = result
    if isinstance(taken, Exception):
        raise taken
    return taken


def _hand_over(connection: Switchable) -> Handover:
    exchange = connection.exchange
    if exchange is None or connection.http.switched:
        raise RuntimeError(_NO_UPGRADE)
    head = exchange.head
    upgrade = str(exchange.environ.get("HTTP_UPGRADE", ""))
    if head.has_body or not head.minor or connection.http.head_sent or upgrade.lower() != "websocket":
        raise RuntimeError(_NO_UPGRADE)
    write_queue = connection.write_queue
    connection.state.write_batch.flush()
    write_queue.release()
    if write_queue.closed or connection.transport.is_closing():
        raise ClientDisconnectedError(_GONE)
    early = connection.http.switch()
    handover: Handover
    if early or not write_queue.direct:
        handover = Relay(connection, early)
    else:
        handover = SecondDescriptor(connection)
    connection.state.handovers[connection] = handover
    return handover
