"""The listings of docs/frameworks.rst, run as they stand; only an address is replaced by one that the kernel chose."""

from __future__ import annotations

import re
import shlex
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from tests.loops import LOOPS

from .client import RawClient, Response
from .conftest import Serve
from .server import NO_STREAM, PATIENCE, ROOT, STREAM, Server

PAGE = (ROOT / "docs" / "frameworks.rst").read_text(encoding="utf-8")
TOOLS = ["datadog", "elastic", "newrelic", "opentelemetry", "sentry"]
SITES = ["bottle", "django", "falcon", "flask", "pyramid", "webob", "wsgi"]
FORM = [("Content-Type", "application/x-www-form-urlencoded")]
#: What the listings read at once.
PIECE = 65536
#: WebOb copies the body of a form to a temporary file, which nobody closes. A connector's connections
#: end with the process.
LEFT_OPEN = {
    **dict.fromkeys(["pyramid_site", "webob_site"], "unclosed file <_io.BufferedRandom"),
    "flask_client": "unclosed (resource <TCPTransport|transport|<socket)",
}

Start = Callable[..., Server]


def listings() -> list[tuple[str, str]]:
    """Language and text of each listing."""
    document = publish_doctree(PAGE, settings_overrides={"syntax_highlight": "none", "report_level": 5})
    return [(block["classes"][-1], block.astext()) for block in document.findall(nodes.literal_block) if block["classes"]]


FILES = {text.split("\n", 1)[0].removeprefix("# "): text for language, text in listings() if language == "python"}
COMMANDS = [text for language, text in listings() if language == "sh"]


def test_every_listing_is_known() -> None:
    """A listing that is added needs a test here."""
    shared = ["beside.py", "news.py", "upload.py"]
    others = ["flask_client.py", "leaving.py", "threaded_site.py"]
    instrumented = ["traced.py", *(f"{tool}_site.py" for tool in TOOLS)]  # test_instrumentation runs these
    assert sorted(FILES) == sorted([*shared, *others, *instrumented, *(f"{name}_site.py" for name in SITES)])


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str) -> None:
    """What is started is among the listings, and the worker is the one that the tests below use."""
    *options, target = shlex.split(command)
    assert options[:3] == ["gunicorn", "-k", STREAM]
    module, _, name = target.partition(":")
    if module == "site":  # the reader's own
        return
    assert re.search(rf"^(def )?{name}\b", FILES[f"{module}.py"], re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the page shows."""
    path = tmp_path_factory.mktemp("listings")
    for name, text in FILES.items():
        (path / name).write_text(f"{text}\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def start(shared_server: Serve, folder: Path) -> Start:
    """start(application, ...): a server of a listing, the same for all tests that want the same."""

    def start(application: str, *, where: Path = folder, **settings: Any) -> Server:
        framework = "flask" if application.startswith("threaded") else application.partition("_")[0]
        if framework in SITES and framework not in ("webob", "wsgi"):
            pytest.importorskip(framework)
        return shared_server(
            application,
            **{"worker_class": STREAM, "loop": LOOPS[-1], "asgi_disconnect_grace_period": 0, **settings},
            environ={"PYTHONPATH": f"{ROOT}:{where}"},
            forgives=LEFT_OPEN.get(application.partition(":")[0]),
        )

    return start


@pytest.fixture(params=SITES)
def on_loop(request: pytest.FixtureRequest, start: Start) -> Server:
    return start(f"{request.param}_site:application")


@pytest.fixture(params=[*(f"{name}_site:site" for name in SITES), "threaded_site:application"])
def in_threads(request: pytest.FixtureRequest, start: Start) -> Server:
    return start(request.param, threads=4)


def say(server: Server, text: str, **arguments: Any) -> str:
    """Publish a text; return the answer, which tells how many heard it."""
    with server.connect() as client:
        if arguments:
            client.request("POST", "/say", headers=FORM, **arguments)
            response = client.receive()
        else:
            response = client.post("/say", urlencode({"text": text}).encode(), headers=FORM)
        assert response.status_code == 200, response
        return response.text


def say_until(server: Server, answer: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (given := say(server, "is anybody there?")) != answer:
        assert time.monotonic() < deadline, given


def listen(server: Server, **arguments: Any) -> RawClient:
    client = server.connect()
    client.request("GET", "/events", **arguments)
    response = client.receive_head()
    assert response.status_code == 200
    assert (response.value("Content-Type") or "").startswith("text/event-stream")
    return client


def check_events(server: Server) -> None:
    """Each event comes before the next one exists, to all who listen; who leaves is forgotten."""
    clients = [listen(server) for _ in range(6)]
    for client in clients:
        assert client.receive_chunk() == b": welcome\n\n"
    for number in range(3):
        assert say(server, f"caf\xe9 {number}") == "6 heard it"
        for client in clients:
            assert client.receive_chunk() == f"data: caf\xe9 {number}\n\n".encode()
    for client in clients:
        client.close()
    say_until(server, "0 heard it")
    assert "Traceback" not in server.log.text()


def check_upload(server: Server, target: str, length: int | None = None) -> None:
    """Each piece is answered before the next one is sent."""
    with server.connect() as client:
        if length is None:
            client.start_upload(target)
        else:
            client.send(f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length * PIECE}\r\n\r\n")
        for number in range(1, (length or 3) + 1):
            if length is None:
                client.send_chunk(bytes(PIECE))
            else:
                client.send(bytes(PIECE))
            if number == 1:
                assert client.receive_head().status_code == 200
            received = b""
            while not received.endswith(b"%d bytes\n" % (number * PIECE)):  # one piece may arrive in two
                received += client.receive_chunk()
        if length is None:
            client.end_upload()
        assert client.receive_chunk() == b""
        client.receive_until(b"\r\n")
        assert client.get("/missing").status_code == 404


# On the loop


def test_events(on_loop: Server) -> None:
    check_events(on_loop)


def test_upload(on_loop: Server) -> None:
    check_upload(on_loop, "/upload")
    check_upload(on_loop, "/upload", length=3)


def test_upload_by_a_generator(start: Start) -> None:
    check_upload(start("wsgi_site:application"), "/upload-in-steps")


def test_upload_that_is_cut(start: Start) -> None:
    """Neither the coroutine nor the framework takes it for a whole one."""
    server = start("wsgi_site:application")
    for target in ("/upload", "/say"):
        with server.connect() as client:
            client.start_upload(target)
            client.send_chunk(b"text=abc")
            client.end_of_sending()
            received = client.receive_until_close()
            assert not received.endswith(b"0\r\n\r\n")
            assert b"heard it" not in received
    assert say(server, "still there") == "0 heard it"


def test_forms_beside(on_loop: Server) -> None:
    """The framework behind the dispatcher reads its bodies as ever: chunked, in memory and in a file."""
    assert say(on_loop, "", chunks=[b"text=", b"abc"]) == "0 heard it"
    pieces = [bytes(PIECE)] * 20
    with on_loop.connect() as client:
        client.request("POST", "/receive", chunks=pieces)
        assert client.receive().body.endswith(b"\n%d bytes\n" % (20 * PIECE))
        assert client.post("/receive", b"".join(pieces)).body.endswith(b"\n%d bytes\n" % (20 * PIECE))


def test_an_asynchronous_body_as_answer_to_a_form(start: Start) -> None:
    """The dispatcher hands on whatever the framework returns."""
    for name in ("django", "wsgi"):
        with start(f"{name}_site:application").connect() as client:
            client.request("POST", "/events", headers=FORM, body=b"a=b")
            assert client.receive_head().status_code == 200
            assert client.receive_chunk() == b": welcome\n\n"


def test_django_compresses_events(start: Start) -> None:
    """The generator below the middleware's is closed by the garbage collector, and by nothing of the worker's."""
    collect = "import gc\ndef post_request(worker, req, environ, resp):\n    gc.collect()"
    server = start("django_site:application", extra=collect)
    stream = zlib.decompressobj(wbits=31)
    with listen(server, headers=[("Accept-Encoding", "gzip")]) as client:
        for text in ("", "first", "second"):
            if text:
                say(server, text)
            expected = f"data: {text}\n\n".encode() if text else b": welcome\n\n"
            received = b""
            while len(received) < len(expected):
                if stream.eof:  # Django 5 begins anew with each piece
                    stream = zlib.decompressobj(wbits=31)
                received += stream.decompress(client.receive_chunk())
            assert received == expected
    say_until(server, "0 heard it")


def test_flask_tags_what_is_whole(start: Start) -> None:
    server = start("flask_site:application")
    with server.connect() as client:
        assert client.post("/say", b"text=a", headers=FORM).value("ETag")
        client.request("GET", "/events")
        assert client.receive_head().value("ETag") is None


# In threads


def test_events_in_threads(in_threads: Server) -> None:
    """More of them than there are threads."""
    check_events(in_threads)


def test_upload_in_threads(in_threads: Server) -> None:
    check_upload(in_threads, "/receive", length=3)


def test_upload_by_a_coroutine_beside_threads(start: Start) -> None:
    check_upload(start("threaded_site:application", threads=4), "/upload")


@pytest.mark.parametrize("name", SITES)
def test_chunked_in_threads(start: Start, name: str) -> None:
    server = start(f"{name}_site:site", threads=4)
    with server.connect() as client:
        client.request("POST", "/receive", chunks=[b"abc", b"def"])
        assert client.receive().body == (b"" if name in ("django", "falcon") else b"6 bytes\n")
        client.request("POST", "/say", headers=FORM, chunks=[b"text=", b"abc"])
        response = client.receive()
    if name in ("bottle", "django", "falcon"):
        assert response.status_code == 400 if name == "bottle" else response.status_code >= 400
        collecting = start(f"{name}_site:site", threads=4, worker_class=NO_STREAM)
        assert say(collecting, "", chunks=[b"text=", b"abc"]) == "0 heard it"
    else:
        assert response.text == "0 heard it"


# Middleware


@pytest.mark.filterwarnings("ignore:'cgi' is deprecated")  # WebOb imports it
def test_webob_does_not_read_an_asynchronous_body() -> None:
    import webob

    async def body() -> AsyncIterator[bytes]:
        yield b"data"

    response = webob.Response(app_iter=body())
    assert hasattr(response.app_iter, "__aiter__")
    for read in (lambda: response.body, response.md5_etag, response.encode_content):
        with pytest.raises(TypeError):
            read()


# Leaving


def test_leaving(start: Start) -> None:
    server = start("leaving:application", threads=2, asgi_disconnect_grace_period=1)

    def seen() -> set[str]:
        return set(filter(None, server.get("/").text.split(", ")))

    def wait_for(expected: set[str]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not expected <= seen():
            assert time.monotonic() < deadline

    clients = [server.connect() for _ in range(3)]
    for client, target in zip(clients, ("/is-cancelled", "/asks", "/asks-in-thread"), strict=True):
        client.request("GET", target)
    wait_for({"waiting"})
    began = time.monotonic()
    for client in clients:
        client.close()
    wait_for({"asked on the loop", "asked in a thread"})
    wait_for({"cancelled"})
    assert time.monotonic() - began >= 0.9


def test_grace_is_as_long_as_the_page_says() -> None:
    config = pytest.importorskip("gunicorn.config")
    assert config.Config().asgi_disconnect_grace_period == 3
    assert "with its default of 3 s" in PAGE


# The client


def test_client(start: Start, tmp_path: Path, folder: Path) -> None:
    host, port = start("threaded_site:application", threads=4).address
    for name, text in FILES.items():
        address = f"http://{host}:{port}/hello"
        (tmp_path / name).write_text(text.replace("http://127.0.0.1:8080/", address) + "\n", encoding="utf-8")
    server = start("flask_client:application", where=tmp_path)
    answers: list[Response] = [server.get(target) for target in ("/relay", "/relay", "/body", "/view")]
    assert all("Not Found" in answer.text for answer in answers)
