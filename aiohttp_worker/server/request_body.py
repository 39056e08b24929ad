"""The body of one request, on its way from the connection to what the application reads."""

from __future__ import annotations

import enum
import io
import math
import time
from typing import Any, BinaryIO, Final

from aiohttp_worker.errors import IncompleteBodyError
from aiohttp_worker.http1.errors import RemoteProtocolError, UnservableRequestError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.response_side import ResponseSide
from aiohttp_worker.transport.descriptors import reopen
from aiohttp_worker.transport.read_gate import ReadGate
from aiohttp_worker.transport.storage import storage_error
from aiohttp_worker.transport.write_queue import WriteQueue
from aiohttp_worker.wsgi.blocking_reader import BlockingReader
from aiohttp_worker.wsgi.body_collector import BodyCollector
from aiohttp_worker.wsgi.environ import Environ
from aiohttp_worker.wsgi.input import HIGH_MARK, LOW_MARK, FileReader, StreamReader
from aiohttp_worker.wsgi.input_file import InputFile
from aiohttp_worker.wsgi.stream_input import Choice

from .settings import OverloadLimits
from .state import State

_monotonic: Final = time.monotonic
# In memory, of all bodies that are collected; beyond that those that grow go to files.
_MOST_COLLECTED: Final = 64 * 1024 * 1024


class BodyPhase(enum.Enum):
    """State of a request's body."""

    EXPECTED = "the client waits for 100 Continue before it sends it (RFC 9110 section 10.1.1)"
    COMING = "it is being received"
    ENDED = "all of it has come"
    FAILED = "no more of it will come in time, or at all"


_EXPECTED: Final = BodyPhase.EXPECTED
_COMING: Final = BodyPhase.COMING
_ENDED: Final = BodyPhase.ENDED
_FAILED: Final = BodyPhase.FAILED


class RequestBody:
    """Body that did not come with its head: collected first, or read while it comes.

    :param response: of the same request; after its head nothing interim is sent.
    """

    __slots__ = (
        "_collector",
        "_file",
        "_gate",
        "_head",
        "_in_memory",
        "_in_thread",
        "_measured_from",
        "_measured_since",
        "_received",
        "_received_at",
        "_response",
        "_write_queue",
        "_state",
        "_stream",
        "phase",
    )

    def __init__(
        self,
        state: State,
        head: RequestHead,
        response: ResponseSide,
        write_queue: WriteQueue,
        gate: ReadGate,
    ) -> None:
        self._state = state
        self._head = head
        self._response: ResponseSide | None = response
        self._write_queue = write_queue
        self._gate = gate
        self._collector: BodyCollector | None = None
        self._file: BinaryIO | None = None  # collected, on disk
        self._stream: StreamReader | BlockingReader | None = None
        self._in_memory = 0  # of what is or was collected
        self._in_thread = False  # a thread reads it, and may wait for more
        self._received = 0
        # For the least rate: since when, and how much had come by then.
        self._measured_since = self._received_at = _monotonic()
        self._measured_from = 0
        self.phase = _EXPECTED if head.expect_continue else _COMING

    # What the application reads.

    def collect(self, comes_already: bool) -> None:
        """Collect the body, for an application that wants all of it.

        :param comes_already: the client did not wait for ``100 Continue``.
        """
        settings = self._state.settings
        self._collector = BodyCollector(settings.body_memory_size, settings.body_directory)
        if comes_already and self.phase is _EXPECTED:
            self.phase = _COMING
        self.send_continue()

    def collected(self, environ: Environ) -> BinaryIO:
        """Return the body as a file; a chunked one has a length now."""
        collector = self._collector
        assert collector is not None
        self._collector = None
        if self._head.content_length is None:
            # The coding is undone, so the length takes its place (RFC 9112 section 7.1.3); in HTTP/2 frames stand for it.
            environ["CONTENT_LENGTH"] = str(collector.size)
            environ.pop("HTTP_TRANSFER_ENCODING", None)
        file = collector.finish()
        if not isinstance(file, io.BytesIO):
            self._file = file
        return file

    def stream(self, awaited: bool) -> StreamReader | BlockingReader:
        """Return the input of an application that reads it while it comes.

        :param awaited: on the loop; otherwise in a thread.
        """
        state = self._state
        if awaited:
            self._stream = StreamReader(state.loop, self.send_continue, self._taken)
        else:
            self._in_thread = True
            state.bodies_in_threads += 1
            self._stream = BlockingReader(
                lambda: state.call_on_loop(self.send_continue),
                lambda: state.call_on_loop(self._taken),
            )
        return self._stream

    def keep_file(self, file: BinaryIO) -> None:
        """Close a file that the rest of the body was collected in, when the request is answered."""
        if not isinstance(file, io.BytesIO):
            self._file = file

    def make_awaitable(self, reader: BlockingReader) -> StreamReader:
        """Return what can be awaited in the place of *reader*, which came from here."""
        stream = StreamReader(self._state.loop, self.send_continue, self._taken)
        reader.hand_over(stream)
        if self._stream is reader:
            self._stream = stream
        return stream

    # What comes.

    def receive(self, data: bytes) -> None:
        """Hand a piece on, or let it go when nobody is there to read it.

        :raises RemoteProtocolError: it is too long (413), or cannot be stored (507).
        """
        self._received += len(data)
        self._received_at = _monotonic()
        if self.phase is _EXPECTED:
            self.phase = _COMING
        if self._stream is not None:
            self._check_size()
            self._stream.feed(data)
        elif self._collector is not None:
            self._check_size()
            try:
                self._collect(self._collector, data)
            except OSError as error:
                self._collector.close()
                told = storage_error(self._state.settings.body_directory, error)
                raise UnservableRequestError(f"the body of a request cannot be stored: {told.strerror}", 507) from error

    def _collect(self, collector: BodyCollector, data: bytes) -> None:
        collector.feed(data)
        self._note_memory(collector.in_memory)
        if self._in_memory and self._state.collected > _MOST_COLLECTED:
            collector.spill()
            self._note_memory(0)

    def _note_memory(self, size: int) -> None:
        """Count what the body has in memory, in the account of all of them."""
        self._state.collected += size - self._in_memory
        self._in_memory = size

    def _check_size(self) -> None:
        limit = self._state.settings.max_body_size
        if limit and self._received > limit:
            raise RemoteProtocolError(f"the body is longer than {limit} bytes", 413)

    def end(self) -> None:
        """End the body: all of it has come."""
        self.phase = _ENDED
        self._free_thread()
        if self._stream is not None:
            self._stream.feed_end()

    def fail(self, error: IncompleteBodyError) -> None:
        """Fail the body: no more of it comes."""
        if self.phase is not _ENDED:
            self.phase = _FAILED
        self._free_thread()
        if self._stream is not None:
            self._stream.fail(error)

    def refuse(self, error: IncompleteBodyError) -> None:
        """Fail the body: it is malformed, and nothing behind that can be read."""
        self.fail(error)
        self.phase = _ENDED

    def forsake(self) -> None:
        """Let a forked process read what has come, without moving where the process that it was forked from reads."""
        if self._file is not None:
            reopen(self._file.fileno())
        error = IncompleteBodyError("the rest of the body is read by the process that this one was forked from")
        if isinstance(self._stream, BlockingReader):
            self._stream.forsake(error)
        elif self._stream is not None:
            self._stream.fail(error)

    def give_up(self) -> None:
        """Throw away what was collected: the connection is over, or the request refused."""
        if self._collector is not None:
            self._collector.close()
            self._collector = None
            self._note_memory(0)

    def leave(self) -> None:
        """Leave the body without a reader: the request is answered."""
        self._free_thread()
        self._note_memory(0)
        if self.phase is not _ENDED:
            self.restart_limits()
        self._stream = None
        self._response = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _free_thread(self) -> None:
        """Note that no thread waits for more of the body."""
        if self._in_thread:
            self._in_thread = False
            self._state.bodies_in_threads -= 1

    # How it goes on.

    @property
    def ended(self) -> bool:
        """True if all of the body has come."""
        return self.phase is _ENDED

    @property
    def continue_due(self) -> bool:
        """True if the client waits for ``100 Continue``, and has not got it."""
        return self.phase is _EXPECTED

    @property
    def too_full(self) -> bool:
        """True if more is buffered than may be while nobody reads."""
        stream = self._stream
        return stream is not None and stream.buffered > HIGH_MARK and not stream.wanted

    @property
    def wants_more(self) -> bool:
        """True if more is asked for, or would fill up what the application has not read to the low mark at most."""
        stream = self._stream
        return stream is None or stream.wanted or stream.buffered <= LOW_MARK

    @property
    def read(self) -> int:
        """Bytes that the application has read while it comes."""
        return 0 if self._stream is None else self._received - self._stream.buffered

    @property
    def awaited_in_thread(self) -> bool:
        """True if a thread waits for more."""
        stream = self._stream
        return isinstance(stream, BlockingReader) and stream.waits

    @property
    def was_read(self) -> bool:
        """True if the application has begun to read the body as it comes."""
        return self._stream is not None and self._stream.was_read

    @property
    def missing(self) -> int:
        """Bytes that are still to come, as far as is known."""
        return (self._head.content_length or 0) - self._received

    def send_continue(self) -> None:
        """Send ``100 Continue``, if the client waits for that (RFC 9110 section 10.1.1)."""
        if self.phase is not _EXPECTED or self._response is None:
            return
        self.phase = _COMING
        if not self._response.head_sent:
            self._write_queue.send([self._response.ask_for_body()])
            self.restart_limits()

    def _taken(self) -> None:
        """Receive more, when the application has taken enough."""
        stream = self._stream
        if stream is not None and not self._gate.open and (stream.wanted or stream.buffered <= LOW_MARK):
            self.restart_limits()
            self._gate.reopen()

    def restart_limits(self) -> None:
        """Count the time limits from now on: until now, nobody waited for it."""
        self._measured_since = self._received_at = _monotonic()
        self._measured_from = self._received

    def deadline(self) -> float:
        """Return when the body has to have gone on, at a least rate, on the monotonic clock."""
        times = self._state.times
        if not times.body or self.phase is not _COMING or not self._gate.open:
            return math.inf
        stalled = self._received_at + times.body
        if not times.body_rate:
            return stalled
        slowest = self._measured_since + times.body + (self._received - self._measured_from) / times.body_rate
        return min(stalled, slowest)

    def outstays(self, limits: OverloadLimits, now: float) -> float:
        """Seconds past the overload limit, negative if within it."""
        if self.phase is not _COMING or not self._gate.open:
            return -math.inf
        return now - self._measured_since - limits.body - (self._received - self._measured_from) / limits.body_rate


def chooses_stream(choose: Choice, environ: Environ) -> bool:
    """Ask the application whether it wants to await the input of a request.

    :raises RemoteProtocolError: 500, it does not know.
    """
    try:
        return bool(choose(environ))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UnservableRequestError(f"stream_input: when failed for {environ['RAW_URI']}: {reason}", 500) from error


def make_input_awaitable(state: State, environ: Environ, body: RequestBody | None) -> None:
    """Replace ``wsgi.input`` by one that can be awaited: the worker drives the rest of the call."""
    if not state.settings.stream:
        return
    current: Any = environ.get("wsgi.input")
    if isinstance(current, InputFile):
        current = current.file
    if isinstance(current, StreamReader):
        return
    if isinstance(current, BlockingReader):
        if body is not None:
            environ["wsgi.input"] = body.make_awaitable(current)
    elif hasattr(current, "read"):
        environ["wsgi.input"] = FileReader(state.loop, current)
