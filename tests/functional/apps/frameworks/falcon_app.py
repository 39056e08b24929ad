"""The site in Falcon."""

import os
from typing import Any

import falcon
from falcon import Request, Response

from .events import events


class Hello:
    def on_get(self, request: Request, response: Response) -> None:
        response.text = "Hello, Falcon!"


class Form:
    def on_post(self, request: Request, response: Response) -> None:
        response.media = dict(request.get_media())


class Multipart:
    def on_post(self, request: Request, response: Response) -> None:
        fields: dict[str, Any] = {}
        for part in request.get_media():
            fields[part.name] = len(part.stream.read()) if part.filename else part.text
        response.media = fields


class Json:
    def on_post(self, request: Request, response: Response) -> None:
        response.media = request.get_media()


class Download:
    def on_get(self, request: Request, response: Response) -> None:
        response.content_type = "application/x-test"
        path = os.environ["DOWNLOAD"]
        response.set_stream(open(path, "rb"), os.path.getsize(path))


class Fail:
    def on_get(self, request: Request, response: Response) -> None:
        raise RuntimeError("planned failure of a view")


class Events:
    def on_get(self, request: Request, response: Response) -> None:
        response.content_type = "text/event-stream"
        response.stream = events(request.env)  # type: ignore[assignment]


application = falcon.App()
for name, resource in {
    "hello": Hello(),
    "form": Form(),
    "multipart": Multipart(),
    "json": Json(),
    "download": Download(),
    "fail": Fail(),
    "events": Events(),
}.items():
    application.add_route(f"/{name}", resource)
