"""A connection of HTTP/2 without a socket, and a client of hand-written frames; see `fakes`."""

from __future__ import annotations

import contextvars
from typing import Any

from hpack import Decoder

from aiohttp_worker.http2.settings import HTTP2Settings
from aiohttp_worker.server.http2_connection import HTTP2Connection, HTTP2Tables
from aiohttp_worker.server.settings import Observers, ServerSettings
from aiohttp_worker.server.state import State
from aiohttp_worker.wsgi.file_wrapper import FileWrapper
from tests.http2 import frames as f
from tests.http2.serving import OPENING

from .fakes import FakeLoop, FakeTransport, hello


class FakeHTTP2Server:
    """One connection of a worker that serves `application`; its client has sent the preface.

    :ivar frames: that were sent.
    :ivar heads: stream and fields of each head among them.
    """

    def __init__(
        self, application: Any = hello, http2: HTTP2Settings | None = None, opening: bytes = OPENING, **settings: Any
    ) -> None:
        self.logged: list[str] = []
        self.refused: list[int] = []
        self.ended: list[Any] = []
        self.frames: list[f.Frame] = []
        self.heads: list[tuple[int, dict[bytes, bytes]]] = []
        self._decoder = Decoder()
        self.loop = FakeLoop()
        self.observers = Observers(
            log_error=self._log("ERROR"),
            log_warning=self._log("WARNING"),
            log_debug=self._log("DEBUG"),
            log_exception=lambda error, message: self.logged.append(f"ERROR {message}: {error!r}"),
            on_end=self.ended.append,
            on_refused=lambda connection, error: self.refused.append(error.status_code),
        )
        base = {"wsgi.errors": None, "wsgi.file_wrapper": FileWrapper, "SERVER_SOFTWARE": "test"}
        self.state = contextvars.Context().run(State, self.loop, application, ServerSettings(**settings), base, self.observers)
        self.transport = FakeTransport()
        tables = HTTP2Tables(self.state, http2 or HTTP2Settings())
        self.connection = HTTP2Connection(self.state, tables, None, ("192.0.2.1", 1234), ("192.0.2.2", 80))
        self.transport.protocol = self.connection  # type: ignore[assignment]
        self.connection.connection_made(self.transport)
        self.receive(opening)
        self.frames.clear()

    def _log(self, level: str) -> Any:
        return lambda message, *arguments, **_: self.logged.append(f"{level} {message % arguments if arguments else message}")

    def receive(self, *sent: bytes) -> None:
        """Frames come, each piece for itself, and the loop does what is due."""
        for data in sent:
            with self.loop.running():
                self.connection.data_received(data)
            self.loop.run_ready()
        self.take()

    def run(self) -> None:
        """The loop does what is due."""
        self.loop.run_ready()
        self.take()

    def take(self) -> None:
        """Take up what was sent."""
        sent, self.transport.sent = self.transport.sent, b""
        for one in f.parse(sent):
            self.frames.append(one)
            if one.type == f.HEADERS:
                self.heads.append((one.stream_id, dict(self._decoder.decode(one.payload, raw=True))))

    def lose(self, error: Exception | None = None) -> None:
        """The transport tells of its end."""
        with self.loop.running():
            self.connection.connection_lost(error)
        self.loop.run_ready()

    def of(self, kind: int, stream_id: int | None = None) -> list[f.Frame]:
        """Frames of one type."""
        return [one for one in self.frames if one.type == kind and stream_id in (None, one.stream_id)]

    def body(self, stream_id: int = 1) -> bytes:
        """What has been sent of an answer's body."""
        return b"".join(one.payload for one in self.of(f.DATA, stream_id))

    def statuses(self, stream_id: int = 1) -> list[int]:
        """Those of the answer to a request, interim ones included."""
        return [int(fields[b":status"]) for number, fields in self.heads if number == stream_id]

    def complete(self, stream_id: int = 1) -> bool:
        """Whether the server has ended a stream."""
        return any(
            one.flags & f.END_STREAM for one in self.frames if one.stream_id == stream_id and one.type in (f.DATA, f.HEADERS)
        )

    @property
    def resets(self) -> list[tuple[int, int]]:
        """Stream and error code of each RST_STREAM."""
        return [(one.stream_id, one.error_code) for one in self.of(f.RST_STREAM)]
