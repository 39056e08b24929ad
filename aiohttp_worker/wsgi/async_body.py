"""Asynchronous response bodies for any framework: a marker travels to the server in place of the data."""

from __future__ import annotations

import contextvars
import enum
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from .synchronous_iteration import Steps

# Modules that refuse a subclass of ``bytes``, and so the marker.
_STRICT = frozenset({"wsgiref.validate"})
# Packages and modules of frameworks and instrumentation that hand each item on as it comes.
_CARRIERS: tuple[str, ...] = (
    "contextlib",
    "ddtrace",
    "django.http",
    "elasticapm",
    "newrelic",
    "opentelemetry",
    "sentry_sdk",
    "webob.response",
)
_CARRIERS += ("werkzeug.debug", "werkzeug.wrappers", "werkzeug.wsgi")
_SERVERS = frozenset({"asyncio", "concurrent", "gunicorn", "threading", "uvloop"})
_MOST_PLACES = 1000  # places remembered as logged
_MOST_STREAMS = 100  # iterations of one request; a thread outside of requests keeps its context, and its iterations, for ever


class Marker(bytes):
    """Empty item that stands in an iterable for the asynchronous body that it carries.

    Empty, so that code that joins or compresses the items gains no bytes by it. True nevertheless, because Bottle and
    others skip false items while they look for the first piece; and ``bytes()`` of it, which Django sends, is the marker
    itself.
    """

    stream: BodyStream

    def __bool__(self) -> bool:
        return True

    def __bytes__(self) -> bytes:
        return self

    def __reduce__(self) -> tuple[type[bytes], tuple[()]]:
        return bytes, ()  # a copy, for instance in a cache, carries no body


class AsyncBody:
    """Carries an asynchronous iterable of ``bytes`` as the body of a response.

    WebOb, Pyramid and Falcon hand an asynchronous iterator to the server as it
    is, and Django has its own way. Flask and Bottle insist on iterating, and so
    does much middleware: under these workers this object gives them one marker,
    behind which the worker goes on with ``async for``. Code that asks for a
    second item before the marker has reached the worker joins, compresses or
    measures the body: then the object iterates synchronously and gives the data
    itself, as it does under any other server.

    :param iterable: yields ``bytes``.
    :raises TypeError: *iterable* cannot be iterated asynchronously.
    """

    def __init__(self, iterable: AsyncIterable[bytes]) -> None:
        if not hasattr(type(iterable), "__aiter__"):
            raise TypeError(f"AsyncBody takes an asynchronous iterable, such as the call of an async generator, not {iterable!r}")
        self._iterable = iterable
        self._begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._begun = True
        return self._iterable.__aiter__()

    def __iter__(self) -> Iterator[bytes]:
        if _server is None:
            from .synchronous_iteration import SynchronousIterator  # here, because to import this must not load asyncio

            return SynchronousIterator(self)
        return BodyStream(self, _server)

    def close(self) -> None:
        """Close the ordinary iterations of this body in the present request; the server calls it at the end (PEP 3333)."""
        bodies = bodies_of_request.get()
        if bodies is not None:
            bodies.close(self)
        if not self._begun and _server is not None and hasattr(self._iterable, "aclose"):
            self._begun = True
            _server.run(self.aclose())

    async def aclose(self) -> None:
        """Close the iterable, if it can be closed."""
        close = getattr(self._iterable, "aclose", None)
        if close is not None:
            await close()


class _State(enum.Enum):
    """State of one ordinary iteration of an asynchronous body."""

    FRESH = "no item was requested"
    HANDED_OUT = "the marker is on its way"
    VOID = "the marker that is on its way means nothing: bodies are iterated side by side, item by item"
    CLAIMED = "the marker reached the worker, which iterates"
    SYNCHRONOUS = "who asked again is given the data"
    CLOSED = "nothing more is given"


class BodyStream(Iterator[bytes]):
    """Ordinary iterator of an :class:`AsyncBody`, which gives its marker, or else the data.

    :ivar body: whose it is.
    :ivar place: what asked first, in words.
    :ivar error: what ended the body while the worker iterated; raised where the
        application iterates, as it would be under another server.
    """

    def __init__(self, body: AsyncBody, server: BodyServer) -> None:
        self.body = body
        self.place = ""
        self.error: BaseException | None = None
        self._server = server
        self._state = _State.FRESH
        # Middleware may read ahead in a thread of its own, while the worker claims what it let through.
        self._lock = threading.Lock()
        self._steps: Steps | None = None

    def __next__(self) -> bytes:
        # Before the lock is taken: other streams' locks are.
        alone = self._state is _State.FRESH and _join_request(self)
        with self._lock:
            state = self._state
            if state is _State.FRESH:
                callers = _callers(sys._getframe(1))
                self._server.used = True
                if not any(name in _STRICT for name, _ in callers):
                    self._state = _State.HANDED_OUT if alone else _State.VOID
                    self.place = _name_place(callers)
                    marker = Marker()
                    marker.stream = self
                    return marker
                self._iterate_synchronously()
            elif state is _State.HANDED_OUT or state is _State.VOID:
                self._server.warn(_name_place(_callers(sys._getframe(1))))
                self._iterate_synchronously()
            elif state is not _State.SYNCHRONOUS:
                self.raise_error()
                raise StopIteration
            steps = self._steps
        assert steps is not None
        piece: bytes = steps.take()
        return piece

    def raise_error(self) -> None:
        """Raise the error that ended the body, once."""
        error, self.error = self.error, None
        if error is not None:
            raise error

    def _iterate_synchronously(self) -> None:
        self._state = _State.SYNCHRONOUS
        from .synchronous_iteration import Steps

        # Without what the request has iterated: that would refer to this for as long as the body runs.
        context = contextvars.copy_context()
        context.run(bodies_of_request.set, None)
        self._steps = Steps(self.body, self._server.loop_for_caller(), context)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self.body)

    def claim(self) -> bool:
        """Claim the body for the worker, which has received the marker.

        :return: whether the stream is to be iterated asynchronously; otherwise its data comes by itself.
        """
        with self._lock:
            if self._state is not _State.HANDED_OUT:
                return False
            self._state = _State.CLAIMED
            return True

    def void(self) -> bool:
        """Void the marker, if it is on its way: the data is given item by item.

        :return: whether the marker is void.
        """
        with self._lock:
            if self._state is _State.HANDED_OUT:
                self._state = _State.VOID
        return self._state is _State.VOID

    def close(self) -> None:
        """End the iteration, unless the worker has claimed the body."""
        self._close(wait=True)

    def _close(self, wait: bool) -> None:
        with self._lock:
            state = self._state
            if state is _State.CLAIMED:
                return  # the worker does
            self._state = _State.CLOSED
            steps = self._steps
        if steps is not None:
            steps.close(wait)

    def __del__(self) -> None:
        if self.unclaimed and not sys.is_finalizing():
            self._server.log_error(_LOST, self.place)
        self._close(wait=False)

    @property
    def unclaimed(self) -> bool:
        """True while the marker was handed out and has not arrived."""
        return self._state is _State.HANDED_OUT or self._state is _State.VOID

    @property
    def closed_unclaimed(self) -> bool:
        """True if the iteration was closed after the marker and before any data."""
        return self._state is _State.CLOSED and self._steps is None and bool(self.place)

    @property
    def consumed(self) -> bool:
        """True if the worker has claimed the body, or its data was given."""
        return self._state is _State.CLAIMED or self._steps is not None

    def leave(self, cancel_later: Callable[[asyncio.Task[None]], None]) -> None:
        """Cancel a pending item, on the worker's loop, because the client has disconnected."""
        steps = self._steps
        if steps is not None and steps.task is not None and not steps.client_left:
            steps.client_left = True
            cancel_later(steps.task)


class LostBodyError(RuntimeError):
    """The marker of an asynchronous body was taken by some middleware, and neither handed on nor exchanged for the data."""


_LOST = (
    "An asynchronous body is lost: its marker was taken by %s and neither handed on nor followed by a request for the rest."
    " Put what iterates there around other paths only"
)


class RequestBodies:
    """Registry of the asynchronous bodies iterated in one request."""

    def __init__(self) -> None:
        self._streams: list[BodyStream] = []

    def add(self, stream: BodyStream) -> bool:
        """Register an iteration whose first item was requested.

        :return: whether no marker of another body is on its way.
        """
        if len(self._streams) >= _MOST_STREAMS:
            self._streams = [one for one in self._streams if not one.consumed]
        others = [one for one in self._streams if one.body is not stream.body]
        self._streams.append(stream)
        return not [one for one in others if one.void()]

    def check(self, replaced: bool) -> None:
        """Check, at the end of a response, that none of its asynchronous bodies is lost.

        :param replaced: the response was replaced, so that a body closed before its marker arrived was left out on purpose.
        :raises LostBodyError: a marker did not arrive.
        :raises BaseException: the error of a body that the application did not iterate to its end.
        """
        for stream in self._streams:
            stream.raise_error()
            if stream.unclaimed or (stream.closed_unclaimed and not replaced):
                if not any(other.consumed and other.body is stream.body for other in self._streams):
                    stream.close()
                    raise LostBodyError(_LOST % stream.place)

    def leave(self, cancel_later: Callable[[asyncio.Task[None]], None]) -> None:
        """Cancel a pending item, on the worker's loop, because the client has disconnected."""
        for stream in list(self._streams):
            stream.leave(cancel_later)

    def close(self, body: AsyncBody | None = None) -> None:
        """Close the iterations of *body*, or all."""
        for stream in list(self._streams):
            if body is None or stream.body is body:
                stream.close()


#: Set in the context of a request that iterates over an asynchronous body.
bodies_of_request: contextvars.ContextVar[RequestBodies | None] = contextvars.ContextVar("bodies_of_request", default=None)


def _join_request(stream: BodyStream) -> bool:
    bodies = bodies_of_request.get()
    if bodies is None:
        bodies = RequestBodies()
        bodies_of_request.set(bodies)
    stream.body._begun = True
    return bodies.add(stream)


class BodyServer:
    """The worker as asynchronous bodies see it: its loop, and its log.

    :param loop: loop of the worker.
    :param in_threads: whether ordinary code runs in threads, so that the loop runs while it waits.
    :ivar used: whether any asynchronous body was iterated.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        in_threads: bool,
        log_warning: Callable[..., None],
        log_error: Callable[..., None],
    ) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._in_threads = in_threads
        self._log_warning = log_warning
        self.log_error = log_error
        self._places: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.used = False

    def loop_for_caller(self) -> asyncio.AbstractEventLoop | None:
        """Return the worker's loop, or ``None`` if the caller must not wait for it."""
        return self._loop if self._in_threads and threading.get_ident() != self._loop_thread else None

    def run(self, coroutine: Any) -> None:
        """Run *coroutine* on the worker's loop, without waiting for it."""
        try:
            self._loop.call_soon_threadsafe(self._run, coroutine)
        except RuntimeError:  # the loop is closed
            coroutine.close()

    def _run(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)  # the loop has weak references only
        task.add_done_callback(self._tasks.discard)

    def warn(self, place: str) -> None:
        """Warn, once per place, that a body is iterated synchronously."""
        if place in self._places or len(self._places) >= _MOST_PLACES:
            return
        self._places.add(place)
        self._log_warning(
            "An asynchronous body is joined, compressed or measured on its way through %s: it is iterated synchronously there,"
            " and %s meanwhile. Put what iterates there around other paths only, or let it hand on empty pieces at once",
            place,
            "holds a thread" if self._in_threads else "nothing else is served",
        )


_server: BodyServer | None = None


def declare_server(server: BodyServer | None) -> None:
    """Declare that a worker of this distribution serves this process; the worker calls it at start."""
    global _server
    _server = server


def _callers(frame: FrameType | None) -> list[tuple[str, str]]:
    """Return module and place of each function that waits for the next item, innermost first, up to the server."""
    callers: list[tuple[str, str]] = []
    while frame is not None and len(callers) < 30:
        name = frame.f_globals.get("__name__", "?")
        package = name.partition(".")[0]
        if package in _SERVERS or name == "aiohttp_worker.server.exchange" or name == "aiohttp_worker.server.coroutines":
            break
        if package != "aiohttp_worker":
            callers.append((name, f"{name}.{frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})"))
        frame = frame.f_back
    return callers


def _name_place(callers: list[tuple[str, str]]) -> str:
    """Name the most likely culprit: the functions that are not known to hand items on, if there are any."""
    places = [place for name, place in callers if not f"{name}.".startswith(tuple(f"{carrier}." for carrier in _CARRIERS))]
    return ", ".join((places or [place for _, place in callers])[:4]) or "what wraps the response"
