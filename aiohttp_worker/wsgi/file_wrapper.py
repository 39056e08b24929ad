"""``wsgi.file_wrapper`` (PEP 3333), and the choice of the files that the kernel can send (sendfile).

Not compiled: applications wrap, extend and patch these objects.
"""

from __future__ import annotations

import codecs
import io
import operator
import os
import stat
import tempfile
import types
from collections.abc import Iterator
from typing import Any

_BLOCK = 64 * 1024

# Methods through which a buffered file, and the raw file below it, are read.
_BUFFERED = ("read", "tell", "fileno")
_RAW = ("read", "readall", "readinto", "seek", "tell", "fileno")
_CLOSER = getattr(tempfile, "_TemporaryFileCloser", None)


class FileWrapper:
    """``wsgi.file_wrapper`` (PEP 3333, "Optional Platform-Specific File Handling").

    :param filelike: has ``read(size)``, which gives ``bytes``; a plain file is
        sent by the kernel where that is possible.
    :param block_size: bytes per piece where it is not; ``None`` and what is
        less than 1 stand for a size of our choice.
    :raises TypeError: there is no ``read()``, it gives text, or *block_size* is
        no whole number.
    """

    def __init__(self, filelike: Any, block_size: Any = None) -> None:
        if not hasattr(filelike, "read"):
            raise TypeError(f"wsgi.file_wrapper takes a file, something with read(size), not {filelike!r}")
        if _is_text(filelike):
            raise _text_error(filelike)
        self.filelike = filelike
        self.block_size = _checked(block_size)
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.block_size)
        if not data:
            raise StopIteration
        if isinstance(data, str):
            raise _text_error(self.filelike)
        return data


def _checked(block_size: Any) -> int:
    if block_size is None:
        return _BLOCK
    try:
        size = operator.index(block_size)
    except TypeError:
        raise TypeError(f"the block size of wsgi.file_wrapper must be a whole number, not {block_size!r}") from None
    return size if size > 0 else _BLOCK


def _is_text(filelike: Any) -> bool:
    """Return whether *filelike*, or the file that ``tempfile`` or Django wrapped in it, is known to give text."""
    kinds = (io.TextIOBase, codecs.StreamReader, codecs.StreamReaderWriter)
    return isinstance(filelike, kinds) or isinstance(getattr(filelike, "file", None), kinds)


def _text_error(filelike: Any) -> TypeError:
    return TypeError(f"wsgi.file_wrapper takes a file of bytes, and this one gives text; open it in mode 'rb': {filelike!r}")


def plain_file(filelike: Any) -> io.FileIO | io.BufferedReader | io.BufferedRandom | None:
    """Return the file behind *filelike*, if reading gives the bytes on the disk and nothing else.

    What counts is whose method ``filelike.read`` is: wrappers such as Django's,
    Werkzeug's and ``tempfile``'s hand out that of the file within. A class that
    extends the standard library's may add whatever does not read.

    :return: ``None`` when there is code in between: a decompressor, a counter,
        a member of an archive.
    """
    read = getattr(filelike, "read", None)
    if _CLOSER is not None and isinstance(getattr(read, "_closer", None), _CLOSER):
        # NamedTemporaryFile's keeps the file open as long as the method lives.
        read = getattr(read, "__wrapped__", None)
    if not isinstance(read, types.BuiltinMethodType) or read.__name__ != "read":
        return None
    file = read.__self__
    if isinstance(file, io.FileIO):
        return file if _reads_as(file, io.FileIO, _RAW) and file.readable() else None
    if isinstance(file, io.BufferedReader):
        whole = _reads_as(file, io.BufferedReader, _BUFFERED)
    elif isinstance(file, io.BufferedRandom):
        whole = _reads_as(file, io.BufferedRandom, _BUFFERED)
    else:
        return None
    return file if whole and isinstance(file.raw, io.FileIO) and _reads_as(file.raw, io.FileIO, _RAW) else None


def _reads_as(file: object, base: type, names: tuple[str, ...]) -> bool:
    """Return whether *file* has the methods of the standard library's *base*, neither overridden nor replaced."""
    kind = type(file)
    own = vars(file) if hasattr(file, "__dict__") else {}
    return not any(name in own for name in names) and (
        kind is base or all(getattr(kind, name) is getattr(base, name) for name in names)
    )


def regular_part(wrapper: FileWrapper) -> tuple[int, int, int] | None:
    """Return the part of the wrapped file that is still to be read, for the kernel to send.

    :return: descriptor, offset and size in bytes; ``None`` when only ``read()`` tells what there is.
    """
    try:
        file: Any = plain_file(wrapper.filelike)
        if file is None:
            return None
        if isinstance(file, io.BufferedRandom):
            file.flush()
        fd = file.fileno()
        offset = file.tell()
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size <= offset or not _has_its_size(fd, status):
            return None
    except (AttributeError, OSError, ValueError):
        return None
    return fd, offset, status.st_size - offset


def _has_its_size(fd: int, status: os.stat_result) -> bool:
    """Return True if a file has as many bytes as it says.

    Those that the kernel makes up when they are read, as in ``/proc`` and
    ``/sys``, have no blocks, and say 0 or that they are as long as a page.
    Neither have those that are all hole.
    """
    return status.st_blocks > 0 or bool(os.pread(fd, 1, status.st_size - 1))
