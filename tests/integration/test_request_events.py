"""Hooks, ``worker.nr`` and access log lines of the requests on one connection, without a process."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from aiohttp_worker.integration.request_events import RequestEvents
from tests.server.fakes import GET, POST, FakeServer, hello


class Worker:
    """What hooks are given, and RequestEvents reads."""

    def __init__(self, **settings: Any) -> None:
        self.cfg = Config()
        for name, value in {"accesslog": "-", "access_log_format": "%(r)s %(s)s %(B)s", **settings}.items():
            self.cfg.set(name, value)
        self.log = Logger(self.cfg)
        self.max_requests = self.cfg.max_requests or 1 << 60
        self.nr = 0


class Site:
    """One connection to an application, and what Gunicorn is told of it."""

    def __init__(self, application: Any = hello, **settings: Any) -> None:
        self.worker = Worker(**settings)
        self.recycled = 0
        self.events = RequestEvents(self.worker, self._recycle)
        self.lines = io.StringIO()
        for handler in self.worker.log.access_log.handlers:
            handler.setStream(self.lines)
        self.errors = io.StringIO()
        for handler in self.worker.log.error_log.handlers:
            handler.setStream(self.errors)
        self.server = FakeServer(application, observers=self.events.observers(exiting=lambda: False))

    def _recycle(self) -> None:
        self.recycled += 1

    def get(self, *names: bytes) -> list[int]:
        """Request these paths, one after the other; return the status codes."""
        for name in names:
            self.server.receive(GET % name)
        return self.server.status_codes()


@pytest.fixture(autouse=True)
def gunicorn_logging() -> Iterator[None]:
    yield
    for name in ("gunicorn.access", "gunicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def test_lines() -> None:
    site = Site()
    assert site.get(b"a", b"b") == [200, 200]
    assert site.lines.getvalue().splitlines() == ["GET /a HTTP/1.1 200 2", "GET /b HTTP/1.1 200 2"]


def test_line_of_a_refused_request() -> None:
    """The answer of a head that cannot be parsed has a line without a request line."""
    site = Site(access_log_format="%(h)s %(r)s %(s)s")
    site.server.receive(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
    assert site.server.status_codes() == [400]
    assert site.lines.getvalue() == "192.0.2.1 - - - 400\n"


def test_line_without_environ() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ.clear()
        start_response("200 OK", [])
        return [b""]

    site = Site(application)
    site.get(b"a")
    assert site.lines.getvalue() == "GET /a HTTP/1.1 200 0\n"


def test_a_logger_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request ends as if there were a line."""
    site = Site()

    def fail(*arguments: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(site.events, "_write_access", fail)
    assert site.get(b"a") == [200]
    assert "The access log failed for GET /a" in site.errors.getvalue()
    assert "OSError: no space" in site.errors.getvalue()


def test_no_callback_without_a_use() -> None:
    events = RequestEvents(Worker(accesslog=None), lambda: None)
    observers = events.observers(exiting=lambda: True)
    assert (observers.pre_request, observers.post_request, observers.on_end, observers.on_refused) == (None,) * 4
    assert observers.exiting()
    assert not any([events.end(object()), events._refuse(object(), object())])  # type: ignore[func-returns-value, arg-type]


def test_hooks() -> None:
    """One request object for both; what pre_request changes reaches the application."""
    seen: list[Any] = []

    def pre_request(worker: Any, req: Any) -> None:
        req.path = "/changed"
        seen.append((worker, req, worker.nr))

    def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
        seen.append((worker, req, environ["PATH_INFO"], resp.status_code, resp.sent, worker.nr))

    site = Site(pre_request=pre_request, post_request=post_request)
    site.get(b"a")
    (worker, request, before), after = seen
    assert (worker, before) == (site.worker, 0)
    assert after == (worker, request, "/changed", 200, 8, 1)
    assert not site.events._shown


def test_post_request_alone() -> None:
    seen: list[str] = []
    site = Site(post_request=lambda worker, req, environ, resp: seen.append(req.path))
    site.get(b"a", b"b")
    assert seen == ["/a", "/b"]


def test_a_hook_that_fails() -> None:
    """The application is not called."""

    def pre_request(worker: Any, req: Any) -> None:
        raise ValueError("no")

    site = Site(pre_request=pre_request)
    assert site.get(b"a") == [500]
    assert "This is an exception in the pre_request hook" in site.errors.getvalue()


def test_pre_request_of_gunicorn_at_level_debug() -> None:
    """Gunicorn's own hook logs the request."""
    site = Site(loglevel="debug")
    site.get(b"a")
    assert "GET /a" in site.errors.getvalue()


def test_max_requests() -> None:
    site = Site(max_requests=2)
    site.server.receive(GET % b"a")
    assert b"Connection: close" not in site.server.take_sent()
    assert (site.worker.nr, site.recycled) == (1, 0)
    site.server.receive(POST % (b"b", 0))
    assert b"Connection: close" in site.server.take_sent()
    assert (site.worker.nr, site.recycled) == (2, 1)


def test_number_of_a_request() -> None:
    """``req_number`` counts those of a connection."""
    numbers: list[int] = []
    site = Site(pre_request=lambda worker, req: numbers.append(req.req_number))
    site.get(b"a", b"b", b"c")
    assert numbers == [1, 2, 3]
