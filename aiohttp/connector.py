"""Connectors: they open connections, keep them for the next request, and share cookies between requests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, Self

from aiohttp_worker.http1.response_reader import ResponseHead, ResponseLimits

from .content import StreamReader
from .errors import OsConnectionError, TimeoutError
from .pool import Pool
from .protocol import Connection
from .resolver import Resolver
from .url import Origin

__all__ = ["SocketConnector", "UnixSocketConnector"]


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


class SocketConnector:
    """Opens TCP connections and keeps them for further requests.

    It is the session: requests that are given the same connector share its connections and, with ``share_cookies``, its
    cookies. It may be made without a running loop. Close it, or use it in a ``with`` or ``async with`` statement.

    :param reuse_timeout: seconds that a connection may wait for its next request.
    :param conn_timeout: seconds that opening a connection may take, TLS and proxy included; None for no limit.
    :param share_cookies: keep the cookies that servers set and send them where they belong.
    :param limit: connections at a time, 0 for no limit. Requests beyond it wait in the order in which they came.
    :param limit_per_host: the same for each scheme, host and port.
    :param verify_ssl: False accepts any certificate.
    :param ssl_context: TLS settings, for client certificates or a private authority.
    :param resolve: True keeps the addresses of a name until ``clear_resolved_hosts()``, not for ten seconds.
    :param family: ``socket.AF_INET`` or ``AF_INET6`` to use no other kind of address.
    :param retry: repeat a request once on a new connection if a kept one turns out to be dead before any byte of an answer,
        and the request is idempotent or nothing of it was sent.
    :param max_body_size: bytes, after decompression, that a response may have.
    :param max_head_size: bytes that the head of a response may have.
    :param auto_decompress: False leaves bodies as the server sent them.
    """

    _plain_only = False

    def __init__(
        self,
        *,
        reuse_timeout: float | None = 30,
        conn_timeout: float | None = 30,
        share_cookies: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        limit: int = 100,
        limit_per_host: int = 0,
        verify_ssl: bool = True,
        ssl_context: ssl.SSLContext | None = None,
        resolve: bool = False,
        family: int = 0,
        retry: bool = True,
        max_body_size: int | None = None,
        max_head_size: int = 65536,
        auto_decompress: bool = True,
    ) -> None:
        if limit < 0 or limit_per_host < 0:
            raise ValueError(f"a limit cannot be negative: {min(limit, limit_per_host)}")
        self._loop = loop
        self._pool: Pool[Connection] = Pool(limit, limit_per_host)
        self._connections: set[Connection] = set()
        self._reuse_timeout = reuse_timeout
        self.conn_timeout = conn_timeout
        self._verify_ssl = verify_ssl
        self._ssl_context = ssl_context
        self._resolver = Resolver(family, float("inf") if resolve else 10.0)
        self.retry = retry
        self.max_body_size = max_body_size
        self._limits = ResponseLimits(max_head_size, max_head_size)
        self.auto_decompress = auto_decompress
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    # -- the client's side --------------------------------------------------------------------------------------------

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to this loop from now on. Raises RuntimeError if that is another, living one."""
        if self._closed:
            raise RuntimeError("the connector is closed")
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed() and self._connections:
                raise RuntimeError("the connector belongs to another event loop")
            self._loop = loop
            self._connections.clear()
            self._pool = Pool(self._pool.limit, self._pool.limit_per_host)
            self._sweep = None

    async def acquire(self, origin: Origin) -> Connection:
        """A connection to the origin, with the slot that goes with it; the end of the exchange gives both back."""
        pool = self._pool
        key: Hashable = origin
        if not pool.try_acquire(key):
            await pool.acquire(key)
        try:
            connection = pool.take_idle(key)
            if connection is not None:
                return connection
            if pool.crowded() and (oldest := pool.pop_oldest()) is not None:
                oldest.close()
            if self._closed:
                raise RuntimeError("the connector is closed")
            return await self._open_in_time(origin, key)
        except BaseException:
            pool.release_slot(key)
            raise

    async def _open_in_time(self, origin: Origin, key: Hashable) -> Connection:
        if self.conn_timeout is None:
            return await self._open(origin, key)
        try:
            async with asyncio.timeout(self.conn_timeout) as deadline:
                return await self._open(origin, key)
        except TimeoutError:
            if deadline.expired():
                raise TimeoutError(f"{origin}: no connection within {self.conn_timeout} s") from None
            raise

    async def _open(self, origin: Origin, key: Hashable) -> Connection:
        from aiohappyeyeballs import start_connection

        loop = asyncio.get_running_loop()
        context = self.ssl_context() if origin.scheme == "https" else None
        try:
            addresses = await self._resolver.resolve(origin.host, origin.port)
            sock = await start_connection(addresses, happy_eyeballs_delay=0.25, interleave=1, loop=loop)  # type: ignore[arg-type]
            try:
                _, connection = await loop.create_connection(
                    lambda: self._new_connection(key, loop),
                    sock=sock,
                    ssl=context,
                    server_hostname=origin.host if context is not None else None,
                )
            except BaseException:
                sock.close()
                raise
        except TimeoutError:
            raise
        except OSError as error:
            raise OsConnectionError(error.errno, f"{origin}: cannot connect: {error.strerror or error}") from error
        return connection

    def _new_connection(self, key: Hashable, loop: asyncio.AbstractEventLoop) -> Connection:
        connection = Connection(self, key, loop, self._limits)
        self._connections.add(connection)
        return connection

    def ssl_context(self) -> ssl.SSLContext:
        """The settings for TLS; the default ones are made once per process."""
        if self._ssl_context is not None:
            return self._ssl_context
        return _verifying_context() if self._verify_ssl else _trusting_context()

    # -- the connection's side ----------------------------------------------------------------------------------------

    def prepare_content(self, head: ResponseHead, content: StreamReader) -> None:
        """Undo the content codings that we know (RFC 9110 section 8.4)."""

    def give_back(self, connection: Connection) -> None:
        """An exchange is over and the connection can carry another one."""
        pool = self._pool
        if self._closed or self._reuse_timeout is None or self._reuse_timeout <= 0:
            connection.close()
        else:
            loop = self._loop
            assert loop is not None
            connection.idle_since = loop.time()
            surplus = pool.add_idle(connection)
            if surplus is not None:
                surplus.close()
            if self._sweep is None:
                self._sweep = loop.call_later(self._reuse_timeout, self._close_old)
        pool.release_slot(connection.key)

    def give_up(self, connection: Connection) -> None:
        """An exchange is over and so is the connection."""
        self._pool.release_slot(connection.key)

    def forget(self, connection: Connection) -> None:
        """An idle connection ended."""
        self._pool.discard_idle(connection)

    def gone(self, connection: Connection) -> None:
        """The transport of a connection has let go of its socket."""
        self._connections.discard(connection)

    def _close_old(self) -> None:
        self._sweep = None
        loop, pool = self._loop, self._pool
        if loop is None or self._reuse_timeout is None:
            return
        limit = loop.time() - self._reuse_timeout
        while (oldest := pool.oldest()) is not None:
            if oldest.idle_since > limit:
                self._sweep = loop.call_at(oldest.idle_since + self._reuse_timeout, self._close_old)
                return
            pool.discard_idle(oldest)
            oldest.close()

    # -- the user's side ----------------------------------------------------------------------------------------------

    def clear_resolved_hosts(self, host: str | None = None, port: int | None = None) -> None:
        """Forget the addresses of one host, or of all."""
        self._resolver.clear(host, port)

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._closed

    def close(self) -> None:
        """Close all connections, also those in use."""
        if self._closed:
            return
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self._loop is None or self._loop.is_closed():
            return
        while (oldest := self._pool.pop_oldest()) is not None:
            oldest.close()
        for connection in list(self._connections):
            connection.release()

    async def _wait_closed(self) -> None:
        for connection in list(self._connections):
            await connection.wait_closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.close()
        await self._wait_closed()


class UnixSocketConnector(SocketConnector):
    """Opens connections to one Unix socket, whatever the host in the URL; ``path`` is that of the socket."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(**options)
        self.path = path

    async def _open(self, origin: Origin, key: Hashable) -> Connection:
        loop = asyncio.get_running_loop()
        context = self.ssl_context() if origin.scheme == "https" else None
        try:
            _, connection = await loop.create_unix_connection(
                lambda: self._new_connection(key, loop),
                self.path,
                ssl=context,
                server_hostname=origin.host if context is not None else None,
            )
        except TimeoutError:
            raise
        except OSError as error:
            raise OsConnectionError(error.errno, f"{self.path}: cannot connect: {error.strerror or error}") from error
        return connection
