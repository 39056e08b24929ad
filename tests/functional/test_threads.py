"""`--threads N`: a pool for applications that block."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.loops import LOOPS

from .conftest import Serve
from .observing import wait_until
from .server import NO_STREAM, STREAM, Gate, Server

WORKERS = [STREAM, NO_STREAM]


def status_of(pid: int, name: str) -> int:
    """A number of /proc/PID/status; sizes are in KiB."""
    match = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1])


def worker_of(server: Server) -> int:
    return int(server.get("/pid").text)


@pytest.fixture(params=[(worker, loop) for worker in WORKERS for loop in LOOPS], scope="module")
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    worker_class, loop = request.param
    return worker_class, loop


@pytest.fixture
def server(shared_server: Serve, case: tuple[str, str]) -> Server:
    worker_class, loop = case
    return shared_server("probe:application", worker_class=worker_class, loop=loop, threads=3)


def test_one_thread_for_one_request(server: Server) -> None:
    clients = [server.connect() for _ in range(12)]
    for client in clients:
        for number in range(4):
            client.request("GET", f"/thread?key=t{number}.")
    for client in clients:
        for _ in range(4):
            assert client.receive().text == "same same same "
        client.close()
    lines = server.wait_for_log(r"close t\d\.", count=48)
    assert {line.split(" ", 2)[2] for line in lines} == {"same=True main=False"}


def test_as_many_at_once_as_there_are_threads(server: Server, gate: Gate, second_gate: Gate) -> None:
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.request("GET", f"/at-gate?gate={gate.port}")
    for _ in clients:
        gate.arrived()
    waiting = server.connect()
    waiting.request("GET", f"/at-gate?gate={second_gate.port}")
    assert not second_gate.somebody_waits(0.1)
    gate.open()
    second_gate.let_through()
    assert waiting.receive().text == "through"
    for _ in clients[1:]:
        gate.open()
    for client in clients:
        assert client.receive().text == "through"
    assert server.get("/hello").status_code == 200


def test_few_threads_for_many_connections(server: Server) -> None:
    clients = [server.connect() for _ in range(50)]
    for client in clients:
        assert client.get("/hello").status_code == 200
    assert status_of(worker_of(server), "Threads") <= 3 + 4
    for client in clients:
        client.close()


def test_idle_connections_and_slow_readers_hold_no_thread(server: Server) -> None:
    """More of both than there are threads."""
    mark = server.log.length
    idle = [server.connect() for _ in range(10)]
    for client in idle:
        assert client.get("/hello").status_code == 200
    slow = [server.connect(receive_buffer=16384) for _ in range(8)]
    for client in slow:
        client.request("GET", f"/big?size={64 << 20}&key=slow.")
        assert client.receive_head().status_code == 200
    for _ in range(10):
        with server.connect() as client:
            assert client.get("/hello").status_code == 200
    for client in slow:
        client.close()
    server.wait_for_log(r"closed slow\.", since=mark, count=8)


def test_slow_heads_hold_no_thread(server: Server) -> None:
    slow = [server.connect() for _ in range(8)]
    for client in slow:
        client.send(b"GET /hello HTTP/1.1\r\nHo")
    assert server.get("/hello").status_code == 200
    for client in slow:
        client.close()


def test_slow_uploads_leave_threads(server: Server) -> None:
    """Half of the threads at most wait for bodies; what is too much for them is collected, and loses nothing."""
    for _ in range(2):
        slow = [server.connect() for _ in range(12)]
        for number, client in enumerate(slow):
            client.start_upload("/body-size")
            client.send_chunk(bytes(1000 * number + 1))
        for _ in range(10):
            with server.connect() as client:
                assert client.get("/hello").status_code == 200
        for number, client in enumerate(slow):
            client.send_chunk(bytes(100_000))
            client.end_upload()
            assert client.receive().text == str(100_001 + 1000 * number)
            client.close()


def test_uploads_given_up_leave_their_threads(server: Server, gate: Gate) -> None:
    """Again and again: none is counted for ever."""
    for _ in range(5):
        slow = [server.connect() for _ in range(6)]
        for number, client in enumerate(slow):
            client.start_upload("/body-size")
            client.send_chunk(b"some")
            if number % 2:
                client.send(b"no chunk\r\n")
        assert server.get("/hello").status_code == 200
        for number, client in enumerate(slow):
            if number % 3:
                client.reset()
            else:
                client.close()
    if server.worker_class == STREAM:
        wait_until(lambda: is_called_at_once(server, gate))


def is_called_at_once(server: Server, gate: Gate) -> bool:
    """Whether the application gets a request whose body is not there."""
    with server.connect() as client:
        client.start_upload(f"/at-gate?gate={gate.port}")
        client.send_chunk(b"some")
        if not gate.somebody_waits(0.3):
            return False
        gate.open()
        client.end_upload()
        return client.receive().text == "through"


def test_a_slow_reader_gets_everything(server: Server) -> None:
    """The iteration rests and goes on in its thread, again and again."""
    size = 20_000_000
    with server.connect(receive_buffer=16384) as client:
        response = client.get(f"/big?size={size}&key=all.", headers=[("Connection", "close")])
        assert (len(response.body), response.complete) == (size, True)


def test_write_waits_for_a_slow_reader(server: Server) -> None:
    with server.connect(receive_buffer=16384) as client:
        client.request("GET", "/write-big?pieces=256")
        assert server.get("/hello").status_code == 200
        response = client.receive()
        assert response.body == b"".join(bytes([number]) * 16384 for number in range(256)) + b"last"


def test_an_upload_costs_no_memory(server: Server) -> None:
    """Live from the socket in a thread, or through a temporary file."""
    pid = worker_of(server)
    with server.connect(timeout=60) as client:
        client.post("/body-size", b"warm up" * 1000)
        before = status_of(pid, "VmHWM")
        piece = bytes(1 << 20)
        client.start_upload("/body-size")
        for _ in range(200):
            client.send_chunk(piece)
        client.end_upload()
        assert client.receive().text == str(200 << 20)
    assert status_of(pid, "VmHWM") - before < 24 * 1024


def test_the_live_stream_in_a_thread(shared_server: Serve, gate: Gate) -> None:
    """The application is called when the head is there, and the sender waits while it does not read."""
    server = shared_server("probe:application", worker_class=STREAM, loop=LOOPS[-1], threads=3)
    size = 64 << 20
    with server.connect(timeout=60) as client:
        client.send(f"POST /size-after-gate?gate={gate.port} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
        gate.arrived()
        data = bytes(size)
        sent = client.send_some(data, 0.3)
        assert sent < 32 << 20
        gate.open()
        client.send(data[sent:])
        assert client.receive().text == str(size)
        assert client.get("/hello").status_code == 200


def test_continue_at_the_first_read_in_a_thread(shared_server: Serve, gate: Gate) -> None:
    server = shared_server("probe:application", worker_class=STREAM, loop=LOOPS[-1], threads=3)
    with server.connect() as client:
        client.start_upload(f"/size-after-gate?gate={gate.port}", headers=[("Expect", "100-continue")])
        gate.arrived()
        assert client.is_quiet(0.05)
        gate.open()
        assert client.receive_continue().status_code == 100
        client.send_chunk(b"data")
        client.end_upload()
        assert client.receive().text == "4"


def test_a_sender_that_leaves_wakes_the_thread(shared_server: Serve) -> None:
    server = shared_server("probe:application", worker_class=STREAM, loop=LOOPS[-1], threads=3)
    for how in ("reset", "close", "end_of_sending"):
        clients = [server.connect() for _ in range(6)]
        for client in clients:
            client.start_upload("/body-size")
            client.send_chunk(b"some")
        for client in clients:
            getattr(client, how)()
        assert server.get("/hello").status_code == 200


def test_asynchronous_applications_stay_on_the_loop(serve: Serve, gate: Gate) -> None:
    """More of them wait at once than there are threads."""
    server = serve("coroutines:application", worker_class=STREAM, loop=LOOPS[-1], threads=2)
    clients = [server.connect() for _ in range(10)]
    for client in clients:
        client.request("GET", f"/at-gate?gate={gate.port}&key=x")
    for _ in clients:
        gate.arrived()
    for _ in clients:
        gate.open()
    for client in clients:
        assert client.receive().text == "through"


def test_term_lets_the_threads_finish(serve: Serve, gate: Gate, case: tuple[str, str]) -> None:
    worker_class, loop = case
    server = serve("probe:application", worker_class=worker_class, loop=loop, threads=2)
    client = server.connect()
    client.request("GET", f"/at-gate?gate={gate.port}")
    gate.arrived()
    server.signal(signal.SIGTERM)
    server.wait_until_refused()
    gate.open()
    response = client.receive()
    assert response.text == "through"
    assert response.says_close
    client.assert_closed()
    assert server.wait() == 0


@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_application_can_ask_whether_the_client_is_there(server: Server, gate: Gate, how: str) -> None:
    mark = server.log.length
    client = server.connect()
    client.request("GET", f"/asks?gate={gate.port}&key={how}.")
    gate.arrived()
    getattr(client, how)()
    gate.open()
    server.wait_for_log(f"asked last {how}. True", since=mark)
    assert server.log.wait_for(f"asked first {how}. False", since=mark)
    assert server.get("/hello").status_code == 200
    assert "Traceback" not in server.log.text(mark)


@pytest.mark.parametrize("body", [b"3\r\nabc\r\n", b"6\r\nabc", b""])
def test_a_client_that_ends_within_a_body_that_is_not_read(server: Server, body: bytes) -> None:
    """Gets its answer, and then the end at once: nothing can follow."""
    for _ in range(3):
        with server.connect(timeout=1.5) as client:  # less than any time limit
            client.start_upload("/hello")
            client.send(body)
            client.end_of_sending()
            if server.worker_class == STREAM:  # the other one collects the body, and calls nobody
                assert client.receive().status_code == 200
            client.assert_closed()
