"""What hangs, or keeps others waiting, is named in the log: the request and the line of code."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.loops import LOOPS

from .conftest import Serve
from .observing import wait_until
from .server import STREAM, Gate, Server

COROUTINES = ["coroutine", "asynchronous-body", "end-of-asynchronous-body", "driven-generator", "own-task", "gathered"]
CALLS = ["call", "step", "later-step", "close"]


def warnings(server: Server, since: int = 0) -> list[str]:
    return [line for line in server.log.lines(since) if "event loop" in line]


@pytest.mark.parametrize("paths", [COROUTINES, pytest.param(CALLS, marks=pytest.mark.slow)], ids=["coroutines", "calls"])
@pytest.mark.parametrize("loop", LOOPS)
def test_what_blocks_is_reported_while_it_blocks(serve: Serve, gate: Gate, loop: str, paths: list[str]) -> None:
    """The gate opens when the report is there; a second time nothing is said."""
    server = serve("hanging:application", worker_class=STREAM, loop=loop)
    for path in paths:
        for turn in range(2):
            mark = server.log.length
            with server.connect() as client:
                client.request("GET", f"/{path}?gate={gate.port}&secret=1")
                gate.arrived()
                if turn == 0:
                    (line,) = server.log.wait_for(f"GET /{path} has kept the event loop busy for", since=mark)
                    assert re.search(r"in wait\(\) \(/.*/gate\.py, line \d+: connection\.recv\(1\)\)", line), line
                    assert "secret" not in line
                    gate.open()
                else:
                    if path in COROUTINES:
                        assert not gate.somebody_waits(0.3)  # time enough for a report
                    gate.open()
                assert client.receive().status_code == 200
            said = [line for line in warnings(server, mark) if "goes on" in line]
            assert len(said) == (1 if turn == 0 else 0), (path, said)
    assert server.get("/hello").text == "hello"


def test_code_that_computes(serve: Serve) -> None:
    """In one function, and by one path, it is reported a few times at most, wherever it stands."""
    server = serve("hanging:application", worker_class=STREAM)
    for _ in range(4):
        assert server.get("/computes?seconds=0.4").text == "computed"
    lines = server.log.wait_for("GET /computes has kept the event loop busy")
    assert all("computes() (" in line for line in lines)
    assert len(lines) <= 4


def test_nothing_is_watched_without_a_limit(serve: Serve, gate: Gate) -> None:
    server = serve("hanging:application", worker_class=STREAM, environ={"AIOHTTP_WORKER_SLOW_CALL": "0"})
    (pid,) = server.worker_pids(1)
    assert len(os.listdir(f"/proc/{pid}/task")) == 1
    with server.connect() as client:
        client.request("GET", f"/coroutine?gate={gate.port}")
        gate.arrived()
        assert not gate.somebody_waits(0.4)
        gate.open()
        assert client.receive().text == "through"
    assert warnings(server) == []


def test_no_signal_goes_to_the_thread_that_watches(serve: Serve) -> None:
    """What blocks is to be interrupted, so the kernel must find the main thread only."""
    server = serve("hanging:application", worker_class=STREAM)
    (pid,) = server.worker_pids(1)
    server.get("/hello")
    (thread,) = {path.name for path in Path(f"/proc/{pid}/task").iterdir()} - {str(pid)}
    status = Path(f"/proc/{pid}/task/{thread}/status").read_text()
    blocked = int(re.findall(r"^SigBlk:\s+(\w+)", status, re.MULTILINE)[0], 16)
    for number in (signal.SIGABRT, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1):
        assert blocked & 1 << (number - 1), number


def test_an_idle_worker_hardly_wakes(serve: Serve) -> None:
    server = serve("hanging:application", worker_class=STREAM)
    server.get("/hello")
    (pid,) = server.worker_pids(1)

    def switches() -> int:
        return sum(
            int(number)
            for status in Path(f"/proc/{pid}/task").glob("*/status")
            for number in re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.MULTILINE)
        )

    before, began = switches(), time.monotonic()
    wait_until(lambda: time.monotonic() - began > 2)
    assert switches() - before <= 12


# A worker that is killed


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_an_abort_names_the_request(serve: Serve, gate: Gate, loop: str) -> None:
    """With its traceback, down to the line that blocks, and an access line; its client gets 500 if no answer has begun."""
    server = serve("hanging:application", worker_class=STREAM, loop=loop, timeout=1, access_log_format="%(m)s %(U)s %(s)s")
    for path in ["call", "close", "coroutine", "driven-generator", "end-of-asynchronous-body", "gathered"]:
        mark, accesses = server.log.length, server.access.length
        with server.connect() as client:
            client.request("GET", f"/{path}?gate={gate.port}")
            gate.arrived()
            server.log.wait_for("WORKER TIMEOUT", since=mark)
            response = client.receive()
            begun = path not in ("call", "coroutine", "gathered")
            assert response.status_code == (200 if begun else 500)
            client.assert_closed()
            gate.left()
        server.log.wait_for(
            rf"\[ERROR\] Error handling request GET /{path}\?gate=\d+ from 127.0.0.1: it has hung for [\d.]+ s", since=mark
        )
        server.log.wait_for(r"exited with code 1", since=mark)
        lines = server.log.lines(mark)
        at = next(number for number, line in enumerate(lines) if "it has hung" in line)
        assert lines[at + 1] == "Traceback (most recent call last):"
        traceback = [line for line in lines[at + 2 :] if line.startswith("  ")]
        assert traceback[-1] == "    connection.recv(1)"
        assert sum("it has hung" in line for line in lines) == 1
        assert not any(line.startswith("SystemExit") for line in lines)
        (access,) = server.access.wait_for(f"GET /{path} ", since=accesses)
        assert access.endswith("200" if begun else "500")
        assert server.get("/hello").text == "hello"
        assert len(server.access.wait_for(f"GET /{path} ", since=accesses)) == 1


@pytest.mark.slow
def test_an_abort_that_nothing_interrupts(serve: Serve, gate: Gate) -> None:
    """The application catches what the signal raises, and is killed; a regular expression keeps the interpreter for itself."""
    server = serve("hanging:application", worker_class=STREAM, timeout=1)
    for path in (f"/stubborn?gate={gate.port}", "/regular-expression"):
        mark = server.log.length
        with server.connect() as client:
            client.request("GET", path)
            server.log.wait_for(re.escape(f"Error handling request GET {path} from 127.0.0.1: it has hung"), since=mark)
        server.log.wait_for("sent SIGKILL|exited with code", since=mark)
        assert server.get("/hello").text == "hello"


def test_who_waits_while_a_worker_is_aborted(serve: Serve, gate: Gate) -> None:
    """Who is not accepted yet is served by the next worker."""
    for loop in LOOPS:
        server = serve("hanging:application", worker_class=STREAM, loop=loop, timeout=1)
        with server.connect() as hanging, server.connect() as waiting:
            hanging.request("GET", f"/call?gate={gate.port}")
            gate.arrived()
            late = server.connect()
            late.request("GET", "/hello")
            waiting.close()
            assert late.receive().text == "hello"
            gate.left()


def test_an_abort_of_an_idle_worker_accuses_nobody(serve: Serve) -> None:
    for loop in LOOPS:
        server = serve("hanging:application", worker_class=STREAM, loop=loop)
        with server.connect() as client:
            client.get("/hello")
            (pid,) = server.worker_pids(1)
            os.kill(pid, signal.SIGABRT)
            server.worker_pids(2)
        assert "Traceback" not in server.log.text()
        assert "hung" not in server.log.text()
