"""The site in Bottle."""

import json
import os
from typing import Any

import bottle
from bottle import Bottle, request, response

from aiohttp_worker import AsyncBody

from .events import events

application = Bottle()


@application.get("/hello")
def hello() -> str:
    return "Hello, Bottle!"


@application.post("/form")
def form() -> Any:
    return dict(request.forms.items())


@application.post("/multipart")
def multipart() -> Any:
    files = {name: len(upload.file.read()) for name, upload in request.files.items()}
    return {**dict(request.forms.items()), **files}


@application.post("/json")
def echo_json() -> str:
    response.content_type = "application/json"
    return json.dumps(request.json)


@application.get("/download")
def download() -> Any:
    directory, name = os.path.split(os.environ["DOWNLOAD"])
    return bottle.static_file(name, root=directory, mimetype="application/x-test")


@application.get("/fail")
def fail() -> Any:
    raise RuntimeError("planned failure of a view")


@application.get("/events")
def sends_events() -> AsyncBody:
    response.content_type = "text/event-stream"
    return AsyncBody(events(request.environ))
