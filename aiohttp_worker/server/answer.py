"""Answer to one request: what the application calls to start and to write it, and what is checked at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.response_encoder import shown
from aiohttp_worker.http1.response_side import CloseReason
from aiohttp_worker.transport.sendfile import FileSending
from aiohttp_worker.wsgi.async_body import Marker, bodies_of_request
from aiohttp_worker.wsgi.environ import Environ
from aiohttp_worker.wsgi.start_response import StartResponse, error_response

from .channels import InlineChannel, TaskChannel, ThreadChannel, check_connected
from .state import State
from .stream import Stream
from .written import Written


class Answer(StartResponse):
    """Answer to one request. Applications get it as ``start_response``.

    :param stream: that brought the request, and takes the answer.
    :ivar channel: where the application runs now.
    :ivar task_channel: where it runs in a task, once it has done so.
    :ivar context: of the application's code (PEP 567).
    :ivar ended: True once the answer is over, and the next request may have the stream.
    :ivar iterable: of the body, until it is closed.
    :ivar started: when the application was called, on the monotonic clock in seconds.
    """

    __slots__ = (
        "channel",
        "context",
        "ended",
        "environ",
        "error",
        "head",
        "iterable",
        "started",
        "state",
        "stream",
        "task_channel",
    )

    def __init__(self, state: State, stream: Stream, head: RequestHead, environ: Environ) -> None:
        super().__init__(stream.response)
        self.state = state
        self.stream = stream
        self.head = head
        self.environ = environ
        self.channel: InlineChannel | ThreadChannel | TaskChannel = stream.channel
        self.task_channel: TaskChannel | None = None
        self.iterable: Any = None
        self.error: BaseException | None = None
        self.context = state.context.copy()
        self.ended = False
        self.started = 0.0

    # What the application calls.

    def write(self, data: object) -> Written:
        """PEP 3333's ``write``; deprecated there, and here for what it cannot wait for.

        A thread waits while a client reads slowly. Inline, nothing can wait:
        what the client has not read goes to a file. A coroutine or generator can
        wait, for what this returns.

        :raises ClientDisconnectedError: nobody is there to read it.
        :raises OSError: the file takes no more; the connection is reset.
        :raises RuntimeError: the answer is over: what is sent now would be part of another one.
        :raises TypeError: *data* is no ``bytes``.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"write() takes bytes, not {type(data).__name__}: {shown(data)}")
        if isinstance(data, Marker):
            data = b""  # it is not false, and there is nothing to wait with; who asks for more is given the data
        if self.ended:
            raise RuntimeError("write() was called after the response had ended")
        write_queue = self.stream.write_queue
        check_connected(write_queue)
        self.channel.write(self.piece(data))
        return Written(self.channel, write_queue)

    def early_hints(self, headers: object) -> None:
        """Send an interim response 103 (RFC 8297).

        Nothing is sent to a client of HTTP/1.0, or once the response began.
        """
        if not self.response.head_sent and self.head.minor:
            self.channel.send([self.response.early_hints(headers)])

    # What the result of the application is sent by.

    def send_whole(self, body: Any) -> bool:
        """Send a body that is all there, and so has a length.

        :param body: a list or tuple.
        :return: False if it cannot be sent so, and is to be stepped through.
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
        self.channel.send_whole(self.whole(data), len(data), self.head)
        if response.irregular:
            self.check_complete()
        return True

    def send_piece(self, data: bytes) -> bool:
        """Send a piece of the body, from the task.

        :return: True if the task is to wait: for the client to read, or for others to have their turn.
        :raises ClientDisconnectedError: nobody is there to read it.
        """
        check_connected(self.stream.write_queue)
        channel = self.task_channel
        assert channel is not None
        return channel.send_piece(self.piece(data))

    def finish_from_task(self) -> None:
        """End the response, from the task."""
        if self.state.bodies.used:
            self.check_bodies()
        self.channel.send(self.end())
        self.check_complete()

    def keep_exit(self, error: BaseException) -> None:
        """Keep from the task what would end the loop, and with it the worker."""
        self.state.check_exit(error)
        self.error = error

    def send_error(self, status_code: int, message: str) -> None:
        """Answer in the application's place, before anything was sent; the connection ends."""
        status, headers, data = error_response(status_code, message)
        self.replace(status, headers)
        self.response.close_after(CloseReason.FAILED)
        self.channel.send(self.whole(data))

    def send_part(self, fd: int, offset: int, size: int, done: Callable[[int, OSError | None], None]) -> None:
        """Send a part of a file, on the loop.

        :param size: bytes of it.
        :param done: called with the bytes that were sent, and the error if there was one.
        """
        stream = self.stream
        pause, resume = stream.pause_writing, stream.resume_writing
        FileSending(stream.write_queue, fd, offset, size, self.state.writable, pause, resume, done).run()

    # Asynchronous bodies within ordinary ones.

    def claim(self, marker: Marker) -> bool:
        """Claim the body that *marker* stands for; return False if it comes by itself."""
        if not marker.stream.claim():
            return False
        self.forget_no_length()
        return True

    # Checks.

    def check_bodies(self) -> None:
        """Raise an error where a body is missing whose marker somebody kept."""
        bodies = bodies_of_request.get()
        if bodies is None:
            return
        response = self.response
        if self.head.method != "HEAD" and self.status_code not in (204, 205, 304):
            bodies.check(response.sent > 0 or self.status_code >= 300)

    def check_complete(self) -> None:
        """Log a body that is shorter than was announced, whose connection must end, or one that was dropped."""
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

    # What a thread that may hang is judged by.

    @property
    def progress(self) -> int:
        """Number that changes when the application gives or takes something, while the same piece of it runs in a thread."""
        return self.response.sent + self.stream.body_read

    @property
    def waits_for_client(self) -> bool:
        """True if the thread that runs the application waits for the client to read or to send."""
        # After 101 it is a conversation; how long nobody says anything is for those who speak.
        return self.channel.full or self.stream.awaits_body or self.response.switched

    # Ends.

    def before_head(self) -> None:
        """Announce that the connection ends, where a body is left that nobody reads."""
        if self.head.has_body and self.stream.leaves_body():
            self.response.close_after(CloseReason.BODY_UNREAD)

    def cut(self) -> None:
        """End an answer that has begun, so that it does not look complete."""
        self.response.close_after(CloseReason.FAILED)
        if self.response.cut_looks_complete:
            self.stream.write_queue.reset_on_close()

    def abandon(self, status_code: int) -> None:
        """Answer in the place of an application that hangs, or was not called, as far as it has not: its worker ends."""
        self.ended = True
        if self.response.head_sent:
            self.cut()
        else:
            status, headers, data = error_response(status_code, "")
            self.replace(status, headers)
            self.response.close_after(CloseReason.FAILED)
            self.stream.write_queue.send(self.whole(data))

    def run_post_request(self) -> None:
        """Run Gunicorn's hook as a piece of the application's code."""
        state = self.state
        state.running_loop.enter_application(self)
        try:
            assert state.post_request is not None
            self.context.run(state.post_request, self)
        except BaseException as error:
            state.check_exit(error)
            state.observers.log_exception(error, f"Exception in post_request hook: {self.head.method} {self.head.target}")
        finally:
            state.running_loop.leave_application()

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task that runs the application, while one does."""
        channel = self.task_channel
        return None if channel is None else channel.task

    def client_left(self) -> None:
        """Handle the loss of the connection during the exchange."""
        task = self.task
        if task is not None:
            self.state.cancel_later(task)
        elif self.state.pool is not None:
            self._leave_bodies()

    def _leave_bodies(self) -> None:
        """Let go a thread that waits for an asynchronous body, now or later: nobody reads it."""
        if self.ended or self.task is not None:
            return
        bodies = self.context.get(bodies_of_request)
        if bodies is not None:
            bodies.leave(self.state.cancel_later)
        self.state.loop.call_later(1.0, self._leave_bodies)
