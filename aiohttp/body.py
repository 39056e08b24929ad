"""Pure: what a request body is to those who frame and send it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

__all__ = ["READ_SIZE", "Body", "BytesBody", "single_octets"]

READ_SIZE: Final = 1 << 18
"""Bytes of a body that are handed on at a time."""


def single_octets(view: memoryview) -> bytes | memoryview:
    """The octets of a view whose elements may be larger (an array of numbers) or not side by side (every second one)."""
    if view.itemsize == 1 and view.ndim == 1 and view.c_contiguous:
        return view
    return view.cast("B") if view.nbytes and view.c_contiguous else view.tobytes()


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
        self.data = single_octets(data) if isinstance(data, memoryview) else data
        self.length = len(self.data)
        self.content_type = content_type

    async def _pieces(self) -> AsyncIterator[bytes]:
        view = memoryview(self.data).cast("B")
        for start in range(0, len(view), READ_SIZE):
            yield view[start : start + READ_SIZE]  # type: ignore[misc]

    def pieces(self) -> AsyncIterator[bytes]:
        return self._pieces()
