"""The TLS handshake of an accepted connection, and the word to those who speak plain HTTP."""

from __future__ import annotations

import asyncio
import heapq
import re
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from .tls_records import RecordLayer
from .tls_transport import TLSTransport
from .write_queue import WriteQueue

_MOST_DISCARDED: Final = 1024 * 1024
_TEXT: Final = b"400 Bad Request: this port speaks HTTPS, and the request came without TLS\n"
_HEAD: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
_REFUSAL: Final = _HEAD % len(_TEXT) + _TEXT


class TLSAcceptor:
    """State that the handshakes of a worker share.

    :param handshake_seconds: for all of a handshake.
    :param linger_seconds: for a client to end the connection after we did.
    :param on_failed: told which handshake came to nothing, and why.
    :ivar handshakes: those that are not over.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: ssl.SSLContext,
        handshake_seconds: float,
        linger_seconds: float,
        on_failed: Callable[[TLSHandshake, Exception], None],
    ) -> None:
        self.loop = loop
        self.context = context
        self.handshake_seconds = handshake_seconds
        self.linger_seconds = linger_seconds
        self.on_failed = on_failed
        self.handshakes: set[TLSHandshake] = set()

    def make_room(self, most: int, silent: float, slow: float) -> None:
        """End connections for the sake of others.

        :param most: so many, those accepted first before others.
        :param silent: seconds; who has said nothing for less stays.
        :param slow: seconds that a handshake may take, at least.
        """
        now = time.monotonic()
        ready = [one for one in self.handshakes if now - one.since >= (slow if one.begun else silent)]
        for handshake in heapq.nsmallest(most, ready, key=_since):
            handshake.make_room()


class TLSHandshake:
    """The protocol of an accepted connection until its handshake is over.

    Others are served meanwhile. Who speaks plain HTTP is told so, in plain HTTP.

    :param sock: the accepted one.
    :param peername: the address of the client, as :meth:`socket.socket.accept` gives it.
    :ivar begun: the client has sent something.
    :ivar given_up: for the sake of others, or because the worker ends.
    :ivar since: when it was accepted, by the monotonic clock.
    :param make_protocol: called when the handshake has succeeded; a
        :class:`~.tls_transport.TLSTransport` is its transport.
    """

    def __init__(self, acceptor: TLSAcceptor, sock: socket.socket, peername: Any, make_protocol: Callable[[], Any]) -> None:
        self._acceptor = acceptor
        self._sock = sock
        self._make_protocol = make_protocol
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = acceptor.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.peername = peername
        self.begun = False
        self.given_up = False
        self.since = time.monotonic()
        self._discarded = 0
        self._failure: Exception | None = None
        self._transport: Any = None
        self._write_queue: WriteQueue
        self._timer: asyncio.TimerHandle

    @property
    def alpn_protocol(self) -> str | None:
        """The protocol that was agreed on (RFC 7301), once the handshake has succeeded."""
        return self._tls.selected_alpn_protocol()

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 once it is closed."""
        return self._sock.fileno()

    def connection_made(self, transport: Any) -> None:
        """Start the handshake of an accepted connection."""
        acceptor = self._acceptor
        self._transport = transport
        self._write_queue = WriteQueue(transport, self._sock)
        self._timer = acceptor.loop.call_later(acceptor.handshake_seconds, self._too_late)
        acceptor.handshakes.add(self)

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake."""
        if self._failure is not None:
            # What is left unread when a socket is closed would reset the connection before the answer is read.
            self._discarded += len(data)
            if self._discarded > _MOST_DISCARDED:
                self._transport.abort()
            return
        if not self.begun:
            self.begun = True
            # A record of a handshake begins with 22, a method with a letter.
            if data[:1].isalpha():
                self._refuse_plain()
                return
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._write_queue.send([self._outgoing.read()])
            return
        except ssl.SSLError as error:
            self._failure = error
            self._write_queue.send([self._outgoing.read()])  # an alert says why
            self._transport.close()
            return
        self._write_queue.send([self._outgoing.read()])
        self._finish()

    def _finish(self) -> None:
        acceptor = self._acceptor
        self._timer.cancel()
        records = RecordLayer(self._tls, self._incoming, self._outgoing)
        transport = TLSTransport(acceptor.loop, self._transport, self._write_queue, records, acceptor.linger_seconds)
        self._transport.set_protocol(transport)
        transport.start(self._make_protocol())
        acceptor.handshakes.discard(self)

    def _refuse_plain(self) -> None:
        self._failure = ConnectionAbortedError("plain HTTP on a port that speaks HTTPS")
        self._write_queue.send([_REFUSAL])
        try:
            self._transport.write_eof()
        except OSError:
            self._transport.abort()

    def _too_late(self) -> None:
        if self._failure is None:
            self._failure = TimeoutError(f"it took more than {self._acceptor.handshake_seconds:g} s")
        self._transport.abort()

    def make_room(self) -> None:
        """Give it up for somebody who waits for a connection."""
        self.given_up = True
        self._failure = TimeoutError("it was silent or slow while all worker_connections were in use")
        self._transport.abort()

    def abort(self) -> None:
        """Give it up: the worker ends."""
        self.given_up = True
        self._transport.abort()

    def eof_received(self) -> bool:
        """Handle a client that disconnects; the transport is closed."""
        return False

    def pause_writing(self) -> None:
        """Do nothing while the client does not read; the time limit ends that."""

    def resume_writing(self) -> None:
        """Do nothing when the client reads again."""

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the end of a connection whose handshake failed."""
        self._timer.cancel()
        self._write_queue.close()
        self._acceptor.handshakes.discard(self)
        self._acceptor.on_failed(self, self._failure or error or ConnectionResetError("the client left"))


def failure_text(error: Exception) -> str:
    """Say, for the log, why a handshake came to nothing."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is refused: {error.verify_message}"
    if getattr(error, "reason", None) == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "the client has no certificate, and cert_reqs asks for one"
    # OpenSSL's own words, without the line of a file of Python's.
    return re.sub(r" \(_ssl\.c:\d+\)$", "", str(error)) or type(error).__name__


def _since(handshake: TLSHandshake) -> float:
    return handshake.since
