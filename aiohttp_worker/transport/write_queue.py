"""Sending, and pausing at high and low marks, in both directions."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Final

# So many bytes wait for a slow client before the application is paused. It
# goes on when all are sent: files go on with sendfile then.
WRITE_HIGH_MARK: Final = 64 * 1024

_MOST_BUFFERS: Final = 64  # in one writev; more are joined
_RESET: Final = struct.pack("ii", 1, 0)
_AF_UNIX: Final = socket.AF_UNIX
# As numbers, which the socket takes without a look at what they are called.
_MSG_MORE: Final = int(getattr(socket, "MSG_MORE", 0))  # Linux has it
_IPPROTO_TCP: Final = int(socket.IPPROTO_TCP)
_TCP_NODELAY: Final = int(socket.TCP_NODELAY)
_TCP_NOTSENT_LOWAT: Final = int(getattr(socket, "TCP_NOTSENT_LOWAT", 0))  # Linux and macOS have it
_os_write: Final = os.write
_os_writev: Final = os.writev


class WriteQueue:
    """Sends on one connection.

    What can leave at once leaves in one system call, so that a piece is on its
    way before an application computes the next one (PEP 3333, "Buffering and
    Streaming"). What cannot waits in the transport.

    :param sock: the transport's, where it may be written to without the
        transport; not with TLS, whose transport makes one record of several pieces.
    :ivar fd: of that socket, -1 without one.
    :ivar file_rest: bytes of a file that wait for the client to read.
    """

    __slots__ = (
        "_corked",
        "_joins",
        "_kept",
        "_on_resume",
        "_queued",
        "_sock",
        "_transport",
        "_waiters",
        "closed",
        "fd",
        "file_rest",
        "paused",
    )

    def __init__(self, transport: asyncio.WriteTransport, sock: socket.socket | None) -> None:
        self._transport = transport
        self._sock = sock
        self.fd = -1 if sock is None else sock.fileno()
        self._joins = sock is None
        self._corked = False
        self._queued = False
        self._kept: list[bytes] = []  # written while the loop could not run
        self._waiters: list[asyncio.Future[None]] = []
        self._on_resume: Callable[[], None] | None = None
        self.file_rest = 0
        self.paused = False
        self.closed = False
        transport.set_write_buffer_limits(high=WRITE_HIGH_MARK, low=0)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client to read."""
        if self.closed:
            return 0
        return self.file_rest or self.in_transport

    @property
    def unconfirmed(self) -> int:
        """Bytes that wait for the client to read, with those in the socket's buffer: less each time it reads."""
        unsent = self.unsent
        sock = None if self.closed else self._transport.get_extra_info("socket")
        if sock is None:
            return unsent
        try:
            return unsent + int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except OSError:
            return unsent  # no queue to be seen, on this system or any more

    @property
    def in_transport(self) -> int:
        """Bytes of them that are in memory."""
        if not self._queued:
            return 0
        size = self._transport.get_write_buffer_size()
        if size == 0:
            self._queued = False
        return size

    @property
    def direct(self) -> bool:
        """True if nothing stands between the next byte and the socket."""
        return self.fd >= 0 and not self._kept and self.in_transport == 0

    def send(self, pieces: list[bytes]) -> None:
        """Send *pieces* in order; nothing happens on a closed connection."""
        if self.closed:
            return
        if self._kept:
            pieces = self._kept + pieces if pieces else self._kept
            self._kept = []
        if not pieces:
            return
        if self.fd >= 0 and (not self._queued or self.in_transport == 0):
            pieces = self._write(pieces)
            if not pieces or self.closed:
                return
        self._queued = True
        if self._joins:
            self._transport.writelines(pieces)
            return
        # Not writelines(): asyncio's, up to Python 3.13, never pauses the protocol.
        for piece in pieces:
            self._transport.write(piece)

    def keep(self, pieces: list[bytes]) -> None:
        """Keep *pieces* to be sent with the next, or by :meth:`release`."""
        if not self.closed:
            self._kept = self._kept + pieces if self._kept else pieces

    def cork(self, pieces: list[bytes]) -> bool:
        """Give *pieces* to the kernel, to be sent with the next, or by :meth:`release`.

        Whatever this process does, and even if it dies, the kernel sends them:
        on its own 0.2 seconds later (tcp(7), ``MSG_MORE``), or after the time
        until a retransmission (RFC 6298), if the network is so slow.

        :return: whether it could be; otherwise they are sent.
        """
        sock = self._sock
        rest = pieces
        if sock is not None and _MSG_MORE and self.direct and sock.family is not _AF_UNIX:
            rest = self._write([b"".join(pieces)], sock)
            if not rest and not self.closed:
                self._corked = True
                return True
        self.send(rest)
        return False

    def release(self) -> None:
        """Send what was kept or corked."""
        if self._corked:
            self._push()
        if self._kept:
            self.send([])

    def _push(self) -> None:
        self._corked = False
        if self._sock is not None:
            try:
                # It is set already; to set it again sends what waits.
                self._sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
            except OSError:
                pass  # the loop will tell the protocol

    def send_alone(self, pieces: list[bytes], most: int) -> list[bytes]:
        """Send *pieces* while the loop cannot run, and so no transport sends.

        What the socket does not take is kept, to be sent with the next, or by
        :meth:`release`.

        :param most: bytes that may be kept.
        :return: nothing, or all that was to be kept: it is too much.
        """
        if self.closed:
            return []
        waiting = self.unsent
        if self.fd < 0 or waiting:
            if waiting + sum(map(len, pieces)) > most:
                return pieces
            self.send(pieces)
            return []
        rest = self._write(self._kept + pieces)
        if sum(map(len, rest)) > most:
            self._kept = []
            return rest
        self._kept = rest
        return []

    def _write(self, pieces: list[bytes], corked: socket.socket | None = None) -> list[bytes]:
        """Write to the socket what it takes, and return the rest.

        :param corked: the socket, if more is said to follow a single piece.
        """
        if len(pieces) > _MOST_BUFFERS:
            pieces = [b"".join(pieces)]
        try:
            if corked is not None:
                sent = corked.send(pieces[0], _MSG_MORE)
            else:
                sent = _os_write(self.fd, pieces[0]) if len(pieces) == 1 else _os_writev(self.fd, pieces)
        except BlockingIOError:
            return pieces
        except OSError:
            self._break()
            return []
        rest: list[bytes] = []
        for piece in pieces:
            size = len(piece)
            if sent >= size:
                sent -= size
            else:
                rest.append(piece[sent:] if sent else piece)
                sent = 0
        return rest

    def give_up(self) -> None:
        """End the connection, so that the client sees that something is missing."""
        self.reset_on_close()
        self._break()

    def _break(self) -> None:
        """Give the connection up; the loop will tell the protocol."""
        self.closed = True
        self._leave_socket()
        self._kept = []
        self._transport.abort()

    def _leave_socket(self) -> None:
        self.fd = -1
        self._sock = None

    def send_file(self, fd: int, offset: int, size: int) -> int:
        """Send from a file with ``sendfile`` as much as the socket takes.

        :return: bytes sent, 0 at the end of the file, -1 when the socket takes
            no more now.
        :raises OSError: the file cannot be sent so, or the connection is gone.
        """
        try:
            return os.sendfile(self.fd, fd, offset, size)
        except BlockingIOError:
            return -1

    def keep_short(self, size: int) -> None:
        """Limit the socket's buffer to *size* bytes that are not on their way yet (tcp(7)).

        :param size: 0 for as much as the system likes.
        """
        sock = self._sock
        if sock is not None and _TCP_NOTSENT_LOWAT and sock.family is not _AF_UNIX:
            try:
                sock.setsockopt(_IPPROTO_TCP, _TCP_NOTSENT_LOWAT, size)
            except OSError:
                pass  # the loop will tell the protocol

    def peer_left(self) -> bool:
        """Say whether the client has gone, of a socket that is not read from now."""
        if self.fd < 0:
            return False
        poll = select.poll()
        poll.register(self.fd, select.POLLRDHUP)
        return bool(poll.poll(0))

    def pause(self) -> None:
        """Pause writing: the transport's buffer is above its high-water mark."""
        self.paused = True

    def resume(self) -> None:
        """Resume writing, and wake the waiters: the transport's buffer is empty."""
        self.paused = False
        self._wake()

    def close(self) -> None:
        """Close the queue at the end of the connection, and wake the waiters."""
        self.closed = True
        self.paused = False
        self._leave_socket()
        self._kept = []
        self._wake()

    def forsake(self) -> None:
        """Leave it all to the process that this one was forked from; nobody is woken here."""
        self.closed = True
        self._leave_socket()
        self._kept = []

    def stop(self) -> None:
        """Leave the socket alone from now on; the transport is being closed."""
        self.release()
        self._leave_socket()

    def on_resume(self, callback: Callable[[], None]) -> None:
        """Have *callback* called once, when sending can go on or has ended."""
        self._on_resume = callback

    def drained(self) -> asyncio.Future[None]:
        """Return a future of the time when sending, which is paused, can go on or has ended."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self._on_resume is not None:
            callback, self._on_resume = self._on_resume, None
            callback()

    def reset_on_close(self) -> None:
        """Make the end of the connection an error for the client (RST).

        For a body that only the connection's end delimits: cut short, it would
        look complete.
        """
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self.closed:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                pass  # the connection is gone, which is as visible


class ReadGate:
    """Pauses and resumes reading from a transport, without doing it twice."""

    __slots__ = ("_transport", "open")

    def __init__(self, transport: asyncio.ReadTransport) -> None:
        self._transport = transport
        self.open = True

    def shut(self) -> None:
        """Stop reading from the socket."""
        if self.open and not self._transport.is_closing():
            self.open = False
            self._transport.pause_reading()

    def reopen(self) -> None:
        """Read from the socket again."""
        if not self.open and not self._transport.is_closing():
            self.open = True
            self._transport.resume_reading()
