"""Processes that a view forks: whatever they do, the worker goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority

from .client import RawClient
from .conftest import Serve
from .server import NO_STREAM, STREAM, Server

# What the child does, and the code with which it ends.
ENDS = {
    "returns": 0,
    "raises": 1,
    "exits": 7,
    "says": 1,
    "leaves": 8,
    "runs": 0,
    "prints": 0,
    "daemon": 0,
    "terminal": 0,
    "hurts": 0,
}
# Processes that end by themselves, with what the view answers then.
OTHERS = {"multiprocessing": b"499500 0", "pool": b"[1, 2, 3]", "subprocess": b"fed", "exec": b"9"}

KINDS: dict[str, dict[str, Any]] = {
    "inline": {"application": "forking:application", "worker_class": STREAM},
    "nostream": {"application": "forking:application", "worker_class": NO_STREAM},
    "threads": {"application": "forking:application", "worker_class": STREAM, "threads": 4},
    "coroutine": {"application": "forking:coroutine", "worker_class": STREAM},
    "generator": {"application": "forking:generator", "worker_class": STREAM},
}


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, shared_server: Serve, loop: str) -> Server:
    return shared_server(loop=loop, keepalive=60, **KINDS[request.param])


def kind_of(server: Server) -> str:
    return server._command[-1].partition(":")[2]


def still_serves(server: Server, client: RawClient) -> None:
    """Twenty more requests are answered, on this connection, which brought exactly one answer, and on new ones."""
    for _ in range(10):
        assert client.get("/hello").body == b"hello"
        assert server.get("/hello").body == b"hello"


def child_ends(client: RawClient, target: str, code: int, before: bytes = b"") -> None:
    answer = client.get(target)
    assert answer.status_code == 200
    assert answer.body == before + str(code).encode()


@pytest.mark.parametrize("how", ENDS)
def test_the_view_forks(server: Server, how: str) -> None:
    before = b"first " if kind_of(server) == "generator" else b""
    since, logged = server.log.length, server.access.length
    with server.connect() as client:
        child_ends(client, f"/{how}", ENDS[how], before)
        still_serves(server, client)
    if how == "raises":
        server.log.wait_for("ValueError: the child's error", since=since)
        assert "Error in a process that the application forked" in server.log.text(since)
    elif how == "says":
        server.log.wait_for("the child's last words", since=since)
    lines = server.access.wait_for(f"GET /{how}", since=logged)
    assert len(lines) == 1
    server.access.wait_for("GET /hello", since=logged, count=20)
    assert len([line for line in server.access.lines(logged) if f"/{how}" in line]) == 1
    if how == "prints":
        server.access.wait_for("printed by the child", since=logged)


@pytest.mark.parametrize("how", OTHERS)
def test_processes_that_end_by_themselves(server: Server, how: str) -> None:
    if kind_of(server) == "generator":
        pytest.skip("as in a coroutine")
    with server.connect() as client:
        assert client.get(f"/{how}").body == OTHERS[how]
        still_serves(server, client)


@pytest.fixture(params=["inline", "nostream", "threads"])
def ordinary(request: pytest.FixtureRequest, shared_server: Serve, loop: str) -> Server:
    return shared_server(loop=loop, keepalive=60, **KINDS[request.param])


@pytest.mark.parametrize("how", ["returns", "raises", "exits", "runs"])
def test_a_step_forks(ordinary: Server, how: str) -> None:
    """The child does not step on."""
    since = ordinary.log.length
    with ordinary.connect() as client:
        child_ends(client, f"/{how}?place=step", ENDS[how], b"first ")
        still_serves(ordinary, client)
    assert len(ordinary.log.wait_for("stepped on", since=since)) == 1


@pytest.mark.parametrize("how", ["returns", "raises", "exits", "runs"])
def test_close_forks(ordinary: Server, how: str) -> None:
    with ordinary.connect() as client:
        assert client.get(f"/{how}?place=close").body == b"first "
        still_serves(ordinary, client)


@pytest.mark.parametrize("how", ["returns", "raises", "exits"])
def test_an_asynchronous_body_forks(ordinary: Server, how: str) -> None:
    with ordinary.connect() as client:
        child_ends(client, f"/{how}?place=async", ENDS[how], b"first ")
        still_serves(ordinary, client)


@pytest.mark.parametrize("size", [3, 2_000_000])
def test_the_child_reads_the_body(ordinary: Server, size: int) -> None:
    """The parent's place in it stays where it was, in a file, too."""
    since = ordinary.log.length
    with ordinary.connect() as client:
        assert client.post("/reads", b"x" * size).body == str(size).encode()
        still_serves(ordinary, client)
    if size > 3 and ordinary.threads == 1:
        ordinary.log.wait_for(f"the child has read {size}", since=since)


def test_the_child_writes(ordinary: Server) -> None:
    """A megabyte, which nobody gets and nothing waits for."""
    with ordinary.connect() as client:
        child_ends(client, "/writes", 0)
        still_serves(ordinary, client)


def test_what_was_printed_before_is_written_once(ordinary: Server) -> None:
    since = ordinary.access.length
    with ordinary.connect() as client:
        child_ends(client, "/returns?place=unflushed", 0)
    ordinary.access.wait_for("written once", since=since)
    assert ordinary.access.text(since).count("written once") == 1


@pytest.mark.parametrize("place", ["deep", "callback", "task", "executor"])
@pytest.mark.parametrize("how", ["returns", "raises", "exits"])
def test_places_of_coroutines(shared_server: Serve, loop: str, place: str, how: str) -> None:
    server = shared_server(loop=loop, keepalive=60, **KINDS["coroutine"])
    with server.connect() as client:
        # An executor keeps what its work has raised for somebody who waits; in the child there is nobody.
        child_ends(client, f"/{how}?place={place}", 0 if place == "executor" else ENDS[how])
        still_serves(server, client)


def test_a_child_that_awaits(shared_server: Serve, loop: str) -> None:
    """The loop is the parent's."""
    server = shared_server(loop=loop, keepalive=60, **KINDS["coroutine"])
    since = server.log.length
    with server.connect() as client:
        child_ends(client, "/awaits", 1)
        still_serves(server, client)
    server.log.wait_for("RuntimeError: no running event loop", since=since)
    assert "the child goes on" not in server.log.text(since)


def test_a_subprocess_of_the_loop(shared_server: Serve, loop: str) -> None:
    """uvloop calls what is registered for forks, too."""
    server = shared_server(loop=loop, keepalive=60, **KINDS["coroutine"])
    with server.connect() as client:
        assert client.get("/spawns").body == b"fed"
        still_serves(server, client)


def test_what_waits_for_its_turn_is_the_parents(shared_server: Serve, loop: str) -> None:
    """Callbacks and tasks that were due when the view forked run once."""
    server = shared_server(loop=loop, keepalive=60, **KINDS["coroutine"])
    since = server.log.length
    with server.connect() as client:
        child_ends(client, "/returns?place=soon", 0)
        still_serves(server, client)
    assert server.log.text(since).count("called soon") == 1
    assert server.log.text(since).count("in another task") == 1


HOOKS = """
import os
def fork_in(name):
    pid = os.fork()
    if pid == 0:
        os.write(2, f"child of {name}\\n".encode())
        return
    assert os.waitpid(pid, 0)[1] == 0
def pre_request(worker, req):
    if req.path == "/leaves":
        fork_in("pre_request")
def post_request(worker, req, environ, resp):
    if req.path == "/leaves":
        fork_in("post_request")
"""


@pytest.mark.parametrize("kind", ["inline", "threads", "coroutine"])
def test_hooks_fork(serve: Serve, loop: str, kind: str) -> None:
    server = serve(loop=loop, keepalive=60, extra=HOOKS, **KINDS[kind])
    with server.connect() as client:
        child_ends(client, "/leaves", 8)
        still_serves(server, client)
    assert server.log.text().count("child of pre_request") == 1
    assert server.log.text().count("child of post_request") == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("kind", ["inline", "threads", "coroutine"])
def test_with_tls(serve: Serve, loop: str, authority: Authority, kind: str) -> None:
    """No goodbye, and no record, comes from the child; a handshake that is not over goes on."""
    certificate = authority.issue("localhost", "/CN=localhost")
    server = serve(loop=loop, keepalive=60, certfile=str(certificate.certfile), keyfile=str(certificate.keyfile), **KINDS[kind])
    context = authority.client_context()
    with server.connect() as silent, secure(server, context) as client:
        for how in ("returns", "raises", "exits"):
            child_ends(client, f"/{how}", ENDS[how])
            for _ in range(10):
                assert client.get("/hello").body == b"hello"
        silent.socket = context.wrap_socket(silent.socket, server_hostname="localhost")
        assert isinstance(silent.socket, ssl.SSLSocket)
        assert silent.get("/hello").body == b"hello"


def secure(server: Server, context: ssl.SSLContext) -> RawClient:
    return server.connect(tls=context, server_hostname="localhost")


def test_a_child_that_lives_on_holds_nothing(serve: Serve, loop: str, tmp_path: Path) -> None:
    """Neither the client's connection nor the address."""
    module = tmp_path / "outliving.py"
    module.write_text(OUTLIVING)
    server = serve("outliving:application", worker_class=STREAM, loop=loop, pythonpath=str(tmp_path))
    with server.connect() as client:
        answer = client.get("/", headers=[("Connection", "close")])
        client.assert_closed()
    pid = int(answer.body)
    server.begin_to_stop()
    server.process.wait(10)
    try:
        with pytest.raises(ConnectionRefusedError):
            server.connect()
    finally:
        os.kill(pid, signal.SIGKILL)


OUTLIVING = """
import os, signal
def application(environ, start_response):
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    start_response("200 OK", [])
    return [str(pid).encode()]
"""
