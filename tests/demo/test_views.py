"""The demo's views, called without a server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import warnings
from html.parser import HTMLParser
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # WebOb imports cgi where Python still has it
    from webob import Request

    from aiohttp_worker.demo import main, views
    from aiohttp_worker.demo.views import MOST_UPLOADS, Views

from aiohttp.client import RequestCall
from aiohttp.coroutines import Call
from aiohttp_worker.wsgi.stream_input import stream_choice

MARKUP = "<b>&\"'</b>"


def ask(path: str, **arguments: Any) -> Any:
    """The answer of an ordinary view, called without a server."""
    request = Request.blank(path, environ={"SERVER_SOFTWARE": MARKUP}, **arguments)
    return request.get_response(main({}, greeting=MARKUP))


class Page(HTMLParser):
    """What of a page could be run, or comes from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.nonces: list[str | None] = []
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attributes)
        assert not [name for name in found if name.startswith("on") or name == "style"]
        if tag in ("script", "style"):
            self.nonces.append(found.get("nonce"))
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href", "action")]
        self.ids.add(found.get("id") or "")


def test_the_page_escapes_everything() -> None:
    response = ask("/")
    assert response.status_code == 200
    assert response.text.count("&lt;b&gt;&amp;&quot;&#x27;&lt;/b&gt;") == 2
    page = Page(response.text)
    assert "b" not in page.tags


def test_the_page_needs_nothing_else() -> None:
    response = ask("/")
    page = Page(response.text)
    assert all(address.startswith("data:") for address in page.addresses)
    (nonce,) = set(page.nonces)
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'")
    assert nonce != Page(ask("/").text).nonces[0]


def test_the_script_finds_what_it_looks_for() -> None:
    text = ask("/").text
    page = Page(text)
    script = text.partition("<script")[2]
    assert set(re.findall(r'(?:find|fill|onClick)\("([a-z-]+)"', script)) <= page.ids
    asked = set(re.findall(r'(?:ask|EventSource)\("([a-z/-]+)', script)) | set(re.findall(r'open\("POST", "([a-z/]+)', script))
    assert asked == {"hello", "wait", "clock", "upload", "upload/progress", "fetch", "fetch-in-steps"}


def test_ordinary_view() -> None:
    response = ask("/hello?name=%3Cb%3E")
    assert response.json_body["text"] == "Hello, <b>!"
    assert response.content_type == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert len(ask("/hello?name=" + 1000 * "x").json_body["text"]) == len("Hello, !") + 100


@pytest.mark.parametrize(
    ("path", "method", "status_code"),
    [
        ("/nothing", "GET", 404),
        ("/%ff", "GET", 404),
        ("/", "POST", 405),
        ("/upload", "GET", 405),
        ("/hello?name=%ff", "GET", 400),
        ("/", "HEAD", 200),
        ("/clock", "HEAD", 200),
    ],
)
def test_status(path: str, method: str, status_code: int) -> None:
    response = ask(path, method=method)
    assert response.status_code == status_code
    if status_code == 405:
        assert response.headers["Allow"] == ("POST" if path == "/upload" else "GET")


def test_it_asks_for_the_stream() -> None:
    choice = stream_choice(main({}))
    assert callable(choice)
    assert [path for path in ("/", "/upload", "/upload/progress") if choice({"PATH_INFO": path})] == ["/upload"]


def test_old_uploads_are_forgotten() -> None:
    views = Views("")
    for number in range(3 * MOST_UPLOADS):
        asyncio.run(views.progress(Request.blank(f"/upload/progress?id={number}")))
    assert list(views.uploads) == [str(number) for number in range(2 * MOST_UPLOADS, 3 * MOST_UPLOADS)]


def run(path: str, **environ: Any) -> tuple[int, bytes]:
    """Answer a request whose view is a coroutine, with all of its body."""

    async def answer() -> tuple[int, bytes]:
        status: list[str] = []
        start = lambda given, headers, exc_info=None: status.append(given)
        result = main({})(Request.blank(path, environ=environ).environ, start)
        body = await result if hasattr(result, "__await__") else result
        pieces = [piece async for piece in body] if hasattr(body, "__aiter__") else list(body)
        return int(status[0][:3]), b"".join(pieces)

    return asyncio.run(answer())


class Upload:
    """An input stream that gives these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    async def read(self, size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def upload(path: str, *pieces: bytes) -> tuple[int, bytes]:
    return run(path, **{"REQUEST_METHOD": "POST", "wsgi.input": Upload(*pieces)})


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that views would wait."""
    waited: list[float] = []
    sleep = asyncio.sleep

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", wait)
    return waited


def test_coroutine(no_waiting: list[float]) -> None:
    assert run("/wait") == (200, b'{"text":"waited for a second"}')
    assert no_waiting == [1]


def test_upload(no_waiting: list[float]) -> None:
    status, body = upload("/upload?id=a&pace=1000", b"x" * 500, b"y" * 250)
    assert (status, json.loads(body)) == (200, {"received": 750, "sha256": hashlib.sha256(b"x" * 500 + b"y" * 250).hexdigest()})
    assert no_waiting == [0.5, 0.25]


@pytest.mark.parametrize("query", ["", "id=A", "id=" + 33 * "a", "id=a&pace=-1", "id=a&pace=fast", "id=a&pace=1234567890"])
def test_refused_uploads(query: str) -> None:
    assert upload(f"/upload?{query}", b"data")[0] == 400


def test_clock(no_waiting: list[float]) -> None:
    async def tick() -> None:
        shown = Views("")
        stream = shown._ticks()
        data = await anext(stream)
        assert json.loads(data.removeprefix(b"data: "))["watching"] == shown.watching == 1
        await anext(stream)
        await stream.aclose()
        assert shown.watching == 0

    asyncio.run(tick())
    assert 0 < no_waiting[0] <= 1


def test_progress(no_waiting: list[float]) -> None:
    async def watch() -> list[bytes]:
        shown = Views("")
        seen = shown._upload_of(Request.blank("/upload/progress?id=a"))
        stream = shown._progress(seen)
        events = [await anext(stream)]
        seen.received, seen.ended = 7, True
        return events + [event async for event in stream]

    assert asyncio.run(watch()) == [b'data: {"received": 0}\n\n', b'data: {"received": 7, "ended": true}\n\n']


class Answer(dict):  # type: ignore[type-arg]
    """A response of the client's."""

    status = 200

    def read_and_close(self, decode: bool = False) -> Call[Any]:
        async def read() -> Any:
            return {"text": "of the other"} if decode else b""

        return Call(read())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs that the demo requests of itself."""
    urls: list[str] = []

    async def request(url: str) -> Any:
        urls.append(url)
        return Answer(Server="another")

    monkeypatch.setattr(views.client, "request", lambda method, url: RequestCall(request(url)))
    return urls


def test_requests_to_itself(asked: list[str]) -> None:
    status, body = run("/fetch", SERVER_NAME="::1", SERVER_PORT="80")
    assert (status, json.loads(body)["answers"]) == (200, [200, 200, 200])
    assert asked == ["http://[::1]:80/wait"] * 3


def test_requests_to_itself_in_a_generator(asked: list[str]) -> None:
    status, body = run("/fetch-in-steps", SERVER_NAME="127.0.0.1", SERVER_PORT="8080", HTTP_HOST="elsewhere")
    assert (status, json.loads(body)) == (200, {"server": "another", "text": "of the other"})
    assert asked == ["http://127.0.0.1:8080/hello?name=generator"]


def test_source_of_a_view() -> None:
    assert views.source(Views.hello).startswith("def hello(self, request: Request) -> Response:\n    ")
