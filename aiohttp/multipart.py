"""Forms with files: ``multipart/form-data`` (RFC 7578), streamed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from aiohttp_worker.http1.grammar import TOKEN

from .body import Body, BytesBody
from .header_text import check_field_value, encode_field
from .upload import make_body
from .url import encode_text, field_pairs, value_text

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
    # What browsers do (RFC 7578 section 4.2 leaves it to them): these three percent-encoded, all else as it is. A name that
    # the file system has in another charset than Python's keeps its octets.
    return encode_text(name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A"), encoding, f"the name {name!r}")


def _part_head(name: str, filename: str | None, content_type: str | None, headers: Any, encoding: str) -> bytes:
    head = b'Content-Disposition: form-data; name="' + _quoted(name, encoding) + b'"'
    if filename is not None:
        head += b'; filename="' + _quoted(filename, encoding) + b'"'
    head += b"\r\n"
    if content_type is not None:
        head += encode_field(f"Content-Type: {check_field_value('Content-Type', content_type)}\r\n")
    for field_name, value in (headers.items() if hasattr(headers, "items") else headers) if headers else ():
        if not isinstance(field_name, str) or not TOKEN.fullmatch(field_name):
            raise ValueError(f"not the name of a field: {field_name!r}")
        head += encode_field(f"{field_name}: {check_field_value(field_name, value)}\r\n")
    return head + b"\r\n"


def _file_name(file: Any, default: str) -> str:
    name = getattr(file, "name", None)
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    if isinstance(name, str) and name and not (name[0] == "<" and name[-1] == ">"):
        return os.path.basename(name)
    return default


def _guess_type(filename: str) -> str:
    import mimetypes

    return mimetypes.guess_type(filename)[0] or "application/octet-stream"


class _Upload(NamedTuple):
    """One file of ``files``, and what the user said about it. ``name`` is that of the field, None where there is none."""

    name: str | None
    file: Any
    filename: str | None = None
    named: bool = False  # whether filename is the user's word: None means then that the part has none
    content_type: str | None = None
    headers: Any = None


def _uploads(files: Any) -> Iterator[_Upload]:
    """The files in any of the forms that are known."""
    if isinstance(files, Mapping) or hasattr(files, "items"):
        for name, value in files.items():
            yield from _of_field(name, value)
        return
    if isinstance(files, str | bytes | bytearray | memoryview) or hasattr(files, "read"):
        files = [files]
    elif isinstance(files, Iterator) or not isinstance(files, Iterable):
        files = [files]  # the pieces of one file
    for item in files:
        if not isinstance(item, tuple | list):
            yield _Upload(None, item)
        elif len(item) == 2:
            yield from _of_field(*item)
        elif len(item) == 3:
            yield _Upload(item[0], item[1], content_type=item[2])
        else:
            raise ValueError(f"a file is given as file, (name, file) or (name, file, type), not as {_kinds(item)}")


def _of_field(name: Any, value: Any) -> Iterator[_Upload]:
    """The files of one field: one, or a list of them."""
    if isinstance(value, tuple) or (isinstance(value, list) and value and (value[0] is None or isinstance(value[0], str))):
        if not 2 <= len(value) <= 4:
            raise ValueError(
                f"the file of the field {name!r} is given as (file name, file), with a type, with headers; not as {_kinds(value)}"
            )
        filename, file, *more = value
        if filename is not None and not isinstance(filename, str):
            raise ValueError(f"the file name in the field {name!r} must be str or None, not {type(filename).__name__}")
        yield _Upload(name, file, filename, True, *more)
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, list):
                raise ValueError(f"the files of the field {name!r} are given as a list of files or tuples, not of lists")
            yield from _of_field(name, one)
    else:
        yield _Upload(name, value)


def _kinds(values: Any) -> str:
    return f"({', '.join(type(value).__name__ for value in values)})"


def make_multipart(data: Any, files: Any, encoding: str) -> MultipartBody:
    """The body for ``files`` with the fields of ``data`` before them.

    Raises ValueError for ``data`` that has no fields, for files in a form that is not known, and for values that cannot be sent.
    """
    parts: list[tuple[bytes, Body]] = []
    if data:
        if not isinstance(data, Mapping | list | tuple) and not hasattr(data, "items"):
            raise ValueError(f"beside files, data must be a mapping or pairs, not {type(data).__name__}")
        for name, value in field_pairs(data):
            if isinstance(value, bytes | bytearray | memoryview):
                octets = bytes(value)
            else:
                octets = encode_text(value_text(name, value), encoding, f"a value for {name!r}")
            parts.append((_part_head(value_text("a name", name), None, None, None, encoding), BytesBody(octets, None)))
    for upload in _uploads(files):
        file, filename, content_type = upload.file, upload.filename, upload.content_type
        if upload.name is not None and not isinstance(upload.name, str):
            raise ValueError(f"the name of a field with a file must be str, not {type(upload.name).__name__}")
        if not upload.named:
            filename = _file_name(file, upload.name or "unknown")
        if content_type is None and filename is not None:
            content_type = _guess_type(filename)
        if isinstance(file, str):
            file = encode_text(file, encoding, f"the field {upload.name!r}")
        elif file is None or isinstance(file, Mapping | list | tuple):
            raise ValueError(f"the field {upload.name!r} has no file, but {'None' if file is None else type(file).__name__}")
        name = filename or "unknown" if upload.name is None else upload.name
        parts.append((_part_head(name, filename, content_type, upload.headers, encoding), make_body(file, encoding)))
    return MultipartBody(parts)
