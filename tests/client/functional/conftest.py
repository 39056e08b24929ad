"""Real servers for the client, each started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority

from .servers import gunicorn, open_to_all


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority for certificates."""
    return Authority(open_to_all(tmp_path_factory.mktemp("authority")))


@pytest.fixture(scope="session", params=["gthread", "ours", "ours, no stream"])
def httpbin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """httpbin under Gunicorn's own threads and under both of our workers; its URL."""
    pytest.importorskip("httpbin", reason="the package httpbin is not installed")
    worker = {
        "gthread": "gthread",
        "ours": "aiohttp.worker.AsyncGunicornWorker",
        "ours, no stream": "aiohttp.worker.AsyncNoStreamGunicornWorker",
    }[request.param]
    with gunicorn(
        "tests.client.functional.httpbin_app:application",
        tmp_path_factory.mktemp("httpbin"),
        "-k",
        worker,
        "--threads",
        "4",
        "--keep-alive",
        "5",
    ) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that servers under another user can read."""
    return open_to_all(tmp_path)
