"""Decoder of the chunked transfer coding in request bodies (RFC 9112 section 7.1).

One pattern matches the line of a chunk, and its data is a slice of the received bytes. llhttp decodes chunks as well, but
it accepts extensions that the grammar does not have, refuses some that it has, does not report their size, and copies the
data twice.
"""

from __future__ import annotations

import enum
from typing import Final

from .errors import RemoteProtocolError
from .grammar import CHUNK_LINE, FIELD_LINE
from .messages import Limits

# Fields that a trailer section must not contain (RFC 9110 section 6.5.1): framing,
# routing and authentication were decided before it arrived.
_NOT_IN_TRAILERS: Final = frozenset(("content-length", "transfer-encoding", "host", "trailer", "authorization", "te"))


class _Part(enum.Enum):
    """Part of the chunked body that the next byte belongs to."""

    SIZE = 1
    DATA = 2
    DATA_END = 3
    TRAILERS = 4


class ChunkedBody:
    """Decoder of one chunked request body.

    :param limits: ``field_size`` bounds each line and the extensions, ``fields`` the number of trailers.
    :ivar complete: the body, its trailers included, has been decoded.
    :ivar pieces: decoded data, to be taken and cleared by the reader.
    :ivar trailers: name, in lower case, and value of each trailer field.
    """

    __slots__ = ("_allowance", "_limits", "_line", "_part", "_remaining", "complete", "pieces", "trailers")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.complete = False
        self.pieces: list[bytes] = []
        self.trailers: list[tuple[str, str]] = []
        self._part = _Part.SIZE
        self._line = b""  # start of a line whose end has not arrived yet
        self._remaining = 0  # bytes of the chunk's data
        self._allowance = limits.field_size  # bytes that extensions may still have; data adds to it

    def feed(self, data: bytes, start: int) -> int:
        """Decode ``data[start:]``.

        :return: position behind the body, or behind the data if the body goes on.
        :raises RemoteProtocolError: 400 for malformed chunks, 431 for lines or trailers beyond the limits.
        """
        kept = self._line
        if not kept:
            return self._decode(data, start)
        joined = kept + data[start:]
        self._line = b""
        # A line that arrives byte by byte is matched once, when it is complete; otherwise it would cost the square of its length.
        end = self._decode(joined, 0) if b"\n" in data[start:] else self._keep(joined, 0, "line")
        return end + start - len(kept)

    def _decode(self, data: bytes, position: int) -> int:
        length = len(data)
        while position < length:
            part = self._part
            if part is _Part.SIZE:
                line = CHUNK_LINE.match(data, position)
                if line is None or line.end() - position > self._limits.field_size:
                    return self._keep(data, position, "chunk line")
                extension = line.end(2) - line.start(2)
                if extension:
                    self._allowance -= extension
                    if self._allowance < 0:
                        raise RemoteProtocolError("more chunk extensions than data", 431)
                position = line.end()
                size = int(line[1], 16)
                end = position + size
                if size and data.startswith(b"\r\n", end):  # a whole chunk, as most are
                    self.pieces.append(data[position:end])
                    self._allowance += size
                    position = end + 2
                else:
                    self._remaining = size
                    self._part = _Part.DATA if size else _Part.TRAILERS
            elif part is _Part.DATA:
                end = min(position + self._remaining, length)
                piece = data[position:end]
                self.pieces.append(piece)
                self._remaining -= len(piece)
                self._allowance += len(piece)
                position = end
                if not self._remaining:
                    self._part = _Part.DATA_END
            elif part is _Part.DATA_END:
                position = self._decode_data_end(data, position)
            elif data.startswith(b"\r\n", position):
                self.complete = True
                return position + 2
            else:
                position = self._decode_trailer(data, position)
        return position

    def _decode_data_end(self, data: bytes, position: int) -> int:
        if data.startswith(b"\r\n", position):
            self._part = _Part.SIZE
            return position + 2
        if data[position:] != b"\r":
            raise RemoteProtocolError("no line end after the data of a chunk")
        return self._keep(data, position, "chunk")

    def _decode_trailer(self, data: bytes, position: int) -> int:
        line = FIELD_LINE.match(data, position)
        if line is None or line.end() - position > self._limits.field_size:
            return self._keep(data, position, "trailer")
        self._add_trailer(line[1].decode("latin-1").lower(), line[2].decode("latin-1").strip(" \t"))
        return line.end()

    def _keep(self, data: bytes, position: int, name: str) -> int:
        """Keep an incomplete line until the rest of it arrives.

        :param name: of the line, for the error.
        :return: the length of *data*: all of it is used up.
        :raises RemoteProtocolError: the line is malformed or too long already.
        """
        size = self._limits.field_size
        line = data[position : position + size]
        if b"\n" in line or b"\r" in line[:-1]:
            raise RemoteProtocolError(f"malformed {name}: {line[:100]!r}")
        if len(line) >= size:
            raise RemoteProtocolError(f"a {name} is longer than limit_request_field_size ({size})", 431)
        self._line = line
        return len(data)

    def _add_trailer(self, name: str, value: str) -> None:
        if name in _NOT_IN_TRAILERS:
            raise RemoteProtocolError(f"{name} in a trailer section")
        if len(self.trailers) >= self._limits.fields:
            raise RemoteProtocolError("more trailers than limit_request_fields", 431)
        self.trailers.append((name, value))
