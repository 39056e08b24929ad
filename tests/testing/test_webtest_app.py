"""WebTest's TestApp above a server in memory."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # WebOb imports cgi where Python still has it
    pytest.importorskip("webtest")
    from webtest import AppError

    from aiohttp_worker.testing.webtest_app import TestApp

Environ = dict[str, Any]


async def form(environ: Environ, start_response: Any) -> list[bytes]:
    """Answers with the body, the cookies and the user."""
    data = await environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "seen=1")])
    return [data, b" ", environ.get("HTTP_COOKIE", "").encode(), b" ", environ.get("REMOTE_USER", "").encode()]


def test_coroutine() -> None:
    app = TestApp(form, extra_environ={"REMOTE_USER": "me"})
    assert app.post("/", {"name": "value"}).text == "name=value  me"
    assert app.get("/").text == " seen=1 me"
    with app.stream("/", method="POST", body=[b"a", b"b"]) as response:
        assert response.text == "ab seen=1 me"


def test_stream() -> None:
    closed = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"a piece"
                await asyncio.sleep(0)
        finally:
            closed.append(True)

    def application(environ: Environ, start_response: Any) -> Any:
        assert environ["HTTP_ACCEPT"] == "text/event-stream"
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return pieces()

    with TestApp(application).stream("/events", headers={"Accept": "text/event-stream"}) as response:
        assert [next(response) for _ in range(3)] == [b"a piece"] * 3
    assert closed == [True]


def test_checks_of_webtest() -> None:
    async def missing(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"none"]

    app = TestApp(missing)
    with pytest.raises(AppError, match="404 Not Found"):
        app.get("/")
    assert app.get("/", status=404).text == "none"
    assert app.head("/", status=404).body == b""


def test_failure() -> None:
    async def application(environ: Environ, start_response: Any) -> list[bytes]:
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        TestApp(application).get("/")


def test_what_is_no_application() -> None:
    app = TestApp(form)
    app.app = "http://localhost"
    with pytest.raises(TypeError, match="only applications can be streamed from, not 'http://localhost'"):
        app.stream("/")
