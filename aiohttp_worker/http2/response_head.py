"""A response's status and headers → the fields of its head (RFC 9113 section 8.3.2)."""

from __future__ import annotations

from typing import Any, Final

from aiohttp_worker.http1.caches import remember
from aiohttp_worker.http1.response_encoder import FieldBlock

FieldList = list[tuple[bytes, bytes]]

_REMEMBERED: Final = 1024
_LONGEST: Final = 256  # characters of a field that is remembered


class FieldEncoder:
    """Turns what ``http1`` has checked for a response into the fields of HTTP/2; one serves all connections of a worker.

    Names are lower case (RFC 9113 section 8.2.1), and what is about a connection is not there (section 8.2.2): ``FieldBlock``
    leaves that out.
    """

    __slots__ = ("_defaults", "_fields", "_statuses")

    def __init__(self) -> None:
        self._fields: dict[Any, tuple[bytes, bytes]] = {}
        self._statuses: dict[int, tuple[bytes, bytes]] = {}
        self._defaults: tuple[bytes, FieldList] = (b"", [])

    def fields(self, status_code: int, block: FieldBlock, defaults: bytes, length: int | None) -> FieldList:
        """Return the fields of a head.

        :param defaults: lines of HTTP/1.1 that the server adds, such as Date.
        :param length: of the body, where the application has not announced it and it is known.
        """
        status = self._statuses.get(status_code)
        if status is None:
            status = self._statuses[status_code] = (b":status", b"%d" % status_code)
        if self._defaults[0] is not defaults:
            self._defaults = (defaults, _fields_of_lines(defaults))
        result = [status, *self._defaults[1]]
        known = self._fields
        for pair in block.pairs:
            field = known.get(pair)
            result.append(self._encode(pair) if field is None else field)
        if status_code == 204 or status_code == 205:
            # RFC 9110 section 8.6: none in 204; of 205 section 15.3.6 says that it has none or 0.
            result = [field for field in result if field[0] != b"content-length"]
            if status_code == 205:
                result.append((b"content-length", b"0"))
        elif block.length is None and length is not None and status_code != 304:
            # In 304 it would have to be the length of what is not sent.
            result.append((b"content-length", b"%d" % length))
        return result

    def _encode(self, pair: Any) -> tuple[bytes, bytes]:
        name, value = pair
        field = (name.lower().encode("latin-1"), value.encode("latin-1"))
        if len(name) + len(value) <= _LONGEST:
            remember(self._fields, _REMEMBERED, pair, field)
        return field


def interim_fields(raw: bytes) -> FieldList:
    """Return the fields of an interim response that ``http1`` has encoded."""
    line, _, rest = raw.removesuffix(b"\r\n").partition(b"\r\n")
    return [(b":status", line[9:12]), *_fields_of_lines(rest)]


def _fields_of_lines(lines: bytes) -> FieldList:
    fields: FieldList = []
    for line in lines.split(b"\r\n"):
        if line:
            name, _, value = line.partition(b":")
            fields.append((name.lower(), value.strip(b" \t")))
    return fields
