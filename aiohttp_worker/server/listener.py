"""Accepting connections: few at a time, and never more than are allowed."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any, Final

from aiohttp_worker.transport.repetitions import Repetitions
from aiohttp_worker.transport.tls_handshake import TLSAcceptor, TLSHandshake, failure_text

from .connection import Connection, shown_address
from .settings import OverloadLimits
from .state import State

# Connections taken in one turn of the loop; the others are left to siblings.
_BATCH: Final = 16
_PAUSE_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 0.005
_MOST_REST_SECONDS: Final = 0.05
# With no connection to spare, so long those who come wait for one that ends by
# itself, or for a sibling. Then short limits hold.
_ROOM_SECONDS: Final = 0.1
_LIMITS: Final = OverloadLimits()
_MOST_ENDED: Final = 32  # at once, and one in eight
_NO_MORE_FILES: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class _TCP(socket.socket):
    """An accepted socket that says what it is without a look-up in an enumeration.

    For each connection it is asked three times.
    """

    __slots__ = ()
    family = socket.AF_INET
    type = socket.SOCK_STREAM


class _TCP6(_TCP):
    __slots__ = ()
    family = socket.AF_INET6


class _Unix(_TCP):
    __slots__ = ()
    family = socket.AF_UNIX


@dataclass(frozen=True)
class _Listening:
    """What the connections of one listening socket have in common.

    :ivar address: to which all of them come, ``None`` if that differs.
    """

    accept: Callable[[], tuple[int, Any]]
    kind: Callable[..., socket.socket]
    address: Any

    @classmethod
    def of(cls, sock: socket.socket) -> _Listening:
        family = sock.family
        address = sock.getsockname()
        kind = next(kind for kind in (_TCP, _TCP6, _Unix) if kind.family is family)
        anywhere = family is not socket.AF_UNIX and ip_address(address[0].partition("%")[0]).is_unspecified
        accept: Any = sock._accept  # type: ignore[attr-defined]  # accept(), without the object that it makes
        return cls(accept, partial(kind, family, socket.SOCK_STREAM, 0), None if anywhere else address)


class Listeners:
    """The listening sockets of a worker.

    :param sockets: listening already; their backlog stays as it was set.
    :param limit: of open connections, handshakes included.
    :param one_by_one: look at what a new connection wants before the next is
        accepted. An application that runs inline keeps all connections of its
        worker waiting, so none is to be taken from an idle sibling meanwhile.
    :param context: for TLS.
    :param handshake_seconds: for a TLS handshake to complete.
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
        self._listening = {sock: _Listening.of(sock) for sock in sockets}
        self._limit = limit
        self._batch = 1 if one_by_one else _BATCH
        self._one_by_one = one_by_one
        self._tls: TLSAcceptor | None = None
        if context is not None:
            linger = state.times.linger
            self._tls = TLSAcceptor(self._loop, context, handshake_seconds, linger, self._handshake_failed)
        observers = state.observers
        self._failures = Repetitions(
            lambda text: observers.log_warning("%s", text),
            lambda text: observers.log_debug("%s", text),
        )
        # Connections that are being set up, with what they wait for.
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
        """Connections, and those to be."""
        handshakes = 0 if self._tls is None else len(self._tls.handshakes)
        return len(self._state.connections) + len(self._connecting) + handshakes

    def descriptors(self) -> list[int]:
        """Return those of the listening sockets, and of the connections whose handshake is not over."""
        handshakes = () if self._tls is None else self._tls.handshakes
        return [*(sock.fileno() for sock in self._listening), *(handshake.fileno() for handshake in handshakes)]

    def start(self) -> None:
        """Begin to accept."""
        if not self._accepting and not self._stopped and not self._held:
            self._accepting = True
            for sock in self._listening:
                sock.setblocking(False)
                self._loop.add_reader(sock.fileno(), self._accept, sock)

    def pause(self) -> None:
        """Leave new connections in the backlog."""
        if self._accepting:
            self._accepting = False
            for sock in self._listening:
                self._loop.remove_reader(sock.fileno())

    def hold(self) -> None:
        """Leave new connections in the backlog, where others find them, until :meth:`release`."""
        self._held = True
        self.pause()

    def release(self) -> None:
        """Accept again."""
        self._held = False
        self.start()

    def stop(self, take_rest: bool) -> None:
        """Accept no more.

        :param take_rest: take what is in the backlogs first: when nobody else
            listens, what is left there is reset.
        """
        if self._stopped:
            return
        self.pause()
        self._stopped = True
        if take_rest:
            self._take_rest()
        for sock in self._listening:
            sock.close()

    def _take_rest(self) -> None:
        """Take what comes, until nobody has come for a moment.

        Who comes between the last accept and the closing of the socket is lost.
        While this waits nobody is answered, so those who come again after each
        answer stay away.
        """
        coming = select.poll()
        for sock in self._listening:
            coming.register(sock, select.POLLIN)
        limit = time.monotonic() + _MOST_REST_SECONDS
        taken = True
        while taken and time.monotonic() < limit and coming.poll(_QUIET_SECONDS * 1000):
            taken = False
            for sock in self._listening:
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
        """Accept one connection, if there is one."""
        listening = self._listening[sock]
        try:
            fd, peername = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if self._stopped:
                return False  # a signal has closed the socket in the meantime
            if error.errno not in _NO_MORE_FILES:
                raise
            self._state.log_error("cannot accept connections for a while: %s", error)
            self.pause()
            self._end_some()
            self._loop.call_later(_PAUSE_SECONDS, self.start)
            return False
        self._connect(listening.kind(fileno=fd), peername, listening.address)
        return True

    def _connect(self, accepted: socket.socket, peername: Any, address: Any) -> None:
        """Have the loop make a transport.

        Without a task: it would take a turn of the loop more, and about as long
        as a small request.
        """
        state = self._state
        try:
            sockname = accepted.getsockname() if address is None else address
        except OSError as error:
            accepted.close()
            self._not_set_up(error)
            return
        # These have a protocol's methods without being one of asyncio's classes.
        make: Callable[[], Any] = lambda: Connection(state, accepted, peername, sockname)  # noqa: E731
        if (tls := self._tls) is not None:
            make = lambda: TLSHandshake(tls, accepted, peername, lambda: Connection(state, accepted, peername, sockname))  # noqa: E731
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
            self._not_set_up(error)  # a client that left before
        else:
            future._asyncio_future_blocking = False  # as a task does with what it waits for
            self._connecting[coroutine] = future
            future.add_done_callback(lambda _: self._waited(coroutine, accepted))

    def _waited(self, coroutine: Coroutine[Any, Any, Any], accepted: socket.socket) -> None:
        if coroutine in self._connecting:
            self._go_on(coroutine, accepted)

    def _connected(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._connecting.pop(coroutine, None)
        if self._unseen:
            # One turn for the transport to start reading, one to read.
            self._loop.call_soon(self._loop.call_soon, self._seen)

    def _handshake_failed(self, handshake: TLSHandshake, error: Exception) -> None:
        """Say why, unless the client has said nothing: that is what port scanners and health checks do."""
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
        """Give up the connections that are not set up, or whose TLS handshake is not over."""
        connecting, self._connecting = self._connecting, {}
        for coroutine, future in connecting.items():
            coroutine.close()
            # Not cancelled, it fails when uvloop is closed, and nobody asks it any more.
            if future is not None and not future.cancel() and not future.cancelled():
                future.exception()
        if self._tls is not None:
            for handshake in list(self._tls.handshakes):
                handshake.abort()

    def _seen(self) -> None:
        self._unseen = False

    def _full(self) -> None:
        if self._connecting:
            return  # some of them count twice until the next turn of the loop, when this is looked at again
        if not self._full_logged:
            self._full_logged = True
            self._state.observers.log_warning("all %d worker_connections are in use; new connections wait", self._limit)
        self.pause()
        if not self._making_room:
            self._making_room = True
            self._loop.call_later(_ROOM_SECONDS, self._make_room)

    def _make_room(self) -> None:
        """End connections that do nothing, or too little, if somebody still waits."""
        self._making_room = False
        if self._accepting or self._stopped or self.open < self._limit:
            return
        if self._somebody_waits():
            self._end_some()
        self._making_room = True
        self._loop.call_later(_ROOM_SECONDS, self._make_room)

    def _end_some(self) -> None:
        most = min(_MOST_ENDED, 1 + self.open // 8)
        self._state.make_room(most, _LIMITS)
        if self._tls is not None:
            self._tls.make_room(most, _LIMITS.idle, _LIMITS.head)

    def _somebody_waits(self) -> bool:
        coming = select.poll()
        for sock in self._listening:
            coming.register(sock, select.POLLIN)
        return bool(coming.poll(0))

    def _connection_closed(self) -> None:
        if not self._accepting and self.open < self._limit:
            self.start()
