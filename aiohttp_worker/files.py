"""``wsgi.file_wrapper``, and files that the kernel sends by itself."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Any, Final

from .flow import Sender

_BLOCK: Final = 64 * 1024
# What one file may send before others get their turn.
_TURN_BYTES: Final = 4 * 1024 * 1024


class FileWrapper:
    """``wsgi.file_wrapper`` (PEP 3333, "Optional Platform-Specific File Handling").

    :param filelike: has ``read(size)``; what has a ``fileno()`` too is sent by
        the kernel where that is possible.
    :param block_size: bytes per piece where it is not.
    """

    def __init__(self, filelike: Any, block_size: int = _BLOCK) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.block_size)
        if data:
            return data
        raise StopIteration


class FilePart:
    """The rest of a regular file, from where it is read now."""

    __slots__ = ("fd", "offset", "size")

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self.fd = fd
        self.offset = offset
        self.size = size


def file_part(wrapper: FileWrapper) -> FilePart | None:
    """Return what of the wrapped file ``sendfile`` can send, if it can."""
    try:
        fd = wrapper.filelike.fileno()
        offset = wrapper.filelike.tell()
        status = os.fstat(fd)
    except (AttributeError, OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode) or not isinstance(offset, int):
        return None
    return FilePart(fd, offset, max(0, status.st_size - offset))


class FileSending:
    """Sends part of a file, as fast as the client reads and in turns.

    What the socket does not take at once goes block by block through the
    transport, which knows when the socket takes more.

    :param done: called once, with the number of bytes sent, and the error that
        ended it early, if one did.
    """

    __slots__ = ("_call_soon", "_done", "_offset", "_part", "_rest", "_sender", "_sent")

    def __init__(
        self,
        sender: Sender,
        part: FilePart,
        size: int,
        call_soon: Callable[[Callable[[], None]], object],
        done: Callable[[int, OSError | None], None],
    ) -> None:
        self._sender = sender
        self._part = part
        self._rest = size
        self._offset = part.offset
        self._sent = 0
        self._call_soon = call_soon
        self._done = done

    def run(self) -> None:
        """Send until the client has to read first, or others get their turn."""
        sender = self._sender
        turn = _TURN_BYTES
        try:
            while self._rest and turn > 0 and not sender.closed:
                if sender.paused:
                    sender.on_resume(self.run)
                    return
                count = -1
                if sender.direct:
                    count = sender.send_file(self._part.fd, self._offset, min(self._rest, turn))
                if count < 0:
                    data = os.pread(self._part.fd, min(self._rest, 2 * _BLOCK), self._offset)
                    count = len(data)
                    sender.send([data])
                if count == 0:
                    break  # the file is shorter than it was
                self._offset += count
                self._sent += count
                self._rest -= count
                turn -= count
        except OSError as error:
            self._done(self._sent, error)
            return
        if self._rest and turn <= 0 and not sender.closed:
            self._call_soon(self.run)
            return
        self._done(self._sent, None)
