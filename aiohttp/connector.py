"""Connectors: they open connections, keep them for the next request, and share cookies between requests."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp_worker.http1.response_reader import ResponseHead, ResponseLimits

from .connection import ClientConnection
from .connection_pool import ConnectionPool
from .dialling import Dialler
from .errors import ClientConnectionError, TimeoutError
from .incoming import Incoming, check_body_size
from .proxies import ProxyServer, environment_proxy, make_proxy
from .resolver import Resolver
from .url import Origin, split

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

    from .cookies import CookieJar

__all__ = ["ProxyConnector", "SocketConnector", "UnixSocketConnector"]


_BINDING: Final = threading.Lock()
UNSEEN_SECONDS: Final = 1.0
"""How long a connection may have been idle that is used again without looking whether its server has ended it."""
GOODBYE_SECONDS: Final = 2.0
"""How long the end of an ``async with`` block waits for servers to end their connections."""


def _closed() -> ClientConnectionError:
    return ClientConnectionError("the connector was closed before there was a connection for the request")


class SocketConnector:
    """Opens TCP connections and keeps them for further requests.

    It is the session: requests that are given the same connector share its connections and, with ``share_cookies``, its
    cookies. It may be made without a running loop, and belongs to the loop of its first request until that loop is closed:
    a request from another one, or from another thread, is refused. Close it, or use it in a ``with`` or ``async with`` statement.

    :param reuse_timeout: seconds that a connection may wait for its next request.
    :param conn_timeout: seconds that opening a connection may take, TLS and proxy included; None for no limit.
    :param share_cookies: keep the cookies that servers set and send them where they belong.
    :param limit: connections at a time, 0 for no limit. Requests beyond it wait in the order in which they came.
    :param limit_per_host: the same for each scheme, host and port.
    :param verify_ssl: False accepts any certificate.
    :param ssl_context: TLS settings, for client certificates or a private authority.
    :param resolve: True keeps the addresses of a name until ``clear_resolved_hosts()``, not for ten seconds.
    :param family: ``socket.AF_INET`` or ``AF_INET6`` to use no other kind of address.
    :param retry: repeat a request once, on a new connection, if a kept one ends before any byte of the answer; only those that
        are idempotent (GET, HEAD, PUT, DELETE, OPTIONS, TRACE) and whose body can be sent again.
    :param max_body_size: bytes, after decompression, that a response may have.
    :param max_head_size: bytes that the head of a response may have.
    :param auto_decompress: False leaves bodies as the server sent them.
    :param proxy: the URL of a proxy for all requests: http, https, socks4, socks4a, socks5 or socks5h.
    :param proxy_auth: user and password for it.
    :param trust_env: use the proxies of ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``.
    :param netrc: take user and password from ``$NETRC`` or ``~/.netrc`` where a request brings none.
    """

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
        proxy: Any = None,
        proxy_auth: Any = None,
        trust_env: bool = False,
        netrc: bool = False,
    ) -> None:
        if limit < 0 or limit_per_host < 0:
            raise ValueError(f"a limit cannot be negative: {min(limit, limit_per_host)}")
        check_body_size(max_body_size)
        self._loop = loop
        self._thread = 0
        self._opening: set[asyncio.Timeout] = set()
        self._pool: ConnectionPool[ClientConnection] = ConnectionPool(limit, limit_per_host)
        self._connections: set[ClientConnection] = set()
        self._reuse_timeout = reuse_timeout
        self.conn_timeout = conn_timeout
        self._resolver = Resolver(family, float("inf") if resolve else 10.0)
        self._dialler = Dialler(self._resolver, verify_ssl, ssl_context)
        self.retry = retry
        self.max_body_size = max_body_size
        self._limits = ResponseLimits(max_head_size)
        self.auto_decompress = auto_decompress
        self.proxy = make_proxy(proxy, proxy_auth) if proxy is not None else None
        self.trust_env = trust_env
        self.netrc = netrc
        self.cookie_jar: CookieJar | None = None
        if share_cookies:
            from .cookies import CookieJar

            self.cookie_jar = CookieJar()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    # -- the client's side --------------------------------------------------------------------------------------------

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to this loop from now on. Raises RuntimeError if there is another one that is not closed yet."""
        if self._closed:
            raise RuntimeError("the connector is closed")
        if self._loop is not loop or not self._thread:
            with _BINDING:
                self._bind(loop)

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("the connector belongs to another event loop, which is not closed: make one for each loop")
            self._loop = loop
            self._connections.clear()
            self._opening.clear()
            self._pool = ConnectionPool(self._pool.limit, self._pool.limit_per_host)
            self._sweep = None
        self._thread = threading.get_ident()

    def proxy_for(self, origin: Origin) -> ProxyServer | None:
        """The proxy for a request that names none itself."""
        if self.proxy is None and self.trust_env:
            return environment_proxy(origin)
        return self.proxy

    async def acquire(
        self, origin: Origin, proxy: ProxyServer | None, fresh: bool, careful: bool, seconds: float | None
    ) -> ClientConnection:
        """A connection for a request to the origin, with its slot; the end of the exchange gives both back.

        ``fresh`` asks for a new one, ``careful`` for one that is not known to have ended, however short it was idle. ``seconds``
        limits the opening where the connector's own limit is not shorter.
        """
        pool = self._pool
        loop = self._loop
        assert loop is not None
        key: Hashable = origin
        if proxy is not None:
            # One connection to an HTTP proxy carries plain requests to any host.
            key = proxy if origin.scheme == "http" and not proxy.socks else (origin, proxy)
        if not pool.try_acquire(key):
            await pool.acquire(key)
        try:
            if self._closed:
                raise _closed()
            while not fresh and (connection := pool.take_idle(key)) is not None:
                if not (careful or loop.time() - connection.idle_since > UNSEEN_SECONDS):
                    if not connection.transport.is_closing():
                        return connection
                elif not connection.ended():
                    return connection
                connection.close()
            if pool.crowded() and (oldest := pool.pop_oldest()) is not None:
                oldest.close()
            return await self._open_in_time(origin, proxy, key, seconds)
        except BaseException:
            pool.release_slot(key)
            raise

    async def _open_in_time(
        self, origin: Origin, proxy: ProxyServer | None, key: Hashable, seconds: float | None
    ) -> ClientConnection:
        limits = [limit for limit in (self.conn_timeout, seconds) if limit is not None]
        limit = min(limits, default=None)
        try:
            async with asyncio.timeout(limit) as deadline:
                self._opening.add(deadline)
                try:
                    return await self._open(origin, proxy, key)
                finally:
                    self._opening.discard(deadline)
        except TimeoutError:
            if not deadline.expired():
                raise
            if self._closed:
                raise _closed() from None
            raise TimeoutError(f"{origin}: no connection within {limit} s") from None

    async def _open(self, origin: Origin, proxy: ProxyServer | None, key: Hashable) -> ClientConnection:
        connection = ClientConnection(self, key, asyncio.get_running_loop(), self._limits)
        await self._dialler.dial(connection, origin, proxy)
        if self._closed:
            connection.close()
            raise _closed()
        self._connections.add(connection)
        return connection

    def ssl_context(self) -> ssl.SSLContext:
        """The settings for TLS; the default ones are made once per process."""
        return self._dialler.ssl_context()

    # -- the connection's side ----------------------------------------------------------------------------------------

    def prepare_content(self, head: ResponseHead, content: Incoming) -> None:
        """Undo the content codings that we know (RFC 9110 section 8.4)."""
        if self.auto_decompress:
            from .decompression import make_decoder

            decoder = make_decoder(head.content_codings.decode("latin-1"))
            if decoder is not None:
                content.set_decoder(decoder)

    def give_back(self, connection: ClientConnection) -> None:
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

    def give_up(self, connection: ClientConnection) -> None:
        """An exchange is over and so is the connection."""
        self._pool.release_slot(connection.key)

    def forget(self, connection: ClientConnection) -> None:
        """An idle connection ended."""
        self._pool.discard_idle(connection)

    def gone(self, connection: ClientConnection) -> None:
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
    def cookies(self) -> SimpleCookie:
        """The cookies that are kept, by name; empty without ``share_cookies``."""
        from http.cookies import SimpleCookie

        return self.cookie_jar.as_simple_cookie() if self.cookie_jar is not None else SimpleCookie()

    def update_cookies(self, cookies: Any, url: str | None = None) -> None:
        """Add cookies: for the host of ``url``, or without it for every request through this connector.

        Raises ValueError for names or values that cannot be sent.
        """
        if self.cookie_jar is None:
            from .cookies import CookieJar

            self.cookie_jar = CookieJar()
        self.cookie_jar.update(cookies, split(url) if url is not None else None)

    @property
    def closed(self) -> bool:
        """True if ``close()`` was called."""
        return self._closed

    def close(self) -> None:
        """Close all connections, also those in use; requests that wait for one get ClientConnectionError.

        Raises RuntimeError in another thread than the one where its loop runs.
        """
        if self._closed:
            return
        loop = self._loop
        if loop is not None and loop.is_running() and threading.get_ident() != self._thread:
            raise RuntimeError("the connector's loop runs in another thread: close it there, with loop.call_soon_threadsafe")
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if loop is None or loop.is_closed():
            return
        self._pool.refuse_waiters(_closed)
        for deadline in self._opening:
            if not deadline.expired():
                deadline.reschedule(loop.time())
        while (oldest := self._pool.pop_oldest()) is not None:
            oldest.close()
        for connection in list(self._connections):
            connection.release()

    async def _wait_closed(self) -> None:
        await asyncio.gather(*[connection.wait_closed(GOODBYE_SECONDS) for connection in self._connections])

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
        given: Any = path
        if not isinstance(given, str | bytes | os.PathLike) or not given:
            # None would connect over TCP.
            raise ValueError(f"path is that of a Unix socket, not {path!r}")
        super().__init__(**options)
        self.path = path
        self._dialler.unix_path = path


class ProxyConnector(SocketConnector):
    """Sends everything through one proxy: ``ProxyConnector("http://127.0.0.1:3128", proxy_auth=("user", "password"))``."""

    def __init__(self, proxy: Any, **options: Any) -> None:
        super().__init__(proxy=proxy, **options)
