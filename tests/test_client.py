"""The client under both of its names."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import aiohttp
from aiohttp_worker import client
from aiohttp_worker.wsgi.generators import Dialect, function_dialect


def test_the_names_are_the_same_objects() -> None:
    assert client.__all__ == aiohttp.__all__
    for name in aiohttp.__all__:
        assert getattr(client, name) is getattr(aiohttp, name)


def test_a_missing_name_is_explained() -> None:
    with pytest.raises(AttributeError, match=r"has no ClientSession: .* Instead: "):
        client.ClientSession  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.slow  # a process
def test_the_command_line() -> None:
    run = [sys.executable, "-m", "aiohttp_worker.client", "--version"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, f"aiohttp-worker {aiohttp.__version__}\n")


def test_a_generator_that_names_it_sees_the_loop() -> None:
    def application(environ: object, start_response: object) -> object:
        response = yield from client.request("GET", "http://127.0.0.1/")
        yield response

    assert function_dialect(application) is Dialect.ASYNCHRONOUS  # type: ignore[arg-type]


def test_pypis_package_in_its_place(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyPI's files lie over ours, importing the client says so, and nothing of PyPI's is taken for it."""
    distributions = importlib.import_module("aiohttp_worker.integration.distributions")
    monkeypatch.setattr(distributions, "overlay", lambda: "PyPI's package is in the way.")
    monkeypatch.delitem(sys.modules, "aiohttp_worker.client")
    with pytest.raises(RuntimeError, match="in the way"):
        importlib.import_module("aiohttp_worker.client")
