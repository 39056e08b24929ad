"""The site in Flask."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import flask
from flask import Flask, Response, jsonify, request, stream_with_context

from aiohttp_worker import AsyncBody

from .events import events

application = Flask(__name__)
application.config["MAX_FORM_MEMORY_SIZE"] = None


@application.get("/hello")
def hello() -> str:
    return "Hello, Flask!"


@application.post("/form")
def form() -> Any:
    return jsonify(dict(request.form.items()))


@application.post("/multipart")
def multipart() -> Any:
    files = {name: len(file.read()) for name, file in request.files.items()}
    return jsonify({**dict(request.form.items()), **files})


@application.post("/json")
def json() -> Any:
    return jsonify(request.get_json())


@application.get("/download")
def download() -> Any:
    return flask.send_file(os.environ["DOWNLOAD"], "application/x-test")


@application.get("/fail")
def fail() -> Any:
    raise RuntimeError("planned failure of a view")


@application.get("/events")
def sends_events() -> Response:
    return Response(AsyncBody(events(request.environ)), mimetype="text/event-stream")  # type: ignore[arg-type]


@application.get("/events-passed-through")
def passes_events_through() -> Response:
    return Response(
        events(request.environ),  # type: ignore[arg-type]
        mimetype="text/event-stream",
        direct_passthrough=True,
    )


@application.get("/async-view")
async def async_view() -> str:
    await asyncio.sleep(0)
    return "async view"


@application.get("/with-context")
def with_context() -> Response:
    @stream_with_context
    def body() -> Iterator[str]:
        for _ in range(3):
            yield request.args["word"]

    return Response(body())
