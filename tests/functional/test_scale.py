"""Many clients at once on one worker."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

import pytest

from tests.loops import LOOPS

from .client import RawClient
from .conftest import Serve
from .server import NO_STREAM, STREAM, Server

CLIENTS = 1000
UPLOADS = 200


@pytest.fixture(scope="module", autouse=True)
def enough_descriptors() -> Iterator[None]:
    """The servers that are started meanwhile inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 4 * CLIENTS
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"no more than {hard} descriptors are allowed here")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def seconds_for_requests(server: Server, count: int) -> float:
    """How long it takes to answer so many ordinary requests on one connection."""
    with server.connect() as client:
        assert client.get("/hello").status_code == 200
        start = time.perf_counter()
        for _ in range(count):
            assert client.get("/hello").body == b"Hello, world!\n"
        return time.perf_counter() - start


@pytest.mark.parametrize("worker_class", [STREAM, NO_STREAM])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_thousand_event_streams(serve: Serve, worker_class: str, threads: int) -> None:
    server = serve(
        "scale:application",
        worker_class=worker_class,
        loop=LOOPS[-1],
        threads=threads,
        worker_connections=2 * CLIENTS,
        asgi_disconnect_grace_period=0,
        accesslog=None,
    )
    alone = seconds_for_requests(server, 200)
    clients = [server.connect() for _ in range(CLIENTS)]
    for client in clients:
        client.request("GET", "/events")
    for client in clients:
        assert client.receive_head().status_code == 200
        assert client.receive_chunk() == b"data: welcome\n\n"
    beside = seconds_for_requests(server, 200)
    assert beside < max(4 * alone, 1)
    assert server.get("/publish").text == str(CLIENTS)
    for client in clients:
        assert client.receive_chunk() == b"data: news\n\n"
    for client in clients[: CLIENTS // 2]:
        client.reset()
    for client in clients[CLIENTS // 2 :]:
        client.close()
    server.wait_for_log("events ended", count=CLIENTS)
    assert server.get("/publish").text == "0"
    assert "Traceback" not in server.log.text()


@pytest.mark.parametrize("application", ["coroutines:application", "generators:application"])
def test_long_uploads(serve: Serve, application: str) -> None:
    """All of them are read at the same time, each piece as it comes."""
    server = serve(
        application,
        worker_class=STREAM,
        loop=LOOPS[-1],
        worker_connections=2 * UPLOADS,
        accesslog=None,
    )
    clients: list[RawClient] = [server.connect() for _ in range(UPLOADS)]
    for client in clients:
        client.start_upload("/echo-as-it-comes")
    for number in range(5):
        piece = b"%d" % number * 4096
        for client in clients:
            client.send_chunk(piece)
        for client in clients:
            if number == 0:
                assert client.receive_head().status_code == 200
            received = b""
            while len(received) < len(piece):
                received += client.receive_chunk()
            assert received == piece
        assert server.get("/hello").status_code == 200
    for client in clients:
        client.end_upload()
    for client in clients:
        assert client.receive_chunk() == b""
        client.receive_until(b"\r\n")
        assert client.get("/hello").status_code == 200


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("worker_class", [STREAM, NO_STREAM])
def test_a_long_poll_is_woken_by_another_request(serve: Serve, loop: str, worker_class: str) -> None:
    server = serve("coroutines:application", worker_class=worker_class, loop=loop)
    clients = [server.connect() for _ in range(50)]
    for client in clients:
        client.request("GET", "/long-poll?key=x")
    server.wait_for_log("waiting x", count=50)
    assert clients[0].is_quiet(0.02)
    assert server.get("/wake").text == "50"
    for client in clients:
        assert client.receive().text == "woken"
