"""A queue of received bytes from which reads of every shape are served.

The server's ``wsgi.input`` and the client's ``content`` both stand on it. It
decides and never waits: a read that cannot be served yet gets ``None``.
"""

from __future__ import annotations

from collections import deque


class Buffer:
    """Bytes in the order they came, kept in the pieces they came in."""

    __slots__ = ("_first", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._first = 0  # how much of the first piece has been taken
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def feed(self, data: bytes) -> None:
        """Append *data*; nothing is copied."""
        if data:
            self._pieces.append(data)
            self._size += len(data)

    def take_any(self) -> bytes:
        """Take the first piece as it came, ``b''`` when there is none."""
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        if self._first:
            piece = piece[self._first :]
            self._first = 0
        self._size -= len(piece)
        return piece

    def take_all(self) -> bytes:
        """Take everything in one ``bytes``."""
        if len(self._pieces) <= 1:
            return self.take_any()
        return self.take(self._size)

    def take(self, size: int) -> bytes:
        """Take *size* bytes, or what there is if that is less."""
        if size >= self._size and len(self._pieces) <= 1:
            return self.take_any()
        wanted = min(size, self._size)
        parts = []
        while wanted > 0:
            piece = self._pieces[0]
            rest = len(piece) - self._first
            if rest <= wanted:
                parts.append(self.take_any())
                wanted -= rest
            else:
                parts.append(piece[self._first : self._first + wanted])
                self._first += wanted
                self._size -= wanted
                wanted = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def find(self, separator: bytes, start: int = 0) -> int:
        """Return where *separator* begins, at or after *start*, or -1."""
        if not self._pieces:
            return -1
        overlap = len(separator) - 1
        position = 0  # of the current piece's first untaken byte
        tail = b""  # the end of what was searched, where a separator may begin
        offset = self._first
        for piece in self._pieces:
            length = len(piece) - offset
            if position + length > start:
                if tail:
                    joined = tail + piece[offset : offset + overlap]
                    found = joined.find(separator, max(0, start - position + len(tail)))
                    if found >= 0:
                        return position - len(tail) + found
                found = piece.find(separator, offset + max(0, start - position))
                if found >= 0:
                    return position + found - offset
            if overlap:
                tail = (tail + piece[max(offset, len(piece) - overlap) :])[-overlap:]
            position += length
            offset = 0
        return -1

    def take_until(self, separator: bytes, limit: int = -1, start: int = 0) -> bytes | None:
        """Take up to and with *separator*, at most *limit* bytes.

        :param limit: bytes, -1 for no limit; that many are returned when the
            separator does not end within them.
        :param start: bytes already searched in vain by an earlier call.
        :return: ``None`` when the separator is not there and the limit is not
            reached: nothing has been taken then.
        """
        found = self.find(separator, max(0, start - len(separator) + 1))
        if found >= 0:
            end = found + len(separator)
            return self.take(end if limit < 0 else min(end, limit))
        if 0 <= limit <= self._size:
            return self.take(limit)
        return None

    def take_line(self, limit: int = -1) -> bytes | None:
        r"""Take one line with its ``\n``, as :meth:`take_until` does."""
        return self.take_until(b"\n", limit)

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self._first = 0
        self._size = 0
