"""The transport of a connection with TLS, between its socket and its protocol.

asyncio's own way through TLS is two transports and two protocols upon each
other, and a buffer of a quarter of a megabyte for every connection that is
open. This is one object, on any loop that can watch a socket.
"""

from __future__ import annotations

import asyncio
import enum
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

from .tls_records import MOST_IN_RECORD, RecordLayer

_MOST_DISCARDED: Final = 1024 * 1024  # after the last answer
_WRITE_HIGH_MARK: Final = 64 * 1024


class State(enum.Enum):
    """Where a transport stands."""

    OPEN = "both sides may send"
    FLUSHING = "closed for the protocol; what it wrote is being sent"
    LEAVING = "close_notify is being sent, and what comes is thrown away"
    CLOSED = "over"


_OPEN: Final = State.OPEN
_FLUSHING: Final = State.FLUSHING
_LEAVING: Final = State.LEAVING
_CLOSED: Final = State.CLOSED


class TLSTransport:
    """A transport, with the methods of asyncio's.

    It calls ``connection_made`` at once, and ``connection_lost`` once, in a
    turn of the loop of its own. The end of the client's side ends all of it.

    :param sock: non-blocking.
    :param buffer: to receive into; all transports of a loop may share it.
    :param linger_seconds: for the client to end the connection after we did.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        records: RecordLayer,
        protocol: Any,
        buffer: memoryview,
        linger_seconds: float,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._records = records
        self._protocol = protocol
        self._buffer = buffer
        self._linger_seconds = linger_seconds
        self._linger: asyncio.TimerHandle | None = None
        self._state = _OPEN
        self._eof = False
        self._reading = True
        self._writing = False  # whether the loop watches for room to send
        self._paused = False
        self._high = _WRITE_HIGH_MARK
        self._low = _WRITE_HIGH_MARK // 4
        self._sealed = b""  # encrypted, and not sent yet
        self._discarded = 0
        self._facts: dict[str, Any] = {
            "peername": _address(sock.getpeername),
            "sockname": _address(sock.getsockname),
            "socket": sock,
            "ssl_object": records.tls,
            "sslcontext": records.tls.context,
        }
        protocol.connection_made(self)
        # Not in the task that shook hands: what is received runs applications.
        loop.call_soon(self._start)

    def _start(self) -> None:
        if self._state is _OPEN:
            if self._reading:
                self._loop.add_reader(self._sock, self._readable)
            self._deliver(b"")  # what came with the end of the handshake

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact about the connection, by asyncio's names."""
        if name == "cipher":
            return self._records.tls.cipher()
        if name == "peercert":
            return self._records.tls.getpeercert()
        return self._facts.get(name, default)

    def is_closing(self) -> bool:
        """Say whether it is closed, or being closed."""
        return self._state is not _OPEN

    # Reading.

    def is_reading(self) -> bool:
        """Say whether the protocol is given what comes."""
        return self._reading and self._state is _OPEN

    def pause_reading(self) -> None:
        """Leave what comes to the kernel."""
        if self._reading and self._state is _OPEN:
            self._reading = False
            self._loop.remove_reader(self._sock)

    def resume_reading(self) -> None:
        """Give the protocol what comes."""
        if not self._reading and self._state is _OPEN:
            self._reading = True
            self._loop.add_reader(self._sock, self._readable)

    def _readable(self) -> None:
        try:
            size = self._sock.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if self._state is _LEAVING:
            self._discarded += size
            if not size or self._discarded > _MOST_DISCARDED:
                self._end()
        elif size:
            self._deliver(self._buffer[:size])
        else:
            self._end_input()

    def _deliver(self, received: bytes | memoryview) -> None:
        records = self._records
        data = records.receive(received)
        if data and self._state is _OPEN:
            try:
                self._protocol.data_received(data)
            except BaseException:
                self._end()
                raise
        if records.outgoing.pending or (records.waiting and not self._writing):
            self._flush()
        if records.failure is not None:
            self._end(records.failure)
        elif records.ended:
            self._end_input()

    def _end_input(self) -> None:
        """Take up that the client sends no more; with close_notify or without."""
        self._eof = True
        if self._state is _OPEN:
            self._protocol.eof_received()
            self.close()

    # Writing.

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks between which the protocol is paused, in bytes."""
        if high is None:
            high = _WRITE_HIGH_MARK if low is None else 4 * low
        self._high = high
        self._low = high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """Return the bytes that were written and are not sent."""
        return self._records.waiting + len(self._sealed)

    def can_write_eof(self) -> bool:
        """Say no: one side of a TLS connection does not end alone here."""
        return False

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send *pieces*, in as few records as they fit in."""
        self.write(b"".join(pieces))

    def write(self, data: bytes) -> None:
        """Send *data*, now as far as the socket takes it; nothing happens after the end."""
        if self._state is not _OPEN or not data:
            return
        records = self._records
        if self._writing or records.waiting or len(data) > MOST_IN_RECORD:
            records.write(data)
        else:
            self._sealed = records.seal_alone(data)
        if not self._writing:
            self._flush()
        if not self._paused and records.waiting + len(self._sealed) > self._high:
            self._paused = True
            self._protocol.pause_writing()

    def _flush(self) -> None:
        """Send what the socket takes, and watch for room while there is more."""
        records = self._records
        while self._state is not _CLOSED:
            if not self._sealed:
                self._sealed = records.seal()
                if not self._sealed:
                    break
            try:
                sent = self._sock.send(self._sealed)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._end(error)
                return
            if sent < len(self._sealed):
                self._sealed = self._sealed[sent:]
                if not self._writing:
                    self._writing = True
                    self._loop.add_writer(self._sock, self._writable)
                return
            self._sealed = b""
            if not records.waiting:
                break
        if records.failure is not None:
            self._end(records.failure)
        elif self._writing:
            self._writing = False
            self._loop.remove_writer(self._sock)

    def _writable(self) -> None:
        self._flush()
        if self._paused and self._state is not _CLOSED and self.get_write_buffer_size() <= self._low:
            self._paused = False
            self._protocol.resume_writing()
        if not self.get_write_buffer_size():
            if self._state is _FLUSHING:
                self._leave()
            elif self._state is _LEAVING:
                self._left()

    # The end.

    def close(self) -> None:
        """End the connection, when what was written is sent."""
        if self._state is _OPEN:
            self._state = _FLUSHING
            self._loop.remove_reader(self._sock)
            if not self.get_write_buffer_size():
                self._leave()

    def _leave(self) -> None:
        self._state = _LEAVING
        self._linger = self._loop.call_later(self._linger_seconds, self._end)
        self._records.end()
        self._flush()
        if self._state is _LEAVING and not self._sealed:
            self._left()

    def _left(self) -> None:
        """Wait for the client to take notice, for a while.

        Closing a socket with unread data resets the connection, and the client
        may lose the answer that it has not read yet (RFC 9112 section 9.6).
        """
        if self._eof:
            self._end()
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._end(error)
            return
        self._loop.add_reader(self._sock, self._readable)

    def abort(self) -> None:
        """End the connection now; what was written may be lost."""
        self._end()

    def _end(self, error: Exception | None = None) -> None:
        if self._state is _CLOSED:
            return
        self._state = _CLOSED
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        if self._linger is not None:
            self._linger.cancel()
        self._records.clear()
        self._sealed = b""
        self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._sock.close()


def _address(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except OSError:
        return None  # the client is gone already
