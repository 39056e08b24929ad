"""Choice between HTTP/1.1 and HTTP/2 for a connection: by ALPN, or without TLS by its first bytes (RFC 9113 section 3)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http2.settings import HTTP2Settings
from aiohttp_worker.transport.tls_handshake import TLSAcceptor, TLSHandshake
from aiohttp_worker.wsgi.forwarded import peer_is_trusted

from .http1_connection import HTTP1Connection
from .http2_connection import HTTP2Connection, HTTP2Tables
from .lifetime import NEVER
from .proxy_protocol import ProxyHeaderReader
from .settings import Cleartext, OverloadLimits
from .state import State

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_monotonic: Final = time.monotonic


class HTTP2Protocols:
    """Factory of the protocols of a worker's connections, where HTTP/2 may be one."""

    __slots__ = ("_cleartext", "_state", "_tables")

    def __init__(self, state: State, settings: HTTP2Settings) -> None:
        self._state = state
        self._tables = HTTP2Tables(state, settings)
        self._cleartext = state.settings.http2_cleartext

    def maker(self, tls: TLSAcceptor | None, sock: socket.socket, peername: Any, sockname: Any) -> Callable[[], Any]:
        """Return what makes the protocol of an accepted connection.

        :param tls: ``None`` for a connection without TLS.
        """
        state = self._state
        tables = self._tables
        http1: Callable[[], HTTP1Connection] = lambda: HTTP1Connection(state, sock, peername, sockname)  # noqa: E731
        http2: Callable[[], HTTP2Connection] = lambda: HTTP2Connection(state, tables, sock, peername, sockname)  # noqa: E731
        if tls is not None:

            def handshake() -> TLSHandshake:
                def chosen() -> HTTP1Connection | HTTP2Connection:
                    return http2() if one.alpn_protocol == "h2" else http1()

                one = TLSHandshake(tls, sock, peername, chosen)
                return one

            return handshake
        by_preface = self._cleartext is Cleartext.PRIOR_KNOWLEDGE or self._cleartext is Cleartext.BOTH
        if not by_preface or not peer_is_trusted(state.settings.forwarding, peername):
            return http1
        required = self._cleartext is Cleartext.PRIOR_KNOWLEDGE
        return lambda: ProtocolChoice(state, peername, http1, http2, required)


class ProtocolChoice:
    """Protocol of an accepted connection until its first bytes say what it speaks.

    HTTP/2 begins with the preface, and nothing of HTTP/1.1 begins like that. A PROXY header may come before it; whoever is
    chosen is given everything, from the first byte.

    :param http1: makes a connection of HTTP/1.1.
    :param http2: makes a connection of HTTP/2.
    :param required: whether a connection without the preface is refused.
    """

    __slots__ = ("_http1", "_http2", "_received", "_required", "_since", "_state", "peername", "transport")

    def __init__(
        self,
        state: State,
        peername: Any,
        http1: Callable[[], HTTP1Connection],
        http2: Callable[[], HTTP2Connection],
        required: bool,
    ) -> None:
        self._state = state
        self._http1 = http1
        self._http2 = http2
        self._required = required
        self._received = b""
        self._since = 0.0
        self.peername = peername

    # Called by the transport.

    def connection_made(self, transport: Any) -> None:
        """Open a connection."""
        self.transport = transport
        self._since = _monotonic()
        self._state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take received bytes, and choose as soon as they say enough."""
        self._received += data
        begins = self._after_proxy_header()
        if begins is None:
            return
        if begins.startswith(PREFACE):
            self._hand_over(self._http2())
        elif not PREFACE.startswith(begins):
            self._hand_over(self._http1())

    def _after_proxy_header(self) -> bytes | None:
        """Return what follows the PROXY header, ``None`` if that has not come yet."""
        settings = self._state.settings
        if settings.proxy_protocol is None:
            return self._received
        reader = ProxyHeaderReader(settings.proxy_protocol, allowed=settings.proxy_allowed.allows(self.peername))
        try:
            return (reader.rest or None) if reader.feed(self._received) else None
        except RemoteProtocolError:
            return self._received  # who is chosen reads it again, and refuses it

    def _hand_over(self, protocol: HTTP1Connection | HTTP2Connection) -> None:
        transport = self.transport
        self._state.connections.discard(self)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._required and isinstance(protocol, HTTP1Connection):
            protocol.refuse(RemoteProtocolError("http2_cleartext: the connection does not begin with the preface of HTTP/2"))
        else:
            protocol.data_received(self._received)

    def eof_received(self) -> bool:
        """Handle the time-out of a client that has sent nothing, or too little."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the end of the connection."""
        self._state.connections.discard(self)
        if self._state.on_connection_closed is not None:
            self._state.on_connection_closed()

    def pause_writing(self) -> None:
        """Ignore that the client does not read: nothing is sent."""

    def resume_writing(self) -> None:
        """Ignore that the client reads again."""

    # Asked by the registry.

    @property
    def exchanges(self) -> list[Any]:
        """Return none: no request has begun."""
        return []

    @property
    def watched(self) -> bool:
        """False: there is nothing to look at before the deadline."""
        return False

    @property
    def deadline(self) -> float:
        """Time of the monotonic clock when the first bytes have to have come, in seconds."""
        return self._since + (self._state.times.head or NEVER)

    def check_time(self, now: float) -> None:
        """End a connection that says nothing, or too little."""
        if now >= self.deadline:
            self.transport.abort()

    def drain(self, now: float) -> None:
        """Let it choose: what is chosen ends after its first request."""

    def cut(self) -> None:
        """Abort the connection."""
        self.transport.abort()

    def forsake(self) -> None:
        """Leave the connection to the process that this one was forked from: nothing is under way."""

    def idle_for(self, now: float) -> float:
        """Return for how many seconds it has been open."""
        return now - self._since

    def outstays(self, limits: OverloadLimits, now: float) -> float:
        """Return by how many seconds it is slower than *limits* allow, negative if it is not."""
        return now - self._since - limits.head

    def make_room(self) -> None:
        """End the connection for the sake of others."""
        self.transport.abort()
