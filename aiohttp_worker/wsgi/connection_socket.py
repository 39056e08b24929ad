"""``environ['gunicorn.socket']``: the connection of the request, to be asked, and to be taken for another protocol.

Before it is taken it has the methods of :class:`socket.socket` and :class:`ssl.SSLSocket` that read a property. The first
call that reads, writes or sets takes the connection: from then on a real socket is behind this object, which blocks, and no
HTTP is spoken any more. WebSocket libraries for threads work so (simple-websocket, flask-sock, python-engineio).
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Protocol

from .tls_environ import TLSConnection


class Transport(Protocol):
    """The methods of a transport of asyncio or uvloop that are used here."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact about the connection."""


class SocketOwner(Protocol):
    """The connection, as far as it hands over its socket."""

    def take_socket(self) -> socket.socket:
        """Hand over a blocking socket of the connection, once.

        :raises ClientDisconnectedError: the client has gone.
        :raises RuntimeError: the connection cannot be handed over.
        """

    def count_sent(self, size: int) -> None:
        """Count *size* bytes that the application has sent on the socket, for the access log."""

    def socket_closed(self) -> None:
        """End the connection: the application has closed the socket."""


class ConnectionSocket:
    """``environ['gunicorn.socket']`` of a connection without TLS.

    :param owner: hands over the socket; called in the thread of the application.
    """

    __slots__ = ("_owner", "_sock", "_transport")

    def __init__(self, transport: Transport, owner: SocketOwner) -> None:
        self._transport = transport
        self._owner = owner
        self._sock: socket.socket | None = None

    # What can be asked of any connection.

    def fileno(self) -> int:
        """Return the file descriptor, or -1 once the connection is closed."""
        sock = self._sock or self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def getpeername(self) -> Any:
        """Return the address of the peer, as :meth:`socket.socket.getpeername`.

        :raises OSError: the connection was closed before the address was read.
        """
        return self._address("peername")

    def getsockname(self) -> Any:
        """Return the local address, as :meth:`socket.socket.getsockname`.

        :raises OSError: the connection was closed before the address was read.
        """
        return self._address("sockname")

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """Return a socket option, as :meth:`socket.socket.getsockopt`.

        :raises OSError: the connection is closed, or has no such option.
        """
        sock = self._transport.get_extra_info("socket")
        if sock is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return sock.getsockopt(level, option, size) if size else sock.getsockopt(level, option)

    @property
    def family(self) -> Any:
        """Address family, as :attr:`socket.socket.family`."""
        sock = self._transport.get_extra_info("socket")
        return None if sock is None else sock.family

    def _address(self, kind: str) -> Any:
        address = self._transport.get_extra_info(kind)
        if address is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return address

    # What takes the connection. Each raises what SocketOwner.take_socket() does.

    def _take(self) -> socket.socket:
        sock = self._sock
        if sock is None:
            sock = self._sock = self._owner.take_socket()
        return sock

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive bytes, as :meth:`socket.socket.recv`."""
        return self._take().recv(size, flags)

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """Receive bytes into *buffer*, as :meth:`socket.socket.recv_into`."""
        return self._take().recv_into(buffer, size, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send bytes, all of them where the socket blocks, as :meth:`socket.socket.send`.

        :return: how many were sent.
        """
        sock = self._take()
        # Libraries do not look at what is returned: on a blocking socket it is all, unless a signal comes.
        sent = sock.send(data, flags)
        self._owner.count_sent(sent)
        return sent

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of *data*, as :meth:`socket.socket.sendall`."""
        self._take().sendall(data, flags)
        self._owner.count_sent(memoryview(data).nbytes)

    def settimeout(self, seconds: float | None) -> None:
        """Set the time limit of reading and writing, as :meth:`socket.socket.settimeout`."""
        self._take().settimeout(seconds)

    def gettimeout(self) -> float | None:
        """Return the time limit of reading and writing, ``None`` for a socket that blocks."""
        return None if self._sock is None else self._sock.gettimeout()

    def setblocking(self, blocks: bool) -> None:
        """Let reading and writing block, or not, as :meth:`socket.socket.setblocking`."""
        self._take().setblocking(blocks)

    def setsockopt(self, *arguments: Any) -> None:
        """Set a socket option, as :meth:`socket.socket.setsockopt`."""
        self._take().setsockopt(*arguments)

    def makefile(self, *arguments: Any, **options: Any) -> Any:
        """Return a file of the socket, as :meth:`socket.socket.makefile`."""
        return self._take().makefile(*arguments, **options)

    def shutdown(self, how: int) -> None:
        """End one side of the connection or both, as :meth:`socket.socket.shutdown`."""
        self._take().shutdown(how)

    def close(self) -> None:
        """Close a socket that was taken, and end the connection; nothing happens to one that was not taken, or is closed."""
        sock = self._sock
        if sock is not None and sock.fileno() >= 0:
            self._owner.socket_closed()


class TLSConnectionSocket(ConnectionSocket):
    """``environ['gunicorn.socket']`` of a connection with TLS.

    Only this class has ``getpeercert``, by which applications tell the two apart, as with the sockets of the standard
    library.
    """

    __slots__ = ("_ssl_object",)

    def __init__(self, transport: Transport, owner: SocketOwner, ssl_object: TLSConnection) -> None:
        super().__init__(transport, owner)
        self._ssl_object = ssl_object

    def getpeercert(self, binary_form: bool = False) -> Any:
        """Return the client's certificate, as :meth:`ssl.SSLSocket.getpeercert`."""
        return self._ssl_object.getpeercert(binary_form)

    def cipher(self) -> tuple[str, str, int] | None:
        """Return the cipher in use, as :meth:`ssl.SSLSocket.cipher`."""
        return self._ssl_object.cipher()

    def version(self) -> str | None:
        """Return the protocol version in use, as :meth:`ssl.SSLSocket.version`."""
        return self._ssl_object.version()

    def selected_alpn_protocol(self) -> str | None:
        """Return the protocol agreed on (RFC 7301): ``http/1.1`` or ``None``."""
        return self._ssl_object.selected_alpn_protocol()


def connection_socket(transport: Transport, owner: SocketOwner) -> ConnectionSocket:
    """Return the object for ``environ['gunicorn.socket']``, one per connection."""
    ssl_object = transport.get_extra_info("ssl_object")
    if ssl_object is None:
        return ConnectionSocket(transport, owner)
    return TLSConnectionSocket(transport, owner, ssl_object)
