"""Everything that is called like a coroutine or generator function; each echoes pieces as they come."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import coroutines
import generators
from pieces import start
from probe import Environ, StartResponse

from aiohttp_worker import stream_input


class CoroutineObject:
    async def __call__(self, environ: Environ, start_response: StartResponse) -> Any:
        return await coroutines.echo_as_it_comes(environ, start_response)

    async def method(self, environ: Environ, start_response: StartResponse) -> Any:
        return await coroutines.echo_as_it_comes(environ, start_response)


class GeneratorObject:
    def __call__(self, environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
        return (yield from generators.echo_as_it_comes(environ, start_response))

    def method(self, environ: Environ, start_response: StartResponse) -> Generator[Any, Any, Any]:
        return (yield from generators.echo_as_it_comes(environ, start_response))


async def with_argument(argument: str, environ: Environ, start_response: StartResponse) -> Any:
    assert argument == "given"
    return await coroutines.echo_as_it_comes(environ, start_response)


def plain(argument: str, environ: Environ, start_response: StartResponse) -> Any:
    """Nothing tells that this returns a coroutine."""
    return with_argument(argument, environ, start_response)


def decorator(
    application: Callable[..., Awaitable[Any]],
) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(application)
    async def wrapper(environ: Environ, start_response: StartResponse) -> Any:
        return await application(environ, start_response)

    return wrapper


coroutine_object = CoroutineObject()
coroutine_method = CoroutineObject().method
generator_object = GeneratorObject()
generator_method = GeneratorObject().method
coroutine_partial = functools.partial(with_argument, "given")
partial_of_partial = functools.partial(functools.partial(with_argument), "given")
decorated = decorator(CoroutineObject())
marked_function = stream_input(functools.partial(plain, "given"))


async def async_generator(environ: Environ, start_response: StartResponse) -> AsyncIterator[bytes]:
    """An application that is itself an async generator function."""
    start(start_response)
    while data := await environ["wsgi.input"].read(65536):
        yield data
