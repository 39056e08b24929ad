"""Requests that hang or block the loop, named in the log with the line of code."""

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
from .server import NO_STREAM, PATIENCE, STREAM, Gate, Server

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


HANGING_HOOKS = """
import threading
def pre_request(worker, req):
    if req.path == "/pre": threading.Event().wait()
def post_request(worker, req, environ, resp):
    if req.path == "/post": threading.Event().wait()
"""


@pytest.mark.slow
def test_a_hook_that_hangs(serve: Serve, tmp_path: Path) -> None:
    """Belongs to its request, on a unix socket too."""
    server = serve("hanging:application", worker_class=STREAM, timeout=1, extra=HANGING_HOOKS, bind=f"unix:{tmp_path}/socket")
    for path, status_code in (("/pre", 500), ("/post", 200)):
        mark = server.log.length
        with server.connect() as client:
            assert client.get(path).status_code == status_code
            client.assert_closed()
        server.log.wait_for(f"Error handling request GET {path} from a unix socket: it has hung", since=mark)
        server.log.wait_for(f"    if req.path == .{path}.: threading.Event", since=mark)
        server.access.wait_for(f"GET {path} HTTP/1.1. {status_code}")


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


def wait_until_asleep(pid: int) -> None:
    """Wait until a process waits in the kernel, and for nothing that it does itself: a while after its last answer."""
    limit = time.monotonic() + PATIENCE
    asleep = 0
    while asleep < 10:
        assert time.monotonic() < limit
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        asleep = asleep + 1 if state == "S" else 0


def test_an_abort_of_an_idle_worker_accuses_nobody(serve: Serve) -> None:
    for loop in LOOPS:
        server = serve("hanging:application", worker_class=STREAM, loop=loop)
        with server.connect() as client:
            client.get("/hello")
            (pid,) = server.worker_pids(1)
            wait_until_asleep(pid)
            os.kill(pid, signal.SIGABRT)
            server.worker_pids(2)
        assert "Traceback" not in server.log.text()
        assert "hung" not in server.log.text()


# Threads that hang

HOOK = "import os\ndef worker_abort(worker): os.write(2, b'hook worker_abort\\n')\n"


@pytest.mark.slow
@pytest.mark.parametrize(("worker_class", "loop"), [(STREAM, LOOPS[0]), (NO_STREAM, LOOPS[-1])])
def test_others_are_served_when_all_threads_have_hung(serve: Serve, worker_class: str, loop: str) -> None:
    """Within about a second more than the time limit; who waited for a thread is told."""
    server = serve("hanging:application", worker_class=worker_class, loop=loop, threads=8, timeout=3, extra=HOOK)
    began = time.monotonic()
    hanging = [server.connect(timeout=30) for _ in range(40)]
    for client in hanging:
        client.request("GET", "/sleeps")
    assert hanging[-1].is_quiet(2.2)
    late = server.connect(timeout=30)  # not accepted any more: the next worker finds it
    late.request("GET", "/hello")
    assert late.receive().text == "hello"
    assert time.monotonic() - began < 4.5  # an import of the application, on a busy machine, included
    status_codes = [client.receive().status_code for client in hanging]
    assert (status_codes.count(500), status_codes.count(503)) == (8, 32)
    for client in hanging:
        client.assert_closed()
    lines = server.log.wait_for(
        r"Error handling request GET /sleeps from 127.0.0.1: it has hung for 3\.\d s in its thread", count=8
    )
    assert len(lines) == 8
    assert server.log.text().count("    time.sleep(60)") == 8
    server.log.wait_for(r"\[CRITICAL\] All 8 threads hang \(timeout = 3\).*32 requests")
    server.log.wait_for("hook worker_abort")
    assert "WORKER TIMEOUT" not in server.log.text()
    assert len(server.access.wait_for("GET /sleeps HTTP/1.1. 50[03]", count=40)) == 40
    assert server.get("/hello").text == "hello"


@pytest.mark.slow
def test_one_thread_that_hangs_is_named_and_the_worker_stays(serve: Serve, gate: Gate) -> None:
    server = serve("hanging:application", worker_class=STREAM, threads=2, timeout=1)
    with server.connect() as client:
        client.request("GET", f"/close?gate={gate.port}")
        gate.arrived()
        server.log.wait_for(r"Error handling request GET /close.* it has hung for [\d.]+ s in its thread")
        assert not gate.somebody_waits(2)  # it is not said again
        for _ in range(5):
            assert server.get("/hello").text == "hello"
        gate.open()
        assert client.receive().body == b"\0end"
        assert client.get("/hello").text == "hello"
    assert len([line for line in server.log.lines() if "it has hung" in line]) == 1
    assert len(server.worker_pids(1)) == 1
    assert "CRITICAL" not in server.log.text()


@pytest.mark.slow
def test_what_waits_for_clients_or_goes_on_has_not_hung(serve: Serve, gate: Gate) -> None:
    """An upload that does not come, an answer that is not read, and events now and then, for several times the limit."""
    server = serve("hanging:application", worker_class=STREAM, threads=2, timeout=1)
    with server.connect() as stream, server.connect() as another:
        for client in (stream, another):
            client.request("GET", "/streams?pieces=15")
        for client in (stream, another):
            assert client.receive().body == b"x" * 15
    probe = serve("probe:application", worker_class=STREAM, threads=2, timeout=1)
    with probe.connect() as upload, probe.connect(receive_buffer=16384) as reader:
        upload.start_upload("/body-size")
        upload.send_chunk(b"some")
        reader.request("GET", "/write-big?pieces=2048")
        assert upload.is_quiet(3)
        upload.end_upload()
        assert upload.receive().text == "4"
        assert len(reader.receive().body) > 2048 * 16384
    for one in (server, probe):
        assert "hung" not in one.log.text()
        assert "CRITICAL" not in one.log.text()
        assert len(one.worker_pids(1)) == 1


@pytest.mark.slow
def test_without_a_time_limit_threads_may_take_theirs(serve: Serve, gate: Gate) -> None:
    server = serve("hanging:application", worker_class=STREAM, threads=2, timeout=0)
    clients = [server.connect(), server.connect()]
    for client in clients:
        client.request("GET", f"/call?gate={gate.port}")
        gate.arrived()
    assert not gate.somebody_waits(3)
    for client in clients:
        gate.open()
        assert client.receive().text == "hello"
    assert "hung" not in server.log.text()


def test_threads_that_are_busy_for_a_while(serve: Serve, gate: Gate) -> None:
    """New connections wait in the backlog, and are accepted as soon as a thread is free."""
    server = serve("hanging:application", worker_class=STREAM, threads=2, timeout=30)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.request("GET", f"/call?gate={gate.port}")
    for _ in range(2):
        gate.arrived()
    assert not gate.somebody_waits(2.5)
    late = server.connect()
    late.request("GET", "/hello")
    began = time.monotonic()
    gate.open()
    gate.open()
    assert late.receive().text == "hello"
    assert time.monotonic() - began < 0.9  # less than a tick
    gate.let_through()
    for client in clients:
        assert client.receive().text == "hello"
