"""``request()``: everything between the user's arguments and the response."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

from .body import make_body
from .charset import check_charset
from .connector import SocketConnector
from .content import StreamReader
from .coroutines import Call
from .protocol import Connection
from .request import Request, check_method, check_version
from .response import ClientResponse
from .url import add_params, split

__all__ = ["RequestCall", "request"]


class RequestCall(Call[ClientResponse]):
    """What ``request()`` returns: a call that also serves ``async with``."""

    __slots__ = ("_response",)

    async def __aenter__(self) -> ClientResponse:
        self._response = await self._coroutine
        return self._response

    async def __aexit__(self, *error: Any) -> None:
        self._response.release()


def request(method: str, url: Any, *, params: Any = None, data: Any = None, headers: Any = None,
            connector: SocketConnector | None = None, encoding: str = "utf-8", version: Any = (1, 1)) -> RequestCall:
    """Send a request; the result is the response, once its head has arrived."""
    return RequestCall(_request(method, url, params, data, headers, connector, encoding, version))


async def _request(method: str, url: Any, params: Any, data: Any, headers: Any, connector: SocketConnector | None,
                   encoding: str, version: Any) -> ClientResponse:
    target = split(url if isinstance(url, str) else str(url))
    if params:
        target = add_params(target, params)
    request = Request(check_method(method), target, check_version(version))
    if headers is not None:
        request.set_headers(headers)
    if data is not None:
        check_charset(encoding)
        request.set_body(make_body(data, encoding), False)
    loop = asyncio.get_running_loop()
    own = connector is None
    if connector is None:
        connector = SocketConnector(limit=1, reuse_timeout=None)
    connector.bind(loop)
    connection = await connector.acquire(target.origin)
    content = StreamReader(loop, connection, None, connector.max_body_size)
    future = connection.begin(request.method, f"{request.method} {target.text}", content)
    try:
        head_bytes = request.head(target.path, own)
        if request.body is None:
            connection.transport.write(head_bytes)
            connection.request_written()
        else:
            connection.transport.write(head_bytes)
            async for piece in request.body.pieces():
                if request.chunked:
                    connection.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                else:
                    connection.transport.write(piece)
                await connection.drain()
            if request.chunked:
                connection.transport.write(b"0\r\n\r\n")
            connection.request_written()
        head = await future
    except BaseException:
        if not content.complete():
            connection.release()
        raise
    trace = traceback.extract_stack() if loop.get_debug() else None
    return ClientResponse(request.method, target, head, content, connection, loop, (), trace)
