"""Sending of a request on a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from .body import Body, BytesBody
from .connection import ClientConnection, State
from .errors import ClientConnectionError
from .request import Request
from .sendfile import SocketBrokenError, send_file
from .turns import Turns
from .upload import FileBody

__all__ = ["CONTINUE_SECONDS", "buffer_body", "send"]

CONTINUE_SECONDS: Final = 1.0
"""How long a body waits for 100 (Continue); RFC 9110 section 10.1.1 wants it sent without an answer then."""
_ONE_WRITE: Final = 65536
_DIRECT: Final = 1 << 21
"""Up to this size a body in memory is given to the transport as a whole; larger ones wait for the socket, piece by piece."""


async def buffer_body(body: Body) -> BytesBody:
    """The whole body in memory, for HTTP/1.0, which has no chunks."""
    turns = Turns()
    pieces = []
    async for piece in body.pieces():
        pieces.append(bytes(piece))
        if turns.over():
            await asyncio.sleep(0)
    buffered = BytesBody(b"".join(pieces), body.content_type)
    buffered.content_coding = body.content_coding
    return buffered


def send(connection: ClientConnection, request: Request, head: bytes, chunk_size: int) -> None:
    """Send head and body; a body that is not in memory, or waits for permission, is sent by a task of the connection's."""
    body = request.body
    transport = connection.transport
    if body is None:
        transport.write(head)
        connection.request_written()
        return
    if type(body) is BytesBody and not request.chunked and not request.expect100:
        length = body.length or 0
        if length <= _ONE_WRITE:
            transport.write(head + body.data if length else head)
            connection.request_written()
            return
        if length <= _DIRECT and connection.writable:
            transport.write(head)
            transport.write(body.data)
            connection.request_written()
            return
    transport.write(head)
    permission = connection.expect_continue() if request.expect100 else None
    loop = asyncio.get_running_loop()
    connection.attach_writer(loop.create_task(_send_body(connection, request, body, permission, chunk_size)))


async def _send_body(
    connection: ClientConnection, request: Request, body: Body, permission: asyncio.Future[bool] | None, chunk_size: int
) -> None:
    try:
        if permission is not None:
            await asyncio.wait((permission,), timeout=CONTINUE_SECONDS)
            if permission.done() and not permission.result():
                return  # the answer came without the body; the connection is not used again
        if request.chunked:
            await _send_chunks(connection, body, chunk_size)
        else:
            await _send_length(connection, body, request.length or 0)
    except asyncio.CancelledError:
        # Our own doing, or that of what the body waits for; then nobody else would tell the request.
        connection.body_failed(ClientConnectionError(f"{connection.label}: the body was cancelled while it was sent"))
        raise
    except SocketBrokenError:
        pass  # The server may have said why before it closed: what has been received comes first.
    except ConnectionError as error:
        # The same, unless it is the body's own: one that comes from another response, or from a socket.
        if connection.error is None and connection.state is not State.CLOSED and not connection.transport.is_closing():
            connection.body_failed(error)
    except Exception as error:
        connection.body_failed(error)
    else:
        connection.request_written()


async def _send_chunks(connection: ClientConnection, body: Body, chunk_size: int) -> None:
    write = connection.transport.write
    pieces = _cut(body.pieces(), chunk_size) if chunk_size else body.pieces()
    async for piece in pieces:
        if len(piece) > _ONE_WRITE:
            write(b"%x\r\n" % len(piece))
            write(piece)
            write(b"\r\n")
        elif piece:  # an empty chunk would be the last one
            write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await connection.drain()
    write(b"0\r\n\r\n")


async def _cut(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in pieces of exactly ``size``, the last one shorter."""
    rest = bytearray()
    async for piece in pieces:
        rest += piece
        start = 0
        while len(rest) - start >= size:
            yield bytes(rest[start : start + size])
            start += size
        del rest[:start]
    if rest:
        yield bytes(rest)


async def _send_length(connection: ClientConnection, body: Body, length: int) -> None:
    if isinstance(body, FileBody) and await send_file(connection, body, length):
        return
    sent = 0
    write = connection.transport.write
    async for piece in body.pieces():
        sent += len(piece)
        if sent > length:
            raise ValueError(f"the body is longer than its Content-Length of {length} bytes")
        write(piece)
        await connection.drain()
    if sent < length:
        raise ValueError(f"the body has {sent} bytes, but its Content-Length is {length}")
