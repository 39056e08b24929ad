"""Demo application, written with WebOb; made to be read and copied from.

``development.ini`` serves it under `aiohttp.worker.AsyncGunicornWorker`. It is one ordinary WSGI callable. What a view returns
decides how its answer is made: a response is sent at once, a coroutine is returned to the worker, which awaits it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from webob import Request, Response
from webob.exc import HTTPException, HTTPMethodNotAllowed, HTTPNotFound

from aiohttp_worker import stream_input
from aiohttp_worker.demo.views import Views

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
Body = Iterable[bytes] | AsyncIterator[bytes]


def main(global_conf: dict[str, str], **settings: str) -> Callable[[Environ, StartResponse], Any]:
    """Build the application, as ``paste.app_factory`` in ``[app:main]``.

    :param global_conf: the defaults of the ini; not used.
    :param settings: the keys of ``[app:main]``: ``greeting``, the first line of the start page.
    """
    views = Views(settings.get("greeting", "One WSGI callable, thousands of open connections."))
    routes: dict[str, dict[str, Callable[[Request], Any]]] = {
        "/": {"GET": views.start},
        "/hello": {"GET": views.hello},
        "/wait": {"GET": views.wait},
        "/clock": {"GET": views.clock},
        "/upload": {"POST": views.upload},
        "/upload/progress": {"GET": views.progress},
        "/fetch": {"GET": views.fetch},
        "/fetch-in-steps": {"GET": views.fetch_in_steps},
    }

    # Called when the head of a request is there: the upload is read while it arrives.
    @stream_input(when=lambda environ: environ["PATH_INFO"] == "/upload")
    def application(environ: Environ, start_response: StartResponse) -> Any:
        request = Request(environ)
        methods = routes.get(environ["PATH_INFO"])
        if methods is None:
            return HTTPNotFound()(environ, start_response)
        view = methods.get("GET" if request.method == "HEAD" else request.method)
        if view is None:
            return HTTPMethodNotAllowed(headers={"Allow": ", ".join(methods)})(environ, start_response)
        try:
            answer = view(request)
        except HTTPException as error:
            answer = error
        if inspect.isawaitable(answer):
            return _awaited(answer, environ, start_response)
        return answer(environ, start_response)

    return application


async def _awaited(answer: Awaitable[Response], environ: Environ, start_response: StartResponse) -> Body:
    try:
        response = await answer
    except HTTPException as error:
        response = error
    body: Body = response(environ, start_response)
    return body
