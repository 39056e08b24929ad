"""The site in Pyramid."""

import os
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import FileResponse, Response

from .events import events


def hello(request: Request) -> Response:
    return Response("Hello, Pyramid!")


def form(request: Request) -> Any:
    return dict(request.POST.items())


def multipart(request: Request) -> Any:
    return {name: len(value.file.read()) if hasattr(value, "file") else value for name, value in request.POST.items()}


def json(request: Request) -> Any:
    return request.json_body


def download(request: Request) -> Response:
    return FileResponse(os.environ["DOWNLOAD"], request, content_type="application/x-test")


def fail(request: Request) -> Response:
    raise RuntimeError("planned failure of a view")


def sends_events(request: Request) -> Response:
    response = Response(app_iter=events(request.environ))
    response.content_type = "text/event-stream"
    return response


def _application() -> Any:
    with Configurator() as config:
        views = {
            "hello": hello,
            "form": form,
            "multipart": multipart,
            "json": json,
            "download": download,
            "fail": fail,
            "events": sends_events,
        }
        for name, view in views.items():
            config.add_route(name, f"/{name}")
            renderer = "json" if name in ("form", "multipart", "json") else None
            config.add_view(view, route_name=name, renderer=renderer)
        return config.make_wsgi_app()


application = _application()
