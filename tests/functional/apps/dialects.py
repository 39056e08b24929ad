"""Programs that others wrote, whose bodies are generators that read, and middleware that is a generator function.

The first part of the path is the program. An ordinary function calls it, or a generator does.
"""

import asyncio
import functools
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import shift_path_info

from pieces import place, start
from probe import Environ, StartResponse

import aiohttp

Steps = Generator[Any, Any, Any]


@functools.cache
def program(name: str) -> Any:
    return globals()[f"make_{name}"]()


def make_a2wsgi() -> Any:
    from a2wsgi import ASGIMiddleware

    async def echo(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})

    return ASGIMiddleware(echo)


def make_wsgidav() -> Any:
    from wsgidav.fs_dav_provider import FilesystemProvider
    from wsgidav.wsgidav_app import WsgiDAVApp

    return WsgiDAVApp(
        {
            "provider_mapping": {"/": FilesystemProvider(tempfile.mkdtemp(dir=os.environ["FILES"]))},
            "simple_dc": {"user_mapping": {"*": True}},
            "verbose": 0,
            "logging": {"enable": False},
            "hotfixes": {"re_encode_path_info": True},
        }
    )


def make_dulwich() -> Any:
    from dulwich.repo import Repo
    from dulwich.server import DictBackend
    from dulwich.web import make_wsgi_chain

    folder = Path(os.environ["FILES"], f"{os.getpid()}.git")
    repository = Repo(str(folder)) if folder.exists() else Repo.init_bare(str(folder), mkdir=True)
    return make_wsgi_chain(DictBackend({"/": repository}))


def make_flask() -> Any:
    from flask import Flask, Response, request, stream_with_context

    site = Flask(__name__)

    @site.post("/form")
    def form() -> str:
        return f"{request.form['name']} {request.files['file'].read().decode()} {place()}"

    @site.post("/json")
    def json() -> Any:
        return request.get_json()

    @site.post("/later")
    async def later() -> bytes:
        await asyncio.sleep(0)
        return request.get_data()

    @site.post("/stream")
    def stream() -> Any:
        def body() -> Iterator[bytes]:
            while data := request.stream.read(5):
                yield data

        return Response(stream_with_context(body()))

    return site


def make_django() -> Any:
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.db import connection
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    def rows(request: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 + 1")
            (count,) = cursor.fetchone()
        return HttpResponse(f"{count} {request.POST['name']} {request.FILES['file'].read().decode()}")

    def stream(request: Any) -> Any:
        return StreamingHttpResponse(iter(lambda: request.read(5), b""))

    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=__name__,
            ALLOWED_HOSTS=["*"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        )
    globals()["urlpatterns"] = [path("rows", rows), path("stream", stream)]
    django.setup()
    return get_wsgi_application()


class FalconUpload:
    def on_post(self, request: Any, response: Any) -> None:
        parts = {part.name: part.stream.read() for part in request.get_media()}
        response.text = f"{parts['name'].decode()} {parts['file'].decode()}"

    def on_put(self, request: Any, response: Any) -> None:
        response.data = request.bounded_stream.read()


def make_falcon() -> Any:
    import falcon

    site = falcon.App()
    site.add_route("/upload", FalconUpload())
    return site


def make_webob() -> Any:
    from webob import Request, Response

    def site(environ: Environ, start_response: StartResponse) -> Any:
        request = Request(environ)
        if request.path_info == "/form":
            response = Response(f"{request.POST['name']} {request.POST['file'].file.read().decode()}")
        else:
            response = Response(body=request.copy().body)
        return response(environ, start_response)

    return site


def make_readme() -> Any:
    def site(environ: Environ, start_response: StartResponse) -> Steps:
        data = yield from environ["wsgi.input"].read()
        start(start_response)
        return [data]

    return site


def make_endless() -> Any:
    """The loop of 2014, and one of PEP 3333."""

    def site(environ: Environ, start_response: StartResponse) -> Steps:
        start(start_response)
        if environ["PATH_INFO"] == "/plain":
            while chunk := environ["wsgi.input"].read(4):
                yield chunk
            return
        while True:
            try:
                data = yield from environ["wsgi.input"].read()
            except aiohttp.EofStream:
                break
            yield data

    return site


def make_relay() -> Any:
    """The client, in a generator that says nothing of it: its helper does."""

    def fetch(url: str, data: bytes) -> Steps:
        response = yield from aiohttp.request("POST", url, data=data)
        return (yield from response.read_and_close())

    helpers: list[Any] = [fetch]

    def site(environ: Environ, start_response: StartResponse) -> Steps:
        data = environ["wsgi.input"].read()
        answer = yield from helpers[0](environ["HTTP_X_URL"], data)
        start(start_response)
        yield place().split()[0].encode() + b" " + answer

    return site


def make_relays_the_stream() -> Any:
    """What comes goes on as it comes."""

    def site(environ: Environ, start_response: StartResponse) -> Steps:
        response = yield from aiohttp.request("POST", environ["HTTP_X_URL"], data=environ["wsgi.input"])
        data = yield from response.read_and_close()
        start(start_response)
        yield data

    return site


def ordinary(environ: Environ, start_response: StartResponse) -> Any:
    name = shift_path_info(environ)
    assert name is not None
    return program(name)(environ, start_response)


def by_for(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    iterable = ordinary(environ, start_response)
    try:
        for piece in iterable:  # noqa: UP028
            yield piece
    finally:
        if hasattr(iterable, "close"):
            iterable.close()


def by_from(environ: Environ, start_response: StartResponse) -> Steps:
    with_loop = asyncio.iscoroutine(ordinary)
    assert not with_loop
    iterable = ordinary(environ, start_response)
    try:
        return (yield from iterable)
    finally:
        if hasattr(iterable, "close"):
            iterable.close()
