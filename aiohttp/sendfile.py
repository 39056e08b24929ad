"""Files that the kernel sends by itself, while the loop goes on reading what the server has to say."""

from __future__ import annotations

import asyncio
import os
from typing import IO, Any, Final

from .connection import ClientConnection
from .upload import FileBody

__all__ = ["SocketBrokenError", "send_file"]

_STEP: Final = 1 << 20
_LEAST: Final = 65536


class SocketBrokenError(Exception):
    """The connection broke while the kernel was sending; its transport will hear of that when it reads."""


async def send_file(connection: ClientConnection, body: FileBody, length: int) -> bool:
    """Let the kernel send a file, where it can; False if nothing was sent that way.

    Not by ``loop.sendfile``: asyncio's reads nothing meanwhile, so that a server which refuses the body and waits is not heard,
    and uvloop has none.
    """
    file = body.kernel_file()
    transport = connection.transport
    if file is None or body.content_coding or length < _LEAST or transport.get_extra_info("sslcontext") is not None:
        return False
    transport.set_write_buffer_limits(high=0)
    try:
        await connection.drain()  # nothing of the head is left in the transport
        # A descriptor of its own, because loops let nobody watch that of a transport.
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        try:
            return await _send(connection, body, file, length, descriptor)
        finally:
            os.close(descriptor)
    finally:
        transport.set_write_buffer_limits()


async def _send(connection: ClientConnection, body: FileBody, file: IO[bytes], length: int, descriptor: int) -> bool:
    sent = 0
    while sent < length:
        step = min(_STEP, length - sent)
        if sent + step == length:
            body.check_size(sent)
        try:
            done = os.sendfile(descriptor, file.fileno(), body.start + sent, step)
        except BlockingIOError:
            await _writable(descriptor)
            continue
        except ConnectionError as error:
            raise SocketBrokenError from error
        except OSError:  # not every file system can
            if sent:
                raise
            return False
        if not done:
            raise body.changed(sent)
        sent += done
        if sent < length:
            await connection.drain()
    file.seek(body.start + sent)  # where reading it would have left it
    return True


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[Any] = loop.create_future()
    loop.add_writer(descriptor, _wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_writer(descriptor)


def _wake(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)
