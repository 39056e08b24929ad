"""Stream: what one request and its response travel by, whatever protocol carries them.

An exchange knows two things of its way to the client. :attr:`Stream.response` turns a head and a body into bytes, and knows
what may be sent; it is pure. The rest of :class:`Stream` is input and output: the queue that takes these bytes, the body of
the request, and what becomes of the client.

Of HTTP/1 one stream serves the requests of a connection, which follow one another, and the ``ServerConnection`` is its response
side. A protocol that answers several requests at a time, like HTTP/2, has one stream for each:

- The response side extends ``ResponseSide``, which counts what was announced and given. ``start()`` may be called in a thread,
  so it keeps status and fields and returns ``b""`` where heads must be encoded in the order in which they are sent (HPACK).
  ``data()`` gives the bytes of the body as they are, because the version of the request says that the stream delimits it. The
  end of the stream is sent by :meth:`Stream.exchange_ended` if the response is DONE; otherwise the stream is reset.
- The write queue is an ordinary one without a socket, above a transport of the stream's own. That keeps what flow control
  does not let go, calls ``pause_writing()`` and ``resume_writing()`` at the marks that it is told, and sends the head that was
  kept with the first bytes, which may be none. Files are read there, and sent as bytes.
- The body of the request pauses and resumes reading at this transport: credit is given while it is not paused.
- ``abort()`` of the transport resets the stream.
- ``close_after()`` says nothing of the other streams.
- An exchange reads the head of the request for logs and hooks, and nothing else of how it came.
"""

from __future__ import annotations

import abc
from typing import BinaryIO

from aiohttp_worker.http1.response_side import ResponseSide
from aiohttp_worker.transport.write_queue import WriteQueue
from aiohttp_worker.wsgi.environ import Environ

from .channels import InlineChannel


class Stream(abc.ABC):
    """Carrier of one exchange: its response side, its write queue, the body of its request.

    :ivar response: the response side of the request that is being answered.
    :ivar write_queue: its output.
    :ivar channel: for responses of applications that run inline; one response after the other has it.
    :ivar disconnected: True if the client has gone or sends no more, as far as is known.
    :ivar requests: number of requests that began on the connection; only counted where hooks may ask.
    """

    response: ResponseSide
    write_queue: WriteQueue
    channel: InlineChannel
    disconnected: bool
    requests: int

    @property
    @abc.abstractmethod
    def trusted(self) -> bool:
        """True if the peer is a front end that may speak for others."""

    @abc.abstractmethod
    def exchange_ended(self, now: float) -> None:
        """End the exchange; nothing more is given to :attr:`response`, nor to the queue.

        :param now: the time of the monotonic clock, in seconds.
        """

    # The body of the request.

    @abc.abstractmethod
    def awaitable_input(self, environ: Environ) -> None:
        """Replace ``wsgi.input`` by one that can be awaited."""

    @abc.abstractmethod
    def keep_file(self, file: BinaryIO) -> None:
        """Close *file*, where the body is, when the request is answered."""

    @property
    def body_read(self) -> int:
        """Bytes that the application has read while the body came."""
        return 0

    @property
    def awaits_body(self) -> bool:
        """True if a thread waits for more of the body."""
        return False

    @abc.abstractmethod
    def leaves_body(self) -> bool:
        """Return True if the connection has to end because of a body that nobody asked for, too long to be skipped."""

    # Waiting for the client to read.

    @abc.abstractmethod
    def pause_writing(self) -> None:
        """Pause writing: the client reads more slowly than is sent."""

    @abc.abstractmethod
    def resume_writing(self) -> None:
        """Resume writing: everything is sent."""
