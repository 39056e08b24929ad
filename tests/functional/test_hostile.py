"""Hostile clients and broken requests, through a real Gunicorn on real sockets."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import signal
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority

from .client import Cut, RawClient
from .conftest import Serve
from .observing import wait_until
from .server import NO_STREAM, PATIENCE, STREAM, Gate, Server

CORPUS = Path(__file__).parents[1] / "corpus"
INVALID = sorted((CORPUS / "invalid").glob("*.http"))
VALID = sorted((CORPUS / "valid").glob("*.http"))

# The kinds of application, by how their bodies are read.
KINDS: dict[str, dict[str, Any]] = {
    "collected": {"application": "hostile:application", "worker_class": NO_STREAM},
    "inline": {"application": "hostile:application", "worker_class": STREAM},
    "threads": {"application": "hostile:application", "worker_class": STREAM, "threads": 4},
    "coroutine": {"application": "hostile:coroutine", "worker_class": STREAM},
}
STREAMED = {"threads", "coroutine"}
HUGE = (bytes(range(251)) * 67_000)[: 16 << 20]  # what the applications answer to /huge
# In which each can send a response without end.
WAYS = {
    "collected": ["/stream", "/file", "/written"],
    "inline": ["/stream", "/file", "/written"],
    "threads": ["/stream", "/file", "/written"],
    "coroutine": ["/stream"],
}

SHORT_TIMES = {
    "AIOHTTP_WORKER_HEAD_TIMEOUT": "0.5",
    "AIOHTTP_WORKER_BODY_TIMEOUT": "0.5",
    "AIOHTTP_WORKER_WRITE_TIMEOUT": "0.5",
    "AIOHTTP_WORKER_LINGER_TIMEOUT": "0.5",
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def assert_healthy(server: Server) -> None:
    """Somebody else is served, at once."""
    before = time.monotonic()
    assert server.get("/healthy").status_code == 200
    assert time.monotonic() - before < 2.0


# The corpus


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid(shared_server: Serve, path: Path) -> None:
    """One answer with the right status, the connection closed, one line in the log, and nothing for the application."""
    server = shared_server("hostile:application", worker_class=NO_STREAM)
    mark = server.log.length
    status_code = int(path.stem.partition("-")[0])
    with server.connect() as client:
        client.send(path.read_bytes())
        if path.stem.startswith("400-second-request"):
            assert client.receive().status_code == 200
        if path.stem == "400-tls-client-hello":
            client.receive_until_close()  # whatever is said before the end, such a client does not understand it
        else:
            response = client.receive()
            assert response.status_code == status_code
            assert response.says_close
            assert response.complete
        client.assert_closed()
    server.wait_for_log("Invalid request from 127.0.0.1: ", since=mark)
    assert_healthy(server)
    text = server.log.text(mark)
    assert len(re.findall("Invalid request|Traceback", text)) == 1, text
    assert len(re.findall("called (?!GET /healthy)", text)) == path.stem.startswith("400-second-request"), text


@pytest.mark.parametrize(
    "path", [path for path in INVALID if "-chunk-" in path.stem or "-trailer-" in path.stem], ids=lambda path: path.stem
)
@pytest.mark.parametrize("streamed", sorted(STREAMED))
def test_invalid_while_the_application_reads(shared_server: Serve, streamed: str, path: Path) -> None:
    """It was called before its body was there: then reading the body raises, and the answer is the same."""
    server = shared_server(**KINDS[streamed])
    mark = server.log.length
    status_code = int(path.stem.partition("-")[0])
    with server.connect() as client:
        client.send(path.read_bytes())
        response = client.receive()
        assert response.status_code == status_code
        assert response.says_close
        client.assert_closed()
    server.wait_for_log("application: read raised IncompleteBodyError", since=mark)
    assert "Traceback" not in server.log.text(mark)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid(shared_server: Serve, path: Path) -> None:
    """What is merely unusual is served."""
    server = shared_server("hostile:application", worker_class=NO_STREAM)
    messages = json.loads(path.with_suffix(".json").read_text())["messages"]
    with server.connect() as client:
        client._methods = [message["method"] for message in messages]
        client.send(path.read_bytes())
        for message in messages:
            response = client.receive()
            assert response.status_code == 200
            if message["method"] != "HEAD":
                assert response.body == b"%d" % len(message["body"])
            assert response.says_close is not message["keep_alive"] or response.version == "1.0"
        if not messages[-1]["keep_alive"]:
            client.assert_closed()


def test_tls_on_a_port_without_it(shared_server: Serve) -> None:
    """The client is told at once, in the only way it understands: the connection ends."""
    server = shared_server("hostile:application", worker_class=NO_STREAM)
    mark = server.log.length
    with server.connect() as client, pytest.raises((ssl.SSLError, ConnectionError)):
        ssl.create_default_context().wrap_socket(client.socket, server_hostname="localhost")
    server.wait_for_log("Invalid request from 127.0.0.1: this is TLS", since=mark)


# Time


def test_a_head_that_does_not_complete(shared_server: Serve) -> None:
    server = shared_server("hostile:application", worker_class=NO_STREAM, environ=SHORT_TIMES)
    mark = server.log.length
    with server.connect() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n")
        response = client.receive()
        assert response.status_code == 408
        assert response.says_close
        client.assert_closed()
    server.wait_for_log("Invalid request from 127.0.0.1: the head of the request did not come in time", since=mark)


def test_a_head_that_comes_in_drops(shared_server: Serve) -> None:
    """The limit counts from the first byte; more bytes do not buy more time."""
    server = shared_server("hostile:application", worker_class=NO_STREAM, environ=SHORT_TIMES)
    with server.connect() as client:
        client.send("GET / HTTP/1.1\r\nX: ")
        end = time.monotonic() + PATIENCE
        while client.is_quiet(0.05):
            client.send("x")
            assert time.monotonic() < end
        assert client.receive().status_code == 408


def test_a_connection_without_a_request(shared_server: Serve) -> None:
    server = shared_server("hostile:application", worker_class=NO_STREAM, environ=SHORT_TIMES)
    with server.connect() as client:
        client.assert_closed()


def test_an_idle_connection(shared_server: Serve) -> None:
    server = shared_server("hostile:application", worker_class=NO_STREAM, environ=SHORT_TIMES, keepalive=1)
    with server.connect() as client:
        assert client.get("/").status_code == 200
        client.assert_closed()


def test_a_body_that_does_not_move(shared_server: Serve, kind: str) -> None:
    server = shared_server(**KINDS[kind], environ=SHORT_TIMES)
    mark = server.log.length
    with server.connect() as client:
        client.send("POST /stalled HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        response = client.receive()
        assert response.status_code == 408
        assert response.says_close
        client.assert_closed()
    if kind in STREAMED:
        server.wait_for_log("application: read raised IncompleteBodyError", since=mark)
    else:
        server.wait_for_log("Invalid request from 127.0.0.1: the body of the request did not come in time", since=mark)
        assert "called POST /stalled" not in server.log.text(mark)
    assert "Traceback" not in server.log.text(mark)


def test_a_body_that_comes_in_drops(shared_server: Serve, kind: str) -> None:
    """A least rate: more bytes buy more time, but not much."""
    server = shared_server(**KINDS[kind], environ=SHORT_TIMES)
    with server.connect() as client:
        client.send("POST /drops HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        end = time.monotonic() + PATIENCE
        while client.is_quiet(0.05):
            client.send("x")
            assert time.monotonic() < end
        assert client.receive().status_code == 408


def test_a_response_that_is_not_read(shared_server: Serve, kind: str) -> None:
    """The connection is given up, and the application's iterable closed."""
    server = shared_server(**KINDS[kind], environ=SHORT_TIMES)
    mark = server.log.length
    with server.connect(receive_buffer=4096) as client:
        client.request("GET", "/stream")
        server.wait_for_log("application: stream closed", since=mark)
        assert_healthy(server)
    assert "Traceback" not in server.log.text(mark)


def test_a_response_that_is_read_slowly(shared_server: Serve, kind: str) -> None:
    """Who reads a little at a time is not given up, though the socket takes nothing for long: its buffer holds megabytes."""
    server = shared_server(**KINDS[kind], environ=SHORT_TIMES)
    for path in WAYS[kind]:
        mark = server.log.length
        with server.connect(segment=1400) as client:
            client.request("GET", path)
            client.receive_head()
            end = time.monotonic() + 3.0  # of the write time-out six times
            while time.monotonic() < end:
                client.receive_exactly(16384)
                time.sleep(0.03)  # the pace itself; nothing is waited for
            assert "stream closed" not in server.log.text(mark), path
        server.wait_for_log("application: stream closed", since=mark)
        assert "Traceback" not in server.log.text(mark)


def test_a_response_that_is_read_late(serve: Serve, kind: str) -> None:
    """A pause between two reads is limited by the time for writing, not by the shorter one between two requests."""
    server = serve(**KINDS[kind], keepalive=2)
    with server.connect(receive_buffer=4096) as client:
        client.request("GET", "/huge")
        client.receive_head()
        for _ in range(2):
            with server.connect() as other:
                other.get("/unread")
                other.assert_closed()  # its time between two requests is over
        assert len(client.receive_exactly(16 << 20)) == 16 << 20
        assert client.get("/unread").text == "not read"
        client.assert_closed()


def test_a_response_that_is_cut_looks_so(shared_server: Serve, kind: str) -> None:
    """What the client got before it stopped reading, and only the connection's end delimits, it must not take for all."""
    server = shared_server(**KINDS[kind], environ=SHORT_TIMES)
    for path in WAYS[kind]:
        mark = server.log.length
        with server.connect(receive_buffer=4096) as client:
            client.request("GET", path, version="1.0")
            server.wait_for_log("application: stream closed", since=mark)
            with pytest.raises(ConnectionResetError):
                while client.socket.recv(65536):
                    pass


def test_a_response_that_a_stop_cuts_looks_so(serve: Serve, kind: str) -> None:
    server = serve(**KINDS[kind], graceful_timeout=2)
    with server.connect(receive_buffer=4096) as client:
        client.request("GET", "/stream", version="1.0")
        client.receive_head()
        server.signal(signal.SIGTERM)
        server.wait_for_log("graceful_timeout is over: 1 connections are cut")
        with pytest.raises(ConnectionResetError):
            while client.socket.recv(65536):
                pass


def test_stalled_clients_delay_nobody(shared_server: Serve, kind: str) -> None:
    """A hundred of each: silent, half a head, half a body; and some that do not read."""
    server = shared_server(**KINDS[kind])
    clients = [server.connect() for _ in range(300)]
    for client in clients[:100]:
        client.send("GET / HTTP/1.1\r\nHost:")
    for client in clients[100:200]:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
    assert_healthy(server)
    for client in clients:
        client.close()


def test_who_waits_for_us_is_not_late(serve: Serve, gate: Gate) -> None:
    """The body's time does not run while the only thread is busy and 100 Continue has not been sent."""
    server = serve(**{**KINDS["threads"], "threads": 2}, environ=SHORT_TIMES)
    busy = [server.connect() for _ in range(2)]
    for client in busy:
        client.request("GET", f"/late?gate={gate.port}")
        gate.arrived()
    with server.connect() as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.is_quiet(2.5)
        gate.open()
        assert client.receive_continue().status_code == 100
        client.send("hello")
        assert client.receive().body == b"5"
    gate.open()


def test_who_waits_for_us_and_is_refused(serve: Serve, gate: Gate) -> None:
    """A thread that asks for the body of a connection that is over asks in vain, and nobody hears of it."""
    server = serve(**{**KINDS["threads"], "threads": 2}, environ=SHORT_TIMES)
    busy = [server.connect() for _ in range(2)]
    for client in busy:
        client.request("GET", f"/late?gate={gate.port}")
        gate.arrived()
    with server.connect() as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.is_quiet(0.3)
        client.end_of_sending()
        client.is_quiet(0.3)
    gate.open()
    gate.open()
    server.wait_for_log("application: read raised IncompleteBodyError")
    assert_healthy(server)
    assert "Exception in callback" not in server.log.text()


@pytest.mark.parametrize("body", ["", "hel"])
def test_who_does_not_send_after_100_continue(shared_server: Serve, kind: str, body: str) -> None:
    server = shared_server(**KINDS[kind], environ=SHORT_TIMES)
    with server.connect() as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n" + body)
        assert client.receive().status_code == 408


# Cut uploads


@pytest.mark.parametrize("end", ["FIN", "RST"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_cut_upload(shared_server: Serve, kind: str, framing: str, end: str) -> None:
    """It is never taken for a whole one."""
    server = shared_server(**KINDS[kind])
    mark = server.log.length
    with server.connect() as client:
        if framing == "length":
            client.send("POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        else:
            client.send("POST /cut HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        if kind in STREAMED:
            server.wait_for_log("application: called POST /cut", since=mark)
        if end == "FIN":
            client.end_of_sending()
            client.receive_until_close()
        else:
            client.reset()
    if kind in STREAMED:
        server.wait_for_log("application: read raised IncompleteBodyError", since=mark)
    assert_healthy(server)
    if kind not in STREAMED:
        assert "called POST /cut" not in server.log.text(mark)
    assert "Traceback" not in server.log.text(mark)


@pytest.mark.parametrize("cut", ["5\r\nhel", "5\r\nhello", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\nA: b\r\n"])
def test_a_chunked_upload_cut_near_its_end(shared_server: Serve, kind: str, cut: str) -> None:
    server = shared_server(**KINDS[kind])
    mark = server.log.length
    with server.connect() as client:
        client.send("POST /cut HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + cut)
        client.end_of_sending()
        answer = client.receive_until_close()
        assert not answer.startswith(b"HTTP/1.1 200")
    if kind in STREAMED:
        server.wait_for_log("application: read raised IncompleteBodyError", since=mark)
    else:
        assert "called POST /cut" not in server.log.text(mark)


# Limits


def test_a_body_that_is_too_long_is_not_asked_for(shared_server: Serve, kind: str) -> None:
    server = shared_server(**KINDS[kind], environ={"AIOHTTP_WORKER_MAX_BODY_SIZE": "1000"})
    mark = server.log.length
    with server.connect() as client:
        client.send("POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
        response = client.receive()
        assert response.status_code == 413
        assert response.informational == []
        assert response.says_close
        client.assert_closed()
    server.wait_for_log("Invalid request from 127.0.0.1: the body is longer than 1000 bytes", since=mark)
    assert "called POST /long" not in server.log.text(mark)


def test_a_chunked_body_that_grows_too_long(shared_server: Serve, kind: str) -> None:
    server = shared_server(**KINDS[kind], environ={"AIOHTTP_WORKER_MAX_BODY_SIZE": "1000"})
    mark = server.log.length
    with server.connect() as client:
        client.start_upload("/long")
        for _ in range(11):
            client.send_chunk(bytes(100))
        response = client.receive()
        assert response.status_code == 413
        assert response.says_close
    if kind in STREAMED:
        server.wait_for_log("application: read raised IncompleteBodyError", since=mark)
    assert "Traceback" not in server.log.text(mark)


def test_a_body_that_is_read_late_counts_as_a_whole(shared_server: Serve, gate: Gate) -> None:
    """The limit is for all of it, though reading from the socket was paused meanwhile."""
    environ = {"AIOHTTP_WORKER_MAX_BODY_SIZE": "3200000"}
    server = shared_server("probe:application", worker_class=STREAM, threads=4, environ=environ)
    with server.connect() as client:
        client.start_upload(f"/size-after-gate?gate={gate.port}")
        gate.arrived()
        client.send_chunk(bytes(1_000_000))
        gate.open()
        client.send_chunk(bytes(2_400_000))
        assert client.receive().status_code == 413


def test_a_body_of_the_longest_length(shared_server: Serve, kind: str) -> None:
    server = shared_server(**KINDS[kind], environ={"AIOHTTP_WORKER_MAX_BODY_SIZE": "1000"})
    with server.connect() as client:
        assert client.post("/", bytes(1000)).body == b"1000"
        client.request("POST", "/", chunks=[bytes(500), bytes(500)])
        assert client.receive().body == b"1000"


def test_worker_connections(serve: Serve) -> None:
    """Above the limit a connection waits in the backlog, until another one ends."""
    server = serve("hostile:application", worker_class=NO_STREAM, worker_connections=2)
    first, second = server.connect(), server.connect()
    assert first.get("/").status_code == 200
    assert second.get("/").status_code == 200
    third = server.connect()
    third.request("GET", "/third")
    assert third.is_quiet(0.3)
    assert "called GET /third" not in server.log.text()
    server.wait_for_log("all 2 worker_connections are in use")
    first.close()
    assert third.receive().status_code == 200


def test_all_worker_connections_are_used(serve: Serve) -> None:
    """By those that come at the same time, too."""
    server = serve("hostile:application", worker_class=NO_STREAM, worker_connections=50)
    server.worker_pids()
    for _ in range(3):
        clients = [server.connect() for _ in range(50)]
        for client in clients:
            assert client.get("/").status_code == 200
        for client in clients:
            client.close()


def test_idle_connections_make_room(serve: Serve) -> None:
    """Above the limit, those that nobody uses are ended, the longest idle first, whatever the time between requests."""
    server = serve("hostile:application", worker_class=NO_STREAM, worker_connections=3, keepalive=60)
    with server.connect() as first, server.connect() as second, server.connect() as busy:
        busy.send("GET /busy HTTP/1.1\r\n")
        assert first.get("/").status_code == 200
        assert second.get("/").status_code == 200
        with server.connect() as third:
            assert third.get("/third").status_code == 200
            first.assert_closed()
            assert second.get("/").status_code == 200
        busy.send("Host: a\r\n\r\n")
        assert busy.receive().status_code == 200


def test_silent_connections_make_room(serve: Serve) -> None:
    server = serve("hostile:application", worker_class=NO_STREAM, worker_connections=50)
    clients = [server.connect() for _ in range(100)]
    assert server.get("/").status_code == 200
    for client in clients:
        client.close()


@pytest.mark.parametrize("part", ["head", "body"])
def test_slow_requests_make_room(serve: Serve, part: str) -> None:
    """Long before their own time limit, and told so."""
    server = serve("hostile:application", worker_class=NO_STREAM, worker_connections=3)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        if part == "head":
            client.send("GET / HTTP/1.1\r\nX-Slow: ")
        else:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbeginning")
    assert server.get("/").status_code == 200
    answered = [client for client in clients if not client.is_quiet(0.01)]
    assert answered
    for client in answered:
        response = client.receive()
        assert response.status_code == 408
        assert f"the {part} of the request came too slowly, and others wait" in response.text
    for client in clients:
        client.close()


def test_those_that_do_not_read_make_room(serve: Serve) -> None:
    """Long before their own time limit, and one that reads does not."""
    server = serve("hostile:application", worker_class=NO_STREAM, worker_connections=3)
    clients = [server.connect(receive_buffer=4096) for _ in range(3)]
    for client in clients:
        client.request("GET", "/stream")
        client.receive_head()
    reader = clients[0]
    answers: list[int] = []
    other = threading.Thread(target=lambda: answers.append(server.get("/").status_code))
    other.start()
    while other.is_alive():
        reader.receive_exactly(65536)
        other.join(0.1)
    assert answers == [200]
    reader.receive_exactly(65536)
    for client in clients:
        client.close()


def test_connections_in_use_make_no_room(serve: Serve, gate: Gate) -> None:
    server = serve("hostile:application", worker_class=STREAM, threads=2, worker_connections=2, keepalive=60)
    with server.connect() as first, server.connect() as second, server.connect() as third:
        for client in (first, second):
            client.request("GET", f"/late?gate={gate.port}")
            gate.arrived()
        third.request("GET", "/third")
        assert third.is_quiet(1.5)  # longer than a connection has to be idle
        gate.open()
        gate.open()
        for client in (first, second, third):
            assert client.receive().status_code == 200


def test_a_thousand_requests_at_once(shared_server: Serve, kind: str) -> None:
    """Pipelined, answered in their order."""
    server = shared_server(**KINDS[kind])
    with server.connect() as client:
        number = 1000
        data = b"".join(
            b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (i, i % 7, bytes(i % 7)) for i in range(number)
        )
        client.send(data)
        for i in range(number):
            response = client.receive()
            assert response.status_code == 200
            assert response.body == b"%d" % (i % 7)


def test_memory_while_clients_do_not_read(serve: Serve, kind: str) -> None:
    """Applications that could send without end are paused."""
    server = serve(**KINDS[kind])
    pid = server.worker_pids()[0]
    assert_healthy(server)
    before = resident(pid)
    clients: list[RawClient] = []
    for _ in range(3 if kind == "threads" else 50):
        client = server.connect(receive_buffer=4096)
        client.request("GET", "/stream")
        client.receive_head()
        clients.append(client)
    assert_healthy(server)
    assert resident(pid) - before < 32 * 1024 * 1024


def test_memory_while_the_application_does_not_read(serve: Serve, gate: Gate, kind: str) -> None:
    """The sender is slowed down (or the body goes to a file); nothing is lost."""
    server = serve(**KINDS[kind])
    pid = server.worker_pids()[0]
    assert_healthy(server)
    before = resident(pid)
    size = 64 * 1024 * 1024
    with server.connect() as client:
        client.send(f"POST /late?gate={gate.port} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
        sender = threading.Thread(target=client.send, args=(bytes(size),))
        sender.start()
        gate.arrived()
        if kind in STREAMED:
            sender.join(0.3)
            assert sender.is_alive()
        assert resident(pid) - before < 16 * 1024 * 1024
        gate.open()
        assert client.receive().body == b"%d" % size
        sender.join()
    assert resident(pid) - before < 16 * 1024 * 1024


def test_memory_while_requests_pile_up(shared_server: Serve, kind: str) -> None:
    """Somebody asks without end and reads nothing."""
    server = shared_server(**KINDS[kind], environ=SHORT_TIMES)
    pid = server.worker_pids()[-1]
    assert_healthy(server)
    before = resident(pid)
    with server.connect(receive_buffer=4096) as client, contextlib.suppress(OSError):
        client.send_some(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" * 500_000, 0.5)
        assert_healthy(server)
        assert resident(pid) - before < 8 * 1024 * 1024


def test_memory_while_answers_pile_up(serve: Serve, kind: str) -> None:
    """Somebody asks without end for what is there at once, and reads nothing; later, all answers are there."""
    server = serve(**KINDS[kind])
    pid = server.worker_pids()[-1]
    assert_healthy(server)
    before = resident(pid)
    request = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
    with server.connect(receive_buffer=4096) as client:
        number = client.send_some(request * 20_000, 1.0) // len(request)
        assert number > 10_000
        assert_healthy(server)
        assert resident(pid) - before < 8 * 1024 * 1024
        for _ in range(number):
            assert len(client.receive().body) == 10_000


def test_memory_while_whole_answers_are_not_read(serve: Serve, tmp_path: Path, kind: str) -> None:
    """Beyond what they may have in memory together, they wait in files; each arrives whole, and its connection goes on."""
    server = serve(**KINDS[kind], tmp_upload_dir=str(tmp_path))
    pid = server.worker_pids()[-1]
    assert_healthy(server)
    before = resident(pid)
    clients = [server.connect(receive_buffer=4096) for _ in range(12)]
    for client in clients:
        client.request("GET", "/huge")
        client.receive_head()
    assert_healthy(server)
    assert resident(pid) - before < 128 * 1024 * 1024  # 12 × 16 MiB were asked for
    assert [link for link in open_files(pid) if str(tmp_path) in link]
    clients.pop().reset()
    for client in clients:
        assert client.receive_exactly(len(HUGE)) == HUGE
        assert client.get("/unread").text == "not read"
        client.close()
    wait_until(lambda: not [link for link in open_files(pid) if str(tmp_path) in link])


def test_memory_while_whole_bodies_stall(serve: Serve, tmp_path: Path) -> None:
    """Each of them might be in memory, all of them may not."""
    server = serve(**KINDS["collected"], tmp_upload_dir=str(tmp_path))
    pid = server.worker_pids()[-1]
    assert_healthy(server)
    before = resident(pid)
    clients = [server.connect() for _ in range(150)]
    for client in clients:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        client.send(bytes(999_999))
    assert_healthy(server)
    assert resident(pid) - before < 96 * 1024 * 1024
    for client in clients:
        client.send(b"x")
        assert client.receive().text == "1000000"
    wait_until(lambda: not [link for link in open_files(pid) if str(tmp_path) in link])


def test_many_requests_at_once_delay_nobody(serve: Serve, kind: str) -> None:
    """Who sends a thousand at once gets its answers between those of others."""
    server = serve(**KINDS[kind])
    mark = server.log.length
    with server.connect() as many, server.connect() as one:
        one.get("/unread")
        many.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        many.end_of_sending()
        server.wait_for_log("called GET /slow", since=mark)
        one.get("/unread")
        assert server.log.text(mark).count("called GET /slow") < 500
        for _ in range(1000):
            assert many.receive().status_code == 200


def test_memory_while_bodies_come_in_crumbs(serve: Serve, kind: str) -> None:
    """Two bytes in each chunk take the room of two bytes."""
    server = serve(**KINDS[kind], environ={"AIOHTTP_WORKER_BODY_MEMORY_SIZE": "1000000"})
    pid = server.worker_pids()[-1]
    assert_healthy(server)
    before = resident(pid)
    clients = [server.connect() for _ in range(10 if kind != "threads" else 3)]
    for client in clients:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"2\r\nab\r\n" * 200_000)
        assert_healthy(server)
        assert resident(pid) - before < 24 * 1024 * 1024
    for client in clients:
        client.send("0\r\n\r\n")
        assert client.receive().text == "400000"


def test_a_line_that_comes_in_crumbs(serve: Serve) -> None:
    """What was searched for its end is not searched again with every byte."""
    server = serve(**KINDS["coroutine"])
    with server.connect() as client:
        client.send("POST /lines HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"1\r\na\r\n" * 200_000)
        assert_healthy(server)
        client.send("1\r\n\n\r\n0\r\n\r\n")
        assert client.receive().text == "1"


def test_a_refused_client_that_goes_on(shared_server: Serve) -> None:
    """What it sends is thrown away for a while, so that it can read the answer, and not for ever."""
    server = shared_server("hostile:application", worker_class=NO_STREAM)
    with server.connect() as client:
        client.send(b"BAD\r\n\r\n")
        assert client.receive().status_code == 400
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            client.send(bytes(64 * 1024 * 1024))
    assert_healthy(server)


def test_empty_lines_without_end(shared_server: Serve) -> None:
    server = shared_server("hostile:application", worker_class=NO_STREAM, environ=SHORT_TIMES)
    with server.connect() as client:
        end = time.monotonic() + PATIENCE
        while client.is_quiet(0.05):
            client.send("\r\n")
            assert time.monotonic() < end


def test_what_follows_the_last_request(shared_server: Serve, kind: str) -> None:
    """RFC 9112 section 9.6: after Connection: close nothing is answered."""
    server = shared_server(**KINDS[kind])
    mark = server.log.length
    with server.connect() as client:
        client.send("GET /one HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.receive().status_code == 200
        client.assert_closed()
    assert_healthy(server)
    assert "GET /two" not in server.log.text(mark)


FEW_FILES = """
def post_worker_init(worker):
    import os, resource
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, used + 20))
"""


def test_no_more_descriptors(serve: Serve) -> None:
    """Accepting pauses, those who are connected are served, and it goes on by itself."""
    server = serve("hostile:application", worker_class=NO_STREAM, extra=FEW_FILES)
    first = server.connect()
    assert first.get("/").status_code == 200
    others = [server.connect() for _ in range(40)]
    server.wait_for_log("cannot accept connections for a while: ")
    assert first.get("/").status_code == 200
    for other in others:
        other.close()
    with server.connect() as client:
        assert client.get("/").status_code == 200
    assert "Traceback" not in server.log.text()


def test_a_tls_handshake_that_stalls(serve: Serve, tmp_path: Path) -> None:
    """It delays nobody, and is given up."""
    authority = Authority(tmp_path)
    certificate = authority.issue("server", "/O=Tests/CN=localhost")
    server = serve(
        "hostile:application",
        worker_class=NO_STREAM,
        certfile=str(certificate.certfile),
        keyfile=str(certificate.keyfile),
        environ={"AIOHTTP_WORKER_HANDSHAKE_TIMEOUT": "0.5"},
    )
    stalled = [server.connect() for _ in range(50)]
    for client in stalled[:25]:
        client.send(b"\x16\x03\x01")
    context = authority.client_context()
    with server.connect(tls=context, server_hostname="localhost") as client:
        assert client.get("/").status_code == 200
    for client in stalled:
        client.receive_until_close()
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.receive_until_close()
    with server.connect(tls=context, server_hostname="localhost") as client:
        assert client.get("/").status_code == 200
    assert "Traceback" not in server.log.text()


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


# Faults


NO_SPACE = """
def post_worker_init(worker):
    # A file can have no more than this: what a full disk does, without one.
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
"""


def test_no_space_for_a_body(serve: Serve, tmp_path: Path) -> None:
    server = serve(
        "hostile:application",
        worker_class=NO_STREAM,
        extra=NO_SPACE,
        tmp_upload_dir=str(tmp_path),
        environ={"AIOHTTP_WORKER_BODY_MEMORY_SIZE": "1000"},
    )
    pid = server.worker_pids()[0]
    with server.connect() as client:
        client.send("POST /full HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        client.send(bytes(300_000))
        response = client.receive()
        assert response.status_code == 507
        assert response.says_close
    server.wait_for_log(f" \\[ERROR\\] 127.0.0.1: the body of a request cannot be stored: .*, in tmp_upload_dir = '{tmp_path}'")
    assert "Invalid request" not in server.log.text()
    assert "called POST /full" not in server.log.text()
    assert "Traceback" not in server.log.text()
    assert_healthy(server)
    assert server.worker_pids() == [pid]
    assert list(tmp_path.iterdir()) == []
    deleted = [link for link in open_files(pid) if str(tmp_path) in link]
    assert deleted == []


def test_no_place_for_a_body(serve: Serve, tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    server = serve(
        "hostile:application",
        worker_class=NO_STREAM,
        tmp_upload_dir=str(uploads),
        environ={"AIOHTTP_WORKER_BODY_MEMORY_SIZE": "1000"},
    )
    assert_healthy(server)
    uploads.rmdir()
    with server.connect() as client:
        assert client.post("/", bytes(2000)).status_code == 507
    server.wait_for_log(f"the body of a request cannot be stored: No such file or directory, in tmp_upload_dir = '{uploads}'")
    assert_healthy(server)


@pytest.mark.parametrize("kind", ["collected", "inline"])
def test_no_space_for_what_is_written(serve: Serve, tmp_path: Path, kind: str) -> None:
    """What cannot be kept for a client that does not read is missing, visibly; and only for that client."""
    server = serve(**KINDS[kind], extra=NO_SPACE, tmp_upload_dir=str(tmp_path))
    pid = server.worker_pids()[0]
    for query in ["", "?length"]:
        mark = server.log.length
        with server.connect(receive_buffer=4096) as client:
            client.request("GET", f"/written{query}", version="1.0")
            server.wait_for_log("Error handling request GET /written", since=mark)
            server.wait_for_log("application: write raised OSError: .*in tmp_upload_dir = ", since=mark)
            with pytest.raises(ConnectionResetError):
                while client.socket.recv(65536):
                    pass
        assert_healthy(server)
    assert server.worker_pids() == [pid]
    wait_until(lambda: not [link for link in open_files(pid) if str(tmp_path) in link])


def test_no_space_for_whole_answers(serve: Serve, tmp_path: Path, kind: str) -> None:
    """Who does not read then, while others do not either, is reset."""
    server = serve(**KINDS[kind], extra=NO_SPACE, tmp_upload_dir=str(tmp_path))
    pid = server.worker_pids()[0]
    clients = [server.connect(receive_buffer=4096) for _ in range(12)]
    for client in clients:
        client.request("GET", "/huge")
        with contextlib.suppress(ConnectionError):
            client.receive_head()
    server.wait_for_log("GET /huge: the answer cannot be stored: File too large, in tmp_upload_dir = ")
    assert_healthy(server)
    assert server.worker_pids() == [pid]
    wait_until(lambda: not [link for link in open_files(pid) if str(tmp_path) in link])
    for client in clients:
        client.close()


def open_files(pid: int) -> list[str]:
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return links


FAULTS = {
    "/exit": "SystemExit: the application had enough",
    "/recursion": "RecursionError: ",
    "/memory": "MemoryError: no more",
    "/interrupt": "KeyboardInterrupt",
    "/generator-exit": "GeneratorExit",
}


@pytest.mark.parametrize("path", FAULTS)
def test_an_application_that_breaks(shared_server: Serve, kind: str, path: str) -> None:
    """500, one entry in the log, and the worker lives."""
    server = shared_server(**KINDS[kind])
    pids = server.worker_pids()
    mark = server.log.length
    with server.connect() as client:
        assert client.get(path).status_code == 500
    server.wait_for_log(re.escape(FAULTS[path]), since=mark)
    assert_healthy(server)
    text = server.log.text(mark)
    assert text.count("Error handling request") == 1
    assert text.count("Traceback (most recent call last)") == 1
    assert server.worker_pids() == pids


def test_an_application_that_ends_the_process(serve: Serve, kind: str) -> None:
    """The master says so in one line and starts another worker."""
    server = serve(**KINDS[kind])
    with server.connect() as client:
        client.request("GET", "/os-exit")
        with pytest.raises(Cut):
            client.receive()
    server.worker_pids(2)
    assert len(server.wait_for_log(r"Worker .*7")) == 1
    assert_healthy(server)


@pytest.mark.parametrize("kind", ["collected", "inline", "threads"])
def test_an_iterable_that_breaks(shared_server: Serve, kind: str) -> None:
    """The response is visibly cut: nobody takes it for a whole one."""
    server = shared_server(**KINDS[kind])
    mark = server.log.length
    with server.connect() as client:
        client.request("GET", "/broken-stream")
        response = client.receive()
        assert response.status_code == 200
        assert response.body == b"begun"
        assert not response.complete
    server.wait_for_log("RuntimeError: in the middle", since=mark)
    assert server.log.text(mark).count("Traceback (most recent call last)") == 1
    assert_healthy(server)


def test_nothing_is_left_open(shared_server: Serve, kind: str) -> None:
    """After clients that end in every way, the worker has the descriptors it had."""
    server = shared_server(**KINDS[kind])
    pid = server.worker_pids()[-1]
    assert_healthy(server)
    before = len(open_files(pid))
    for number in range(60):
        client = server.connect()
        if number % 3:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello"[: 20 * (1 + number % 4)])
        if number % 2:
            client.reset()
        else:
            client.close()
    end = time.monotonic() + PATIENCE
    while len(open_files(pid)) > before:
        assert_healthy(server)
        assert time.monotonic() < end, open_files(pid)
