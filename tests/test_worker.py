"""The workers' main loop in this process: a loop, a listening socket and threads as clients, but no master."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger

from aiohttp_worker.worker import AsyncGunicornWorker, AsyncNoStreamGunicornWorker

GET = b"GET /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]


class Site:
    """A worker that was not forked, and the requests that are sent to it while it runs."""

    def __init__(self, application: Any = hello, kind: type[AsyncGunicornWorker] = AsyncGunicornWorker, **settings: Any) -> None:
        cfg = Config()
        for name, value in {"graceful_timeout": 3, "asgi_loop": "asyncio", "timeout": 0, **settings}.items():
            cfg.set(name, value)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.log = logging.getLogger("gunicorn.error")
        listener = SimpleNamespace(sock=self.socket)
        self.worker = kind(1, os.getppid(), [listener], SimpleNamespace(wsgi=lambda: application), cfg.timeout, cfg, Logger(cfg))
        self.worker.pid = os.getpid()
        self.worker.PIPE = os.pipe()
        for end in self.worker.PIPE:
            os.set_blocking(end, False)
        self.worker.wsgi = application
        self.started = threading.Event()
        self.worker.notify = self.started.set  # what tells a master that the loop runs
        self.answers: list[bytes] = []
        self.errors: list[BaseException] = []

    def run(self, client: Callable[[Site], object]) -> None:
        """Run the worker in this thread until it stops, and the client in another one."""

        def call() -> None:
            try:
                assert self.started.wait(10)
                client(self)
            except BaseException as error:
                self.errors.append(error)
            finally:
                self.tell(self.worker.handle_exit, signal.SIGTERM)

        thread = threading.Thread(target=call)
        thread.start()
        try:
            self.worker.run()
        finally:
            thread.join(10)
        assert not self.errors, self.errors

    def tell(self, handler: Callable[..., None], number: int) -> None:
        """Handle a signal in the loop's thread, as the interpreter does."""
        try:
            self.worker.loop.call_soon_threadsafe(handler, number, None)
        except RuntimeError:
            pass  # the loop is closed

    def get(self, name: bytes) -> bytes:
        with socket.create_connection(self.address, 10) as client:
            client.sendall(GET % name)
            answer = b""
            while data := client.recv(65536):
                answer += data
        self.answers.append(answer)
        return answer

    def close(self) -> None:
        self.socket.close()
        self.worker.tmp.close()
        for end in self.worker.PIPE:
            os.close(end)


Make = Callable[..., Site]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Make]:
    monkeypatch.setattr(gc, "freeze", lambda: None)  # what other tests have made is not to stay
    sites: list[Site] = []

    def make_site(*arguments: Any, **settings: Any) -> Site:
        site = Site(*arguments, **settings)
        site.log.addHandler(caplog.handler)
        caplog.set_level(logging.DEBUG, "gunicorn.error")
        sites.append(site)
        return site

    yield make_site
    for site in sites:
        site.close()
        site.log.handlers.clear()


@pytest.mark.parametrize("kind", [AsyncGunicornWorker, AsyncNoStreamGunicornWorker])
@pytest.mark.parametrize("threads", [1, 2])
def test_serves_and_stops(make: Make, kind: type[AsyncGunicornWorker], threads: int) -> None:
    site = make(kind=kind, threads=threads)

    def client(site: Site) -> None:
        for name in (b"a", b"b"):
            assert site.get(name).endswith(b"/" + name)

    site.run(client)
    assert len(site.answers) == 2
    assert site.worker.loop.is_closed()
    assert site.socket.fileno() == -1


def test_requests_under_way_are_answered(make: Make) -> None:
    """TERM closes the listening sockets and waits for the answers that are due."""
    asked = threading.Event()

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.set()
        await stopping.wait()
        start_response("200 OK", [])
        return [b"late"]

    stopping = asyncio.Event()
    site = make(application)

    def terminate() -> None:
        asked.wait(10)
        site.tell(site.worker.handle_exit, signal.SIGTERM)
        site.worker.loop.call_soon_threadsafe(stopping.set)

    helper = threading.Thread(target=terminate)
    helper.start()
    site.run(lambda site: site.get(b"a"))
    helper.join(10)
    assert site.answers[0].endswith(b"late")


def test_graceful_timeout(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    asked = threading.Event()

    async def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.set()
        await asyncio.sleep(60)
        return []

    site = make(application, graceful_timeout=0)

    def client(site: Site) -> None:
        with socket.create_connection(site.address, 10) as sock:
            sock.sendall(GET % b"a")
            asked.wait(10)
            site.tell(site.worker.handle_exit, signal.SIGTERM)
            try:
                assert sock.recv(1) == b""
            except ConnectionResetError:
                pass

    site.run(client)
    assert "graceful_timeout is over: 1 connections are cut" in caplog.text


def test_quit_stops_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # Gunicorn's handler waits for threads of its own
    site = make()
    with pytest.raises(SystemExit) as ended:
        site.run(lambda site: site.tell(site.worker.handle_quit, signal.SIGQUIT))
    assert ended.value.code == 0
    assert site.worker.loop.is_closed()


def test_abort_names_what_hangs(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """ABRT answers the request that keeps the loop with 500."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        site.worker.handle_abort(signal.SIGABRT, sys._getframe())
        raise AssertionError("the code of the application goes on")

    site = make(application)

    def client(site: Site) -> None:
        assert site.get(b"hangs").startswith(b"HTTP/1.1 500 ")

    with pytest.raises(SystemExit) as ended:
        site.run(client)
    assert ended.value.code == 1
    assert "Error handling request GET /hangs from 127.0.0.1" in caplog.text
    assert "in application" in caplog.text


def test_abort_while_it_boots(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    site = make()
    with pytest.raises(SystemExit):
        site.worker.handle_abort(signal.SIGABRT, sys._getframe())
    assert "The worker is aborted while it boots" in caplog.text


def test_abort_hook_that_fails(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    def worker_abort(worker: Any) -> None:
        raise ValueError("of the hook")

    site = make(worker_abort=worker_abort)
    with pytest.raises(SystemExit) as ended:
        site.run(lambda site: site.worker.loop.call_soon_threadsafe(site.worker._abort))
    assert ended.value.code == 1
    assert "Exception in worker_abort hook" in caplog.text


def test_max_requests(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    site = make(max_requests=2)
    site.run(lambda site: [site.get(b"a"), site.get(b"b")])
    assert "Autorestarting worker after current request." in caplog.text
    assert site.worker.nr == 2
    assert b"Connection: close" in site.answers[1]


def test_the_master_has_gone(make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make()
    site.worker.ppid = -1
    site.run(lambda site: None)
    assert "Parent changed, shutting down" in caplog.text


def test_stopped_before_it_runs(make: Make) -> None:
    site = make()
    site.worker.alive = False
    site.worker.run()
    assert site.worker.loop.is_closed()


def test_settings_that_fail(make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the code that stops the master."""
    monkeypatch.setenv("AIOHTTP_WORKER_HEAD_TIMEOUT", "soon")
    site = make()
    with pytest.raises(SystemExit) as ended:
        site.worker.run()
    assert ended.value.code == Arbiter.WORKER_BOOT_ERROR
    assert "The worker cannot serve: ValueError: AIOHTTP_WORKER_HEAD_TIMEOUT must be a number" in caplog.text
    assert site.worker.loop.is_closed()


def test_all_threads_hang(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Requests in the threads get 500, those that wait for one 503, and the worker ends."""
    hung = threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        hung.wait(20)
        return []

    site = make(application, threads=2, timeout=1)

    def client(site: Site) -> None:
        clients = [threading.Thread(target=site.get, args=(b"%d" % number,)) for number in range(4)]
        for one in clients:
            one.start()
        for one in clients:
            one.join(15)
        hung.set()

    with pytest.raises(SystemExit) as ended:
        site.run(client)
    assert ended.value.code == 1
    assert "All 2 threads hang (timeout = 1)" in caplog.text
    assert {answer[9:12] for answer in site.answers} <= {b"500", b"503", b""}
    assert sum(answer.startswith(b"HTTP/1.1 500") for answer in site.answers) == 2


class Closing:
    """An application with a close()."""

    def __init__(self, error: Exception | None = None) -> None:
        self.closed = False
        self.error = error

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b""]

    async def close(self) -> None:
        self.closed = True
        asyncio.get_running_loop().create_task(asyncio.sleep(60))
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, ValueError("of close")])
def test_close_of_the_application(make: Make, caplog: pytest.LogCaptureFixture, error: Exception | None) -> None:
    application = Closing(error)
    make(application).run(lambda site: None)
    assert application.closed
    assert ("application.close() failed: ValueError: of close" in caplog.text) is (error is not None)


def test_errors_of_callbacks(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    site = make()

    def client(site: Site) -> None:
        for error in (ConnectionResetError("gone"), KeyError("lost")):
            context = {"message": "of a callback", "exception": error}
            site.worker.loop.call_soon_threadsafe(site.worker._loop_failed, site.worker.loop, context)
        exiting = {"message": "", "exception": SystemExit(7)}
        site.worker.loop.call_soon_threadsafe(site.worker._loop_failed, site.worker.loop, exiting)

    with pytest.raises(SystemExit) as ended:
        site.run(client)
    assert ended.value.code == 7
    levels = {record.levelname for record in caplog.records if "of a callback" in record.getMessage()}
    assert levels == {"DEBUG", "ERROR"}


def test_wake_without_a_pipe(make: Make) -> None:
    """A signal may come before there is one."""
    site = make()
    pipe, site.worker.PIPE = site.worker.PIPE, []
    site.worker._wake()
    site.worker.PIPE = pipe


def test_a_process_that_something_else_forked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make()

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    site.worker.pid = -1
    with pytest.raises(SystemExit):
        site.worker._tick()


def test_check_config(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Config()
    AsyncGunicornWorker.check_config(cfg, None)
    cfg.set("worker_connections", 0)
    with pytest.raises(RuntimeError, match="worker_connections = 0"):
        AsyncGunicornWorker.check_config(cfg, None)
