"""Views of the demo: ordinary ones, a coroutine, asynchronous bodies, a streamed upload, requests to others."""

from __future__ import annotations

import asyncio
import hashlib
import html
import inspect
import json
import os
import platform
import re
import secrets
import textwrap
import time
from collections.abc import AsyncIterator, Generator
from importlib import resources
from string import Template
from typing import Any

from webob import Request, Response
from webob.exc import HTTPBadRequest

from aiohttp_worker import client

# A form that waits for its upload holds one of these; the oldest is forgotten beyond this number.
MOST_UPLOADS = 100
PIECE = 64 * 1024  # bytes

# A view in the form of a generator: it yields what it waits for, and returns a response.
Steps = Generator[Any, Any, Response]


class Views:
    """Views of the demo, and their state in this process.

    :param greeting: the first line of the start page, any text.
    """

    def __init__(self, greeting: str) -> None:
        self.greeting = greeting
        self.watching = 0
        self.uploads: dict[str, Upload] = {}
        self.page = Template(resources.files("aiohttp_worker.demo").joinpath("page.html").read_text(encoding="utf-8"))

    def start(self, request: Request) -> Response:
        """Answer with the start page: HTML from a template, all values escaped."""
        nonce = secrets.token_urlsafe(16)
        texts = {
            "greeting": self.greeting,
            "nonce": nonce,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "server": request.environ["SERVER_SOFTWARE"],
            **{f"source_{view.__name__}": source(view) for view in SHOWN},
        }
        response = Response(self.page.substitute({name: html.escape(text) for name, text in texts.items()}))
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.cache_control = "no-store"
        return response

    def hello(self, request: Request) -> Response:
        """An ordinary view, quick enough to block nobody."""
        text = f"Hello, {text_argument(request, 'name', 'world')}!"
        return json_response({"text": text, "process": os.getpid()})

    async def wait(self, request: Request) -> Response:
        """A coroutine; while it waits, others are answered."""
        await asyncio.sleep(1)
        return json_response({"text": "waited for a second"})

    def clock(self, request: Request) -> Response:
        """Server-sent events from an async generator."""
        return event_stream(self._ticks())

    async def _ticks(self) -> AsyncIterator[bytes]:
        self.watching += 1
        try:
            while True:
                now = time.time()
                yield event({"time": now, "watching": self.watching})
                await asyncio.sleep(1 - now % 1)
        finally:  # the browser went away, or the worker stops
            self.watching -= 1

    async def upload(self, request: Request) -> Response:
        """Read a body as it arrives; nothing of it is kept."""
        pace = number_argument(request, "pace", 0)  # bytes per second
        upload = self._upload_of(request)
        stream = request.environ["wsgi.input"]
        digest = hashlib.sha256()
        try:
            while data := await stream.read(PIECE):
                digest.update(data)
                upload.received += len(data)
                if pace:  # slow reading slows the sender down
                    await asyncio.sleep(len(data) / pace)
        finally:
            upload.ended = True
        answer = {"received": upload.received, "sha256": digest.hexdigest()}
        return json_response(answer)

    async def progress(self, request: Request) -> Response:
        """Send the number of bytes that the application has read so far, as server-sent events."""
        return event_stream(self._progress(self._upload_of(request)))

    async def _progress(self, upload: Upload) -> AsyncIterator[bytes]:
        while not upload.ended:
            yield event({"received": upload.received})
            await asyncio.sleep(0.05)
        yield event({"received": upload.received, "ended": True})

    async def fetch(self, request: Request) -> Response:
        """Ask this server three times at once."""
        url = own_url(request, "/wait")
        began = time.perf_counter()

        async def ask() -> int:
            response = await client.request("GET", url)
            await response.read_and_close()
            return response.status

        answers = await asyncio.gather(ask(), ask(), ask())
        seconds = round(time.perf_counter() - began, 2)
        return json_response({"answers": answers, "seconds": seconds})

    @client.coroutine
    def fetch_in_steps(self, request: Request) -> Steps:
        """Ask this server, in a generator."""
        url = own_url(request, "/hello?name=generator")
        response = yield from client.request("GET", url)
        answer = yield from response.read_and_close(decode=True)
        return json_response({"server": response["Server"], **answer})

    def _upload_of(self, request: Request) -> Upload:
        name = text_argument(request, "id", "")
        if not re.fullmatch(r"[0-9a-z]{1,32}", name):
            raise HTTPBadRequest("id: 1 to 32 digits and small letters")
        while name not in self.uploads and len(self.uploads) >= MOST_UPLOADS:
            del self.uploads[next(iter(self.uploads))]
        return self.uploads.setdefault(name, Upload())


class Upload:
    """Progress of one upload."""

    def __init__(self) -> None:
        self.received = 0
        self.ended = False


# The start page shows how these are written.
SHOWN = (Views.hello, Views.wait, Views.clock, Views._ticks, Views.upload, Views.fetch, Views.fetch_in_steps)


def source(view: Any) -> str:
    """Return the source of a view, without its indentation."""
    return textwrap.dedent(inspect.getsource(view)).strip()


def own_url(request: Request, path: str) -> str:
    """Return an address of this server as its socket knows it; the Host field could name any other."""
    host, port = request.environ["SERVER_NAME"], request.environ["SERVER_PORT"]
    return f"http://[{host}]:{port}{path}" if ":" in host else f"http://{host}:{port}{path}"


def text_argument(request: Request, name: str, default: str) -> str:
    """Return an argument of the query, at most 100 characters of it.

    :raises HTTPBadRequest: the query is not UTF-8.
    """
    try:
        return str(request.GET.get(name, default))[:100]
    except UnicodeDecodeError:
        raise HTTPBadRequest("The query is not UTF-8.") from None


def number_argument(request: Request, name: str, default: int) -> int:
    """Return an argument of the query that is a whole number of up to nine digits.

    :raises HTTPBadRequest: the argument is no such number.
    """
    text = text_argument(request, name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise HTTPBadRequest(f"{name}: up to nine digits")
    return int(text)


def json_response(value: object) -> Response:
    """Return a response that a script reads and nobody takes for a page."""
    response = Response(json_body=value, content_type="application/json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.cache_control = "no-store"
    return response


def event_stream(events: AsyncIterator[bytes]) -> Response:
    """Return a response whose body is sent event by event."""
    response = Response(content_type="text/event-stream", charset="UTF-8", app_iter=events)
    response.headers["X-Accel-Buffering"] = "no"  # nginx would collect it
    response.cache_control = "no-store"
    return response


def event(data: object) -> bytes:
    """Return one server-sent event; JSON has no line breaks of its own."""
    return f"data: {json.dumps(data)}\n\n".encode()
