"""Coroutines that run an asynchronous application, and send what it gives.

These are never compiled: what mypyc makes of a coroutine keeps the exception that
it handled last, and would chain one request's to the next.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Generator
from typing import Any, Final

from aiohttp_worker.wsgi.application import Piece, ResultKind, classify_result, is_awaitable, take_outcome, wrong_item
from aiohttp_worker.wsgi.async_body import Marker
from aiohttp_worker.wsgi.blocking_reader import BlockingReader
from aiohttp_worker.wsgi.body_collector import BodyCollector
from aiohttp_worker.wsgi.generators import Dialect, generator_dialect
from aiohttp_worker.wsgi.input import StreamReader
from aiohttp_worker.wsgi.input_file import let_delegate

from .answer import Answer

_NO_MORE: Final = object()


@types.coroutine
def drive(generator: types.GeneratorType[Any, Any, Any], pieces: Pieces) -> Generator[Any, Any, Any]:
    """Run a generator application in the task that awaits this.

    ``bytes`` that it yields are sent. A future that comes out of ``yield from``
    goes on to the task as it is, and its outcome back in; one that was yielded
    alone, and any other awaitable, is awaited, and :func:`take_outcome` says what
    becomes of its result. ``None`` is one turn of the loop.
    Whatever is raised here (a failed future, cancellation, a time-out) is raised
    in the generator, where it waits.

    :return: what the generator returned.
    """
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            if error is None:
                item = generator.send(value)
            else:
                raised, error = error, None
                item = generator.throw(raised)
        except StopIteration as stop:
            return stop.value
        value = None
        try:
            if isinstance(item, bytes):
                if not (yield from pieces.send(item).__await__()):
                    generator.close()
                    return None
            elif item is None:
                yield
                pieces.turn_begins()
            elif getattr(item, "_asyncio_future_blocking", False):
                value = yield item
                pieces.turn_begins()
            elif is_awaitable(item):
                value = yield from _outcome(generator, item, pieces).__await__()
                if value is _NO_MORE:
                    generator.close()
                    return None
            else:
                raise wrong_item(item)
        except GeneratorExit:
            generator.close()
            raise
        except BaseException as raised_here:
            error = raised_here


class Pieces:
    """Pieces of a generator's body on their way out, and the turns of the loop that it may take.

    :param exchange: of the request.
    """

    def __init__(self, exchange: Answer) -> None:
        self._exchange = exchange
        channel = exchange.task_channel
        assert channel is not None
        self.turn_begins = channel.turn_begins
        self.turn_is_over = channel.turn_is_over

    async def send(self, data: bytes) -> bool:
        """Send a piece; return False if no more can be sent."""
        return await _send(self._exchange, data)


async def prepare_input(exchange: Answer, generator: types.GeneratorType[Any, Any, Any]) -> None:
    """Give a generator that is driven on the loop an input that it can read there.

    That is a stream, where it reads that as it comes, and otherwise a file that it
    can also delegate to: of what was collected, or is to be.
    """
    environ = exchange.environ
    current = environ.get("wsgi.input")
    if isinstance(current, BlockingReader) and not current.ended:
        exchange.stream.awaitable_input(environ)
        stream = environ["wsgi.input"]
        if isinstance(stream, StreamReader) and generator_dialect(generator) is not Dialect.STREAMING:
            settings = exchange.state.settings
            collector = BodyCollector(settings.body_memory_size, settings.body_directory)
            try:
                while data := await stream.readany():
                    collector.feed(data)
                file = collector.finish()
            finally:
                collector.close()
            exchange.stream.keep_file(file)
            environ["wsgi.input"] = file
    let_delegate(environ, driven=True)


async def call_application(exchange: Answer) -> Any:
    """Call a coroutine or generator application, in the task that awaits this.

    :return: an iterable that is left to be stepped where the loop is hidden.
    """
    state = exchange.state
    try:
        if state.pre_request is not None:
            state.pre_request(exchange)
        result = state.application(exchange.environ, exchange)
        if type(result) is types.CoroutineType:
            # What comes of it as a rule is handled right here.
            result = await result
            if result is None and exchange.response.head_sent:
                exchange.finish_from_task()  # everything was written
                return None
        elif type(result) is types.GeneratorType and not is_awaitable(result):
            return await respond(exchange, result, True)
        if (type(result) is list or type(result) is tuple) and exchange.send_whole(result):
            return None
        return await respond(exchange, result)
    except (SystemExit, KeyboardInterrupt) as error:
        exchange.keep_exit(error)
        return None


async def guard(exchange: Answer, coroutine: Any) -> Any:
    """Keep from the task what would end the loop, and with it the worker."""
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        exchange.keep_exit(error)
        return None


async def respond(exchange: Answer, result: Any, drive_generator: bool = False) -> Any:
    """Await what is to be awaited of a result, and send what comes of it.

    :param drive_generator: whatever its own code says, if *result* is one.
    :return: an iterable that is left to be stepped where the loop is hidden.
    """
    while True:
        kind = classify_result(result, drive_generator)
        drive_generator = False
        if kind is ResultKind.AWAITABLE:
            result = await result
            if result is None and exchange.response.head_sent:
                exchange.finish_from_task()  # everything was written
                return None
        elif kind is ResultKind.GENERATOR:
            try:
                await prepare_input(exchange, result)
            except BaseException:
                result.close()
                raise
            result = await drive(result, Pieces(exchange))
            if result is None:
                exchange.finish_from_task()
                return None
        elif kind is ResultKind.ASYNC_ITERABLE:
            exchange.iterable = result
            await _send_all(exchange, result)
            exchange.finish_from_task()
            return None
        elif kind is ResultKind.WHOLE and exchange.send_whole(result):
            return None
        else:
            return result


async def send_awaited(exchange: Answer, awaited: Any, iterator: Any) -> Any:
    """Send the piece, or the body, that an item of an iterable stands for.

    :param iterator: that gave the item.
    :return: what is to be sent into it, if it is a generator.
    """
    if not is_awaitable(awaited):
        await _send_all(exchange, awaited)
        return None
    if getattr(awaited, "_asyncio_future_blocking", False):
        awaited._asyncio_future_blocking = False  # it came out of `yield from`
    data = await awaited
    if getattr(awaited, "gives_no_piece", False):
        return None
    if isinstance(iterator, types.GeneratorType):
        data = take_outcome(iterator, data)
        if not isinstance(data, Piece):
            return data
        data = data.data
    if not isinstance(data, bytes):
        raise wrong_item(data)
    await _send(exchange, data)
    return None


async def _send_all(exchange: Answer, iterable: Any) -> None:
    # Not aiter(): a proxy around Django's response has the method, and its type has not.
    iterator = iterable.__aiter__()
    wrong: TypeError | None = None
    try:
        async for item in iterator:
            data = await item if is_awaitable(item) else item
            if not isinstance(data, bytes):
                wrong = wrong_item(data)
                break
            if not await _send(exchange, data):
                break
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
    if wrong is not None:
        raise wrong


async def _send(exchange: Answer, data: bytes) -> bool:
    """Send a piece, and let the client and others have their turn.

    :return: whether more of the body can be sent.
    """
    if isinstance(data, Marker):
        if exchange.claim(data):
            await _send_all(exchange, data.stream)
    elif exchange.send_piece(data):
        write_queue = exchange.stream.write_queue
        if write_queue.paused:
            await write_queue.drained()
        else:
            await asyncio.sleep(0)
        if exchange.task_channel is not None:
            exchange.task_channel.turn_begins()
    return not exchange.response.surplus


async def _outcome(generator: types.GeneratorType[Any, Any, Any], awaitable: Awaitable[Any], pieces: Pieces) -> Any:
    """Await what a generator yielded, and return what is to be sent into it; ``_NO_MORE`` if no more of the body can be sent."""
    value = take_outcome(generator, await awaitable)
    if isinstance(value, Piece):
        return None if await pieces.send(value.data) else _NO_MORE
    if pieces.turn_is_over():
        await asyncio.sleep(0)
        pieces.turn_begins()
    return value
