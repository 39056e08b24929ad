"""Programs that others wrote, and middleware around them, of generators: on a real Gunicorn, called in three ways."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loops import LOOPS

from .client import Response
from .conftest import Serve
from .server import NO_STREAM, STREAM, Server

CASES = {
    **{f"stream-1-{loop}": (STREAM, 1, loop) for loop in LOOPS},
    f"stream-4-{LOOPS[-1]}": (STREAM, 4, LOOPS[-1]),
    "nostream-1-asyncio": (NO_STREAM, 1, "asyncio"),
    f"nostream-4-{LOOPS[-1]}": (NO_STREAM, 4, LOOPS[-1]),
}
BODY = b"some text, in more than one piece\n" * 3
FORM = (
    b"--limit\r\nContent-Disposition: form-data; name=name\r\n\r\nvalue\r\n"
    b'--limit\r\nContent-Disposition: form-data; name=file; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\ncontent\r\n'
    b"--limit--\r\n"
)
FORM_TYPE = ("Content-Type", "multipart/form-data; boundary=limit")


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=["ordinary", "by_for", "by_from"])
def server(request: pytest.FixtureRequest, case: str, shared_server: Serve, tmp_path_factory: pytest.TempPathFactory) -> Server:
    worker_class, threads, loop = CASES[case]
    files = tmp_path_factory.mktemp("files")
    return shared_server(
        f"dialects:{request.param}", worker_class=worker_class, threads=threads, loop=loop, raw_env=[f"FILES={files}"]
    )


def post(server: Server, target: str, body: bytes, *headers: tuple[str, str], method: str = "POST") -> Iterator[Response]:
    """Send it with a length, and in two pieces that do not come together."""
    with server.connect() as client:
        client.request(method, target, body=body, headers=list(headers))
        yield client.receive()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body[:7])
        assert server.get("/endless/plain").status_code == 200  # others are served meanwhile
        client.send(body[7:])
        yield client.receive()


def test_a2wsgi(server: Server) -> None:
    pytest.importorskip("a2wsgi")
    for response in post(server, "/a2wsgi/", BODY):
        assert (response.status_code, response.body, response.complete) == (200, BODY, True)


def test_wsgidav(server: Server) -> None:
    pytest.importorskip("wsgidav")
    for number, response in enumerate(post(server, "/wsgidav/file.txt", BODY, method="PUT")):
        assert response.status_code == (204 if number else 201)
        assert server.get("/wsgidav/file.txt").body == BODY
    with server.connect() as client:
        client.request("PROPFIND", "/wsgidav/", headers=[("Depth", "1")])
        assert b"file.txt" in client.receive().body
        client.request("PUT", "/wsgidav/chunked.txt", chunks=[BODY, BODY])
        client.receive()
    assert server.get("/wsgidav/chunked.txt").body == BODY * 2


def test_git_push_to_dulwich(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("dulwich")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": str(tmp_path),
        "GIT_TERMINAL_PROMPT": "0",
    }

    def git(*arguments: str, folder: Path) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
        run = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout

    ours = tmp_path / "ours"
    git("init", "-q", "-b", server.settings["raw_env"][0][-8:].strip("/") or "main", str(ours), folder=tmp_path)
    (ours / "file").write_bytes(os.urandom(300_000))
    git("add", "file", folder=ours)
    git("commit", "-q", "-m", "first", folder=ours)
    git("push", "-q", "--force", f"{server.url}/dulwich/", "HEAD:refs/heads/main", folder=ours)
    git("clone", "-q", "-b", "main", f"{server.url}/dulwich/", "theirs", folder=tmp_path)
    assert (tmp_path / "theirs" / "file").read_bytes() == (ours / "file").read_bytes()


def test_flask(server: Server) -> None:
    for response in post(server, "/flask/form", FORM, FORM_TYPE):
        assert response.text.startswith("value content hidden")
    data = {"text": "ü" * 100}
    for response in post(server, "/flask/json", json.dumps(data).encode(), ("Content-Type", "application/json")):
        assert json.loads(response.body) == data
    for response in post(server, "/flask/later", BODY):
        assert (response.status_code, response.body) == (200, BODY)
    for response in post(server, "/flask/stream", BODY):
        assert (response.status_code, response.body) == (200, BODY)


def test_django(server: Server) -> None:
    for response in post(server, "/django/rows", FORM, FORM_TYPE):
        assert response.text == "2 value content"
    for response in post(server, "/django/stream", BODY):
        assert (response.status_code, response.body) == (200, BODY)


def test_falcon(server: Server) -> None:
    for response in post(server, "/falcon/upload", FORM, FORM_TYPE):
        assert (response.status_code, response.text) == (200, "value content")
    for response in post(server, "/falcon/upload", BODY, method="PUT"):
        assert (response.status_code, response.body) == (200, BODY)


def test_webob(server: Server) -> None:
    for response in post(server, "/webob/form", FORM, FORM_TYPE):
        assert (response.status_code, response.text) == (200, "value content")
    for response in post(server, "/webob/", BODY):
        assert (response.status_code, response.body) == (200, BODY)


def test_loops_that_end(server: Server) -> None:
    for target in ("/endless/plain", "/endless/of-2014"):
        for response in post(server, target, BODY):
            assert (response.status_code, response.body, response.complete) == (200, BODY, True)
        with server.connect() as client:
            client.request("POST", target, chunks=[BODY, BODY])
            assert client.receive().body == BODY * 2


def test_the_client_in_generators(server: Server) -> None:
    """It sees no loop in the first, and the request goes out from the worker's all the same."""
    url = ("X-Url", f"{server.url}/endless/plain")
    for response in post(server, "/relay/", BODY, url):
        assert (response.status_code, response.body) == (200, b"hidden " + BODY)
    for response in post(server, "/relays_the_stream/", BODY, url):
        assert (response.status_code, response.body) == (200, BODY)


def test_readme(server: Server) -> None:
    if "by_for" in server._command[-1]:
        return  # what a generator returns is lost in a `for`
    for response in post(server, "/readme/", BODY):
        assert (response.status_code, response.body) == (200, BODY)
