"""One request: the call of the application, its pieces, their end, and a client that disconnects."""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

from aiohttp_worker.errors import ClientDisconnectedError, IncompleteBodyError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.response_side import CloseReason
from aiohttp_worker.wsgi.application import ResultKind, classify_result, is_awaitable, wrong_item
from aiohttp_worker.wsgi.async_body import BodyStream, Marker, bodies_of_request
from aiohttp_worker.wsgi.environ import Environ
from aiohttp_worker.wsgi.file_wrapper import FileWrapper, regular_part
from aiohttp_worker.wsgi.input import StreamReader, explain_misuse
from aiohttp_worker.wsgi.input_file import let_delegate

from .answer import Answer
from .channels import TURN_SECONDS, InlineChannel, Next, TaskChannel, ThreadChannel, check_connected
from .coroutines import call_application, guard, respond, send_awaited
from .state import State
from .stream import Stream

# Bytes that an inline iterable may send before other connections get their turn, besides the time that it may take.
_TURN_BYTES: Final = 1024 * 1024

_monotonic: Final = time.monotonic
_next_item: Final[Callable[[Iterator[Any], object], Any]] = next
_EXHAUSTED: Final = object()


# Bound here once: looked up in a class, a member costs more than the rest of a line.
_END: Final = Next.END
_TURN: Final = Next.TURN
_DRAIN: Final = Next.DRAIN
_ASYNC: Final = Next.ASYNC
_ITEM: Final = Next.ITEM
_FILE: Final = Next.FILE
_FILE_WRAPPER: Final[type] = FileWrapper
_GeneratorType: Final[type] = types.GeneratorType
_WHOLE: Final = ResultKind.WHOLE
_ITERABLE: Final = ResultKind.ITERABLE


class Exchange(Answer):
    """One request and its answer: calls the application and sends what it gives.

    An ordinary application runs in pieces (the call, a run of ``next()``,
    ``close()``), each in the request's context and with the loop hidden: inline
    in plain callbacks, or on one thread of the pool. An asynchronous one runs
    in a task.
    """

    __slots__ = (
        "_awaited",
        "_iterator",
        "_following",
        "_result",
    )

    def __init__(self, state: State, stream: Stream, head: RequestHead, environ: Environ) -> None:
        super().__init__(state, stream, head, environ)
        self._iterator: Iterator[Any] | None = None
        self._following = _END
        self._result: Any = None  # of the application or its generator, until something is made of it
        self._awaited: Any = None  # item that a task awaits, and then what came of it

    # Ordinary applications.

    def run_inline(self) -> None:
        """Call the application now; call this from a plain callback only."""
        channel = self.stream.channel
        self.started = channel.started = _monotonic()
        self.go_on(channel.run(_call, self, self.context), channel.ended)

    def run_in_thread(self) -> None:
        """Call the application in a thread of the pool."""
        self.started = _monotonic()
        self.channel = channel = ThreadChannel(self.state, self.stream.write_queue)
        channel.run(_call, self, self.context)

    def _run(self, piece: Callable[[Exchange], Next]) -> None:
        """Run a piece of the application's code where the others ran."""
        channel = self.channel
        if isinstance(channel, InlineChannel):
            self.go_on(channel.run(piece, self, self.context), channel.ended)
        elif isinstance(channel, ThreadChannel):
            channel.run(piece, self, self.context)

    def _call(self) -> Next:
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
                    self._result = regular_part(result)
                    if self._result is not None:
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

    def _step(self, value: Any = None, error: BaseException | None = None) -> Next:
        """Take items from the iterable until it ends, or others are to have a turn.

        :param value: to be sent into a generator first.
        :param error: to be raised there instead.
        """
        iterator = self._iterator
        assert iterator is not None
        is_generator = type(iterator) is _GeneratorType
        response = self.response
        channel = self.channel
        deadline = 0.0
        sent = 0
        try:
            while True:
                item = self._advance(iterator, value, error) if is_generator else _next_item(iterator, _EXHAUSTED)
                value = error = None
                if item is _EXHAUSTED:
                    return self._finish() if self._result is None else self._take_returned()
                if type(item) is not bytes and self._is_awaited(item):
                    return _ITEM
                pieces = self.piece(item)
                if response.complete and pieces:
                    channel.send_last(pieces, len(item), response.keep_alive)
                elif pieces:
                    channel.send(pieces)
                if response.surplus:
                    return self._finish()
                if self.stream.disconnected:
                    check_connected(self.stream.write_queue)
                if channel.full:
                    return _DRAIN
                if isinstance(channel, ThreadChannel):
                    continue
                sent += len(item)
                now = _monotonic()
                deadline = deadline or now + TURN_SECONDS
                if now > deadline or sent > _TURN_BYTES:
                    return _TURN
        except BaseException as raised:
            return self._fail(raised)

    def _is_awaited(self, item: Any) -> bool:
        """Return True if an item stands for what a task has to await; False if it is sent as ``bytes`` are.

        :raises TypeError: *item* is neither.
        """
        if isinstance(item, Marker):
            if not self.claim(item):
                return False  # a marker itself is empty
            self._awaited = item.stream
            return True
        if isinstance(item, bytes):
            return False
        if not is_awaitable(item):
            raise wrong_item(item)
        self._awaited = item
        return True

    def _advance(self, generator: Any, value: Any, error: BaseException | None) -> Any:
        """Step a generator: send *value* into it or, where there is an error, raise that in it.

        :return: the item, or ``_EXHAUSTED``.
        """
        try:
            if error is not None:
                return generator.throw(error)
            return generator.send(value)
        except StopIteration as stop:
            self._result = stop.value
            return _EXHAUSTED

    def _take_returned(self) -> Next:
        """Go on with the iterable that a generator returned; other servers ignore it, and numbers and the like are ignored here.

        :raises TypeError: what was returned is no iterable of bytes, and was meant to be one.
        """
        result, self._result = self._result, None
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

    def _resume(self) -> Next:
        """Step on, after a wait."""
        error, self.error = self.error, None
        awaited, self._awaited = self._awaited, None
        if self.stream.disconnected and self.stream.write_queue.closed:
            return self._fail(ClientDisconnectedError("the client went away"))
        if error is None:
            return self._step(None if isinstance(awaited, BodyStream) else awaited)
        if isinstance(awaited, BodyStream) and isinstance(error, Exception) and not isinstance(error, ClientDisconnectedError):
            # Where the application iterates over the body it sees what fails there, as under other servers.
            awaited.error = error
            self._awaited = awaited
            return self._step()
        return self._fail(error)

    def _throw(self) -> Next:
        """Step on after a wait that failed: a generator sees that where it waits."""
        error, self.error = self.error, None
        self._awaited = None
        if self.stream.disconnected and self.stream.write_queue.closed:
            return self._fail(ClientDisconnectedError("the client went away"))
        return self._step(None, error)

    def _finish(self) -> Next:
        """End a response whose iterable is exhausted."""
        if self.state.bodies.used:
            self.check_bodies()
            awaited = self._awaited
            if isinstance(awaited, BodyStream):
                awaited.raise_error()
        pieces = self.end()
        if pieces:
            self.channel.send_last(pieces, 0, self.response.keep_alive)
        self.check_complete()
        return self._close_iterable()

    def go_on(self, following: Next, now: float) -> None:
        """Do, on the loop, what the last piece of the application's code left to do.

        :param now: the time of the monotonic clock, in seconds.
        """
        if self.stream.write_queue.spill is not None:
            self._following = following
            self._send_spilled()
        elif following is _END:
            self._end(now)
        elif following is _DRAIN and self.stream.write_queue.paused:
            self.stream.write_queue.on_resume(lambda: self._run(Exchange._resume))
        elif following is _TURN or following is _DRAIN:
            self.state.loop.call_soon(self._run, Exchange._resume)
        elif following is _ASYNC:
            if type(self._result) is not _GeneratorType:
                self.stream.awaitable_input(self.environ)
            result, self._result = self._result, None
            self._start_task(respond(self, result))
        elif following is _FILE:
            self._send_file()
        else:
            self._following = _ITEM
            self._start_task(send_awaited(self, self._awaited, self._iterator))

    # Files.

    def _send_file(self) -> None:
        """Send a file on the loop, wherever the application runs."""
        (fd, offset, size), self._result = self._result, None
        try:
            head, length = self.start_file(size)
        except BaseException as error:
            self.error = error
            self._run(Exchange._resume)
            return
        self.stream.write_queue.send([head])
        if length is None:
            # Only pieces can be framed: the application did not say how long it is,
            # and the file does not tell either.
            self._iterator = iter(self.iterable)
            self._run(Exchange._step)
            return
        self.send_part(fd, offset, length, self._file_sent)

    def _file_sent(self, sent: int, error: OSError | None) -> None:
        self.response.file_sent(sent)
        if not self._file_failed(error):
            self.check_complete()
            self._run(Exchange._close_iterable)

    def _file_failed(self, error: OSError | None) -> bool:
        """End the response as failed, if a file could not be sent."""
        if isinstance(error, ConnectionError) or self.stream.write_queue.closed:
            error = ClientDisconnectedError("the client went away")
        if error is None:
            return False
        self.error = error
        self._run(Exchange._resume)
        return True

    def _send_spilled(self) -> None:
        """Send, on the loop, what was written and could not be sent then; go on after that."""
        spill = self.stream.write_queue.take_spill()
        assert spill is not None

        def done(sent: int, error: OSError | None) -> None:
            spill.close()
            if not self._file_failed(error):
                self.go_on(self._following, _monotonic())

        self.send_part(spill.fileno(), spill.offset, spill.size, done)

    # Asynchronous applications.

    def run_as_task(self) -> None:
        """Run a coroutine or generator application in a task of its own."""
        self.started = _monotonic()
        self.stream.channel.started = 0.0
        self._run_task(call_application(self), None)

    def _start_task(self, coroutine: Any) -> None:
        """Run what is asynchronous of an application in a task, and go on behind it where the application ran before."""
        self._run_task(guard(self, coroutine), coroutine)

    def _run_task(self, coroutine: Any, within: Any) -> None:
        channel = self.task_channel
        if channel is None:
            home = self.channel
            assert not isinstance(home, TaskChannel)
            channel = self.task_channel = TaskChannel(self.state, self.stream.write_queue, home)
        self.channel = channel
        # An iterable of what is there already must not go on without a turn for others.
        channel.run(coroutine, within, self.context, self._task_done, self._following is not _ITEM)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        """Go on after the task, in a plain callback and with the loop hidden."""
        channel = self.task_channel
        assert channel is not None
        self.channel = channel.end()
        error = self.error
        if task.cancelled():
            error = asyncio.CancelledError()
        elif error is None:
            error = task.exception()
        following, self._following = self._following, _END
        if following is _ITEM or error is not None:
            piece = Exchange._resume
            if error is None:
                self._awaited = task.result()
            elif (
                following is _ITEM
                and type(self._iterator) is _GeneratorType
                and isinstance(error, Exception | asyncio.CancelledError)
                and not isinstance(self._awaited, BodyStream)
            ):
                piece = Exchange._throw
            self.error = error
            self._run(piece)
        elif (result := task.result()) is not None:
            self.iterable = result
            self._result = result
            self._run(Exchange._continue)
        elif self.iterable is not None:
            self._run(Exchange._close_iterable)
        else:
            self.go_on(_END, _monotonic())

    def _continue(self) -> Next:
        """Step the iterable that a task returned."""
        result, self._result = self._result, None
        try:
            let_delegate(self.environ)
            self._iterator = iter(result)
            return self._step()
        except BaseException as error:
            return self._fail(error)

    # Ends.

    def _fail(self, error: BaseException) -> Next:
        """End the response after an error: with 500, or visibly cut."""
        state = self.state
        state.check_exit(error)
        response = self.response
        if response.switched and isinstance(error, StopIteration):
            pass  # what WebSocket libraries raise under Gunicorn, so that nothing is answered
        elif isinstance(error, ConnectionError if response.switched else ClientDisconnectedError) or (
            isinstance(error, asyncio.CancelledError) and self.stream.disconnected
        ):
            state.log_debug("%s %s: the client went away", self.head.method, self.head.target)
            response.close_after(CloseReason.CLIENT_GONE)
        elif isinstance(error, IncompleteBodyError) and not response.head_sent:
            state.log_debug("%s %s: %s", self.head.method, self.head.target, error)
            self.send_error(error.status_code, str(error))
        else:
            explain_misuse(error)
            state.log_failure(self.head, error)
            if response.head_sent:
                self.cut()
            else:
                self.send_error(500, "")
        return self._close_iterable()

    def _close_iterable(self) -> Next:
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
            self.run_post_request()
        if state.on_end is not None:
            state.on_end(self)
        self.stream.exchange_ended(now)


# Bound here once, as is all that costs a request more than what it does.
_call: Final[Callable[[Exchange], Next]] = Exchange._call
