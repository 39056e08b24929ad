"""Backlog of an inline application whose client reads slowly: in a file instead of memory."""

from __future__ import annotations

import tempfile

from .sendfile import FilePart
from .write_queue import WriteQueue


class Backlog:
    """Bytes to be sent after everything in the queue.

    The loop cannot run while an application calls ``write()`` inline. It would
    have to wait for the client to read, and all other clients with it.

    :param directory: for the file; ``None`` for the system's.
    :raises OSError: there can be no file.
    """

    __slots__ = ("_file", "_offset", "_size")

    def __init__(self, directory: str | None) -> None:
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)
        self._offset = 0
        self._size = 0

    def add(self, pieces: list[bytes]) -> None:
        """Take *pieces*.

        :raises OSError: the file cannot take them; what it holds is not whole any more.
        """
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                count = self._file.write(rest)
                self._size += count
                rest = rest[count:]

    def send(self, write_queue: WriteQueue) -> bool:
        """Send what the socket takes now.

        :return: whether that was all.
        :raises OSError: the connection is gone.
        """
        while write_queue.direct and self._offset < self._size:
            count = write_queue.send_file(self._file.fileno(), self._offset, self._size - self._offset)
            if count <= 0:
                break
            self._offset += count
        return self._offset == self._size

    @property
    def part(self) -> FilePart:
        """Number of bytes left to be sent."""
        return FilePart(self._file.fileno(), self._offset, self._size - self._offset)

    def close(self) -> None:
        """Give the file up."""
        self._file.close()
