"""Listening sockets: accepts connections in small batches, up to ``worker_connections``."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from aiohttp_worker.transport.repetitions import Repetitions
from aiohttp_worker.transport.tls_handshake import TLSAcceptor, TLSHandshake, failure_text

from .addresses import shown_address
from .http1_connection import HTTP1Connection
from .overload import make_room
from .settings import OverloadLimits
from .state import State

if TYPE_CHECKING:
    from .protocol_choice import HTTP2Protocols

_BATCH: Final = 16  # connections accepted in one turn of the loop; the others are left to sibling workers
_PAUSE_SECONDS: Final = 1.0  # after the process has run out of descriptors or memory
_QUIET_SECONDS: Final = 0.005  # without a new connection, before a listening socket is closed
_MOST_REST_SECONDS: Final = 0.05  # for emptying the backlogs
# While all connections are in use, new ones wait so long in the backlog: for one to end by itself, or for a sibling to accept
# them. Then the limits of overload hold.
_ROOM_SECONDS: Final = 0.1
_LIMITS: Final = OverloadLimits()
_MOST_ENDED: Final = 32  # connections ended at once, and no more than one in eight
_NO_MORE_FILES: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


def _common_address(sock: socket.socket) -> Any:
    """Return the local address that all connections of a listening socket share; ``None`` if it listens on every interface."""
    address = sock.getsockname()
    anywhere = sock.family is not socket.AF_UNIX and ip_address(address[0].partition("%")[0]).is_unspecified
    return None if anywhere else address


class Listeners:
    """The listening sockets of a worker.

    :param sockets: in the listening state already; their backlog stays as it was set.
    :param limit: open connections at most, TLS handshakes included (``worker_connections``).
    :param one_by_one: True to read the first request of a connection before the next connection is accepted. An application
        that runs inline keeps all connections of its worker waiting, and an idle sibling could serve the next one at once.
    :param context: the TLS context, ``None`` for plain HTTP.
    :param handshake_seconds: time limit of a TLS handshake.
    """

    def __init__(
        self,
        state: State,
        sockets: list[socket.socket],
        limit: int,
        one_by_one: bool,
        context: ssl.SSLContext | None,
        handshake_seconds: float,
    ) -> None:
        self._state = state
        self._loop = state.loop
        self._addresses = {sock: _common_address(sock) for sock in sockets}
        self._limit = limit
        self._batch = 1 if one_by_one else _BATCH
        self._one_by_one = one_by_one
        self._http2: HTTP2Protocols | None = None
        if state.settings.http2 is not None:
            # Only here, because the package that it needs is not installed everywhere.
            from .protocol_choice import HTTP2Protocols

            self._http2 = HTTP2Protocols(state, state.settings.http2)
        self._tls: TLSAcceptor | None = None
        if context is not None:
            linger = state.times.linger
            self._tls = TLSAcceptor(self._loop, context, handshake_seconds, linger, self._handshake_failed)
        observers = state.observers
        self._failures = Repetitions(
            lambda text: observers.log_warning("%s", text),
            lambda text: observers.log_debug("%s", text),
        )
        # Calls of connect_accepted_socket() under way, with the future that each awaits.
        self._connecting: dict[Coroutine[Any, Any, Any], asyncio.Future[Any] | None] = {}
        self._accepting = False
        self._unseen = False
        self._stopped = False
        self._held = False
        self._full_logged = False
        self._making_room = False
        state.on_connection_closed = self._connection_closed

    @property
    def open(self) -> int:
        """Number of open connections, those included whose transport or TLS handshake is not complete."""
        handshakes = 0 if self._tls is None else len(self._tls.handshakes)
        return len(self._state.connections) + len(self._connecting) + handshakes

    def descriptors(self) -> list[int]:
        """Return the descriptors of the listening sockets, and of the connections whose TLS handshake is not complete."""
        handshakes = () if self._tls is None else self._tls.handshakes
        return [*(sock.fileno() for sock in self._addresses), *(handshake.fileno() for handshake in handshakes)]

    def start(self) -> None:
        """Start accepting."""
        if not self._accepting and not self._stopped and not self._held:
            self._accepting = True
            for sock in self._addresses:
                sock.setblocking(False)
                self._loop.add_reader(sock.fileno(), self._accept, sock)

    def pause(self) -> None:
        """Stop accepting; new connections stay in the backlog."""
        if self._accepting:
            self._accepting = False
            for sock in self._addresses:
                self._loop.remove_reader(sock.fileno())

    def hold(self) -> None:
        """Stop accepting until :meth:`release`; sibling workers find the new connections in the backlog."""
        self._held = True
        self.pause()

    def release(self) -> None:
        """Resume accepting after :meth:`hold`."""
        self._held = False
        self.start()

    def stop(self, take_rest: bool) -> None:
        """Stop accepting for good, and close the listening sockets.

        :param take_rest: True to accept the backlogs first: if no other process listens, the kernel resets what is left there.
        """
        if self._stopped:
            return
        self.pause()
        self._stopped = True
        if take_rest:
            self._take_rest()
        for sock in self._addresses:
            sock.close()

    def _take_rest(self) -> None:
        """Accept the backlogs, until no connection has come for a moment.

        A connection that comes between the last accept() and close() is lost. No request is answered while this waits, so
        a client that connects anew after each answer does not prolong it.
        """
        coming = select.poll()
        for sock in self._addresses:
            coming.register(sock, select.POLLIN)
        limit = time.monotonic() + _MOST_REST_SECONDS
        taken = True
        while taken and time.monotonic() < limit and coming.poll(_QUIET_SECONDS * 1000):
            taken = False
            for sock in self._addresses:
                while self._take(sock):
                    taken = True

    def _accept(self, sock: socket.socket) -> None:
        if self._unseen:
            return
        for _ in range(self._batch):
            if self.open >= self._limit:
                self._full()
                return
            if not self._take(sock):
                return

    def _take(self, sock: socket.socket) -> bool:
        """Accept one connection from a listening socket.

        :return: False if none waits there.
        """
        try:
            accepted, peername = sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if self._stopped:
                return False  # a signal's handler has closed the socket in the meantime
            if error.errno not in _NO_MORE_FILES:
                raise
            self._state.log_error("cannot accept connections for a while: %s", error)
            self.pause()
            self._end_some()
            self._loop.call_later(_PAUSE_SECONDS, self.start)
            return False
        self._connect(accepted, peername, self._addresses[sock])
        return True

    def _connect(self, accepted: socket.socket, peername: Any, address: Any) -> None:
        """Make the loop create a transport for an accepted socket.

        Not in a task: that would cost a turn of the loop more, and about as much CPU as a small request.
        """
        state = self._state
        try:
            sockname = accepted.getsockname() if address is None else address
        except OSError as error:
            accepted.close()
            self._not_set_up(error)
            return
        # Connection and TLSHandshake have a protocol's methods without being subclasses of asyncio's classes.
        make: Callable[[], Any] = lambda: HTTP1Connection(state, accepted, peername, sockname)  # noqa: E731
        if self._http2 is not None:
            make = self._http2.maker(self._tls, accepted, peername, sockname)
            self._unseen = self._one_by_one and self._tls is None
        elif (tls := self._tls) is not None:
            make = lambda: TLSHandshake(tls, accepted, peername, lambda: HTTP1Connection(state, accepted, peername, sockname))  # noqa: E731
        elif self._one_by_one:
            self._unseen = True
        coroutine = self._loop.connect_accepted_socket(make, accepted)
        self._connecting[coroutine] = None
        self._go_on(coroutine, accepted)

    def _go_on(self, coroutine: Coroutine[Any, Any, Any], accepted: socket.socket) -> None:
        try:
            future = coroutine.send(None)
        except StopIteration:
            self._connected(coroutine)
        except Exception as error:
            accepted.close()
            self._connected(coroutine)
            if not isinstance(error, OSError):
                raise
            self._not_set_up(error)  # the client has left
        else:
            future._asyncio_future_blocking = False  # as a task does with the future that it awaits
            self._connecting[coroutine] = future
            future.add_done_callback(lambda _: self._waited(coroutine, accepted))

    def _waited(self, coroutine: Coroutine[Any, Any, Any], accepted: socket.socket) -> None:
        if coroutine in self._connecting:
            self._go_on(coroutine, accepted)

    def _connected(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._connecting.pop(coroutine, None)
        if self._unseen:
            # In one turn of the loop the transport starts reading, in the next one it reads.
            self._loop.call_soon(self._loop.call_soon, self._seen)

    def _handshake_failed(self, handshake: TLSHandshake, error: Exception) -> None:
        """Log a failed handshake; at level DEBUG if the client has sent nothing, as port scanners and health checks do."""
        address = shown_address(handshake.peername)
        text = f"TLS handshake with {address} failed: {failure_text(error)}"
        if handshake.begun and not handshake.given_up:
            self._failures.tell((address, text), text)
        else:
            self._state.log_debug("%s", text)
        self._connection_closed()

    def _not_set_up(self, error: Exception) -> None:
        self._state.log_debug("a connection could not be set up: %s", error)

    def abort_unfinished(self) -> None:
        """Abort the connections whose transport or TLS handshake is not complete."""
        connecting, self._connecting = self._connecting, {}
        for coroutine, future in connecting.items():
            coroutine.close()
            # A future that is not cancelled fails when uvloop is closed, and its exception would never be retrieved.
            if future is not None and not future.cancel() and not future.cancelled():
                future.exception()
        if self._tls is not None:
            for handshake in list(self._tls.handshakes):
                handshake.abort()

    def _seen(self) -> None:
        self._unseen = False

    def _full(self) -> None:
        if self._connecting:
            return  # some connections count twice until the next turn of the loop, which comes here again
        if not self._full_logged:
            self._full_logged = True
            self._state.observers.log_warning("all %d worker_connections are in use; new connections wait", self._limit)
        self.pause()
        if not self._making_room:
            self._making_room = True
            self._loop.call_later(_ROOM_SECONDS, self._make_room)

    def _make_room(self) -> None:
        """End idle or slow connections while all are in use and others wait in the backlog."""
        self._making_room = False
        if self._accepting or self._stopped or self.open < self._limit:
            return
        if self._backlog_waits():
            self._end_some()
        self._making_room = True
        self._loop.call_later(_ROOM_SECONDS, self._make_room)

    def _end_some(self) -> None:
        most = min(_MOST_ENDED, 1 + self.open // 8)
        make_room(self._state.connections, _LIMITS, most, time.monotonic())
        if self._tls is not None:
            self._tls.make_room(most, _LIMITS.idle, _LIMITS.head)

    def _backlog_waits(self) -> bool:
        coming = select.poll()
        for sock in self._addresses:
            coming.register(sock, select.POLLIN)
        return bool(coming.poll(0))

    def _connection_closed(self) -> None:
        if not self._accepting and self.open < self._limit:
            self.start()
