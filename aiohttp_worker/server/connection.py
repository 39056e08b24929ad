"""Connection of one client, whatever protocol it speaks: transport, time limits, pausing at marks, an orderly end."""

from __future__ import annotations

import abc
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.transport.read_gate import ReadGate
from aiohttp_worker.transport.write_queue import WriteQueue
from aiohttp_worker.wsgi.connection_socket import connection_socket
from aiohttp_worker.wsgi.environ import Environ
from aiohttp_worker.wsgi.tls_environ import tls_environ

from .addresses import put_addresses, shown_address
from .lifetime import CLOSED, CLOSING, COLLECT, HEAD, HELD, IDLE, LINGER, NEVER, NEW, RUN, Lifetime
from .proxy_protocol import ProxyHeaderReader
from .settings import OverloadLimits
from .state import State

if TYPE_CHECKING:
    from .exchange import Exchange

_monotonic: Final = time.monotonic
# Bytes that are thrown away behind a last answer.
_MOST_LINGERING: Final = 1024 * 1024


class Connection(abc.ABC):
    """Connection of one client, as far as it is the same for every protocol; an extension of it reads and answers.

    :param state: what all connections share.
    :param sock: the accepted one, which the transport owns.
    :param peername: the address of the client, as :meth:`socket.socket.accept` gives it.
    :param sockname: the address that the client connected to.
    :param base: what is the same in every environ of the worker; taken for those of the connection.
    :ivar exchange: of the request that is being answered, or whose body is collected.
    :ivar gate: pauses and resumes reading.
    """

    __slots__ = (
        "_counted",
        "_discarded",
        "_proxy",
        "_read_at",
        "_sock",
        "_unsent",
        "base",
        "exchange",
        "gate",
        "lifetime",
        "peername",
        "state",
        "transport",
        "write_queue",
    )

    def __init__(self, state: State, sock: socket.socket, peername: Any, sockname: Any, base: Environ) -> None:
        self.state = state
        self._sock: socket.socket | None = sock
        self.peername = peername
        self.lifetime = Lifetime(0.0)
        self.base = base
        put_addresses(base, peername, sockname)
        self.exchange: Exchange | None = None
        self._proxy: ProxyHeaderReader | None = None
        self._discarded = 0  # bytes, behind the last answer
        self._counted = 0  # bytes, in the account of what clients have not read
        self._unsent = 0  # bytes that the client had not read when that was last looked at
        self._read_at = 0.0  # by the client, for the last time while there was something

    # Called by the transport.

    def connection_made(self, transport: Any) -> None:
        """Open the connection, after the handshake where there is TLS."""
        state = self.state
        settings = state.settings
        ssl_object = transport.get_extra_info("ssl_object")
        self.transport = transport
        self.write_queue = WriteQueue(transport, self._sock if ssl_object is None else None)
        self._sock = None
        self.gate = ReadGate(transport)
        base = self.base
        base["gunicorn.socket"] = connection_socket(transport, self)
        base["wsgi.url_scheme"] = "http" if ssl_object is None else "https"
        if ssl_object is not None:
            base.update(tls_environ(ssl_object))
        if settings.proxy_protocol is not None:
            self._proxy = ProxyHeaderReader(settings.proxy_protocol, allowed=settings.proxy_allowed.allows(self.peername))
        self.lifetime.since = _monotonic()
        self.open()
        state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Receive bytes."""
        phase = self.lifetime.phase
        if phase is LINGER:
            self._discarded += len(data)
            if self._discarded > _MOST_LINGERING:
                self.transport.abort()
            return
        if phase is CLOSED or phase is CLOSING:
            return
        if self._proxy is not None:
            rest = self._read_proxy_header(self._proxy, data)
            if rest is None:
                return
            data = rest
        self.receive(data)

    def _read_proxy_header(self, proxy: ProxyHeaderReader, data: bytes) -> bytes | None:
        """Read the PROXY header; return what follows it once it is complete."""
        try:
            if not proxy.feed(data):
                return None
        except RemoteProtocolError as error:
            self._proxy = None
            self.refuse(error)
            return None
        self._proxy = None
        header = proxy.header
        if header is not None:
            self.base.update(header.environ())
            if header.source is not None:
                self.peername = header.source
        return proxy.rest or None

    def eof_received(self) -> bool:
        """Receive the end of what the client sends; it may still read.

        :return: whether the transport stays open.
        """
        if self.receive_eof():
            can_half_close: bool = self.transport.can_write_eof()
            return can_half_close
        if self.lifetime.phase is not LINGER:
            self.lifetime.enter(CLOSING, _monotonic())  # the transport sends the rest, and closes
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Close the connection, whose transport has gone."""
        running = self.lifetime.phase is RUN
        self.lifetime.phase = CLOSED
        self.base = {}  # it leads back to here
        state = self.state
        state.connections.discard(self)
        self.lost(running)
        self.write_queue.close()
        self._count_unsent(0)
        if state.on_connection_closed is not None:
            state.on_connection_closed()

    def pause_writing(self) -> None:
        """Pause writing: the transport's buffer is above its high-water mark."""
        self.write_queue.pause()
        self._count_unsent(self.write_queue.in_transport)
        self._note_unsent(self.write_queue.unconfirmed, _monotonic())

    def resume_writing(self) -> None:
        """Resume writing, in the next turn of the loop: everything is sent.

        Who waited may close the connection, or fail. asyncio's transport does
        not bear either while it calls this: it would tell of its end twice.
        """
        self.write_queue.paused = False
        self._count_unsent(0)
        self.can_write()
        self.state.loop.call_soon(self._write_on)

    def _write_on(self) -> None:
        if self.write_queue.paused:
            return  # once more
        self.write_queue.resume()
        if self.lifetime.phase is HELD:
            self.go_on()

    def _count_unsent(self, size: int) -> None:
        self.state.unsent += size - self._counted
        self._counted = size

    # What environ['gunicorn.socket'] asks for.

    def take_socket(self) -> socket.socket:
        """Refuse to hand over a socket: a protocol that can does.

        :raises RuntimeError: always.
        """
        raise RuntimeError("this request shares its connection with others, and cannot have its socket")

    def count_sent(self, size: int) -> None:  # noqa: B027  only a socket that was handed over sends
        """Do nothing."""

    def socket_closed(self) -> None:  # noqa: B027  likewise
        """Do nothing."""

    # What a protocol does.

    @abc.abstractmethod
    def open(self) -> None:
        """Begin to speak the protocol."""

    @abc.abstractmethod
    def receive(self, data: bytes) -> None:
        """Receive bytes of the protocol."""

    @abc.abstractmethod
    def receive_eof(self) -> bool:
        """Receive the end of what the client sends; return True if it is still answered."""

    @abc.abstractmethod
    def lost(self, running: bool) -> None:
        """Forget requests: the connection is closed.

        :param running: whether one is being answered.
        """

    @abc.abstractmethod
    def can_write(self) -> None:
        """Resume what waited for the client to read."""

    @property
    @abc.abstractmethod
    def trusted(self) -> bool:
        """True if the peer is a front end that may speak for others."""

    def exchange_ended(self, now: float) -> None:
        """Go on behind an exchange that is over, where one exchange follows the other.

        :param now: the time of the monotonic clock, in seconds.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def go_on(self) -> None:
        """Answer requests that were held."""

    @abc.abstractmethod
    def refuse(self, error: RemoteProtocolError) -> None:
        """Answer what cannot be served, and end the connection."""

    @abc.abstractmethod
    def body_failed(self, reason: str, status_code: int) -> None:
        """Fail the body of the request that is being answered: it does not come as it should."""

    @abc.abstractmethod
    def client_left(self) -> None:
        """Notify the exchange, if there is one, that its client has gone."""

    @property
    @abc.abstractmethod
    def body_deadline(self) -> float:
        """Time of the monotonic clock when the body that is being received is too slow."""

    @property
    @abc.abstractmethod
    def expects_more(self) -> bool:
        """True if the client is likely to send more."""

    @property
    @abc.abstractmethod
    def cut_looks_complete(self) -> bool:
        """True if an answer that stops here could be taken for a whole one."""

    # Time limits.

    @property
    def peer(self) -> str:
        """Address of the client, for the log."""
        return shown_address(self.peername)

    @property
    def exchanges(self) -> list[Exchange]:
        """Exchanges that go on: one, if any."""
        return [] if self.exchange is None else [self.exchange]

    @property
    def watched(self) -> bool:
        """True if the once-a-second sweep must check this connection: output pending or reading paused."""
        return not self.gate.open or self._unsent > 0 or self.write_queue.unsent > 0

    @property
    def deadline(self) -> float:
        """Time of the monotonic clock when the connection is ended if nothing happens."""
        return self.lifetime.deadline(self.state.phase_limits, self.body_deadline)

    def check_time(self, now: float) -> None:
        """End what took too long; called once a second."""
        unsent = self.write_queue.unconfirmed
        phase = self.lifetime.phase
        if unsent != self._unsent:
            self._note_unsent(unsent, now)
        elif unsent and now >= self._read_at + (self.state.times.write or NEVER):
            self.state.observers.log_debug("%s: the client does not read, the connection is ended", self.peer)
            self.cut()
            return
        if unsent and not (self.state.draining and self.write_queue.unsent == 0):
            # When this worker has gone, the kernel still sends what is in the socket.
            self.lifetime.postpone(now)
        if not self.gate.open and phase is RUN and self.write_queue.peer_left():
            self.client_left()
        if now < self.deadline:
            return
        if phase is HEAD or phase is COLLECT:
            self.refuse(RemoteProtocolError(f"the {_part(phase is HEAD)} of the request did not come in time", 408))
        elif phase is RUN:
            self.body_failed("the body did not come in time", 408)
        elif phase is CLOSING or phase is LINGER:
            self.transport.abort()
        else:
            self.close()

    def _note_unsent(self, unsent: int, now: float) -> None:
        self._unsent = unsent
        self._read_at = now

    # Overload.

    def idle_for(self, now: float) -> float:
        """Seconds in which the client has asked for nothing, and has had nothing to read; 0 while it does or has."""
        phase = self.lifetime.phase
        if (phase is not IDLE and phase is not NEW) or self.write_queue.unsent:
            return 0.0
        return now - self.lifetime.since

    def outstays(self, limits: OverloadLimits, now: float) -> float:
        """Seconds past the overload limit, negative if within it."""
        if self._unsent:
            return now - self._read_at - limits.unread
        phase = self.lifetime.phase
        if phase is HEAD:
            return now - self.lifetime.since - limits.head
        return self.body_outstays(limits, now) if phase is COLLECT else -NEVER

    @abc.abstractmethod
    def body_outstays(self, limits: OverloadLimits, now: float) -> float:
        """Seconds past the overload limit of a body that is collected, negative if within it."""

    def make_room(self) -> None:
        """End the connection for the sake of others."""
        phase = self.lifetime.phase
        if (phase is IDLE or phase is NEW) and not self.write_queue.unsent:
            self.close()
        elif self._unsent or (phase is not HEAD and phase is not COLLECT):
            self.cut()
        else:
            part = _part(phase is HEAD)
            self.refuse(RemoteProtocolError(f"the {part} of the request came too slowly, and others wait", 408))
            self.transport.abort()  # the answer is in the socket already, and the place is needed now

    # Ends.

    @abc.abstractmethod
    def drain(self, now: float) -> None:
        """End the connection soon, without losing a request that is on its way."""

    def cut(self) -> None:
        """Abort the connection, so that an answer in the middle does not look complete."""
        if self.write_queue.unsent or self.cut_looks_complete:
            self.write_queue.reset_on_close()
        self.transport.abort()

    def forsake(self) -> None:
        """Leave the connection to the process that this one was forked from."""
        self.write_queue.forsake()

    def close(self, more_comes: bool = False) -> None:
        """End the connection, after everything is sent and can be read.

        Closing a socket with unread data resets the connection, and the client
        may lose the answer that it has not read yet (RFC 9112 section 9.6).

        :param more_comes: the client is likely to send more, in any case.
        """
        transport = self.transport
        self.write_queue.stop()
        now = _monotonic()
        if transport.is_closing():
            self.lifetime.enter(CLOSING, now)
        elif not more_comes and not self.expects_more:
            self.lifetime.enter(CLOSING, now)
            transport.close()
        elif self.transport.can_write_eof():
            self.lifetime.enter(LINGER, now)
            self.gate.reopen()
            try:
                transport.write_eof()
            except OSError:
                transport.abort()  # the client has reset the connection
        else:
            self.lifetime.enter(LINGER, now)
            transport.close()


def _part(of_head: bool) -> str:
    return "head" if of_head else "body"
