"""Channels of an application's output to the client: inline on the loop, from a thread, from a task."""

from __future__ import annotations

import abc
import asyncio
import time
from collections import deque
from typing import Any, Final

from aiohttp_worker.errors import ClientDisconnectedError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.response_encoder import shown
from aiohttp_worker.http1.response_side import CloseReason
from aiohttp_worker.transport.backlog import Backlog
from aiohttp_worker.transport.storage import storage_error
from aiohttp_worker.transport.write_batch import MOST_HELD
from aiohttp_worker.transport.write_queue import WRITE_HIGH_MARK
from aiohttp_worker.wsgi.async_body import Marker, bodies_of_request
from aiohttp_worker.wsgi.start_response import StartResponse

from .coroutines import Written
from .state import State
from .stream import Stream
from .thread_pool import PoolThread

# What an application may send before others get their turn.
TURN_SECONDS: Final = 0.001
_MOST_WRITTEN: Final = 1024 * 1024  # by write(), bytes in memory
# Bytes in memory that clients have not read, of all connections together. Beyond that, what may wait goes to files.
_MOST_UNSENT: Final = 32 * 1024 * 1024

_monotonic: Final = time.monotonic


class Delivery(StartResponse):
    """The sending side of one request's answer.

    From a task, and from an application that runs inline, pieces go to the
    connection; from a thread through a queue to the loop. Through a file goes
    what ``write()`` is given inline, faster than the client reads, and a whole
    body, while clients leave too much unread.
    """

    __slots__ = (
        "_backlog",
        "_member",
        "_outbox",
        "_outbox_size",
        "_task",
        "_turn_ends",
        "_turned",
        "_whole",
        "_wrote",
        "head",
        "in_task",
        "started",
        "state",
        "stream",
    )

    def __init__(self, state: State, stream: Stream, head: RequestHead) -> None:
        super().__init__(stream.response)
        self.state = state
        self.stream = stream
        self.head = head
        self.started = 0.0
        self._member: PoolThread | None = None  # the thread that runs the application
        self._task: asyncio.Task[Any] | None = None  # or the task
        self.in_task = False  # from before its first step on, which may be taken while it is made
        self._turned = False
        self._turn_ends = 0.0
        self._outbox: deque[bytes] | None = None  # from a thread to the loop
        self._outbox_size = 0
        self._whole = False  # all of the body was handed over at once
        self._wrote = False  # something that waits for the end of a turn, if not longer
        self._backlog: Backlog | None = None

    # What the application calls.

    def write(self, data: object) -> Written:
        """PEP 3333's ``write``; deprecated there, and here for what it cannot wait for.

        A thread waits while a client reads slowly. Inline, nothing can wait:
        what the client has not read goes to a file. A coroutine or generator can
        wait, for what this returns.

        :raises ClientDisconnectedError: nobody is there to read it.
        :raises OSError: the file takes no more; the connection is reset.
        :raises TypeError: *data* is no ``bytes``.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"write() takes bytes, not {type(data).__name__}: {shown(data)}")
        if isinstance(data, Marker):
            data = b""  # it is not false, and there is nothing to wait with; who asks for more is given the data
        self._check_client()
        pieces = self.piece(data)
        if self._member is None and not self.in_task:
            self._send_or_store(pieces)
            self._check_client()
            return Written(self)
        self._send(pieces)
        if self._member is not None:
            write_queue = self.stream.write_queue
            while (write_queue.paused or self._outbox_size > WRITE_HIGH_MARK) and not write_queue.closed:
                self.stream.wait_writable()
            self._check_client()
        return Written(self)

    def _send_or_store(self, pieces: list[bytes]) -> None:
        """Send what the socket takes now, keep a little, and put more than that into a file.

        :raises OSError: the file takes no more; the connection is reset.
        """
        write_queue = self.stream.write_queue
        state = self.state
        if not self._wrote:
            self._wrote = True
            state.loop.call_soon(write_queue.release)
        if self._backlog is None:
            pieces = write_queue.send_alone(pieces, _MOST_WRITTEN if state.unsent <= _MOST_UNSENT else WRITE_HIGH_MARK)
            if not pieces:
                return
        backlog = self._put_back(pieces)
        try:
            if backlog.send(write_queue):
                self._close_backlog()
        except OSError:
            write_queue.give_up()

    def _put_back(self, pieces: list[bytes]) -> Backlog:
        """Add to what is to be sent when the application's call is over."""
        backlog = self._backlog
        try:
            if backlog is None:
                backlog = self._backlog = Backlog(self.state.settings.body_directory)
            backlog.add(pieces)
        except OSError as error:
            self.stream.write_queue.give_up()
            raise storage_error(self.state.settings.body_directory, error) from None
        return backlog

    def _close_backlog(self) -> None:
        backlog, self._backlog = self._backlog, None
        assert backlog is not None
        backlog.close()

    def early_hints(self, headers: object) -> None:
        """Send an interim response 103 (RFC 8297).

        Nothing is sent to a client of HTTP/1.0, or once the response began.
        """
        if not self.response.head_sent and self.head.minor:
            self._send([self.response.early_hints(headers)])

    # What its result is sent by.

    def send_whole(self, body: Any) -> bool:
        """Send a body that is all there, and so has a length.

        :return: whether it could be; otherwise it is to be stepped through.
        """
        response = self.response
        if response.head_sent:
            return False
        if len(body) == 1:
            data = body[0]
            if type(data) is not bytes:
                return False
        else:
            for item in body:
                if type(item) is not bytes:
                    return False
            data = b"".join(body)
        pieces = self.whole(data)
        if self._outbox is None and len(data) <= MOST_HELD:
            began = self.started if self._task is None else _monotonic()
            self.state.write_batch.put(self.stream.write_queue, pieces, began)
        else:
            self._whole = True
            self._send(pieces)
        if response.irregular:
            self._check_complete()
        return True

    def _send(self, pieces: list[bytes]) -> None:
        outbox = self._outbox
        if outbox is not None and not self.in_task:
            if pieces:
                outbox.extend(pieces)
                self._outbox_size += sum(map(len, pieces))
                self.state.post(self.flush)
        elif self._backlog is not None:
            self._put_back(pieces)
        else:
            self._send_on_loop(pieces)

    def _send_on_loop(self, pieces: list[bytes]) -> None:
        """Send *pieces*, or store what the client does not read now, if nothing follows and too much waits in memory."""
        if not self._whole or self.state.unsent <= _MOST_UNSENT:
            self.stream.write_queue.send(pieces)
            return
        try:
            self._send_or_store(pieces)
        except OSError as error:
            self.state.log_error("%s %s: the answer cannot be stored: %s", self.head.method, self.head.target, error.strerror)

    def _send_last(self, pieces: list[bytes], size: int) -> None:
        """Send what completes the body, before the application's ``close()`` is called.

        :param size: of what belongs to the body, in bytes.
        """
        if not pieces:
            return
        if self._outbox is None and not self._wrote and not self._turned and size <= MOST_HELD and self.response.keep_alive:
            self.state.write_batch.put_early(self.stream.write_queue, pieces, self.started)
        else:
            self._send(pieces)

    @property
    def progress(self) -> int:
        """A number that changes when the application gives or takes something, while the same piece of it runs in a thread."""
        return self.response.sent + self.stream.body_read

    @property
    def waits_for_client(self) -> bool:
        """True if the thread that runs the application waits for the client to read or to send."""
        return self.stream.write_queue.paused or self._outbox_size > WRITE_HIGH_MARK or self.stream.awaits_body

    @abc.abstractmethod
    def returned(self) -> None:
        """Continue on the loop after a thread has run its piece of the application."""

    def flush(self) -> None:
        """Send, on the loop, what a thread has left to be sent."""
        outbox = self._outbox
        assert outbox is not None
        pieces = []
        # Piece by piece, since the thread may add more meanwhile.
        while outbox:
            pieces.append(outbox.popleft())
        self._outbox_size = 0
        self._send_on_loop(pieces)
        self.stream.wake_thread()

    # From a task.

    def send_piece(self, data: bytes) -> bool:
        """Send a piece of the body, from the task.

        :return: whether the task is to wait: for the client to read, or for
            others to have their turn.
        :raises ClientDisconnectedError: nobody is there to read it.
        """
        self._check_client()
        write_queue = self.stream.write_queue
        write_queue.send(self.piece(data))
        return write_queue.paused or _monotonic() > self._turn_ends

    @property
    def must_wait(self) -> bool:
        """True if what was written waits for the client to read."""
        return self._backlog is not None or self.stream.write_queue.paused

    def turn_is_over(self) -> bool:
        """Say whether others are to have their turn."""
        return _monotonic() > self._turn_ends

    def turn_begins(self) -> None:
        """Continue after a turn of the loop."""
        self._turn_ends = _monotonic() + TURN_SECONDS

    def finish_from_task(self) -> None:
        """End the response, from the task."""
        if self.state.bodies.used:
            self._check_bodies()
        self.stream.write_queue.send(self.end())
        self._check_complete()

    # Asynchronous bodies within ordinary ones.

    def claim(self, marker: Marker) -> bool:
        """Take over the body that *marker* stands for, if it does not come by itself."""
        if not marker.stream.claim():
            return False
        self.forget_no_length()
        return True

    def _check_bodies(self) -> None:
        """Refuse to call complete what lacks a body whose marker somebody kept."""
        bodies = bodies_of_request.get()
        if bodies is None:
            return
        response = self.response
        if self.head.method != "HEAD" and self.status_code not in (204, 205, 304):
            bodies.check(response.sent > 0 or self.status_code >= 300)

    # Ends.

    def _check_client(self) -> None:
        if self.stream.write_queue.closed:
            raise ClientDisconnectedError("the client went away")

    def _check_complete(self) -> None:
        """Refuse to call complete what is shorter than was announced, and say what was dropped."""
        if self.response.dropped:
            self.state.warn_dropped_body(self.head, self.status_code)
        missing = self.response.missing
        if missing:
            self.response.close_after(CloseReason.SHORT)
            self.state.log_error(
                "%s %s: the body is %d bytes shorter than its Content-Length; the connection is closed",
                self.head.method,
                self.head.target,
                missing,
            )
