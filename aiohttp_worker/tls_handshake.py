"""The TLS handshake of an accepted connection, and the word to those who speak plain HTTP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from .tls_records import RecordLayer
from .tls_transport import TLSTransport

_RECEIVED: Final = 16 * 1024  # in one system call during the handshake
_MOST_RECEIVED: Final = 256 * 1024  # and after it
_MOST_DISCARDED: Final = 1024 * 1024
_TEXT: Final = b"400 Bad Request: this port speaks HTTPS, and the request came without TLS\n"
_HEAD: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
_REFUSAL: Final = _HEAD % len(_TEXT) + _TEXT


class TLSAcceptor:
    """Makes connections with TLS out of accepted sockets.

    :param handshake_seconds: for all of a handshake.
    :param linger_seconds: for a client to end the connection after we did.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext, handshake_seconds: float, linger_seconds: float
    ) -> None:
        self._loop = loop
        self._context = context
        self._handshake_seconds = handshake_seconds
        self._linger_seconds = linger_seconds
        self._buffer = memoryview(bytearray(_MOST_RECEIVED))
        # glibc gives the heap's end back to the kernel, and asks for it anew, with every
        # 128 KB, until a larger block has been freed (mallopt(3)): a third of an upload's time.
        bytes(4 * _MOST_RECEIVED)

    async def accept(self, sock: socket.socket, make_protocol: Callable[[], Any]) -> TLSTransport:
        """Shake hands on *sock*, and connect it with a new protocol.

        Others are served meanwhile. Who speaks plain HTTP is told so, in plain HTTP.

        :param sock: non-blocking; closed here when it comes to nothing.
        :param make_protocol: called when the handshake has succeeded.
        :raises TimeoutError: the handshake took too long.
        :raises ssl.SSLError: the handshake failed.
        :raises OSError: the client left, or spoke without TLS.
        """
        loop = self._loop
        incoming = ssl.MemoryBIO()
        outgoing = ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_side=True)
        try:
            async with asyncio.timeout(self._handshake_seconds):
                received = await loop.sock_recv(sock, _RECEIVED)
                # A record of a handshake begins with 22, a method with a letter.
                if received[:1].isalpha():
                    await _refuse_plain(loop, sock)
                while True:
                    if not received:
                        raise ConnectionResetError("the client left in the handshake")
                    incoming.write(received)
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        await loop.sock_sendall(sock, outgoing.read())
                    except ssl.SSLError:
                        await loop.sock_sendall(sock, outgoing.read())  # an alert says why
                        raise
                    received = await loop.sock_recv(sock, _RECEIVED)
                await loop.sock_sendall(sock, outgoing.read())
            records = RecordLayer(tls, incoming, outgoing)
            return TLSTransport(loop, sock, records, make_protocol(), self._buffer, self._linger_seconds)
        except BaseException:
            sock.close()
            raise


async def _refuse_plain(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Answer plain HTTP with a word about TLS.

    :raises ConnectionAbortedError: always, for the log.
    """
    await loop.sock_sendall(sock, _REFUSAL)
    sock.shutdown(socket.SHUT_WR)
    # What is left unread when a socket is closed would reset the connection
    # before the answer is read.
    discarded = 0
    while discarded < _MOST_DISCARDED and (received := await loop.sock_recv(sock, _RECEIVED)):
        discarded += len(received)
    raise ConnectionAbortedError("plain HTTP on a port that speaks HTTPS")
