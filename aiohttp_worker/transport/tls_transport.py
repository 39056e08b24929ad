"""The transport of a connection with TLS, between the loop's transport and the protocol.

asyncio's own way through TLS keeps a buffer of a quarter of a megabyte for
every connection that is open, and meets each piece with a dozen calls.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable
from typing import Any, Final

from .tls_records import RecordLayer
from .write_queue import WriteQueue

_MOST_DISCARDED: Final = 1024 * 1024  # after the last answer
_MOST_JOINED: Final = 64 * 1024


class State(enum.Enum):
    """State of the transport."""

    OPEN = "both sides may send"
    FLUSHING = "closed for the protocol; what it wrote is being sent"
    LEAVING = "close_notify is said, and what comes is thrown away"
    CLOSED = "over"


_OPEN: Final = State.OPEN
_FLUSHING: Final = State.FLUSHING
_LEAVING: Final = State.LEAVING
_CLOSED: Final = State.CLOSED


class TLSTransport:
    """A transport with the methods of asyncio's for its protocol, and a protocol for the transport below.

    :param below: the loop's transport of encrypted bytes.
    :param write_queue: of that transport.
    :param records: after the handshake.
    :param linger_seconds: for the client to end the connection after we did.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, below: Any, write_queue: WriteQueue, records: RecordLayer, linger_seconds: float
    ) -> None:
        self._loop = loop
        self._below = below
        self._write_queue = write_queue
        self._records = records
        self._linger_seconds = linger_seconds
        self._linger: asyncio.TimerHandle | None = None
        self._protocol: Any = None
        self._state = _OPEN
        self._eof = False
        self._reading = True
        self._paused = False  # the protocol, in writing
        self._discarded = 0
        self._failure: Exception | None = None

    def start(self, protocol: Any) -> None:
        """Connect the protocol, and give it what came with the end of the handshake."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._receive(b"")

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact about the connection, by asyncio's names."""
        tls = self._records.tls
        if name == "ssl_object":
            return tls
        if name == "sslcontext":
            return tls.context
        if name == "cipher":
            return tls.cipher()
        if name == "peercert":
            return tls.getpeercert()
        return self._below.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Say whether it is closed, or being closed."""
        return self._state is not _OPEN or bool(self._below.is_closing())

    # Reading.

    def is_reading(self) -> bool:
        """Say whether the protocol is given what comes."""
        return self._reading and self._state is _OPEN

    def pause_reading(self) -> None:
        """Leave what comes to the kernel."""
        if self._reading and self._state is _OPEN:
            self._reading = False
            self._below.pause_reading()

    def resume_reading(self) -> None:
        """Give the protocol what comes."""
        if not self._reading and self._state is _OPEN:
            self._reading = True
            self._below.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Receive encrypted bytes."""
        if self._state is _OPEN:
            self._receive(data)
        elif self._state is _LEAVING:
            self._discarded += len(data)
            if self._discarded > _MOST_DISCARDED:
                self._below.abort()

    def _receive(self, received: bytes) -> None:
        records = self._records
        data = records.receive(received)
        if data:
            self._protocol.data_received(data)
        if records.outgoing.pending and not self._below.is_closing():
            self._write_queue.send([records.outgoing.read()])
        if records.waiting:
            self._flush()
        self._give_up_broken()
        if records.ended:
            self._end_input()

    def eof_received(self) -> bool:
        """Handle the end of the client's side without close_notify."""
        if self._state is _OPEN:
            self._end_input()
        elif self._state is _LEAVING:
            self._below.close()
        return True

    def _end_input(self) -> None:
        if not self._eof:
            self._eof = True
            if self._state is _OPEN and not self._protocol.eof_received():
                self.close()

    # Writing.

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks between which the protocol is paused, in bytes (of the transport below)."""
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return the bytes that were written and are not sent."""
        return 0 if self._state is _CLOSED else self._records.waiting + self._write_queue.unsent

    def can_write_eof(self) -> bool:
        """Say no: one side of a TLS connection does not end alone here."""
        return False

    def write(self, data: bytes) -> None:
        """Send *data*, now as far as the socket takes it; nothing happens after the end."""
        if data:
            self.writelines([data])

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send *pieces*, in as few records as they fit in."""
        if self._state is not _OPEN:
            return
        pieces = list(pieces)
        records = self._records
        if sum(map(len, pieces)) > _MOST_JOINED:
            for piece in pieces:
                records.write(piece)
            self._flush()
        else:
            data = b"".join(pieces)
            if records.waiting or self._write_queue.paused:
                records.write(data)
            elif data:
                sealed = records.seal_alone(data)
                if sealed:
                    self._write_queue.send([sealed])
                self._give_up_broken()
        self._tell()

    def _flush(self) -> None:
        """Encrypt and send while the transport below takes it."""
        records = self._records
        write_queue = self._write_queue
        while records.waiting and not write_queue.paused and not write_queue.closed:
            sealed = records.seal()
            if not sealed:
                break  # the client has to say something first
            write_queue.send([sealed])
        self._give_up_broken()

    def _give_up_broken(self) -> None:
        if self._records.failure is not None and self._failure is None:
            self._failure = self._records.failure
            self._state = _CLOSED
            self._records.clear()
            self._below.close()

    def _tell(self) -> None:
        """Pause or resume the protocol."""
        paused = self._write_queue.paused or self._records.waiting > 0
        if paused is not self._paused and self._state is _OPEN:
            self._paused = paused
            if paused:
                self._protocol.pause_writing()
            else:
                self._protocol.resume_writing()

    def pause_writing(self) -> None:
        """Pause writing: the transport below is above its high-water mark."""
        self._write_queue.pause()
        self._tell()

    def resume_writing(self) -> None:
        """Resume writing, in the next turn of the loop: the transport below has sent its buffer.

        asyncio's transport bears neither to be closed nor to fail while it calls this.
        """
        self._write_queue.paused = False
        self._loop.call_soon(self._write_on)

    def _write_on(self) -> None:
        if self._write_queue.paused:
            return  # once more
        self._write_queue.resume()
        self._flush()
        if self._state is _FLUSHING and not self._records.waiting:
            self._leave()
        else:
            self._tell()

    # The end.

    def close(self) -> None:
        """End the connection, when what was written is sent."""
        if self._state is not _OPEN:
            return
        self._state = _FLUSHING
        if self._records.waiting and not self._write_queue.closed:
            if self._reading:
                self._below.pause_reading()
                self._reading = False
        else:
            self._leave()

    def _leave(self) -> None:
        """Say close_notify, and wait for the client to take notice, for a while.

        Closing a socket with unread data resets the connection, and the client
        may lose the answer that it has not read yet (RFC 9112 section 9.6).
        """
        self._state = _LEAVING
        self._records.end()
        self._write_queue.send([self._records.outgoing.read()])
        if self._eof:
            self._below.close()
            return
        try:
            self._below.write_eof()
        except OSError:
            self._below.abort()  # the client has reset the connection
            return
        if not self._reading and not self._below.is_closing():
            self._reading = True
            self._below.resume_reading()
        self._wait_for_client()

    def _wait_for_client(self) -> None:
        self._linger = self._loop.call_later(self._linger_seconds, self._lingered)

    def _lingered(self) -> None:
        # A client that reads slowly is given its time; the protocol sees to it that there is an end.
        if self._write_queue.unsent:
            self._wait_for_client()
        else:
            self._below.close()

    def abort(self) -> None:
        """End the connection now; what was written may be lost."""
        self._state = _CLOSED
        self._records.clear()
        if self._protocol is not None:  # asyncio's own fails after its end
            self._below.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the end of the transport below."""
        self._state = _CLOSED
        if self._linger is not None:
            self._linger.cancel()
        self._write_queue.close()
        self._records.clear()
        protocol, self._protocol = self._protocol, None
        protocol.connection_lost(self._failure or error)
