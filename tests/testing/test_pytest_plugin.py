"""The fixture of pytest, in a run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS = """
import urllib.request

async def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

def test_passes(wsgi_server):
    with urllib.request.urlopen(wsgi_server(application).url, timeout=10) as response:
        assert response.read() == b"hello"

def test_fails(wsgi_server):
    wsgi_server(application)
    raise KeyError("of the test")

def test_needs_no_server():
    raise KeyError("of another")
"""


@pytest.mark.slow
def test_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_served.py").write_text(TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "aiohttp_worker.testing.pytest_plugin", "-p", "no:cacheprovider", "-q"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "2 failed, 1 passed" in run.stdout, run.stdout + run.stderr
    assert run.stdout.count("- log of http://127.0.0.1:") == 1
    assert "Booting worker with pid" in run.stdout


def test_declared() -> None:
    source = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"pytest11": ["aiohttp_worker = aiohttp_worker.testing.pytest_plugin"]' in source
