"""Forms with files: ``multipart/form-data`` (RFC 7578), streamed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from .body import Body, BytesBody
from .request import field_value
from .upload import make_body
from .url import field_pairs

__all__ = ["MultipartBody", "make_multipart"]


class MultipartBody(Body):
    """Parts one after the other. Its length is known if that of each part is."""

    def __init__(self, parts: list[tuple[bytes, Body]]) -> None:
        boundary = os.urandom(16).hex()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        line = f"--{boundary}\r\n".encode("ascii")
        self._parts = [(line + head, body) for head, body in parts]
        self._last = f"--{boundary}--\r\n".encode("ascii")
        self.replayable = all(body.replayable for _, body in parts)
        lengths = [body.length for _, body in parts]
        if None not in lengths:
            self.length = len(self._last) + sum(len(head) + 2 + (body.length or 0) for head, body in self._parts)

    async def _pieces(self) -> AsyncIterator[bytes]:
        for head, body in self._parts:
            if isinstance(body, BytesBody) and (body.length or 0) <= 65536:
                yield b"".join((head, body.data, b"\r\n"))
                continue
            yield head
            async for piece in body.pieces():
                yield piece
            yield b"\r\n"
        yield self._last

    def pieces(self) -> AsyncIterator[bytes]:
        return self._pieces()


def _quoted(name: str, encoding: str) -> bytes:
    # What browsers do (RFC 7578 section 4.2 leaves it to them): these three percent-encoded, all else as it is.
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").encode(encoding)


def _part_head(name: str, filename: str | None, content_type: str | None, headers: Any, encoding: str) -> bytes:
    head = b'Content-Disposition: form-data; name="' + _quoted(name, encoding) + b'"'
    if filename is not None:
        head += b'; filename="' + _quoted(filename, encoding) + b'"'
    head += b"\r\n"
    if content_type is not None:
        head += f"Content-Type: {field_value('Content-Type', content_type)}\r\n".encode("latin-1")
    for field_name, value in headers.items() if headers else ():
        field_value("name", field_name)
        head += f"{field_name}: {field_value(field_name, value)}\r\n".encode("latin-1")
    return head + b"\r\n"


def _file_name(file: Any, default: str) -> str:
    name = getattr(file, "name", None)
    if isinstance(name, str) and name and not (name[0] == "<" and name[-1] == ">"):
        return os.path.basename(name)
    return default


def _guess_type(filename: str) -> str:
    import mimetypes

    return mimetypes.guess_type(filename)[0] or "application/octet-stream"


def _file_items(files: Any) -> list[tuple[str | None, tuple[Any, ...]]]:
    """Pairs of field name and (file, type) or (file name, file, type, headers)."""
    found: list[tuple[str | None, tuple[Any, ...]]] = []
    if isinstance(files, Mapping):
        return [(name, _spread(value)) for name, value in files.items()]
    if isinstance(files, str | bytes) or not isinstance(files, Sequence):
        files = [files]
    for item in files:
        if isinstance(item, tuple | list):
            if len(item) == 2:
                found.append((item[0], _spread(item[1])))
            elif len(item) == 3:
                found.append((item[0], (None, item[1], item[2], None)))
            else:
                raise ValueError(f"a file is given as file, (name, file) or (name, file, type), not {item!r}")
        else:
            found.append((None, (None, item, None, None)))
    return found


def _spread(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple | list):
        return (None, value, None, None)
    if 2 <= len(value) <= 4:
        return (*value, *(None,) * (4 - len(value)))
    raise ValueError(f"a file is given as (file name, file), with a type, with headers; not as {value!r}")


def make_multipart(data: Any, files: Any, encoding: str) -> MultipartBody:
    """The body for ``files`` with the fields of ``data`` before them.

    Raises ValueError for ``data`` that has no fields, for files in a form that is not known, and for values that cannot be sent.
    """
    parts: list[tuple[bytes, Body]] = []
    if data:
        if not isinstance(data, Mapping | list | tuple) and not hasattr(data, "items"):
            raise ValueError(f"beside files, data must be a mapping or pairs, not {data!r}")
        for name, value in field_pairs(data):
            octets = value if isinstance(value, bytes | bytearray) else str(value).encode(encoding)
            parts.append((_part_head(str(name), None, None, None, encoding), BytesBody(octets, None)))
    for field_name, (filename, file, content_type, headers) in _file_items(files):
        named = _file_name(file, field_name or "unknown") if filename is None else filename
        if isinstance(file, str):
            file = file.encode(encoding)
        body = make_body(file, encoding)
        head = _part_head(field_name or named, named, content_type or _guess_type(named), headers, encoding)
        parts.append((head, body))
    return MultipartBody(parts)
