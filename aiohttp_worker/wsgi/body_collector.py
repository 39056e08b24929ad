"""Collection of a request body before the application is called: in memory, beyond a size in a temporary file."""

from __future__ import annotations

import io
import tempfile
from typing import BinaryIO, cast

from aiohttp_worker.http1.buffer import SMALL, size_to_read


class BodyCollector:
    """Collects a request body in memory, and beyond a size in a temporary file.

    :param memory_size: size in bytes up to which the body stays in memory.
    :param directory: folder of the temporary file, ``None`` for the system's.
    :ivar size: bytes collected so far.
    """

    __slots__ = ("_directory", "_file", "_memory_size", "_pieces", "size")

    def __init__(self, memory_size: int, directory: str | None) -> None:
        self._memory_size = memory_size
        self._directory = directory
        self._pieces: list[bytes] = []
        self._file: io.FileIO | None = None
        self.size = 0

    def feed(self, data: bytes) -> None:
        """Append *data*.

        :raises OSError: the temporary file cannot be created or written (the answer is 507 or 500).
        """
        self.size += len(data)
        if self._file is not None:
            _write_all(self._file, data)
            return
        pieces = self._pieces
        if len(data) < SMALL and pieces and len(pieces[-1]) < SMALL:
            pieces[-1] += data
        else:
            pieces.append(data)
        if self.size > self._memory_size:
            self.spill()

    @property
    def in_memory(self) -> int:
        """Number of bytes held in memory, 0 once the body is in a file."""
        return self.size if self._file is None else 0

    def spill(self) -> None:
        """Move the bytes in memory to a temporary file.

        :raises OSError: the file cannot be created or written.
        """
        # Unbuffered: the pieces are large already.
        self._file = tempfile.TemporaryFile(buffering=0, dir=self._directory)
        for piece in self._pieces:
            _write_all(self._file, piece)
        self._pieces.clear()

    def finish(self) -> BinaryIO:
        """Return the complete body as a file, positioned at its start."""
        if self._file is not None:
            file, self._file = self._file, None
            file.seek(0)
            return cast("BinaryIO", _CollectedFile(file, 65536))
        pieces = self._pieces
        return io.BytesIO(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def close(self) -> None:
        """Discard the body and its temporary file."""
        self._pieces.clear()
        if self._file is not None:
            self._file.close()
            self._file = None


def _write_all(file: io.FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


class _CollectedFile(io.BufferedReader):
    """File over a body on disk whose ``read`` accepts the same sizes as that of a body in memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size_to_read(size))
