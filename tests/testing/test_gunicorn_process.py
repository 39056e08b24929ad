"""Gunicorn in a process of its own, as tests of users start it."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any

import pytest

from aiohttp_worker.testing.gunicorn_process import GunicornProcess, find_application

ROOT = Path(__file__).parents[2]


class Application:
    """An application that is an instance, so that only its module names it."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        print("called with", environ["PATH_INFO"])
        return [environ["SERVER_SOFTWARE"].encode(), str(environ["wsgi.multithread"]).encode()]


application = Application()


def test_names() -> None:
    assert find_application("a.b:c") == ("a.b", None, "c")
    assert find_application("a.b") == ("a.b", None, "application")
    assert find_application(application) == (__name__, __file__, "application")
    assert find_application(find_application)[0] == "aiohttp_worker.testing.gunicorn_process"


@pytest.mark.parametrize("name", ["", ":a", "a:"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="named as 'module:name', not "):
        find_application(name)


def test_application_without_a_name() -> None:
    with pytest.raises(ValueError, match="no global of a module"):
        find_application(lambda environ, start_response: [])


@pytest.mark.slow
def test_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    with GunicornProcess(application, threads=2) as server:
        assert server.url == f"http://{server.host}:{server.port}"
        with urllib.request.urlopen(f"{server.url}/a", timeout=10) as response:
            assert b"aiohttp-worker" in response.read()
        server.wait_for_log("called with /a")
        with pytest.raises(TimeoutError, match="'nothing' is not in the log:\n"):
            server.wait_for_log("nothing", timeout=0)
        assert repr(server) == f"<GunicornProcess {server.url!r}>"
    assert "Shutting down: Master" in server.log
    server.stop()


@pytest.mark.slow
def test_what_cannot_be_served() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)does not serve no_such_module:application:.*No module named 'no_such_module'"):
        GunicornProcess("no_such_module").start()
