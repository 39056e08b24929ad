"""Opening of connections: to an address, through proxies, with TLS, to a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from functools import lru_cache

from .connection import ClientConnection, State
from .errors import ClientConnectionError, ConnectionError, OsConnectionError, ProxyConnectionError
from .header_text import decode_field, printable
from .incoming import Incoming
from .proxies import ProxyServer, open_socks
from .resolver import Resolver
from .url import Origin

__all__ = ["Dialler"]


@lru_cache(maxsize=1)
def _verifying_context() -> ssl.SSLContext:
    # Reading the system's certificates takes longer than a hundred requests: once per process.
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


@lru_cache(maxsize=1)
def _trusting_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


@contextlib.contextmanager
def _naming(kind: type[OsConnectionError], what: object) -> Iterator[None]:
    """Turn errors of the system's into ours, which say who could not be reached."""
    try:
        yield
    except ConnectionError:
        raise
    except OSError as error:
        if isinstance(error, TimeoutError) and error.errno is None:
            raise  # a deadline of ours, not the system's
        refusal = kind(f"{what}: cannot connect: {error.strerror or error}")
        refusal.errno = error.errno
        raise refusal from error


class Dialler:
    """Gives connections their transports."""

    def __init__(self, resolver: Resolver, verify_ssl: bool, ssl_context: ssl.SSLContext | None) -> None:
        self._resolver = resolver
        self._verify_ssl = verify_ssl
        self._ssl_context = ssl_context
        self.unix_path: str | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """The settings for TLS; the default ones are made once per process."""
        if self._ssl_context is not None:
            return self._ssl_context
        return _verifying_context() if self._verify_ssl else _trusting_context()

    async def dial(self, connection: ClientConnection, origin: Origin, proxy: ProxyServer | None) -> None:
        """Connect. Raises OsConnectionError, ProxyConnectionError, or ValueError for what cannot go together."""
        loop = asyncio.get_running_loop()
        try:
            if self.unix_path is not None:
                if proxy is not None:
                    raise ValueError(f"a Unix socket cannot be reached through the proxy {proxy}")
                await self._dial_unix(connection, self.unix_path, origin, loop)
            elif proxy is None:
                await self._dial_origin(connection, origin, loop, OsConnectionError)
            elif proxy.socks:
                await self._attach(connection, await open_socks(proxy, origin, loop), origin, loop, OsConnectionError)
            else:
                await self._dial_origin(connection, proxy.origin, loop, ProxyConnectionError)
                if origin.scheme == "https":
                    await self._tunnel(connection, origin, proxy, loop)
        except BaseException:
            connection.close()  # it may have a transport already
            raise

    def _tls(self, origin: Origin) -> ssl.SSLContext | None:
        return self.ssl_context() if origin.scheme == "https" else None

    async def _dial_unix(self, connection: ClientConnection, path: str, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        context = self._tls(origin)
        name = origin.tls_name if context is not None else None
        with _naming(OsConnectionError, path):
            await loop.create_unix_connection(lambda: connection, path, ssl=context, server_hostname=name)

    async def _dial_origin(
        self, connection: ClientConnection, origin: Origin, loop: asyncio.AbstractEventLoop, refusal: type[OsConnectionError]
    ) -> None:
        """A TCP connection, and TLS on it where the scheme asks for it."""
        context = self._tls(origin)
        with _naming(refusal, origin):
            addresses = self._resolver.literal(origin.host, origin.port)
            if addresses is not None and "%" not in origin.host:
                name = origin.tls_name if context is not None else None
                await loop.create_connection(lambda: connection, origin.host, origin.port, ssl=context, server_hostname=name)
                return
            if addresses is None:
                addresses = await self._resolver.resolve(origin.host, origin.port)
            from aiohappyeyeballs import start_connection

            # uvloop has no happy eyeballs of its own, and what we hold are addresses.
            sock = await start_connection(addresses, happy_eyeballs_delay=0.25, interleave=1, loop=loop)
        await self._attach(connection, sock, origin, loop, refusal)

    async def _attach(
        self,
        connection: ClientConnection,
        sock: socket.socket,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        refusal: type[OsConnectionError],
    ) -> None:
        """Use a socket that is connected already."""
        context = self._tls(origin)
        name = origin.tls_name if context is not None else None
        try:
            with _naming(refusal, origin):
                await loop.create_connection(lambda: connection, sock=sock, ssl=context, server_hostname=name)
        except BaseException:
            sock.close()
            raise

    async def _tunnel(
        self, connection: ClientConnection, origin: Origin, proxy: ProxyServer, loop: asyncio.AbstractEventLoop
    ) -> None:
        """CONNECT, and TLS with the server behind the proxy (RFC 9110 section 9.3.6)."""
        host = f"[{origin.address}]" if ":" in origin.host else origin.host
        authority = f"{host}:{origin.port}"
        label = f"CONNECT {authority} through the proxy {proxy}"
        waiter = connection.begin("CONNECT", label, Incoming(loop, None, None, None))
        extra = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        connection.transport.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{extra}\r\n".encode())
        connection.request_written()
        try:
            head = await waiter
        except ClientConnectionError as error:
            raise ProxyConnectionError(str(error)) from error
        if not 200 <= head.status_code < 300:
            reason = printable(decode_field(head.reason))
            raise ProxyConnectionError(f"{label}: {head.status_code} {reason}".rstrip(), head.status_code)
        if connection.state is not State.IDLE:
            raise ProxyConnectionError(f"{label}: the proxy closed the connection or sent more than its answer", head.status_code)
        with _naming(OsConnectionError, origin):
            transport = await loop.start_tls(
                connection.transport, connection, self.ssl_context(), server_hostname=origin.tls_name
            )
        if transport is None:
            raise ClientConnectionError(f"{label}: the connection was closed")
        connection.transport = transport
        connection.used = 0
