"""Files on the way into sockets: by the kernel (sendfile), block by block where it cannot."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

from .writable_sockets import WritableSockets
from .write_queue import WriteQueue

_BLOCK: Final = 64 * 1024
# Bytes of one file after which other connections get their turn.
_TURN_BYTES: Final = 4 * 1024 * 1024
# Bytes that wait in a socket for the network, while the loop comes back to it soon. A
# buffer of megabytes would be sent when the client's confirmations arrive, after it
# has left the processor's caches.
_SHORT_BUFFER: Final = 128 * 1024
# Not every file system lets the kernel send its files; reading them works.
_NOT_BY_KERNEL: Final = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))


class FileSending:
    """Part of a file that is being sent, as fast as the client reads and in turns with other connections.

    The kernel sends it into the socket; where it cannot, the file is read block by block
    and sent through the transport.

    :param fd: descriptor of the file.
    :param offset: of the first byte to send.
    :param size: bytes to send.
    :param pause: called when the client has to read before more can be sent.
    :param resume: called, after that, when everything is sent.
    :param done: called once, with the number of bytes sent, and the error that
        ended the sending early, if one did.
    """

    __slots__ = (
        "_buffer",
        "_by_kernel",
        "_done",
        "_fd",
        "_offset",
        "_pause",
        "_rest",
        "_resume",
        "_socket",
        "_start",
        "_write_queue",
        "_waiting",
        "_writable",
    )

    def __init__(
        self,
        write_queue: WriteQueue,
        fd: int,
        offset: int,
        size: int,
        writable: WritableSockets,
        pause: Callable[[], None],
        resume: Callable[[], None],
        done: Callable[[int, OSError | None], None],
    ) -> None:
        self._write_queue = write_queue
        self._fd = fd
        self._start = offset
        self._offset = offset
        self._rest = size
        self._writable = writable
        self._socket = write_queue.fd if writable.available else -1
        self._by_kernel = self._socket >= 0
        self._buffer = 0
        self._waiting = False
        self._pause = pause
        self._resume = resume
        self._done = done

    def run(self) -> None:
        """Send until the client has to read first, or other connections get their turn."""
        write_queue = self._write_queue
        if write_queue.paused and not self._waiting:
            write_queue.on_resume(self.run)  # of what was sent before, too much waits
            return
        failure: OSError | None = None
        try:
            if self._rest and not write_queue.closed and not (self._send_by_kernel() if self._by_kernel else self._send_blocks()):
                return
        except OSError as error:
            failure = error
        self._end(failure)

    # Both return True if that was the end.

    def _send_by_kernel(self) -> bool:
        write_queue = self._write_queue
        # The last piece the socket may have at once.
        buffer = 0 if self._rest <= 2 * _SHORT_BUFFER or self._writable.loop_is_slow() else _SHORT_BUFFER
        if buffer != self._buffer:
            self._buffer = buffer
            write_queue.keep_short(buffer)
        if write_queue.direct:
            try:
                count = write_queue.send_file(self._fd, self._offset, min(self._rest, _TURN_BYTES))
            except OSError as error:
                if error.errno not in _NOT_BY_KERNEL:
                    raise
                self._read_instead()
                return self._send_blocks()
            if count == 0 or self._took(count):
                return True  # all is sent, or the file is shorter than it was
        # A full socket is left alone until there is room for more than a little.
        write_queue.file_rest = self._rest
        if not self._waiting:
            self._waiting = True
            self._writable.add(self._socket, self.run)
            self._pause()
            write_queue.on_resume(self._resumed)
        return False

    def _read_instead(self) -> None:
        """Continue block by block, through the transport."""
        self._by_kernel = False
        self._leave_socket()

    def _send_blocks(self) -> bool:
        write_queue = self._write_queue
        turn = _TURN_BYTES
        while turn > 0:
            data = os.pread(self._fd, min(self._rest, 2 * _BLOCK), self._offset)
            write_queue.send([data])
            turn -= len(data)
            if not data or self._took(len(data)) or write_queue.closed:
                return True
            if write_queue.paused:
                write_queue.on_resume(self.run)
                return False
        self._writable.loop.call_soon(self.run)
        return False

    def _took(self, count: int) -> bool:
        """Count bytes as sent; return True if none is left."""
        if count > 0:
            self._offset += count
            self._rest -= count
        return self._rest == 0

    def _resumed(self) -> None:
        # The socket may have told first that the connection is lost: the queue still has this callback then.
        if self._write_queue.closed and self._waiting:
            self._end(None)

    def _leave_socket(self) -> None:
        """Hand the socket back to the transport, as it was."""
        if self._buffer:
            self._buffer = 0
            self._write_queue.keep_short(0)
        if self._waiting:
            self._waiting = False
            self._writable.remove(self._socket)
            self._write_queue.file_rest = 0
            if not self._write_queue.closed:
                self._resume()

    def _end(self, error: OSError | None) -> None:
        self._leave_socket()
        self._done(self._offset - self._start, error)
