"""Signals to the master while its second worker boots: whatever the moment, nobody has to wait for ``graceful_timeout``."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from .conftest import Serve
from .observing import is_alive, wait_until
from .server import STREAM, Gate, Server

TERM, INT, QUIT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP
# Who does not know of a signal goes on for the 30 seconds of graceful_timeout.
SOON = 8
# A worker that is ended in the middle of its boot leaves what was opened for it.
FORGIVES = "unclosed <socket"

# The second worker stands at the gate at one place of its boot. Forks are counted, since a hook of os knows no worker.
PLACES = """
import os, socket
forks = 0 if "FORKS" not in os.environ else 10  # HUP reads this again
os.environ["FORKS"] = "counted"
def count():
    global forks
    forks += 1
def stand(place):
    if forks == 2 and place == {place!r}:
        with socket.create_connection(("127.0.0.1", {port})) as gate:
            gate.recv(1)
os.register_at_fork(before=count, after_in_child=lambda: stand("fork"))
def post_fork(server, worker): stand("post_fork")
def post_worker_init(worker): stand("post_worker_init")
def worker_exit(server, worker): os.write(2, b"hook worker_exit %d\\n" % worker.pid)
"""
MODULE = """
import sys
sys.modules["__config__"].stand("import")
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]
"""


@pytest.mark.parametrize(
    ("place", "number"),
    [
        *[("fork", number) for number in (TERM, INT, QUIT, HUP)],
        *[("import", number) for number in (TERM, QUIT, HUP)],
        ("post_fork", TERM),
        ("post_worker_init", TERM),
    ],
)
def test_a_worker_that_boots_learns_of_it(serve: Serve, tmp_path: Path, gate: Gate, place: str, number: int) -> None:
    (tmp_path / "standing.py").write_text(MODULE)
    server = serve(
        "standing:application",
        worker_class=STREAM,
        workers=2,
        graceful_timeout=30,
        extra=PLACES.format(place=place, port=gate.port),
        pythonpath=str(tmp_path),
        forgives=FORGIVES,
    )
    gate.arrived()
    began = time.monotonic()
    server.signal(number)
    first = server.worker_pids(1)[0]
    server.log.wait_for(f"hook worker_exit {first}$")  # the master has told them both, the first one before
    if number == HUP:
        # Two new ones come; the master waits for those who have to go.
        new = server.worker_pids(3)[-2:]
        gate.open()
        server.log.wait_for("hook worker_exit", count=2)
        assert server.get("/").body == b"here"
        assert all(map(is_alive, new))
        server.signal(TERM)
    else:
        gate.open()
    assert server.wait() == 0
    assert time.monotonic() - began < SOON


@pytest.mark.slow
@pytest.mark.parametrize("number", [TERM, QUIT])
def test_every_moment(tmp_path: Path, number: int) -> None:
    """In steps over the whole boot of two workers, from the second fork on; no process is left."""
    for step in range(8):
        settings = {"workers": 2, "graceful_timeout": 30, "extra": AT_FORK, "forgives": FORGIVES}
        server = Server("facts:application", worker_class=STREAM, directory=tmp_path, **settings)
        server.spawn()
        server.log.wait_for("second fork")
        time.sleep(step * 0.02)  # the moment is what is tried, nothing is waited for
        began = time.monotonic()
        server.signal(number)
        assert server.wait() == 0
        assert time.monotonic() - began < SOON
        for line in server.log.lines():
            if "Booting worker" in line:
                pid = int(line.rsplit(" ", 1)[1])
                wait_until(lambda pid=pid: not is_alive(pid))
        server.stop()


AT_FORK = """
import os
def pre_fork(server, worker):
    if worker.age == 2:
        os.write(2, b"second fork\\n")
"""


@pytest.mark.parametrize("number", [TERM, INT, QUIT])
def test_a_signal_that_comes_with_the_fork(serve: Serve, number: int) -> None:
    """Sent to the worker before it ran for the first time: Gunicorn's own workers lose this one."""
    server = serve(
        "facts:application",
        worker_class=STREAM,
        workers=2,
        extra=WITH_FORK.replace("NUMBER", str(int(number))),
        forgives=FORGIVES,
    )
    pids = server.worker_pids(3)  # the second one has gone, and was replaced
    server.log.wait_for(rf"Worker exiting \(pid: {pids[1]}\)")
    wait_until(lambda: not is_alive(pids[1]))
    os.kill(pids[0], 0)


WITH_FORK = """
import os
fork = os.fork
forks = 0
def fork_and_tell():
    global forks
    pid = fork()
    if pid:
        forks += 1
        if forks == 2:
            os.kill(pid, NUMBER)
    return pid
def pre_fork(server, worker):
    os.fork = fork_and_tell
"""
