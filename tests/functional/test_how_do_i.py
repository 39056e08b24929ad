"""The listings of docs/how-do-i.rst and of the start page, run as they stand, at addresses that the kernel chose."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from tests.loops import LOOPS

from .conftest import Serve
from .server import PATIENCE, ROOT, STREAM, Server


def listings(page: str) -> list[tuple[str, str]]:
    """Language and text of each listing."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    document = publish_doctree(
        text, settings_overrides={"syntax_highlight": "none", "report_level": 5, "halt_level": 5, "warning_stream": ""}
    )
    return [(block["classes"][-1], block.astext()) for block in document.findall(nodes.literal_block) if block["classes"]]


LISTINGS = listings("how-do-i.rst") + listings("index.rst")
FILES = {text.split("\n", 1)[0].removeprefix("# "): text for language, text in LISTINGS if language == "python"}
COMMANDS = [text for language, text in LISTINGS if language == "sh"]
#: The project in which the page's views.py and urls.py lie.
PROJECT = """
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.configure(ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"], SECRET_KEY="yours")
django.setup()
application = get_wsgi_application()
"""


def test_every_listing_is_known() -> None:
    assert sorted(FILES) == ["events.py", "outgoing.py", "poll.py", "upload_progress.py", "urls.py", "views.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
    (tmp_path / "project.py").write_text(PROJECT)
    return tmp_path


def start(serve: Serve, folder: Path, name: str) -> Server:
    return serve(f"{name}:application", worker_class=STREAM, loop=LOOPS[-1], environ={"PYTHONPATH": f"{ROOT}:{folder}"})


def test_upload_shows_its_progress(serve: Serve, folder: Path) -> None:
    server = start(serve, folder, "upload_progress")
    with server.connect() as client:
        client.start_upload("/?id=a")
        for number in range(1, 4):
            client.send_chunk(bytes(1000))
            deadline = time.monotonic() + PATIENCE
            while (answer := json.loads(server.get("/?id=a").body)) != {"received": number * 1000}:
                assert time.monotonic() < deadline, answer
        client.end_upload()
        assert json.loads(client.receive().body) == {"size": 3000}
    assert json.loads(server.get("/?id=a").body) == {"received": None}


def test_first_event_stream(serve: Serve, folder: Path) -> None:
    assert f".venv/bin/gunicorn -k {STREAM} events:application" in COMMANDS
    server = start(serve, folder, "events")
    with server.connect() as client:
        client.request("GET", "/")
        assert client.receive_head().value("Content-Type") == "text/event-stream"
        assert [client.receive_chunk() for _ in range(2)] == [b"data: 0\n\n", b"data: 1\n\n"]


def test_events_from_django(serve: Serve, folder: Path) -> None:
    pytest.importorskip("django")
    server = start(serve, folder, "project")
    with server.connect() as client:
        client.request("GET", "/events")
        assert client.receive_head().value("Content-Type") == "text/event-stream"
        assert [client.receive_chunk() for _ in range(2)] == [b"data: 0\n\n", b"data: 1\n\n"]


def test_long_poll(serve: Serve, folder: Path) -> None:
    server = start(serve, folder, "poll")
    with server.connect() as client, server.connect() as other:
        client.request("GET", "/")
        deadline = time.monotonic() + PATIENCE
        while (told := other.post("/", b"news").text) != "1 waited":
            assert told == "0 waited"
            assert time.monotonic() < deadline
        assert client.receive().body == b"news"


def test_outgoing_request(serve: Serve, folder: Path) -> None:
    upstream = start(serve, folder, "poll")
    host, port = upstream.address
    (folder / "outgoing.py").write_text(FILES["outgoing.py"].replace("127.0.0.1:8080", f"{host}:{port}"))
    server = start(serve, folder, "outgoing")
    with server.connect() as client, upstream.connect() as other:
        client.request("GET", "/")
        deadline = time.monotonic() + PATIENCE
        while other.post("/", b"news").text != "1 waited":
            assert time.monotonic() < deadline
        assert client.receive().body == b"news"
