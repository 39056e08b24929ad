"""Stream of the request that an HTTP/1 connection answers: one object for all of them, since they follow one another."""

from __future__ import annotations

from typing import BinaryIO, Final

from aiohttp_worker.http1.server_connection import ServerConnection
from aiohttp_worker.wsgi.environ import Environ

from .channels import InlineChannel
from .connection import Connection
from .request_body import RequestBody, make_input_awaitable
from .stream import Stream

# Bytes of a body that the application did not read: more is not waited for.
_MOST_UNREAD: Final = 256 * 1024


class HTTP1Stream(Stream):
    """Stream of the exchanges of one connection, one after the other.

    :ivar body: of the request that is answered now, or was last; ``None`` if it has none, or that came with its head.
    """

    __slots__ = ("_connection", "body", "channel", "disconnected", "requests", "response", "write_queue")

    def __init__(self, http: ServerConnection, connection: Connection) -> None:
        self._connection = connection
        self.response = http
        self.write_queue = connection.write_queue
        self.channel = InlineChannel(connection.state, connection.write_queue)
        self.disconnected = False
        self.requests = 0
        self.body: RequestBody | None = None

    @property
    def trusted(self) -> bool:
        """True if the peer is a front end that may speak for others."""
        return self._connection.trusted

    def exchange_ended(self, now: float) -> None:
        """Go on with the next request, or end the connection."""
        self._connection.exchange_ended(now)

    # What applications find in environ; for the request that is answered now.

    def early_hints(self, headers: object) -> None:
        """Send an interim response 103 (RFC 8297): ``wsgi.early_hints``."""
        exchange = self._connection.exchange
        if exchange is not None:
            exchange.early_hints(headers)

    def client_disconnected(self) -> bool:
        """Return True if the client has gone, as far as is known; from any thread."""
        return self.disconnected

    # The body of the request.

    def awaitable_input(self, environ: Environ) -> None:
        """Replace ``wsgi.input`` by one that can be awaited: the worker drives the rest."""
        make_input_awaitable(self._connection.state, environ, self.body)

    def keep_file(self, file: BinaryIO) -> None:
        """Close *file*, where the body is that is answered now, when that is done."""
        if self.body is not None:
            self.body.keep_file(file)

    @property
    def body_read(self) -> int:
        """Bytes of the body that the application has read while it came."""
        return 0 if self.body is None else self.body.read

    @property
    def awaits_body(self) -> bool:
        """True if a thread waits for more of the body."""
        return self.body is not None and self.body.awaited_in_thread

    def leaves_body(self) -> bool:
        """Return True if there is a body that nobody asked for, too long to be skipped."""
        body = self.body
        if body is None or body.ended:
            return False
        return body.continue_due or (body.missing > _MOST_UNREAD and not body.was_read)

    @property
    def can_skip_body(self) -> bool:
        """True if the rest of a body, which nobody reads, is worth waiting for."""
        body = self.body
        # What the client waits to be asked for may never come (RFC 9110 section 10.1.1).
        return body is not None and not body.continue_due and body.missing <= _MOST_UNREAD

    # Waiting for the client to read.

    def pause_writing(self) -> None:
        """Pause writing: a file waits for the client to read."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Resume writing: the client has read enough of the file."""
        self._connection.resume_writing()
