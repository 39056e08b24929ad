"""The application's ``close()``: once in each worker that leaves, whatever makes it leave."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from .conftest import Serve
from .server import NO_STREAM, STREAM

APPLICATION = """
import asyncio, os, threading
def say(*words): os.write(2, (" ".join(map(str, words)) + "\\n").encode())

class Application:
    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

class Plain(Application):
    def close(self):
        asyncio.get_running_loop()
        say("closed plain", os.getpid(), threading.current_thread() is threading.main_thread())

class Coroutine(Application):
    async def close(self):
        await asyncio.sleep(0.01)
        self.left = asyncio.create_task(asyncio.sleep(100))
        say("closed coroutine", os.getpid(), True)

class Asynchronous(Coroutine):
    async def __call__(self, environ, start_response):
        await asyncio.sleep(0)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

class Failing(Application):
    async def close(self):
        say("closed failing", os.getpid(), True)
        raise ValueError("planned failure")

class Hanging(Application):
    async def close(self):
        say("closed hanging", os.getpid(), True)
        await asyncio.Event().wait()

class Needy(Application):
    def close(self, connection):
        say("closed needy")

plain, coroutine, asynchronous, failing, hanging, needy = (
    kind() for kind in (Plain, Coroutine, Asynchronous, Failing, Hanging, Needy)
)
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "closing.py").write_text(APPLICATION)
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
@pytest.mark.parametrize(
    ("name", "worker_class", "threads"),
    [("plain", STREAM, 1), ("coroutine", NO_STREAM, 1), ("coroutine", STREAM, 4), ("asynchronous", STREAM, 1)],
)
def test_at_signals(
    serve: Serve, loop: str, environ: dict[str, str], number: int, name: str, worker_class: str, threads: int
) -> None:
    server = serve(f"closing:{name}", worker_class=worker_class, loop=loop, threads=threads, environ=environ)
    assert server.get("/").body == b"ok"
    (pid,) = server.worker_pids()
    server.signal(number)
    assert server.wait() == 0
    kind = "plain" if name == "plain" else "coroutine"
    assert [line for line in server.log.lines() if line.startswith("closed ")] == [f"closed {kind} {pid} True"]


def test_at_max_requests_and_when_it_fails(serve: Serve, loop: str, environ: dict[str, str]) -> None:
    """The error is in the log, and the next worker serves."""
    server = serve("closing:failing", worker_class=STREAM, loop=loop, environ=environ, max_requests=1)
    for _ in range(2):
        assert server.get("/").body == b"ok"
    first, second, *_ = server.worker_pids(3)
    server.log.wait_for(f"closed failing {first} True")
    server.log.wait_for(f"closed failing {second} True")
    server.log.wait_for(r"\[ERROR\] application.close\(\) failed: ValueError: planned failure", count=2)
    server.stop()
    for pid in server.worker_pids(3):
        assert len(server.log.wait_for(f"closed failing {pid} ")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_one_that_hangs_is_cancelled_in_time(serve: Serve, loop: str, environ: dict[str, str], number: int) -> None:
    server = serve("closing:hanging", worker_class=STREAM, loop=loop, environ=environ, graceful_timeout=2)
    assert server.get("/").body == b"ok"
    began = time.monotonic()
    server.signal(number)
    assert server.wait() == 0
    assert time.monotonic() - began > 1
    server.log.wait_for(r"\[ERROR\] application.close\(\) failed: TimeoutError: it took more than 1\.\d s, and was cancelled")
    assert "SIGKILL" not in server.log.text()


def test_one_that_wants_arguments_is_not_meant(serve: Serve, environ: dict[str, str]) -> None:
    server = serve("closing:needy", worker_class=STREAM, environ=environ)
    assert server.get("/").body == b"ok"
    server.stop()
    assert "closed" not in server.log.text()
    assert "ERROR" not in server.log.text()
