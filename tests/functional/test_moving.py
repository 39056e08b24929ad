"""The rows of "Moving from gthread" in docs/frameworks.rst: the same application under gthread and under our workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from tests.loops import LOOPS

from .conftest import Serve
from .server import NO_STREAM, STREAM, Gate, Server

THREADS = 4
#: name → worker class and threads
SITES = {
    "gthread": ("gthread", THREADS),
    "threads": (STREAM, THREADS),
    "nostream-threads": (NO_STREAM, THREADS),
    "loop": (STREAM, 1),
    "nostream-loop": (NO_STREAM, 1),
}
Start = Callable[[str], Server]


@pytest.fixture(scope="module")
def start(shared_server: Serve) -> Start:
    def start(name: str) -> Server:
        worker_class, threads = SITES[name]
        return shared_server("moving:application", worker_class=worker_class, threads=threads, loop=LOOPS[-1])

    return start


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, start: Start) -> Server:
    return start(request.param)


@pytest.fixture(params=[name for name, (_, threads) in SITES.items() if threads > 1])
def threaded(request: pytest.FixtureRequest, start: Start) -> Server:
    return start(request.param)


@pytest.fixture(params=[name for name, (_, threads) in SITES.items() if threads == 1])
def on_loop(request: pytest.FixtureRequest, start: Start) -> Server:
    return start(request.param)


def test_as_many_views_at_once_as_there_are_threads(threaded: Server, gate: Gate) -> None:
    clients = [threaded.connect() for _ in range(THREADS)]
    for client in clients:
        client.request("GET", f"/at_the_gate?gate={gate.port}")
        gate.arrived()
    for client in clients:
        gate.open()
        assert client.receive().text == "through"


def test_one_view_at_a_time_on_the_loop(on_loop: Server, gate: Gate, second_gate: Gate) -> None:
    with on_loop.connect() as first, on_loop.connect() as second:
        first.request("GET", f"/at_the_gate?gate={gate.port}")
        gate.arrived()
        second.request("GET", f"/at_the_gate?gate={second_gate.port}")
        assert not second_gate.somebody_waits(0.1)
        gate.open()
        second_gate.let_through()
        assert first.receive().text == second.receive().text == "through"


def test_idle_connections_cost_no_thread(site: Server) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(THREADS + 2):
            assert stack.enter_context(site.connect()).get("/database").text == "42"
        assert site.get("/database").text == "42"


@pytest.mark.parametrize(("name", "served"), [("gthread", False), ("threads", True), ("nostream-threads", True), ("loop", True)])
def test_slow_uploads(name: str, served: bool, start: Start) -> None:
    """As many stalled uploads as there are threads, and one more request."""
    site = start(name)
    with contextlib.ExitStack() as stack:
        for _ in range(THREADS):
            stalled = stack.enter_context(site.connect())
            stalled.start_upload("/first_line")
            stalled.send_chunk(b"no end of the line")
        client = stack.enter_context(site.connect(timeout=10 if served else 0.3))
        client.request("GET", "/database")
        if served:
            assert client.receive().text == "42"
        else:
            with pytest.raises(TimeoutError):
                client.receive()


@pytest.mark.parametrize(
    ("name", "length"),
    [("gthread", "None"), ("threads", "None"), ("nostream-threads", "4"), ("loop", "4"), ("nostream-loop", "4")],
)
def test_the_length_of_a_chunked_upload(name: str, length: str, start: Start) -> None:
    with start(name).connect() as client:
        client.request("POST", "/echo", chunks=[b"ab", b"cd"])
        assert client.receive().text == f"{length} abcd"


def test_thread_locals(threaded: Server) -> None:
    """No more of them than threads, however many requests."""
    counts = [int(threaded.get("/count_in_thread").text) for _ in range(4 * THREADS)]
    assert max(counts) > 1
    assert counts.count(1) <= THREADS


def test_one_thread_local_on_the_loop(on_loop: Server) -> None:
    first = int(on_loop.get("/count_in_thread").text)
    assert [int(on_loop.get("/count_in_thread").text) for _ in range(3)] == [first + 1, first + 2, first + 3]


def test_call_and_iteration_on_one_thread(site: Server) -> None:
    assert {site.get("/same_thread").body for _ in range(2 * THREADS)} == {b"True\n"}


def test_database_connections_of_a_thread(site: Server) -> None:
    assert {site.get("/database").text for _ in range(2 * THREADS)} == {"42"}


@pytest.mark.parametrize("name", [name for name in SITES if name != "gthread"])
def test_a_context_for_each_request(name: str, start: Start) -> None:
    """Under gthread it is the thread's, so a later request may find what an earlier one set."""
    site = start(name)
    with site.connect() as client:
        assert [client.get("/count_in_context").text for _ in range(3)] == ["1", "1", "1"]


def test_a_loop_of_the_application(site: Server) -> None:
    assert site.get("/run_a_loop").text == "ran"


def test_a_view_longer_than_the_timeout(serve: Serve) -> None:
    """On the loop the worker is replaced, and the next one serves."""
    site = serve("moving:application", worker_class=STREAM, threads=1, loop=LOOPS[-1], timeout=1)
    with site.connect() as client:
        client.request("GET", "/hang")
        first, second = site.worker_pids(2)
        assert site.get("/pid").text == str(second) != str(first)
        assert client.receive().status_code == 500
