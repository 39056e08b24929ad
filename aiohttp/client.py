"""``request()``: everything between the user's arguments and the response."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Sized
from dataclasses import dataclass
from typing import Any, Final

from .body import Body, BytesBody
from .charset import check_charset
from .connection import ClientConnection
from .connector import SocketConnector
from .coroutines import Call
from .credentials import authorization, basic, netrc_auth
from .errors import ClientConnectionError, IncompleteRead, RedirectError, TimeoutError, UnrepeatableBodyError
from .incoming import Incoming, check_body_size
from .proxies import ProxyServer, make_proxy
from .request import IDEMPOTENT, REDIRECTS, Request, check_method, check_redirects, check_version, follow
from .response import ClientResponse
from .sending import buffer_body, send
from .upload import make_body
from .url import URL, add_params, split

__all__ = ["RequestCall", "Timeout", "request"]

CHUNK: Final = 8196
"""The size of chunks for ``chunked=True``, in bytes."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """Limits in seconds, None for no limit.

    ``total``: until ``request()`` returns, redirects and the wait for a connection included; the body of the response is not.
    ``connect``: to get a connection. ``read``: between two pieces of the response, the head included.
    ``exchange``: all of it, from the call to the last byte of the response's body.
    """

    total: float | None = None
    connect: float | None = None
    read: float | None = None
    exchange: float | None = None

    @property
    def call(self) -> float | None:
        """Time limit of ``request()`` in seconds."""
        if self.total is None or self.exchange is None:
            return self.exchange if self.total is None else self.total
        return min(self.total, self.exchange)

    def __post_init__(self) -> None:
        for seconds in (self.total, self.connect, self.read, self.exchange):
            if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0):
                raise ValueError(f"a timeout is a positive number of seconds, not {seconds!r}")


def make_timeout(value: Any) -> Timeout:
    """A Timeout from a number (total), (connect, read) or (connect, read, total). Raises ValueError for anything else."""
    if isinstance(value, Timeout):
        return value
    if isinstance(value, tuple | list):
        if len(value) == 2:
            return Timeout(connect=value[0], read=value[1])
        if len(value) == 3:
            return Timeout(connect=value[0], read=value[1], total=value[2])
    elif isinstance(value, int | float):
        return Timeout(total=value)
    raise ValueError(f"timeout is a number, (connect, read), (connect, read, total) or a Timeout, not {value!r}")


_NO_LIMITS: Final = Timeout()


class RequestCall(Call[ClientResponse]):
    """Result of ``request()``: a call that also serves ``async with``."""

    __slots__ = ("_response",)

    async def __aenter__(self) -> ClientResponse:
        self._response = await self._coroutine
        return self._response.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        await self._response.__aexit__(*error)


def request(
    method: str,
    url: Any,
    *,
    params: Any = None,
    data: Any = None,
    headers: Any = None,
    cookies: Any = None,
    files: Any = None,
    auth: Any = None,
    allow_redirects: bool = True,
    max_redirects: int | None = 10,
    encoding: str = "utf-8",
    version: Any = (1, 1),
    timeout: Any = None,
    compress: bool | str | None = None,
    chunked: bool | int | None = None,
    expect100: bool = False,
    connector: SocketConnector | None = None,
    read_until_eof: bool = True,
    loop: asyncio.AbstractEventLoop | None = None,
    json: Any = None,
    proxy: Any = None,
    proxy_auth: Any = None,
    max_body_size: int | None = None,
) -> RequestCall:
    """Send a request; the result is the response, once its head has arrived (RFC 9110, RFC 9112).

    Use it with ``await``, ``yield from`` or ``async with``.

    :param method: of any kind; sent in capitals.
    :param url: absolute, http or https; ``user:password@`` in it is used like ``auth``.
    :param params: appended to the query: mapping, pairs, str or bytes.
    :param data: the body: bytes; str (in ``encoding``); mapping or pairs (a form); a file, generator, async iterator, stream or
        awaitable.
    :param headers: mapping or pairs; the value None leaves a default one out.
    :param cookies: mapping or pairs; values are sent as they are.
    :param files: sent as multipart/form-data, the fields of ``data`` first: mapping or list of file, (name, file),
        (name, file, type) or (name, (file name, file, type, headers)).
    :param auth: user and password, or a callable that gets method and URL and returns the value of the Authorization field.
    :param allow_redirects: follow 301, 302, 303, 307 and 308.
    :param max_redirects: the redirect of this number is returned as it is; 0 follows none, None has no limit.
    :param encoding: the charset of text in the body.
    :param version: (1, 1) or (1, 0).
    :param timeout: seconds until this returns, the body not included; or (connect, read), or a Timeout.
    :param compress: the body in a coding: True (deflate), ``"gzip"``, ``"br"`` or ``"zstd"``.
    :param chunked: send chunks: True, or their size in bytes.
    :param expect100: send the body when the server says 100 (Continue), or after a second.
    :param connector: where connections come from and go to; without it, one of its own for this request.
    :param read_until_eof: False takes a response without a length as one without a body.
    :param loop: the running loop, or None.
    :param json: the body, as JSON.
    :param proxy: the URL of a proxy; ``proxy_auth`` is user and password for it.
    :param max_body_size: bytes, after decompression, that the response's body may have.

    Raises ValueError or TypeError for arguments that cannot be sent, before anything is; ConnectionError, HttpException or
    TimeoutError for what happens then.
    """
    return RequestCall(
        _request(
            method, url, params, data, headers, cookies, files, auth, allow_redirects, max_redirects, encoding, version,
            timeout, compress, chunked, expect100, connector, read_until_eof, loop, json, proxy, proxy_auth, max_body_size,
        )
    )  # fmt: skip


async def _request(
    method: str, url: Any, params: Any, data: Any, headers: Any, cookies: Any, files: Any, auth: Any,
    allow_redirects: bool, max_redirects: int | None, encoding: str, version: Any, timeout: Any,
    compress: bool | str | None, chunked: bool | int | None, expect100: bool, connector: SocketConnector | None,
    read_until_eof: bool, loop: asyncio.AbstractEventLoop | None, json: Any, proxy: Any, proxy_auth: Any,
    max_body_size: int | None,
) -> ClientResponse:  # fmt: skip
    running = asyncio.get_running_loop()
    if loop is not None and loop is not running:
        raise ValueError("loop is not the running event loop")
    request = _make_request(method, url, params, headers, version)
    chunk_size = _set_body(request, data, files, json, encoding, compress, chunked)
    request.expect100 = request.expect100 or bool(expect100)
    if auth is not None:
        request.set_authorization(authorization(auth, request.method, request.url.text))
    if cookies:
        from .cookies import cookie_field, cookie_pairs

        request.cookie = cookie_field((), cookie_pairs(cookies), request.cookie)
    limits = make_timeout(timeout) if timeout is not None else _NO_LIMITS
    if max_body_size is not None:
        check_body_size(max_body_size)
    own = connector is None
    if connector is None:
        connector = SocketConnector(reuse_timeout=None)
    connector.bind(running)
    exchange = _Exchanges(
        connector, running, limits, own, chunk_size,
        make_proxy(proxy, proxy_auth) if proxy is not None else None,
        max_body_size if max_body_size is not None else connector.max_body_size,
        read_until_eof,
    )  # fmt: skip
    most = check_redirects(max_redirects) if allow_redirects else 0
    limit = limits.call
    if limit is None:
        return await exchange.run(request, most)
    started = running.time()
    try:
        async with asyncio.timeout_at(started + limit) as deadline:
            response = await exchange.run(request, most)
    except TimeoutError:
        if deadline.expired():
            raise TimeoutError(f"{request.method} {request.url.text}: no response within {limit} s") from None
        raise
    if limits.exchange is not None:
        response.set_deadline(started + limits.exchange, limits.exchange)
    return response


def _make_request(method: str, url: Any, params: Any, headers: Any, version: Any) -> Request:
    target = split(url if type(url) is str else str(url))
    if params:
        target = add_params(target, params)
    request = Request(check_method(method), target, (1, 1) if version == (1, 1) else check_version(version))
    if headers is not None:
        request.set_headers(headers)
    return request


def _choose_body(data: Any, files: Any, json: Any, encoding: str) -> Body | None:
    """Return the body of a request, None if it has none.

    :raises ValueError: two bodies, or one that cannot be sent.
    """
    if isinstance(files, Sized) and not isinstance(files, str | bytes) and not hasattr(files, "read") and not len(files):
        files = None  # a form without files
    check_charset(encoding)
    if json is not None:
        if data is not None or files is not None:
            raise ValueError("json cannot be given together with data or files")
        from json import dumps

        try:
            return BytesBody(dumps(json, allow_nan=False).encode("utf-8"), "application/json")
        except ValueError as error:
            raise ValueError(f"json cannot be sent: {error}") from None
    if files is not None:
        from .multipart import make_multipart

        return make_multipart(data, files, encoding)
    return None if data is None else make_body(data, encoding)


def _set_body(
    request: Request, data: Any, files: Any, json: Any, encoding: str, compress: bool | str | None, chunked: bool | int | None
) -> int:
    """Give the request its body, if there is one; return the size of chunks if one was asked for."""
    framed = bool(chunked or compress or request.chunked or request.length is not None)
    if data is None and files is None and json is None and not framed:
        return 0
    body = _choose_body(data, files, json, encoding)
    if body is None:
        if not framed:
            return 0
        body = BytesBody(b"", None)
    elif compress and "content-encoding" not in request.names:
        from .compression import compress_body

        body = compress_body(body, compress)
    if chunked is not None and not isinstance(chunked, bool) and (not isinstance(chunked, int) or chunked < 0):
        raise ValueError(f"chunked is True or the size of a chunk in bytes, not {chunked!r}")
    request.set_body(body, bool(chunked))
    return CHUNK if chunked is True else chunked or 0


class _Exchanges:
    """The exchanges that one call of ``request()`` makes: usually one, more with redirects, a retry or a refused expectation."""

    __slots__ = (
        "_chunk_size", "_connector", "_jar", "_limits", "_loop", "_max_body_size", "_own", "_proxy", "_read_until_eof",
    )  # fmt: skip

    def __init__(
        self, connector: SocketConnector, loop: asyncio.AbstractEventLoop, limits: Timeout, own: bool, chunk_size: int,
        proxy: ProxyServer | None, max_body_size: int | None, read_until_eof: bool,
    ) -> None:  # fmt: skip
        self._connector = connector
        self._jar = connector.cookie_jar
        self._loop = loop
        self._limits = limits
        self._own = own
        self._chunk_size = chunk_size
        self._proxy = proxy
        self._max_body_size = max_body_size
        self._read_until_eof = read_until_eof

    async def run(self, request: Request, most: int | None) -> ClientResponse:
        """Send the request and follow redirects up to the one of the number ``most``, None for any number."""
        history: tuple[ClientResponse, ...] = ()
        while True:
            response = await self._send(request, history)
            status = response.status
            if (
                status not in REDIRECTS
                or (most is not None and len(history) + 1 >= most)
                or response.headers.get("location") is None
            ):
                return response
            try:
                redirected = self._redirected(request, response)
            except BaseException:
                response.close()
                raise
            response.release()
            history = (*history, response)
            request = redirected

    def _redirected(self, request: Request, response: ClientResponse) -> Request:
        url = request.url
        location = response.headers["location"]
        try:
            redirect = follow(response.status, request.method, url, location)
        except ValueError as error:
            raise RedirectError(
                f"{request.method} {url.text}: {response.status} leads nowhere: {error}", response, location
            ) from None
        if redirect.keep_body and not request.replayable:
            message = f"{request.method} {url.text}: redirected to {redirect.url.text}, but the body cannot be sent again"
            raise UnrepeatableBodyError(message, response, location)
        follower = request.redirected(redirect.method, redirect.url, redirect.keep_body, redirect.cross_origin)
        fields = response.headers.getall("set-cookie", ())
        if fields:
            self._keep_cookies(fields, url, follower)
        return follower

    def _keep_cookies(self, fields: Iterable[str], url: URL, follower: Request) -> None:
        """Cookies that a redirect sets go with the next request, in the place of the caller's of the same names."""
        from .cookies import CookieJar, without_cookies

        jar = self._jar
        if jar is None:
            jar = self._jar = CookieJar()
        changed = jar.receive(fields, url)
        if follower.cookie:
            sent = {name for name, _ in jar.pairs(follower.url)}
            follower.cookie = without_cookies(follower.cookie, {name for name, deleted in changed if deleted or name in sent})

    async def _send(self, request: Request, history: tuple[ClientResponse, ...]) -> ClientResponse:
        connector = self._connector
        url = request.url
        if request.version == (1, 0) and request.body is not None and request.length is None:
            request.body = await buffer_body(request.body)
            request.length = request.body.length
            request.chunked = False
        proxy = self._proxy_of(request)
        close = self._own or request.close_asked
        last = close or (request.version == (1, 0) and not request.keep_alive_asked)
        head_bytes = self._head(request, proxy, close)
        label = f"{request.method} {url.text}"
        careful = request.method not in IDEMPOTENT or not request.replayable
        fresh = False
        while True:
            connection = await connector.acquire(url.origin, proxy, fresh, careful, self._limits.connect)
            content = Incoming(self._loop, connection, self._limits.read, self._max_body_size)
            waiter = connection.begin(request.method, label, content, last)
            reused = connection.used > 1
            try:
                send(connection, request, head_bytes, self._chunk_size)
                if self._limits.read is None:
                    head = await waiter
                else:
                    head = await self._wait_in_time(waiter, label, self._limits.read)
            except ClientConnectionError as error:
                await connection.writer_ended()
                if not self._may_retry(request, connection, reused, error):
                    raise
                fresh = True
                continue
            except BaseException:
                connection.abort_exchange(content)
                await connection.writer_ended()
                raise
            if head.status_code != 417 or not (request.expect100 and request.replayable):
                break
            connection.abort_exchange(content)
            request.expect100 = fresh = False
            head_bytes = self._head(request, proxy, close)
        if (
            not self._read_until_eof
            and head.content_length is None
            and not head.chunked
            and head.status_code != 101
            and not content.complete()
        ):
            content.end_without_body()
            connection.release()
        trace = traceback.format_stack()[:-2] if self._loop.get_debug() else None
        response = ClientResponse(request.method, url, head, content, connection, self._loop, history, trace)
        if connector.cookie_jar is not None:
            connector.cookie_jar.receive(response.headers.getall("set-cookie", ()), url)
        return response

    def _proxy_of(self, request: Request) -> ProxyServer | None:
        """Return the proxy that the request goes through, with the credentials that the request brings for it."""
        connector = self._connector
        proxy = self._proxy or (connector.proxy_for(request.url.origin) if connector.proxy or connector.trust_env else None)
        if not request.proxy_authorization:
            return proxy
        if proxy is None or proxy.socks:
            raise ValueError("a Proxy-Authorization field is for an HTTP proxy, and this request goes through none")
        return proxy._replace(authorization=request.proxy_authorization)

    def _head(self, request: Request, proxy: ProxyServer | None, close: bool) -> bytes:
        """Encode the head of the request, with what connector and proxy add to it."""
        url = request.url
        target = url.path
        extra = self._authorization(request, url)
        if proxy is not None and url.origin.scheme == "http" and not proxy.socks:
            target = url.absolute_form
            if proxy.authorization:
                extra = f"Proxy-Authorization: {proxy.authorization}\r\n{extra}"
        cookie = request.cookie if self._jar is None else self._cookie(request, url)
        return request.head(target, close, extra, cookie)

    async def _wait_in_time(self, waiter: asyncio.Future[Any], label: str, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds) as deadline:
                return await waiter
        except TimeoutError:
            if deadline.expired():
                raise TimeoutError(f"{label}: no answer within {seconds} s") from None
            raise

    def _may_retry(self, request: Request, connection: ClientConnection, reused: bool, error: ClientConnectionError) -> bool:
        """True if a kept connection turned out to be dead and the request can go out again (RFC 9110 section 9.2.2)."""
        return (
            reused
            and not connection.received
            and self._connector.retry
            and not isinstance(error, IncompleteRead)
            and request.replayable
            and request.method in IDEMPOTENT
        )

    def _authorization(self, request: Request, url: URL) -> str:
        """The field line for the user in the URL, or in the netrc file, if the request has no such field."""
        if "authorization" in request.names:
            return ""
        auth = url.auth
        if auth is None and self._connector.netrc:
            auth = netrc_auth(url.origin.tls_name)
        return f"Authorization: {basic(auth)}\r\n" if auth is not None else ""

    def _cookie(self, request: Request, url: URL) -> str:
        from .cookies import cookie_field

        shared = self._jar.pairs(url) if self._jar is not None else ()
        return cookie_field(shared, (), request.cookie)
