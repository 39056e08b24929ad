"""Pure: what a request body is to those who frame and send it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

__all__ = ["READ_SIZE", "Body", "BytesBody"]

READ_SIZE: Final = 1 << 18
"""Bytes of a body that are handed on at a time."""


class Body:
    """A request body. ``length`` is in bytes, None if it is not known before the end."""

    content_type: str | None = None
    content_coding: str | None = None
    length: int | None = None
    replayable = True

    def pieces(self) -> AsyncIterator[bytes]:
        """The body, piece by piece. A replayable body can be asked again."""
        raise TypeError("this body has no pieces")


class BytesBody(Body):
    """A body that is there already."""

    def __init__(self, data: bytes | bytearray | memoryview, content_type: str | None) -> None:
        self.data = data
        self.length = data.nbytes if isinstance(data, memoryview) else len(data)
        self.content_type = content_type

    async def _pieces(self) -> AsyncIterator[bytes]:
        view = memoryview(self.data).cast("B")
        for start in range(0, len(view), READ_SIZE):
            yield view[start : start + READ_SIZE]  # type: ignore[misc]

    def pieces(self) -> AsyncIterator[bytes]:
        return self._pieces()
