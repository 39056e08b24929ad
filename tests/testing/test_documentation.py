"""The listings of docs/testing.rst, run by pytest as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

pytest.importorskip("webtest")
pytest.importorskip("flask")
pytest.importorskip("django")

ROOT = Path(__file__).parents[2]


def listings() -> dict[str, str]:
    """The text of each listing, by the name of its file."""
    text = (ROOT / "docs" / "testing.rst").read_text(encoding="utf-8")
    document = publish_doctree(text, settings_overrides={"syntax_highlight": "none", "report_level": 5})
    found = [block.astext() for block in document.findall(nodes.literal_block) if block["classes"]]
    return {text.split("\n", 1)[0].removeprefix("# "): text for text in found}


@pytest.mark.slow
def test_listings(tmp_path: Path) -> None:
    files = listings()
    assert sorted(files) == [
        "endpoints.py",
        "test_call.py",
        "test_django.py",
        "test_flask.py",
        "test_webtest.py",
        "test_worker.py",
    ]
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "aiohttp_worker.testing.pytest_plugin", "-p", "no:cacheprovider", "-q"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "10 passed" in run.stdout
