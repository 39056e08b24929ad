"""One request and its answer: the call of the application, its pieces, their end, and a client that disconnects."""

from __future__ import annotations

import asyncio
import enum
import time
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from aiohttp_worker.errors import ClientDisconnectedError, IncompleteBodyError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.response_side import CloseReason
from aiohttp_worker.transport.backlog import Backlog
from aiohttp_worker.transport.sendfile import FilePart, FileSending
from aiohttp_worker.transport.write_queue import WRITE_HIGH_MARK
from aiohttp_worker.wsgi.application import ResultKind, classify_result, is_awaitable, wrong_item
from aiohttp_worker.wsgi.async_body import BodyStream, Marker, bodies_of_request
from aiohttp_worker.wsgi.environ import Environ
from aiohttp_worker.wsgi.file_wrapper import FileWrapper, regular_part
from aiohttp_worker.wsgi.input import StreamReader, explain_misuse
from aiohttp_worker.wsgi.input_file import let_delegate
from aiohttp_worker.wsgi.start_response import error_response

from .channels import TURN_SECONDS, Delivery
from .coroutines import call_application, guard, respond, send_awaited
from .state import State
from .stream import Stream

# What an inline iterable may send before others get their turn, besides what it may take.
_TURN_BYTES: Final = 1024 * 1024

_monotonic: Final = time.monotonic
_next_item: Final[Callable[[Iterator[Any], object], Any]] = next
_EXHAUSTED: Final = object()


class _Next(enum.Enum):
    """Next step after a piece of the application's code has run."""

    END = "the response is complete, or failed"
    TURN = "step on, after others had their turn"
    DRAIN = "step on, when the client has read"
    ASYNC = "go on in a task with what the application returned"
    ITEM = "await an item, then step on"
    FILE = "send a file, then close it"


# Bound here once: looked up in a class, a member costs more than the rest of a line.
_END: Final = _Next.END
_TURN: Final = _Next.TURN
_DRAIN: Final = _Next.DRAIN
_ASYNC: Final = _Next.ASYNC
_ITEM: Final = _Next.ITEM
_FILE: Final = _Next.FILE
_FILE_WRAPPER: Final[type] = FileWrapper
_GeneratorType: Final[type] = types.GeneratorType
_WHOLE: Final = ResultKind.WHOLE
_ITERABLE: Final = ResultKind.ITERABLE


class Exchange(Delivery):
    """One request and its answer: calls the application and sends what it gives.

    An ordinary application runs in pieces (the call, a run of ``next()``,
    ``close()``), each in the request's context and with the loop hidden: inline
    in plain callbacks, or on one thread of the pool. An asynchronous one runs
    in a task.
    """

    __slots__ = (
        "_awaited",
        "_context",
        "_coroutine",
        "_error",
        "_iterator",
        "_following",
        "_part",
        "_result",
        "_returned",
        "_sent_in",
        "_thrown_in",
        "ended",
        "environ",
        "iterable",
    )

    def __init__(
        self,
        state: State,
        stream: Stream,
        head: RequestHead,
        environ: Environ,
    ) -> None:
        super().__init__(state, stream, head)
        self.environ = environ
        self.iterable: Any = None
        self.ended = False
        self._coroutine: Any = None
        self._context = state.context.copy()
        self._iterator: Iterator[Any] | None = None
        self._following = _END
        self._result: Any = None
        self._awaited: Any = None
        self._error: BaseException | None = None
        # Of a generator that is stepped: what it returned, and what goes into it next.
        self._returned: Any = None
        self._sent_in: Any = None
        self._thrown_in: BaseException | None = None
        self._part: FilePart | None = None

    def before_head(self) -> None:
        """Announce that the connection ends, where a body is left that nobody reads."""
        if self.head.has_body and self.stream.leaves_body():
            self.response.close_after(CloseReason.BODY_UNREAD)

    # Ordinary applications.

    def run_inline(self) -> None:
        """Call the application now; call this from a plain callback only."""
        self.started = _monotonic()
        self._run_hidden(_call)

    def run_in_thread(self) -> None:
        """Call the application in a thread of the pool."""
        pool = self.state.pool
        assert pool is not None
        self.started = _monotonic()
        pool.submit(self._first_in_thread)

    def _first_in_thread(self) -> None:
        pool = self.state.pool
        assert pool is not None
        self._member = pool.current()
        self._outbox = deque()
        self._in_thread(_call)

    def _in_thread(self, piece: Callable[[Exchange], _Next]) -> None:
        member = self._member
        assert member is not None
        member.since = _monotonic()
        member.occupant = self
        self._following = self._context.run(piece, self)
        member.occupant = None
        self.state.post_end(self.returned)

    def _run_hidden(self, piece: Callable[[Exchange], _Next]) -> None:
        """Run a piece of the application's code where it cannot see the loop."""
        state = self.state
        running_loop = state.running_loop
        began = _monotonic() if self._turned else self.started
        running_loop.enter_application(self)
        try:
            following = self._context.run(piece, self)
        finally:
            running_loop.leave_application()
        now = _monotonic()
        taken = now - began
        if taken > state.slow_call:
            state.warn_slow_call(self.head, taken)
        if self._backlog is not None:
            self._turned = True
            self._following = following
            self._send_backlog(self._backlog)
        elif following is _END:
            if not self._turned:
                state.write_batch.note_call(taken, now)
            self._end(now)
        else:
            self._turned = True
            self._go_on(following)

    def _step_on(self, piece: Callable[[Exchange], _Next]) -> None:
        """Run a piece of the application's code where the others ran."""
        if self._member is None:
            self._run_hidden(piece)
        else:
            pool = self.state.pool
            assert pool is not None
            pool.submit_to(self._member, lambda: self._in_thread(piece))

    def _call(self) -> _Next:
        state = self.state
        try:
            if state.pre_request is not None:
                state.pre_request(self)
            result = state.application(self.environ, self)
            kind = type(result)
            if (kind is list or kind is tuple) and self.send_whole(result):
                return _END
            drives = kind is _GeneratorType and isinstance(self.environ.get("wsgi.input"), StreamReader)
            result_kind = classify_result(result, drives)
            if result_kind is _ITERABLE or result_kind is _WHOLE:
                self.iterable = result
                if kind is _FILE_WRAPPER and state.settings.sendfile:
                    part = regular_part(result)
                    if part is not None:
                        self._part = FilePart(part[0], part[1], part[2])
                        return _FILE
                reads_later = self.head.has_body and result_kind is _ITERABLE
                if reads_later:
                    let_delegate(self.environ)
                self._iterator = iterator = iter(result)
                if not reads_later and type(iterator) is _GeneratorType:
                    let_delegate(self.environ)
                return self._step()
            if result_kind is ResultKind.ASYNC_ITERABLE:
                self.iterable = result
            self._result = result
            return _ASYNC
        except BaseException as error:
            return self._fail(error)

    def _step(self) -> _Next:
        """Take items from the iterable until it ends, or others are to have a turn."""
        iterator = self._iterator
        assert iterator is not None
        is_generator = type(iterator) is _GeneratorType
        response = self.response
        write_queue = self.stream.write_queue
        deadline = 0.0
        sent = 0
        try:
            while True:
                item = self._advance(iterator) if is_generator else _next_item(iterator, _EXHAUSTED)
                if item is _EXHAUSTED:
                    return self._finish() if self._returned is None else self._take_returned()
                if isinstance(item, bytes):
                    if isinstance(item, Marker):
                        if not self.claim(item):
                            continue
                        self._awaited = item.stream
                        return _ITEM
                    pieces = self.piece(item)
                    if response.complete:
                        self._send_last(pieces, len(item))
                    else:
                        self._send(pieces)
                elif is_awaitable(item):
                    self._awaited = item
                    return _ITEM
                else:
                    raise wrong_item(item)
                if response.surplus:
                    return self._finish()
                if self.stream.disconnected:
                    self._check_client()
                if write_queue.paused:
                    return _DRAIN
                if self._member is not None:
                    if self._outbox_size > WRITE_HIGH_MARK:
                        return _DRAIN
                    continue
                sent += len(item)
                now = _monotonic()
                if not deadline:
                    deadline = now + TURN_SECONDS
                elif now > deadline or sent > _TURN_BYTES:
                    return _TURN
        except BaseException as error:
            return self._fail(error)

    def _advance(self, generator: Any) -> Any:
        """Step a generator, with what is to be sent or thrown into it.

        :return: the item, or ``_EXHAUSTED``.
        """
        error, self._thrown_in = self._thrown_in, None
        value, self._sent_in = self._sent_in, None
        try:
            if error is not None:
                return generator.throw(error)
            return generator.send(value)
        except StopIteration as stop:
            self._returned = stop.value
            return _EXHAUSTED

    def _take_returned(self) -> _Next:
        """Go on with the iterable that a generator returned; other servers ignore it, and numbers and the like are ignored here.

        :raises TypeError: what was returned is no iterable of bytes, and was meant to be one.
        """
        result, self._returned = self._returned, None
        try:
            result_kind = classify_result(result, False)
        except TypeError:
            if isinstance(result, bytes | bytearray | memoryview | str):
                raise
            return self._finish()
        if result_kind is _WHOLE and self.send_whole(result):
            self.iterable = None
            return _END
        if result_kind is _ITERABLE or result_kind is _WHOLE:
            self.iterable = result
            self._iterator = iter(result)
            return self._step()
        self.iterable = result if result_kind is ResultKind.ASYNC_ITERABLE else None
        self._iterator = None
        self._result = result
        return _ASYNC

    def _resume(self) -> _Next:
        """Step on, after a wait."""
        error, self._error = self._error, None
        awaited, self._awaited = self._awaited, None
        if self.stream.disconnected and self.stream.write_queue.closed:
            return self._fail(ClientDisconnectedError("the client went away"))
        if error is None:
            return self._step()
        if isinstance(awaited, BodyStream) and isinstance(error, Exception) and not isinstance(error, ClientDisconnectedError):
            # Where the application iterates over the body it sees what fails there, as under other servers.
            awaited.error = error
            self._awaited = awaited
            return self._step()
        return self._fail(error)

    def _finish(self) -> _Next:
        """End a response whose iterable is exhausted."""
        if self.state.bodies.used:
            self._check_bodies()
            awaited = self._awaited
            if isinstance(awaited, BodyStream):
                awaited.raise_error()
        self._send_last(self.end(), 0)
        self._check_complete()
        return self._close_iterable()

    def _go_on(self, following: _Next) -> None:
        """Do, on the loop, what the last piece of the application's code left to do."""
        if following is _END:
            self._end(_monotonic())
        elif following is _TURN:
            self.state.loop.call_soon(self._step_on, Exchange._resume)
        elif following is _DRAIN:
            write_queue = self.stream.write_queue
            if write_queue.paused:
                write_queue.on_resume(lambda: self._step_on(Exchange._resume))
            else:
                self.state.loop.call_soon(self._step_on, Exchange._resume)
        elif following is _ASYNC:
            if type(self._result) is not _GeneratorType:
                self.stream.awaitable_input(self.environ)
            self._start_task(respond(self, self._result))
        elif following is _FILE:
            self._send_file()
        else:
            self._following = _ITEM
            self._start_task(send_awaited(self, self._awaited, self._iterator))

    # Files.

    def _send_file(self) -> None:
        """Send a file on the loop, whoever gave it."""
        part = self._part
        assert part is not None
        try:
            head, size = self.start_file(part.size)
        except BaseException as error:
            self._error = error
            self._step_on(Exchange._resume)
            return
        self.stream.write_queue.send([head])
        if size is None:
            # Only pieces can be framed: the application did not say how long it is,
            # and the file does not tell either.
            self._iterator = iter(self.iterable)
            self._step_on(Exchange._step)
            return
        self._send_part(part, size, self._file_sent)

    def _send_part(self, part: FilePart, size: int, done: Callable[[int, OSError | None], None]) -> None:
        stream = self.stream
        FileSending(stream.write_queue, part, size, self.state.writable, stream.pause_writing, stream.resume_writing, done).run()

    def _file_sent(self, sent: int, error: OSError | None) -> None:
        self.response.file_sent(sent)
        if not self._file_failed(error):
            self._check_complete()
            self._step_on(Exchange._close_iterable)

    def _file_failed(self, error: OSError | None) -> bool:
        """End the response as failed, if a file could not be sent."""
        if isinstance(error, ConnectionError) or self.stream.write_queue.closed:
            error = ClientDisconnectedError("the client went away")
        if error is None:
            return False
        self._error = error
        self._step_on(Exchange._resume)
        return True

    def _send_backlog(self, backlog: Backlog) -> None:
        """Send, on the loop, what was written and could not be sent then."""
        part = backlog.part
        self._send_part(part, part.size, self._backlog_sent)

    def _backlog_sent(self, sent: int, error: OSError | None) -> None:
        self._close_backlog()
        if not self._file_failed(error):
            self._go_on(self._following)

    # Asynchronous applications.

    def run_as_task(self) -> None:
        """Run a coroutine or generator application in a task of its own."""
        self._turned = True
        self.started = _monotonic()
        self.in_task = True
        self._watch_task(self.state.new_task(call_application(self), self._context))

    def _start_task(self, coroutine: Any) -> None:
        self._result = None
        self._coroutine = coroutine
        self.in_task = True
        self._watch_task(self.state.new_task(guard(self, coroutine), self._context))

    def _watch_task(self, task: asyncio.Task[Any]) -> None:
        self.state.tasks += 1
        self._task = task
        if task.done() and self._following is _ITEM:
            # Not at once: an iterable of what is there already would go on without a turn for others.
            self.state.loop.call_soon(self._task_done, task)
        elif task.done():
            self._task_done(task)
        else:
            task.add_done_callback(self._task_done)

    def keep_exit(self, error: BaseException) -> None:
        """Keep from the task what would end the loop, and with it the worker."""
        self.state.check_exit(error)
        self._error = error

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        """Go on after the task, in a plain callback and with the loop hidden."""
        self.state.tasks -= 1
        self._task = None
        self.in_task = False
        coroutine, self._coroutine = self._coroutine, None
        error = self._error
        if task.cancelled():
            error = asyncio.CancelledError()
            if coroutine is not None:
                coroutine.close()  # it has not begun, if the task was cancelled before
        elif error is None:
            error = task.exception()
        following, self._following = self._following, _END
        if following is _ITEM or error is not None:
            if error is None:
                self._sent_in = task.result()
            elif (
                following is _ITEM
                and type(self._iterator) is _GeneratorType
                and isinstance(error, Exception | asyncio.CancelledError)
                and not isinstance(self._awaited, BodyStream)
            ):
                self._thrown_in, error = error, None  # where it waits
            self._error = error
            self._step_on(Exchange._resume)
        elif (result := task.result()) is not None:
            self.iterable = result
            self._result = result
            self._step_on(Exchange._continue)
        elif self.iterable is not None:
            self._step_on(Exchange._close_iterable)
        elif self._backlog is not None:
            self._send_backlog(self._backlog)
        else:
            self._end(_monotonic())

    def _continue(self) -> _Next:
        """Step the iterable that a task returned."""
        result, self._result = self._result, None
        try:
            let_delegate(self.environ)
            self._iterator = iter(result)
            return self._step()
        except BaseException as error:
            return self._fail(error)

    # Ends.

    def returned(self) -> None:
        """Continue on the loop after a thread has run its piece."""
        if self._outbox:
            self.flush()
        if self._backlog is not None:
            self._send_backlog(self._backlog)
        else:
            self._go_on(self._following)

    def _fail(self, error: BaseException) -> _Next:
        """End the response after an error: with 500, or visibly cut."""
        state = self.state
        state.check_exit(error)
        response = self.response
        if isinstance(error, ClientDisconnectedError) or (isinstance(error, asyncio.CancelledError) and self.stream.disconnected):
            state.log_debug("%s %s: the client went away", self.head.method, self.head.target)
            response.close_after(CloseReason.CLIENT_GONE)
        elif isinstance(error, IncompleteBodyError) and not response.head_sent:
            state.log_debug("%s %s: %s", self.head.method, self.head.target, error)
            self._answer(error.status_code, str(error))
        else:
            explain_misuse(error)
            state.log_failure(self.head, error)
            if response.head_sent:
                response.close_after(CloseReason.FAILED)
                if response.cut_looks_complete:
                    self.stream.write_queue.reset_on_close()
            else:
                self._answer(500, "")
        return self._close_iterable()

    def _answer(self, status_code: int, message: str) -> None:
        """Answer in the application's place."""
        response = self.response
        status, headers, data = error_response(status_code, message)
        self.replace(status, headers)
        response.close_after(CloseReason.FAILED)
        self._send(self.whole(data))

    def abandon(self, status_code: int) -> None:
        """Answer in the place of an application that hangs, or was not called, as far as it has not: its worker ends."""
        response = self.response
        self.ended = True
        if not response.head_sent:
            status, headers, data = error_response(status_code, "")
            self.replace(status, headers)
            response.close_after(CloseReason.FAILED)
            self.stream.write_queue.send(self.whole(data))
        else:
            response.close_after(CloseReason.FAILED)
            if response.cut_looks_complete:
                self.stream.write_queue.reset_on_close()

    def _close_iterable(self) -> _Next:
        iterable, self.iterable = self.iterable, None
        self._iterator = None
        bodies = bodies_of_request.get() if self.state.bodies.used else None
        close = getattr(iterable, "close", None)
        if close is None and bodies is None:
            return _END
        try:
            try:
                if close is not None:
                    close()
            finally:
                if bodies is not None:
                    bodies.close()
        except BaseException as error:
            self.state.check_exit(error)
            self.state.log_failure(self.head, error)
            if self.response.head_sent:
                self.response.close_after(CloseReason.FAILED)
        return _END

    def _end(self, now: float) -> None:
        if self.ended:
            return
        self.ended = True
        state = self.state
        if now > state.write_batch.until:
            state.write_batch.flush()
        if state.post_request is not None:
            state.write_batch.flush()
            self._run_post_request()
        if state.on_end is not None:
            state.on_end(self)
        self.stream.exchange_ended(now)

    def _run_post_request(self) -> None:
        """Run Gunicorn's hook as a piece of the application's code."""
        state = self.state
        state.running_loop.enter_application(self)
        try:
            assert state.post_request is not None
            self._context.run(state.post_request, self)
        except BaseException as error:
            state.check_exit(error)
            state.observers.log_exception(error, f"Exception in post_request hook: {self.head.method} {self.head.target}")
        finally:
            state.running_loop.leave_application()

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task that runs the application, while one does."""
        return self._task

    def client_left(self) -> None:
        """Handle the loss of the connection during the exchange."""
        task = self._task
        if task is not None:
            self.state.cancel_later(task)
        elif self.state.pool is not None:
            self._leave_bodies()

    def _leave_bodies(self) -> None:
        """Let go a thread that waits for an asynchronous body, now or later: nobody reads it."""
        if self.ended or self._task is not None:
            return
        bodies = self._context.get(bodies_of_request)
        if bodies is not None:
            bodies.leave(self.state.cancel_later)
        self.state.loop.call_later(1.0, self._leave_bodies)


# Bound here once, as is all that costs a request more than what it does.
_call: Final[Callable[[Exchange], _Next]] = Exchange._call
