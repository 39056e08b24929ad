"""Queue of received bytes from which reads of every kind are served: a size, a line, up to a separator.

The server's ``wsgi.input`` and the client's ``content`` both stand on it. It
decides and never waits: a read that cannot be served yet gets ``None``.
"""

from __future__ import annotations

import operator
from collections import deque
from typing import Any, Final

# Bytes in a piece below which it is joined to the one before: of single bytes,
# each kept as an object takes fifty times its size.
SMALL: Final = 4096


def size_to_read(size: Any) -> int:
    """Return how much a ``read(size)`` asks for, -1 for everything, as the files of the standard library take it.

    :raises TypeError: *size* is no whole number, and not ``None``.
    """
    if size is None:
        return -1
    try:
        number: int = operator.index(size)
    except TypeError:
        raise TypeError(f"the size to read must be a whole number or None, not {size!r}") from None
    return max(number, -1)


def separator_bytes(separator: object) -> bytes:
    """Return the separator of a ``readuntil(separator)``.

    :raises TypeError: it does not consist of bytes.
    :raises ValueError: there are none in it.
    """
    if not isinstance(separator, bytes | bytearray | memoryview):
        raise TypeError(f"the separator must be bytes, not {separator!r}")
    if not separator:
        raise ValueError("the separator must not be empty")
    return bytes(separator)


class Buffer:
    """Bytes in the order they came.

    :param small: pieces of fewer bytes than this are joined, others stay as they came.
    """

    __slots__ = ("_first", "_pieces", "_searched", "_size", "_small", "_sought")

    def __init__(self, small: int = SMALL) -> None:
        self._small = small
        self._pieces: deque[bytes] = deque()
        self._first = 0  # how much of the first piece has been taken
        self._size = 0
        # What was looked for last, and how far it is known not to be there.
        self._sought = b""
        self._searched = 0

    def __len__(self) -> int:
        return self._size

    def feed(self, data: bytes) -> None:
        """Append *data*."""
        size = len(data)
        if not size:
            return
        pieces = self._pieces
        if size < self._small and pieces and len(pieces[-1]) < self._small:
            pieces[-1] += data
        else:
            pieces.append(data)
        self._size += size

    def take_any(self) -> bytes:
        """Take the first piece as it came, ``b''`` when there is none."""
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        if self._first:
            piece = piece[self._first :]
            self._first = 0
        self._size -= len(piece)
        self._searched = 0
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
                self._searched = 0
                wanted = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def find(self, separator: bytes, start: int = 0) -> int:
        """Return where *separator* begins, at or after *start*, or -1."""
        behind: list[bytes] = []  # the pieces that reach beyond the start, the last one first
        position = self._size
        for piece in reversed(self._pieces):
            if position <= start:
                break
            behind.append(piece)
            position -= len(piece)
        offset = max(0, -position)  # of what has been taken of the first
        position += offset  # of the current piece's first untaken byte
        overlap = len(separator) - 1
        tail = b""  # the end of what was searched, where a separator may begin
        for piece in reversed(behind):
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

    def take_until(self, separator: bytes, limit: int = -1) -> bytes | None:
        """Take the bytes through *separator*, at most *limit*.

        What was searched in vain is not searched again for the same separator.

        :param limit: bytes, -1 for no limit; that many are returned when the
            separator does not end within them.
        :return: ``None`` when the separator is not there and the limit is not
            reached: nothing has been taken then.
        """
        searched = self._searched if separator == self._sought else 0
        found = self.find(separator, max(0, searched - len(separator) + 1))
        if found >= 0:
            end = found + len(separator)
            return self.take(end if limit < 0 else min(end, limit))
        if 0 <= limit <= self._size:
            return self.take(limit)
        self._sought = separator
        self._searched = self._size
        return None

    def take_line(self, limit: int = -1) -> bytes | None:
        r"""Take one line with its ``\n``, as :meth:`take_until` does."""
        return self.take_until(b"\n", limit)

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self._first = 0
        self._size = 0
        self._searched = 0
