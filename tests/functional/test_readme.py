"""The listings of README.rst, run as they stand; only addresses are replaced by those that the kernel chose."""

from __future__ import annotations

import configparser
import os
import shlex
import sys
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from .conftest import Serve
from .server import NO_STREAM, ROOT, STREAM, Server

README = (ROOT / "README.rst").read_text(encoding="utf-8")


def listings() -> list[tuple[str, str]]:
    """Language and text of each listing."""
    document = publish_doctree(README, settings_overrides={"syntax_highlight": "none", "report_level": 5})
    return [(block["classes"][-1], block.astext()) for block in document.findall(nodes.literal_block) if block["classes"]]


FILES = {text.split("\n", 1)[0].removeprefix("# "): text for language, text in listings() if language in ("python", "ini")}
COMMANDS = [text for language, text in listings() if language == "sh"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every file that the README shows."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
    return tmp_path


def test_every_listing_is_known() -> None:
    """A listing that is added needs a test here."""
    assert sorted(FILES) == [
        "events.py",
        "flask_events.py",
        "gunicorn.conf.py",
        "hello.ini",
        "hello.py",
        "relay.py",
        "relay_generator.py",
        "upload.py",
        "upload_generator.py",
        "views.py",
    ]
    assert len(COMMANDS) == 3


class Listed(Server):
    """A server that is started by a command of the README, on an address that the kernel chooses."""

    def __init__(self, command: str, folder: Path) -> None:
        super().__init__("", worker_class=STREAM, directory=folder / "unused")
        program, *arguments = shlex.split(command)
        start = [sys.executable] if program == "python" else [sys.executable, "-m", program]
        self._command = [*start, *arguments]
        self._directory = folder
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), "GUNICORN_CMD_ARGS": "--bind=127.0.0.1:0 --no-control-socket"}


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, folder: Path) -> None:
    (folder / "gunicorn.conf.py").unlink()  # Gunicorn would read it in its own right
    with Listed(command.replace("127.0.0.1:8080", "127.0.0.1:0"), folder) as server:
        assert server.get("/").body == b"Hello, world\n"
        workers = server.log.wait_for("Using worker: ")
        assert [line for line in workers if line.endswith(STREAM)]


def test_configuration_file(folder: Path) -> None:
    with Listed("gunicorn", folder) as server:
        assert server.get("/").body == b"Hello, world\n"


def test_ini_names_a_worker_and_an_address() -> None:
    ini = configparser.ConfigParser()
    ini.read_string(FILES["hello.ini"])
    assert ini["server:main"]["worker_class"] == STREAM
    assert ini["server:main"]["host"] == "127.0.0.1"


@pytest.mark.parametrize("worker", [STREAM, NO_STREAM])
@pytest.mark.parametrize("name", ["relay", "relay_generator"])
def test_client(name: str, worker: str, folder: Path, serve: Serve) -> None:
    upstream = serve("hello:application", worker_class=worker, environ={"PYTHONPATH": f"{ROOT}:{folder}"})
    host, port = upstream.address
    (folder / f"{name}.py").write_text(FILES[f"{name}.py"].replace("127.0.0.1:8080", f"{host}:{port}"))
    relay = serve(f"{name}:application", worker_class=worker, environ={"PYTHONPATH": f"{ROOT}:{folder}"})
    assert relay.get("/").body == b"It said: Hello, world\n"


@pytest.mark.parametrize("name", ["upload", "upload_generator"])
def test_upload(name: str, folder: Path, serve: Serve) -> None:
    server = serve(f"{name}:application", worker_class=STREAM, environ={"PYTHONPATH": f"{ROOT}:{folder}"})
    size = 300_000
    with server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        assert client.receive().body == b"%d bytes\n" % size


@pytest.mark.parametrize("worker", [STREAM, NO_STREAM])
@pytest.mark.parametrize("name", ["events", "flask_events"])
def test_events(name: str, worker: str, folder: Path, serve: Serve) -> None:
    server = serve(f"{name}:application", worker_class=worker, environ={"PYTHONPATH": f"{ROOT}:{folder}"})
    response = server.get("/")
    assert response.status_code == 200
    assert response.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
