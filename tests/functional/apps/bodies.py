"""An asynchronous body in every framework, and all that may stand between it and the server.

The path is /MIDDLEWARE/APPLICATION; the query says how the body behaves.
"""

import asyncio
import collections
import functools
import gzip
import io
import itertools
import queue
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import gate
from gate import query
from probe import PLAIN, Environ, StartResponse, say

from aiohttp_worker import AsyncBody, stream_input

Application = Callable[[Environ, StartResponse], Iterable[bytes]]


async def pieces(environ: Environ) -> AsyncIterator[bytes]:
    """Three pieces; with `gate` it waits before the second, with `fail` it raises at that one."""
    fail = query(environ, "fail")
    key = query(environ, "key")
    try:
        async with asyncio.timeout(60):  # it has to be left in the task that entered it
            if fail == "0":
                raise RuntimeError(f"planned failure {key}")
            yield b"one "
            if query(environ, "gate"):
                await gate.pass_through(environ)
            await asyncio.sleep(0)
            if fail == "1":
                raise RuntimeError(f"planned failure {key}")
            yield b"two "
            for _ in range(int(query(environ, "megabytes") or 0)):
                yield bytes(1024 * 1024)
            while query(environ, "endless"):
                say(f"goes on {key}")
                await asyncio.sleep(0.01)
                yield b"and on "
            yield b"three"
    finally:
        await asyncio.sleep(0)
        say(f"body ended {key}")


# What gives the body


def plain(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [*PLAIN])
    return AsyncBody(pieces(environ))


def two_bodies(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [*PLAIN])

    async def first() -> AsyncIterator[bytes]:
        yield b"one "

    async def rest() -> AsyncIterator[bytes]:
        yield b"two "
        yield b"three"

    return itertools.chain([b""], AsyncBody(first()), [b""], AsyncBody(rest()))


def interleaved(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [*PLAIN])

    async def some(*texts: bytes) -> AsyncIterator[bytes]:
        for text in texts:
            yield text

    both = itertools.zip_longest(AsyncBody(some(b"one ", b"three")), AsyncBody(some(b"two ")), fillvalue=b"")
    return itertools.chain.from_iterable(both)


class Wraps:
    """Given by an application as a whole, with everything that the protocol of iterables knows."""

    def __init__(self, iterable: Iterable[bytes]) -> None:
        self._iterable = iterable
        self._iterator = iter(iterable)

    def __iter__(self) -> "Wraps":
        return self

    def __next__(self) -> bytes:
        return next(self._iterator)

    def close(self) -> None:
        if hasattr(self._iterable, "close"):
            self._iterable.close()


def twice(environ: Environ, start_response: StartResponse) -> Any:
    """Somebody looks at the first item; then it is iterated from the beginning, as that iterable allows."""
    start_response("200 OK", [*PLAIN])

    class Again:
        def __aiter__(self) -> AsyncIterator[bytes]:
            return pieces(environ)

    body = AsyncBody(Again())
    assert isinstance(next(iter(body)), bytes)
    return Wraps(body)


async def coroutine(environ: Environ, start_response: StartResponse) -> Any:
    await asyncio.sleep(0)
    return Wraps(plain(environ, start_response))


async def coroutine_that_joins(environ: Environ, start_response: StartResponse) -> Any:
    """It holds the loop, which is its own fault, and gets the data."""
    await asyncio.sleep(0)
    return [b"".join(plain(environ, start_response))]


async def asynchronous_generator(environ: Environ, start_response: StartResponse) -> Any:
    for piece in Wraps(plain(environ, start_response)):
        yield piece


def awaitable_item(environ: Environ, start_response: StartResponse) -> Any:
    async def marker() -> bytes:
        return next(iter(plain(environ, start_response)))

    return iter([marker()])


@functools.cache
def flask_site() -> Any:
    import flask

    site = flask.Flask("bodies")

    @site.route("/<name>")
    def view(name: str) -> Any:
        response = flask.Response(AsyncBody(pieces(flask.request.environ)), mimetype="text/plain")  # type: ignore[arg-type]
        if name == "frozen":
            response.freeze()
        elif name == "sequence":
            response.make_sequence()
        elif name == "streams-with-context":
            body: Any = AsyncBody(pieces(flask.request.environ))
            response = flask.Response(flask.stream_with_context(iter(body)), mimetype="text/plain")
        return response

    @site.after_request
    def change(response: Any) -> Any:
        if flask.request.path == "/data":
            response.set_data(response.get_data() + b"")
        elif flask.request.path == "/tagged":
            response.add_etag()
        return response

    return site


def flask(environ: Environ, start_response: StartResponse) -> Any:
    environ["PATH_INFO"] = "/" + (query(environ, "view") or "view")
    return flask_site()(environ, start_response)


@functools.cache
def bottle_site() -> Any:
    import bottle

    site = bottle.Bottle()

    @site.get("/view")
    def view() -> Any:
        bottle.response.content_type = "text/plain"
        return AsyncBody(pieces(bottle.request.environ))

    return site


def bottle(environ: Environ, start_response: StartResponse) -> Any:
    environ["PATH_INFO"] = "/view"
    return bottle_site()(environ, start_response)


@functools.cache
def falcon_site() -> Any:
    import falcon

    class View:
        def on_get(self, request: Any, response: Any) -> None:
            response.content_type = "text/plain"
            response.stream = AsyncBody(pieces(request.env))

    site = falcon.App()
    site.add_route("/view", View())
    return site


def falcon(environ: Environ, start_response: StartResponse) -> Any:
    environ["PATH_INFO"] = "/view"
    return falcon_site()(environ, start_response)


def webob(environ: Environ, start_response: StartResponse) -> Any:
    from webob import Response

    response = Response(app_iter=AsyncBody(pieces(environ)), content_type="text/plain")
    view = query(environ, "view")
    if view == "body":
        response.body = response.body.replace(b"none", b"")
    elif view == "tagged":
        response.md5_etag()
    elif view == "encoded":
        response.encode_content("gzip")
    return response(environ, start_response)


@functools.cache
def pyramid_site() -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    def tween_factory(handler: Any, registry: Any) -> Any:
        def tween(request: Any) -> Any:
            response = handler(request)
            if query(request.environ, "view") == "body":
                response.headers["X-Length"] = str(len(response.body))
            return response

        return tween

    with Configurator() as config:
        config.add_route("view", "/view")
        config.add_view(
            lambda request: Response(app_iter=AsyncBody(pieces(request.environ)), content_type="text/plain"), route_name="view"
        )
        config.registry.registerUtility(_Tweens(tween_factory), _tweens_interface())
        return config.make_wsgi_app()


def _tweens_interface() -> Any:
    from pyramid.interfaces import ITweens

    return ITweens


class _Tweens:
    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def __call__(self, handler: Any, registry: Any) -> Any:
        return self._factory(handler, registry)


def pyramid(environ: Environ, start_response: StartResponse) -> Any:
    environ["PATH_INFO"] = "/view"
    return pyramid_site()(environ, start_response)


def django(environ: Environ, start_response: StartResponse) -> Any:
    from bodies_django import site

    environ["PATH_INFO"] = "/" + (query(environ, "view") or "carried")
    return site(environ, start_response)


# What stands between


def nothing(application: Application) -> Application:
    return application


def by_for(application: Application) -> Any:
    def generator(environ: Environ, start_response: StartResponse) -> Any:
        for item in application(environ, start_response):  # noqa: UP028 - the other way has a name of its own below
            yield item

    return generator


def by_yield_from(application: Application) -> Any:
    def generator(environ: Environ, start_response: StartResponse) -> Any:
        yield from application(environ, start_response)

    return generator


def returned(application: Application) -> Any:
    return lambda environ, start_response: (item for item in application(environ, start_response))


def by_class(application: Application) -> Any:
    return lambda environ, start_response: Wraps(application(environ, start_response))


def closing(application: Application) -> Any:
    def middleware(environ: Environ, start_response: StartResponse) -> Any:
        iterable: Any = application(environ, start_response)
        try:
            yield from iterable
        finally:
            if hasattr(iterable, "close"):
                iterable.close()

    return middleware


def chain(application: Application) -> Any:
    return lambda environ, start_response: itertools.chain([b""], application(environ, start_response), [b""])


def true_items(application: Application) -> Any:
    return lambda environ, start_response: filter(None, application(environ, start_response))


def copied(application: Application) -> Any:
    """As Django takes what it sends."""
    return lambda environ, start_response: map(bytes, application(environ, start_response))


def join(application: Application) -> Any:
    def middleware(environ: Environ, start_response: StartResponse) -> Any:
        return [b"".join(application(environ, start_response))]

    return middleware


def join_later(application: Application) -> Any:
    def middleware(environ: Environ, start_response: StartResponse) -> Any:
        iterable = application(environ, start_response)
        gate.wait(environ, "later")
        return [b"".join(iterable)]

    return middleware


def measured(application: Application) -> Any:
    def middleware(environ: Environ, start_response: StartResponse) -> Any:
        started: list[Any] = []

        def start(*arguments: Any) -> Any:
            started[:] = arguments
            return None

        data = b"".join(application(environ, start))
        start_response(started[0], [*started[1], ("Content-Length", str(len(data)))])
        return [data]

    return middleware


def as_list(application: Application) -> Any:
    return lambda environ, start_response: list(application(environ, start_response))


def as_tuple(application: Application) -> Any:
    return lambda environ, start_response: tuple(application(environ, start_response))


def long_items(application: Application) -> Any:
    return lambda environ, start_response: (item for item in application(environ, start_response) if len(item))


def upper(application: Application) -> Any:
    return lambda environ, start_response: map(bytes.upper, application(environ, start_response))


def texts(application: Application) -> Any:
    return lambda environ, start_response: (item.decode().upper().encode() for item in application(environ, start_response))


def views(application: Application) -> Any:
    return lambda environ, start_response: (bytes(memoryview(item)[:]) for item in application(environ, start_response))


def looks_ahead(application: Application) -> Any:
    """It has one item in hand while it gives the one before."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        iterator = iter(application(environ, start_response))
        ahead = collections.deque(itertools.islice(iterator, 1))
        for item in iterator:
            ahead.append(item)
            yield ahead.popleft()
        yield from ahead

    return middleware


def reads_ahead(application: Application) -> Any:
    """A thread of its own reads, as fast as it can."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        items: queue.Queue[bytes | None] = queue.Queue()

        def read() -> None:
            for item in application(environ, start_response):
                items.put(item)
            items.put(None)

        thread = threading.Thread(target=read)
        thread.start()
        while (item := items.get()) is not None:
            yield item
        thread.join()

    return middleware


def writes(application: Application) -> Any:
    def middleware(environ: Environ, start_response: StartResponse) -> Any:
        written: list[Any] = []

        def start(*arguments: Any) -> Any:
            written.append(start_response(*arguments))
            return written[0]

        for item in application(environ, start):
            written[0](item)
        return []

    return middleware


def counts_first(application: Application) -> Any:
    """Wrong for every body of more than one item, but with a length of 0 it must not lose what follows."""

    def middleware(environ: Environ, start_response: StartResponse) -> Any:
        started: list[Any] = []
        iterator = iter(application(environ, lambda *arguments: started.extend(arguments)))  # type: ignore[arg-type]
        first = next(iterator)
        start_response(started[0], [*started[1], ("Content-Length", str(len(first)))])
        return itertools.chain([first], iterator)

    return middleware


def zipped(level: int, encoder: Callable[[], Any]) -> Callable[[Application], Any]:
    """A compressor that sends what it has."""

    def wrap(application: Application) -> Any:
        def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
            compressor = encoder()
            for item in application(environ, start_response):
                if data := compressor.compress(item) + (compressor.flush(zlib.Z_SYNC_FLUSH) if level else b""):
                    yield data
            yield compressor.flush()

        return middleware

    return wrap


def gzip_joined(application: Application) -> Any:
    def middleware(environ: Environ, start_response: StartResponse) -> Any:
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
            for item in application(environ, start_response):
                file.write(item)
        return [buffer.getvalue()]

    return middleware


def brotli_streamed(application: Application) -> Any:
    def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        import brotli

        compressor = brotli.Compressor()
        for item in application(environ, start_response):
            yield compressor.process(item)
        yield compressor.finish()

    return middleware


def zipped_by_paste(application: Application) -> Any:
    from paste.gzipper import middleware

    compresses = middleware(application)
    return lambda environ, start_response: compresses({**environ, "HTTP_ACCEPT_ENCODING": "gzip"}, start_response)


def proxied(application: Application) -> Any:
    """As some instrumentation has it: an object that has the attributes of what it stands for."""

    def middleware(environ: Environ, start_response: StartResponse) -> Any:
        from wrapt import ObjectProxy

        return ObjectProxy(application(environ, start_response))

    return middleware


def validated(application: Application) -> Any:
    from wsgiref.validate import validator

    return validator(application)


def debugged(application: Application) -> Any:
    from werkzeug.debug import DebuggedApplication

    return DebuggedApplication(application, evalex=False)


def profiled(application: Application) -> Any:
    from werkzeug.middleware.profiler import ProfilerMiddleware

    return ProfilerMiddleware(application, stream=io.StringIO())


def linted(application: Application) -> Any:
    from werkzeug.middleware.lint import LintMiddleware

    return LintMiddleware(application)


def dispatched(application: Application) -> Any:
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    return DispatcherMiddleware(application, {})


def buffered(application: Application) -> Any:
    """Werkzeug's way to make a response of an application."""

    def middleware(environ: Environ, start_response: StartResponse) -> Any:
        from werkzeug.wrappers import Response

        return Response.from_app(application, environ, query(environ, "how") == "whole")(environ, start_response)

    return middleware


def traced(application: Application) -> Any:
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(application)


@functools.cache
def _sentry() -> None:
    import sentry_sdk

    def report(event: Any, hint: Any) -> None:
        say(f"reported {hint['exc_info'][1]}")

    sentry_sdk.init(before_send=report, dsn="http://key@127.0.0.1:9/1", default_integrations=False, traces_sample_rate=None)


def watched(application: Application) -> Any:
    from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

    _sentry()
    return SentryWsgiMiddleware(application)


def takes_first(application: Application) -> Any:
    """What keeps the marker for itself."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        yield next(iter(application(environ, start_response)))[:]

    return middleware


def takes_first_after_a_heading(application: Application) -> Any:
    def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        iterator = iter(application(environ, start_response))
        yield b"heading "
        yield next(iterator)[:]

    return middleware


def takes_first_and_lists(application: Application) -> Any:
    return lambda environ, start_response: [next(iter(application(environ, start_response)))[:] + b"something else"]


def replaces(application: Application) -> Any:
    """It looks at the status, for which it takes an item, and sends a page of its own."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        iterable: Any = application(environ, lambda *arguments: None)  # type: ignore[arg-type, return-value]
        next(iter(iterable))
        iterable.close()
        start_response(query(environ, "status"), [*PLAIN])
        if query(environ, "status").startswith("2"):
            yield b"a page of its own"

    return middleware


def swallows(application: Application) -> Any:
    """It answers in place of what fails."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        try:
            yield from application(environ, start_response)
        except RuntimeError as error:
            yield f"instead of {error}".encode()

    return middleware


@functools.cache
def stack(path: str) -> Any:
    *around, inside = path.strip("/").split("/")
    application = globals()[inside]
    for name in reversed(around):
        application = MIDDLEWARE[name](application)
    return application


MIDDLEWARE: dict[str, Callable[[Application], Any]] = {
    one.__name__: one
    for one in (
        *(nothing, by_for, by_yield_from, returned, by_class, closing, chain, true_items, copied),
        *(join, join_later, measured, as_list, as_tuple),
        *(long_items, upper, texts, views, looks_ahead, reads_ahead, writes, counts_first, gzip_joined, brotli_streamed),
        *(zipped_by_paste, proxied, validated, debugged, profiled, linted, dispatched, buffered, traced, watched),
        *(takes_first, takes_first_after_a_heading, takes_first_and_lists, replaces, swallows),
    )
}
MIDDLEWARE["gzip_streamed"] = zipped(1, lambda: zlib.compressobj(wbits=31))
MIDDLEWARE["deflated"] = zipped(1, zlib.compressobj)
MIDDLEWARE["gzip_lazy"] = zipped(0, lambda: zlib.compressobj(wbits=31))


def application(environ: Environ, start_response: StartResponse) -> Any:
    return stack(environ["PATH_INFO"])(environ, start_response)


def generator_function(environ: Environ, start_response: StartResponse) -> Any:
    """What Gunicorn calls is a generator function itself."""
    yield from application(environ, start_response)


@stream_input
def driven(environ: Environ, start_response: StartResponse) -> Any:
    """One that awaits its input on the loop."""
    yield from environ["wsgi.input"].read()
    yield from application(environ, start_response)
