"""Signals to the master and to a worker: idle, busy in threads and coroutines, and blocked in a call on the loop."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .client import Cut, RawClient
from .conftest import Serve
from .observing import Load, facts, is_alive, refuses_connections, wait_until
from .server import STREAM, Gate, Server

# Seconds for what waits for nobody. A busy machine takes some of them; who waits takes the 30 of graceful_timeout.
SOON = 8
TERM, INT, QUIT, HUP, ABRT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGABRT
USR1, USR2, WINCH, TTIN, TTOU = signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU

MARKS = """
import os
def worker_int(worker): os.write(2, b"hook worker_int\\n")
def worker_abort(worker): os.write(2, b"hook worker_abort\\n")
def worker_exit(server, worker): os.write(2, b"hook worker_exit\\n")
def post_worker_init(worker): os.write(2, b"hook post_worker_init\\n")
"""

#: How the application is busy: its name and settings.
BUSY = {
    "coroutine": ("facts:gated", "/", {}),
    "thread": ("facts:application", "/at-gate", {"threads": 2}),
    "blocked": ("facts:application", "/at-gate", {}),
}


@pytest.fixture(params=BUSY)
def busy(request: pytest.FixtureRequest, tmp_path: Path, loop: str, gate: Gate) -> Iterator[tuple[Server, RawClient]]:
    """A server in the middle of an answer, and the client who waits for it.

    An application that is ended in the middle leaves open what it had opened, so this is not asked in the end.
    """
    application, path, settings = BUSY[request.param]
    server = Server(application, worker_class=STREAM, directory=tmp_path, loop=loop, extra=MARKS, graceful_timeout=5, **settings)
    server.start()
    try:
        server.wait_for_log("hook post_worker_init")
        client = server.connect()
        client.request("GET", f"{path}?gate={gate.port}")
        gate.arrived()
        yield server, client
    finally:
        server.stop(check=False)
    assert server.exit_code == 0


@pytest.fixture
def idle(serve: Serve, loop: str) -> Server:
    server = serve("facts:application", worker_class=STREAM, loop=loop, extra=MARKS)
    server.wait_for_log("hook post_worker_init")
    return server


def next_worker(server: Server, since: int) -> None:
    server.log.wait_for("hook post_worker_init", since=since)


# To the master


@pytest.mark.parametrize("number", [TERM, INT, QUIT])
def test_the_end_when_idle(idle: Server, number: int) -> None:
    """At once, also with connections that could be used again."""
    with idle.connect() as client, idle.connect():
        assert client.get("/hello").status_code == 200
        began = time.monotonic()
        idle.signal(number)
        client.assert_closed()
        assert idle.wait() == 0
        assert time.monotonic() - began < SOON
    idle.wait_for_log("hook worker_exit")


def test_term_lets_answers_be_finished(busy: tuple[Server, RawClient], gate: Gate) -> None:
    server, client = busy
    server.signal(TERM)
    server.wait_for_log("Handling signal: term")
    gate.open()
    assert client.receive().status_code == 200
    client.assert_closed()
    assert server.wait() == 0
    server.stop()


@pytest.mark.parametrize("number", [INT, QUIT])
def test_int_and_quit_wait_for_nobody(busy: tuple[Server, RawClient], number: int) -> None:
    server, client = busy
    began = time.monotonic()
    server.signal(number)
    client.assert_closed()
    assert server.wait() == 0
    assert time.monotonic() - began < SOON
    server.wait_for_log("hook worker_int")
    server.wait_for_log("hook worker_exit")


@pytest.mark.parametrize("threads", [1, 2])
def test_quit_while_clients_come(serve: Serve, loop: str, threads: int) -> None:
    """Connections that are being set up are closed without a word in the log, also when it is said twice."""
    server = serve("facts:application", worker_class=STREAM, loop=loop, threads=threads)
    with Load(server.address, count=20) as load:
        load.more()
        (worker,) = server.worker_pids(1)
        os.kill(worker, QUIT)
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, QUIT)
        server.signal(QUIT)
        assert server.wait() == 0


@pytest.mark.parametrize("threads", [1, 4])
def test_hup_loses_no_request(serve: Serve, loop: str, threads: int) -> None:
    """New workers beside the old ones, with clients asking all along."""
    server = serve("facts:application", worker_class=STREAM, loop=loop, workers=2, threads=threads, accesslog=None)
    server.worker_pids(2)
    with Load(server.address) as load:
        for round_ in (1, 2, 3):
            server.signal(HUP)
            server.worker_pids(2 + 2 * round_)
            server.log.wait_for("Worker exiting", count=2 * round_)
            load.more()
    assert load.failures == []


def test_hup_reads_the_application_again(serve: Serve, tmp_path: Path) -> None:
    module = tmp_path / "changing.py"
    text = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{}']\n"
    module.write_text(text.format("old"))
    server = serve("changing:application", worker_class=STREAM, pythonpath=str(tmp_path), raw_env=["PYTHONDONTWRITEBYTECODE=1"])
    assert server.get("/").body == b"old"
    module.write_text(text.format("new, and longer"))
    server.signal(HUP)
    server.log.wait_for("Worker exiting")
    assert server.get("/").body == b"new, and longer"


def test_hup_lets_answers_be_finished(serve: Serve, loop: str, gate: Gate) -> None:
    server = serve("facts:gated", worker_class=STREAM, loop=loop)
    with server.connect() as client:
        client.request("GET", f"/?gate={gate.port}")
        gate.arrived()
        old = server.worker_pids(1)[0]
        server.signal(HUP)
        new = server.worker_pids(2)[1]
        wait_until(lambda: server.get("/").text == str(new))
        gate.open()
        answer = client.receive()
        assert answer.text == str(old)
        assert answer.says_close


def test_ttin_and_ttou(idle: Server) -> None:
    first = idle.worker_pids(1)[0]
    idle.signal(TTIN)
    second = idle.worker_pids(2)[1]
    idle.log.wait_for("hook post_worker_init", count=2)
    idle.signal(TTOU)
    idle.log.wait_for("hook worker_exit")
    wait_until(lambda: not is_alive(first))  # the oldest one goes
    assert idle.get("/pid").text == str(second)


def test_winch_needs_a_daemon(idle: Server) -> None:
    idle.signal(WINCH)
    idle.wait_for_log("Handling signal: winch")
    assert idle.get("/hello").status_code == 200


def test_usr2_starts_a_second_master(serve: Serve, loop: str) -> None:
    """Both serve; the old one goes; not one request is lost."""
    server = serve("facts:application", worker_class=STREAM, loop=loop, pidfile="gunicorn.pid", accesslog=None)
    server.worker_pids(1)
    with Load(server.address) as load:
        server.signal(USR2)
        line = server.log.wait_for(r"Listening at: .*\(\d+\)", count=2)[1]
        match = re.search(r"\((\d+)\)", line)
        assert match
        second = int(match[1])
        server.worker_pids(2)
        load.more()
        os.kill(server.process.pid, TERM)
        server.process.wait(10)
        load.more()
        assert is_alive(second)
    assert load.failures == []
    assert facts(server)["ppid"] == second
    os.kill(second, TERM)
    wait_until(lambda: not is_alive(second))


def test_usr1_reopens_the_logs(serve: Serve, tmp_path: Path) -> None:
    access = tmp_path / "access"
    server = serve("facts:application", worker_class=STREAM, accesslog=str(access))
    server.get("/hello?one")
    wait_until(lambda: "?one" in access.read_text())
    access.rename(tmp_path / "access.1")
    server.signal(USR1)
    wait_until(access.exists)

    def written() -> bool:
        server.get("/hello?two")
        return "?two" in access.read_text()

    wait_until(written)
    assert "?one" not in access.read_text()


# To a worker


@pytest.mark.parametrize("number", [TERM, INT, QUIT, ABRT])
def test_a_worker_is_replaced_when_idle(idle: Server, number: int) -> None:
    pid = int(idle.get("/pid").text)
    since = idle.log.length
    began = time.monotonic()
    os.kill(pid, number)
    next_worker(idle, since)
    assert time.monotonic() - began < SOON
    assert idle.get("/pid").text != str(pid)
    assert not is_alive(pid)


def test_term_to_a_worker_lets_it_finish(busy: tuple[Server, RawClient], gate: Gate) -> None:
    server, client = busy
    since = server.log.length
    os.kill(server.worker_pids(1)[0], TERM)
    gate.open()
    assert client.receive().status_code == 200
    next_worker(server, since)
    server.stop()


@pytest.mark.parametrize(("number", "hook"), [(INT, "worker_int"), (QUIT, "worker_int"), (ABRT, "worker_abort")])
def test_a_worker_is_replaced_when_busy(busy: tuple[Server, RawClient], number: int, hook: str) -> None:
    """Also in the middle of a call that blocks the loop."""
    server, client = busy
    since = server.log.length
    began = time.monotonic()
    os.kill(server.worker_pids(1)[0], number)
    rest = client.receive_until_close()
    # ABRT from the master means that the loop is kept, and the request that keeps it is answered.
    assert rest == b"" or (number == ABRT and rest.startswith(b"HTTP/1.1 500 "))
    server.log.wait_for(f"hook {hook}$", since=since)
    next_worker(server, since)
    assert time.monotonic() - began < SOON
    server.log.wait_for("hook worker_exit", since=since)


def test_winch_and_usr1_to_a_worker(idle: Server) -> None:
    with idle.connect() as client:
        pid = int(client.get("/pid").text)
        for number in (WINCH, USR1):
            os.kill(pid, number)
            assert client.get("/pid").text == str(pid)


def test_signals_survive_the_application(idle: Server) -> None:
    """One that runs loops with signal handlers of their own leaves the process without a wakeup descriptor."""
    with idle.connect() as client:
        assert client.get("/hostile").body == b"done"
        idle.signal(TERM)
        began = time.monotonic()
        assert idle.wait() == 0
        assert time.monotonic() - began < 6  # a tick later than otherwise


# A master that is gone


@contextlib.contextmanager
def orphaned(server: Server) -> Iterator[list[int]]:
    """The workers of a master that is killed."""
    server.start()
    pids = server.worker_pids(1)
    try:
        server.get("/hello")
        yield pids
    finally:
        if server.process.poll() is None:
            server.process.kill()
        for pid in pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        server.stop(check=False)


def test_a_lost_master_is_noticed(tmp_path: Path, loop: str) -> None:
    server = Server("facts:application", worker_class=STREAM, directory=tmp_path, loop=loop)
    with orphaned(server) as pids:
        began = time.monotonic()
        server.process.kill()
        wait_until(lambda: not any(map(is_alive, pids)), 5)
        assert time.monotonic() - began < 2  # one tick and the way out


@pytest.mark.parametrize("how", ["coroutine", "thread"])
def test_a_lost_master_is_noticed_while_busy(tmp_path: Path, loop: str, gate: Gate, how: str) -> None:
    """And what is being answered is finished."""
    application, path, settings = BUSY[how]
    server = Server(application, worker_class=STREAM, directory=tmp_path, loop=loop, **settings)
    with orphaned(server) as pids, server.connect() as client:
        client.request("GET", f"{path}?gate={gate.port}")
        gate.arrived()
        server.process.kill()
        wait_until(lambda: refuses_connections(server), 2.5)
        gate.open()
        assert client.receive().status_code == 200
        wait_until(lambda: not any(map(is_alive, pids)), 5)


# Reloading


def test_reload_shows_a_syntax_error_and_recovers(serve: Serve, tmp_path: Path) -> None:
    module = tmp_path / "changing.py"
    good = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{}']\n"
    module.write_text(good.format("one"))
    server = serve(
        "changing:application",
        worker_class=STREAM,
        pythonpath=str(tmp_path),
        reload=True,
        reload_engine="poll",
        environ={"PYTHONPATH": os.pathsep.join([os.getcwd()]), "PYTHONDONTWRITEBYTECODE": "1"},
    )

    def answer() -> tuple[int, str]:
        """The application's answer; none while the worker is being replaced. Makes the file newer now and then.

        The reloader takes the first time that it sees for the old one, and may not have looked before the file was changed.
        """
        nonlocal age
        if time.monotonic() > last + 2 * (age + 1):
            age += 1
            os.utime(module, (time.time() + 10 * age, time.time() + 10 * age))
        try:
            response = server.get("/")
        except (Cut, OSError):
            return 0, ""
        return response.status_code, response.text

    age, last = 0, time.monotonic()
    wait_until(lambda: answer() == (200, "one"))
    module.write_text("def application(environ, start_response)\n    broken\n")
    _, page = wait_until(lambda: (told := answer())[0] == 500 and told)
    assert "SyntaxError" in page
    assert "changing.py" in page
    module.write_text(good.format("two"))
    wait_until(lambda: answer() == (200, "two"))


# Workers that end by themselves


@pytest.mark.parametrize("threads", [1, 4])
def test_max_requests_loses_no_request(serve: Serve, loop: str, threads: int) -> None:
    server = serve(
        "facts:application",
        worker_class=STREAM,
        loop=loop,
        workers=2,
        threads=threads,
        max_requests=40,
        max_requests_jitter=20,
        accesslog=None,
    )
    with Load(server.address) as load:
        server.worker_pids(6)
        load.more()
    assert load.failures == []
