"""Temporary file for output that a slow client has not read, so that it does not fill the memory."""

from __future__ import annotations

import tempfile


class SpillFile:
    """Output in a temporary file, first in, first out.

    :param directory: for the file; ``None`` for the system's.
    :ivar directory: the same.
    :ivar offset: of the first byte that is not sent yet.
    :ivar size: bytes from there to the end.
    :raises OSError: no file can be made there.
    """

    __slots__ = ("_file", "directory", "offset", "size")

    def __init__(self, directory: str | None) -> None:
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)
        self.directory = directory
        self.offset = 0
        self.size = 0

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._file.fileno()

    def append(self, pieces: list[bytes]) -> None:
        """Append *pieces*.

        :raises OSError: the file takes no more; what it holds is incomplete then.
        """
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                count = self._file.write(rest)
                self.size += count
                rest = rest[count:]

    def skip(self, count: int) -> None:
        """Skip *count* bytes, which are sent."""
        self.offset += count
        self.size -= count

    def close(self) -> None:
        """Close the file, which removes it."""
        self._file.close()
