"""``wsgi.input`` in a thread: a file over a request body that is still arriving, whose reads block."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.buffer import size_to_read

from .input import HIGH_MARK, LOW_MARK, LiveBody, StreamReader


class BlockingReader(LiveBody, io.BufferedIOBase):
    """``wsgi.input`` of an application in a thread: a file whose reads block until data arrives.

    Created on the loop that feeds it. A thread may read it within a loop of its own, as asynchronous views of Flask do:
    then that loop is blocked, and the feeding one is not.

    :param on_want: as in :class:`LiveBody`, called in the thread.
    :param on_taken: called in the thread when the buffer has shrunk below the low mark.
    :ivar waits: true while the thread waits for the client.
    """

    def __init__(self, on_want: Callable[[], None], on_taken: Callable[[], None]) -> None:
        super().__init__(on_want, on_taken)
        self._changed = threading.Condition(threading.Lock())
        self._loop_thread = threading.get_ident()
        self.waits = False

    # Called on the loop.

    @property
    def wanted(self) -> bool:
        """Always false: unlike a stream, a thread that waits never needs more than the high mark in the buffer."""
        return False

    def feed(self, data: bytes) -> None:
        """Append received data."""
        with self._changed:
            self._buffer.feed(data)
            self._changed.notify()

    def feed_end(self) -> None:
        """Mark the body as complete."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: IncompleteBodyError) -> None:
        """Make the waiting reads, and those to come, raise *error* once the buffer is empty."""
        with self._changed:
            if not self._ended:
                self._error = error
                self._changed.notify_all()

    def forsake(self, error: IncompleteBodyError) -> None:
        """Fail in a forked child, where the lock may be held by a thread of the parent that does not exist here."""
        self._changed = threading.Condition(threading.Lock())
        self.fail(error)

    def hand_over(self, stream: StreamReader) -> None:
        """Move the unread bytes to *stream*, which is fed from now on."""
        with self._changed:
            stream.feed(self._buffer.take_all())
            if self._ended:
                stream.feed_end()
            elif self._error is not None:
                stream.fail(self._error)
            self._ended = True

    # Called by the application.

    def readable(self) -> bool:
        return True

    @property
    def ended(self) -> bool:
        """True once the body has arrived completely, so that no read blocks."""
        with self._changed:
            return self._ended

    @property
    def is_on_loop(self) -> bool:
        """True if the caller runs on the loop that feeds this reader, which a blocking read would stop for ever."""
        return asyncio._get_running_loop() is not None and threading.get_ident() == self._loop_thread

    def at_eof(self) -> bool:
        """Return whether the body has been read to its end, without waiting."""
        with self._changed:
            return self._ended and not len(self._buffer)

    def read(self, size: int | None = -1) -> bytes:
        count = size_to_read(size)
        if count < 0:
            parts = []
            while piece := self._take(HIGH_MARK):
                parts.append(piece)
            return b"".join(parts)
        data = self._take(count)
        if len(data) == count or not data:
            return data
        parts = [data]
        missing = count - len(data)
        while missing and (piece := self._take(missing)):
            parts.append(piece)
            missing -= len(piece)
        return b"".join(parts)

    def read1(self, size: int | None = -1) -> bytes:
        count = size_to_read(size)
        return self._take(HIGH_MARK if count < 0 else count)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        if view.readonly:  # checked first, so that no bytes are lost
            raise TypeError(f"readinto() takes a buffer that can be written, not {type(buffer).__name__}")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1) -> bytes:
        limit = size_to_read(size)
        if limit == 0:
            return b""
        parts: list[bytes] = []
        while True:
            part = self._take_line(limit)
            parts.append(part)
            if limit > 0:
                limit -= len(part)
            if not part or part.endswith(b"\n") or limit == 0:
                return b"".join(parts)

    def _wait(self) -> None:
        """Wait for data or the end of the body, with the lock held.

        :raises IncompleteBodyError: the client disconnected before the end of the body.
        :raises RuntimeError: the caller is the loop that feeds this reader.
        """
        self._announce_read()
        while not len(self._buffer) and not self._ended:
            if self._error is not None:
                raise self._error
            if self.is_on_loop:
                # The data would have to come from the loop that waits for it.
                raise RuntimeError(
                    "wsgi.input is a file that blocks, and cannot be read on the loop: read it in the thread before"
                )
            self.waits = True
            self._changed.wait()
            self.waits = False

    def _take(self, size: int) -> bytes:
        if size == 0:
            return b""
        with self._changed:
            self._wait()
            before = len(self._buffer)
            data = self._buffer.take(size)
        self._report_room(before, len(data))
        return data

    def _take_line(self, limit: int) -> bytes:
        with self._changed:
            self._wait()
            before = len(self._buffer)
            line = self._buffer.take_line(limit)
            if line is None:
                line = self._buffer.take_all()
        self._report_room(before, len(line))
        return line

    def _report_room(self, before: int, taken: int) -> None:
        """Call ``on_taken`` when a read has brought the buffer below the low mark."""
        if before > LOW_MARK >= before - taken:
            self._on_taken()
