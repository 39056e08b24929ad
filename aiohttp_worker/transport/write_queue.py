"""Output of one connection: sent at once, paused at a high-water mark, spilled to a file, corked, or cut by a reset."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import socket
import struct
import sys
import termios
import threading
from collections.abc import Callable
from typing import Final

from .spill_file import SpillFile
from .storage import storage_error

# Bytes that wait for a slow client before the application is paused. It goes on when all
# of them are sent, and not at a low-water mark: files go on with sendfile then.
WRITE_HIGH_MARK: Final = 64 * 1024

_MOST_BUFFERS: Final = 64  # in one writev; more are joined
_MOMENT: Final = 0.05  # seconds
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
    """Output of one connection, in order.

    What can leave at once leaves in one system call, so that a piece is on its
    way before an application computes the next one (PEP 3333, "Buffering and
    Streaming"). What the socket does not take waits in the transport and, where the
    loop cannot run meanwhile, in a file.

    :param sock: the transport's, where it may be written to without the
        transport; not with TLS, whose transport makes one record of several pieces.
    :ivar fd: descriptor of that socket, -1 without one.
    :ivar file_rest: bytes of a file that wait for the client to read.
    :ivar paused: True between the transport's high-water mark and the moment when all is sent.
    :ivar closed: True when nothing can be sent any more.
    :ivar spill: file with output that follows everything else, ``None`` without one.
    """

    __slots__ = (
        "_corked",
        "_kept",
        "_queued",
        "_sock",
        "_resumed",
        "_transport",
        "_waiters",
        "closed",
        "fd",
        "file_rest",
        "paused",
        "spill",
    )

    def __init__(self, transport: asyncio.WriteTransport, sock: socket.socket | None) -> None:
        self._transport = transport
        self._sock = sock
        self.fd = -1 if sock is None else sock.fileno()
        self._corked = False
        self._queued = False
        self._kept: list[bytes] = []  # written while the loop could not run
        self._waiters: list[Callable[[], None]] = []
        self._resumed: threading.Event | None = None  # set when a thread that waits is to look again
        self.spill: SpillFile | None = None
        self.file_rest = 0
        self.paused = False
        self.closed = False
        transport.set_write_buffer_limits(high=WRITE_HIGH_MARK, low=0)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client to read, those in the socket's buffer left out."""
        if self.closed:
            return 0
        return self.file_rest or self.in_transport

    @property
    def unconfirmed(self) -> int:
        """Bytes that wait for the client to read, those in the socket's buffer included: fewer each time it reads."""
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
        """Bytes that wait in the transport's memory."""
        if not self._queued:
            return 0
        size = self._transport.get_write_buffer_size()
        if size == 0:
            self._queued = False
        return size

    @property
    def direct(self) -> bool:
        """True if nothing stands between the next byte and the socket; a spill file is not looked at."""
        return self.fd >= 0 and not self._kept and self.in_transport == 0

    @property
    def must_wait(self) -> bool:
        """True if something waits for the client to read, and more is to wait for that."""
        return self.paused or self.spill is not None

    def send(self, pieces: list[bytes]) -> None:
        """Send *pieces* in order; nothing happens on a closed connection.

        :raises OSError: there is a spill file, and it takes no more; the connection is reset.
        """
        if self.closed:
            return
        if self._kept:
            pieces = self._kept + pieces if pieces else self._kept
            self._kept = []
        if not pieces:
            return
        if self.spill is not None:
            self._append_to_spill(pieces, self.spill.directory)
            return
        if self.fd >= 0 and (not self._queued or self.in_transport == 0):
            pieces = self._write(pieces)
            if not pieces or self.closed:
                return
        self._queued = True
        if self.fd < 0:
            self._transport.writelines(pieces)
            return
        # Not writelines(): asyncio's, up to Python 3.13, never pauses the protocol.
        for piece in pieces:
            self._transport.write(piece)

    def keep(self, pieces: list[bytes]) -> None:
        """Keep *pieces* in memory, to be sent with the next ones or by :meth:`release`."""
        if not self.closed:
            self._kept = self._kept + pieces if self._kept else pieces

    def cork(self, pieces: list[bytes]) -> bool:
        """Give *pieces* to the kernel, to be sent with the next ones or by :meth:`release`.

        Whatever this process does, and even if it dies, the kernel sends them:
        on its own 0.2 seconds later (tcp(7), ``MSG_MORE``), or after the time
        until a retransmission (RFC 6298), if the network is so slow.

        :return: False if they could not be corked, and are sent.
        """
        sock = self._sock
        rest = pieces
        if sock is not None and _MSG_MORE and self.spill is None and self.direct and sock.family is not _AF_UNIX:
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
                pass  # asyncio will call connection_lost()

    @property
    def keeps(self) -> bool:
        """True if something is kept for :meth:`release`."""
        return bool(self._kept)

    def write_through(self, pieces: list[bytes], most: int, directory: str | None) -> None:
        """Send *pieces* while the loop cannot run, and so no transport sends.

        What the socket does not take is kept, to be sent with the next ones or by
        :meth:`release`; more than *most* bytes go to the spill file.

        :param directory: for that file; ``None`` for the system's.
        :raises OSError: the file takes no more; the connection is reset.
        """
        if self.closed:
            return
        if self.spill is None:
            waiting = self.unsent
            if self.fd < 0 or waiting:
                if waiting + sum(map(len, pieces)) <= most:
                    self.send(pieces)
                    return
            else:
                pieces = self._write(self._kept + pieces)
                if sum(map(len, pieces)) <= most:
                    self._kept = pieces
                    return
                self._kept = []
        self._send_spilled(self._append_to_spill(pieces, directory))

    def _append_to_spill(self, pieces: list[bytes], directory: str | None) -> SpillFile:
        if self._kept:
            pieces = self._kept + pieces
            self._kept = []
        try:
            if self.spill is None:
                self.spill = SpillFile(directory)
            self.spill.append(pieces)
        except OSError as error:
            self.give_up()
            raise storage_error(directory, error) from None
        return self.spill

    def _send_spilled(self, spill: SpillFile) -> None:
        """Send of the spill file what the socket takes now."""
        try:
            while self.direct and spill.size > 0:
                count = self.send_file(spill.fileno(), spill.offset, spill.size)
                if count <= 0:
                    break
                spill.skip(count)
        except OSError:
            self.give_up()
        if spill.size == 0:
            self.spill = None
            spill.close()

    def take_spill(self) -> SpillFile | None:
        """Return the spill file for the caller to send and to close; what is sent meanwhile is not added to it."""
        spill, self.spill = self.spill, None
        return spill

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
        """Reset the connection, so that the client sees that something is missing."""
        self.reset_on_close()
        self._break()

    def _break(self) -> None:
        """Abort the transport; asyncio then calls ``connection_lost()``."""
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
        """Limit the bytes in the socket's buffer that are not on their way yet to *size* (``TCP_NOTSENT_LOWAT`` in tcp(7)).

        :param size: 0 for no limit but the system's.
        """
        sock = self._sock
        if sock is not None and _TCP_NOTSENT_LOWAT and sock.family is not _AF_UNIX:
            try:
                sock.setsockopt(_IPPROTO_TCP, _TCP_NOTSENT_LOWAT, size)
            except OSError:
                pass  # asyncio will call connection_lost()

    def peer_left(self) -> bool:
        """Return True if the client has closed its side; for a socket that is not being read from."""
        if self.fd < 0:
            return False
        poll = select.poll()
        poll.register(self.fd, select.POLLRDHUP)
        return bool(poll.poll(0))

    def pause(self) -> None:
        """Pause: the transport's buffer is above its high-water mark."""
        self.paused = True

    def resume(self) -> None:
        """Resume: everything is sent. Wakes everybody who waits for that."""
        self.paused = False
        self._wake()

    def close(self) -> None:
        """Close, after the transport. Wakes everybody who waits."""
        self.closed = True
        self.paused = False
        self._leave_socket()
        self._kept = []
        spill = self.take_spill()
        if spill is not None:
            spill.close()
        self._wake()
        self.wake_thread()

    def forsake(self) -> None:
        """Leave the socket to the process that this one was forked from; nobody is woken here."""
        self.closed = True
        self._leave_socket()
        self._kept = []

    def stop(self) -> None:
        """Stop writing to the socket: the transport is about to be closed, and sends the rest."""
        self.release()
        self._leave_socket()

    def on_resume(self, callback: Callable[[], None]) -> None:
        """Call *callback* once, when sending can go on or the connection is closed."""
        self._waiters.append(callback)

    def drained(self) -> asyncio.Future[None]:
        """Return a future that is done when sending, which is paused, can go on or the connection is closed."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(lambda: _release(waiter))
        return waiter

    def wait_in_thread(self) -> None:
        """Block the calling thread until everything is sent, or for a moment; the caller looks again then."""
        if self._resumed is None:
            self._resumed = threading.Event()
        # What was sent between the caller's look and this costs one short wait.
        self._resumed.wait(_MOMENT)
        self._resumed.clear()

    def wake_thread(self) -> None:
        """Wake the thread that is in :meth:`wait_in_thread`."""
        if self._resumed is not None:
            self._resumed.set()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for wake in waiters:
            wake()

    def reset_on_close(self) -> None:
        """Make the connection end with a reset (RST), which is an error for the client.

        A body that only the end of the connection delimits would look complete if it were
        cut short (RFC 9112 section 6.3).
        """
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self.closed:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                pass  # the connection is gone, which is as visible


def _release(waiter: asyncio.Future[None]) -> None:
    """Let go on who waits, unless it was cancelled."""
    if not waiter.done():
        waiter.set_result(None)
