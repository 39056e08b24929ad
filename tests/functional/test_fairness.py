"""Between two workers: whoever is busy leaves new connections to the other."""

from __future__ import annotations

import pytest

from tests.loops import LOOPS

from .conftest import Serve
from .observing import wait_until
from .server import NO_STREAM, STREAM, Gate

FAST = 20


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("worker_class", [STREAM, NO_STREAM])
def test_nobody_waits_for_a_slow_request(serve: Serve, gate: Gate, worker_class: str, loop: str) -> None:
    """While one worker is inside a slow call, the other one answers everybody."""
    server = serve("probe:application", worker_class=worker_class, loop=loop, workers=2)
    server.worker_pids(2)
    for _ in range(10):
        slow = server.connect()
        slow.request("GET", f"/at-gate?gate={gate.port}")
        clients = [server.connect() for _ in range(FAST)]
        for client in clients:
            client.request("GET", "/pid")
        gate.arrived()
        pids = {client.receive().text for client in clients}
        assert len(pids) >= 1
        gate.open()
        assert slow.receive().text == "through"
        slow.close()
        for client in clients:
            client.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_nobody_waits_who_comes_later(serve: Serve, gate: Gate, loop: str) -> None:
    server = serve("probe:application", worker_class=STREAM, loop=loop, workers=2)
    server.worker_pids(2)
    with server.connect() as slow:
        slow.request("GET", f"/at-gate?gate={gate.port}")
        gate.arrived()
        pids = set()
        for _ in range(FAST):
            with server.connect() as client:
                pids.add(client.get("/pid").text)
        assert len(pids) == 1
        gate.open()
        assert slow.receive().text == "through"


@pytest.mark.parametrize("loop", LOOPS)
def test_both_workers_serve(serve: Serve, loop: str) -> None:
    """Connections that stay open are spread: a burst does not end up at one worker."""
    server = serve("probe:application", worker_class=STREAM, loop=loop, workers=2)
    answered: set[str] = set()

    def both_are_up() -> bool:
        # The log names a worker that is forked; the application is imported after that.
        answered.add(server.get("/pid").text)
        return len(answered) == 2

    wait_until(both_are_up)
    counts: dict[str, int] = {}
    clients = [server.connect() for _ in range(100)]
    for client in clients:
        client.request("GET", "/pid")
    for client in clients:
        pid = client.receive().text
        counts[pid] = counts.get(pid, 0) + 1
    assert len(counts) == 2, counts
