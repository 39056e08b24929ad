"""One ini under four runners: ours, ``pserve``, ``paster serve`` and ``gunicorn --paste``."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import sysconfig
import urllib.request
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from .command import Command, started
from .observing import wait_until
from .server import PATIENCE, ROOT

RUNNERS = ["ours", "pserve", "paster", "gunicorn"]
# Both build the application before Gunicorn forks, and swallow exit codes.
PASTE_SERVERS = ["pserve", "paster"]

Serve = Callable[..., AbstractContextManager[Command]]


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """development.ini with a port that the kernel chooses."""
    text = (ROOT / "development.ini").read_text()
    assert "port = 8080\n" in text
    path = tmp_path / "development.ini"
    path.write_text(text.replace("port = 8080\n", "port = 0\n") + "control_socket_disable = true\n")
    return path


def words(runner: str) -> list[str]:
    """The command for an ini under a runner; skips the test where the runner is not installed."""
    if runner == "ours":
        return [sys.executable, "-m", "aiohttp_worker"]
    script = Path(sysconfig.get_path("scripts"), runner)
    if runner == "gunicorn":
        return [
            *(str(script), "--no-control-socket", "-b", "127.0.0.1:0"),
            *("-k", "aiohttp.worker.AsyncGunicornWorker", "--paste"),
        ]
    if not script.exists():
        pytest.skip(f"{runner} is not installed: pip install {'pyramid' if runner == 'pserve' else 'PasteScript'}")
    if importlib.util.find_spec("pkg_resources") is None:
        pytest.skip(f"{runner} imports pkg_resources, which is not installed: pip install 'setuptools<82'")
    return [str(script), "serve"] if runner == "paster" else [str(script)]


@pytest.fixture
def serve(ini: Path) -> Serve:
    def serving(runner: str, **environ: str) -> AbstractContextManager[Command]:
        return started(*words(runner), ini.name, directory=ini.parent, environ=environ)

    return serving


def events(url: str) -> Generator[dict[str, object], None, None]:
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        for line in response:
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))


@pytest.mark.parametrize("runner", RUNNERS)
def test_serves_the_demo(runner: str, serve: Serve) -> None:
    with serve(runner) as command:
        assert "<h1>aiohttp-worker</h1>" in command.get("/")
        assert "Using worker: aiohttp.worker.AsyncGunicornWorker" in command.log.text()
        assert json.loads(command.get("/wait")) == {"text": "waited for a second"}
        assert json.loads(command.get("/fetch-in-steps"))["text"] == "Hello, generator!"
        ticks = events(f"{command.url()}/clock")
        assert next(ticks)["watching"] == 1
        ticks.close()
        assert command.stop() == 0


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_worker_that_cannot_boot_ends_the_master(runner: str, serve: Serve, ini: Path) -> None:
    (ini.parent / "failing.py").write_text("def hook(worker):\n    raise ValueError('not today')\n")
    (ini.parent / "gunicorn.conf.py").write_text("from failing import hook as post_worker_init\n")
    with serve(runner, PYTHONPATH=f"{ROOT}:{ini.parent}") as command:
        code = command.wait()
        said = command.log.text() + command.output.text()
        assert "ValueError: not today" in said
        assert "Reason: Worker failed to boot." in said
        assert said.count("Booting worker") == 1
        # What ends a Paste server's own process, it turns into success.
        assert code == (0 if runner in PASTE_SERVERS else 3)


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_other_aiohttp_beside_ours(runner: str, serve: Serve, ini: Path) -> None:
    metadata = ini.parent / "aiohttp-3.9.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: aiohttp\nVersion: 3.9.0\n")
    with serve(runner, PYTHONPATH=f"{ROOT}:{ini.parent}") as command:
        command.wait()
        said = command.log.text() + command.output.text()
        assert said.count("PyPI's package aiohttp (3.9.0) is installed beside aiohttp-worker") == 1
        assert "Booting worker" not in said


@pytest.mark.parametrize("runner", PASTE_SERVERS)
def test_usr2_shows_new_code_where_hup_cannot(runner: str, serve: Serve, ini: Path) -> None:
    ini.write_text(ini.read_text() + "pidfile = %(here)s/pid\n")
    with serve(runner) as command:
        first = command.get("/")
        ini.write_text(ini.read_text().replace("greeting = One", "greeting = Another"))
        mark = command.log.length
        command.signal(signal.SIGHUP)
        command.log.wait_for("Worker exiting", since=mark)
        assert "Another WSGI callable" not in command.get("/")
        mark = command.log.length
        command.signal(signal.SIGUSR2)
        command.log.wait_for("Booting worker", since=mark)
        command.signal(signal.SIGTERM)
        command.log.wait_for("Master has been promoted", since=mark)
        assert "One WSGI callable" in first
        assert "Another WSGI callable" in command.get("/")
        # The promoted master says so first, and then gives its file the name.
        wait_until((ini.parent / "pid").exists)
        os.kill(int((ini.parent / "pid").read_text()), signal.SIGTERM)
        command.wait()


def test_ours_shows_new_settings_of_the_application_at_hup(serve: Serve, ini: Path) -> None:
    with serve("ours") as command:
        assert "One WSGI callable" in command.get("/")
        ini.write_text(ini.read_text().replace("greeting = One", "greeting = Another"))
        mark = command.log.length
        command.signal(signal.SIGHUP)
        command.log.wait_for("Worker exiting", since=mark)
        assert "Another WSGI callable" in command.get("/")
