"""Result of PEP 3333's ``write()``: an awaitable, until the client has read enough.

Not compiled: mypyc's coroutines keep the exception that they handled last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from aiohttp_worker.transport.write_queue import WriteQueue

from .channels import InlineChannel, TaskChannel, ThreadChannel


class Written:
    """Result of ``write()``: can be awaited or delegated to, until the client has read enough.

    :param channel: by which the data was sent.
    :param write_queue: where it waits for the client.
    """

    __slots__ = ("_channel", "_write_queue")

    gives_no_piece = True

    def __init__(self, channel: InlineChannel | ThreadChannel | TaskChannel, write_queue: WriteQueue) -> None:
        self._channel = channel
        self._write_queue = write_queue

    def __iter__(self) -> Generator[Any, Any, None]:
        if isinstance(self._channel, TaskChannel):
            return self.__await__()
        return self._wait()

    def _wait(self) -> Generator[Any, Any, None]:
        """Yield to whoever steps the generator that delegates to this, where the loop is hidden."""
        if self._write_queue.must_wait:
            yield self

    def __await__(self) -> Generator[Any, Any, None]:
        return self._drain().__await__()

    async def _drain(self) -> None:
        channel = self._channel
        if self._write_queue.paused:
            await self._write_queue.drained()
        elif isinstance(channel, TaskChannel) and channel.turn_is_over():
            await asyncio.sleep(0)
        if isinstance(channel, TaskChannel):
            channel.turn_begins()
