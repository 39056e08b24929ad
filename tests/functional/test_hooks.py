"""Gunicorn's hooks: their order, their arguments, and what happens when one fails."""

from __future__ import annotations

import json
import re

import pytest

from .conftest import Serve
from .server import NO_STREAM, STREAM, Gate, Server

HOOKS = """
import json, os
def say(*words): os.write(2, ("hook " + " ".join(map(str, words)) + "\\n").encode())
def on_starting(server): say("on_starting")
def when_ready(server): say("when_ready")
def pre_fork(server, worker): say("pre_fork", worker.age)
def post_fork(server, worker): say("post_fork", worker.age)
def post_worker_init(worker): say("post_worker_init", callable(worker.wsgi))
def worker_exit(server, worker): say("worker_exit", worker.nr)
def on_exit(server): say("on_exit")
def pre_request(worker, req):
    worker.log.debug("%s", req)
    say("pre_request", json.dumps([req.method, req.uri, req.path, req.query, req.version, req.scheme,
                                   dict(req.headers).get("X-MARK"), req.peer_addr[0], type(worker).__name__]))
def post_request(worker, req, environ, resp):
    say("post_request", json.dumps([req.path, environ["REQUEST_METHOD"], resp.status, resp.status_code, resp.sent,
                                    dict(resp.headers).get("Content-Type")]))
"""


@pytest.fixture(params=["inline", "threads", "nostream"])
def hooked(request: pytest.FixtureRequest, shared_server: Serve, loop: str) -> Server:
    worker_class = NO_STREAM if request.param == "nostream" else STREAM
    threads = 2 if request.param == "threads" else 1
    return shared_server("facts:application", worker_class=worker_class, loop=loop, threads=threads, extra=HOOKS)


def test_the_order_of_a_life(serve: Serve, loop: str) -> None:
    server = serve("facts:application", worker_class=STREAM, loop=loop, extra=HOOKS)
    server.get("/hello?a=b", headers=[("X-Mark", "here")])
    server.log.wait_for("hook post_request")
    server.stop()
    lines = [line[5:] for line in server.log.lines() if line.startswith("hook ")]
    assert lines == [
        "on_starting",
        "when_ready",
        "pre_fork 1",
        "post_fork 1",
        "post_worker_init True",
        'pre_request ["GET", "/hello?a=b", "/hello", "a=b", [1, 1], "http", "here", "127.0.0.1", "AsyncGunicornWorker"]',
        'post_request ["/hello", "GET", "200 OK", 200, 14, "text/plain"]',
        "worker_exit 1",
        "on_exit",
    ]


def test_collections_leave_alone_what_is_loaded(serve: Serve, loop: str) -> None:
    """Also what a hook loads when the application is there."""
    extra = "loaded = []\ndef post_worker_init(worker):\n    loaded.extend([] for _ in range(1_000_000))\n"
    server = serve("facts:application", worker_class=STREAM, loop=loop, extra=extra)
    assert json.loads(server.get("/process").body)["frozen"] > 1_000_000


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/many-items", '["/many-items", "GET", "200 OK", 200, 13, "text/plain"]'),
        ("/late-start", '["/late-start", "GET", "201 Created", 201, 4, "text/plain"]'),
        ("/written", '["/written", "GET", "200 OK", 200, 13, "text/plain"]'),
        ("/generator", '["/generator", "GET", "200 OK", 200, 7, "text/plain"]'),
    ],
)
def test_of_a_request(hooked: Server, target: str, answer: str) -> None:
    since = hooked.log.length
    hooked.get(target)
    hooked.log.wait_for(re.escape(f"hook post_request {answer}"), since=since)


def test_after_the_body_is_closed(hooked: Server) -> None:
    """post_request is the last word on a request."""
    since = hooked.log.length
    hooked.get("/recorded?key=closing")
    hooked.log.wait_for("hook post_request", since=since)
    lines = [line.split(" [")[0] for line in hooked.log.lines(since) if re.match("closed closing|hook post", line)]
    assert lines == ["closed closing", "hook post_request"]


@pytest.mark.parametrize("target", ["/failed?key=hooked", "/recorded?key=hooked&fail=1", "/never-started"])
def test_of_a_request_that_fails(hooked: Server, target: str) -> None:
    since = hooked.log.length
    hooked.get(target)
    hooked.log.wait_for("hook pre_request", since=since)
    hooked.log.wait_for("hook post_request", since=since)


def test_of_a_client_that_leaves(hooked: Server) -> None:
    since = hooked.log.length
    with hooked.connect() as client:
        client.request("GET", "/endless?key=left")
        client.receive_head()
    hooked.log.wait_for("closed left", since=since)
    hooked.log.wait_for("hook post_request", since=since)


def test_of_each_request_of_a_connection(hooked: Server) -> None:
    since = hooked.log.length
    with hooked.connect() as client:
        for number in range(3):
            client.get(f"/hello?{number}")
    hooked.log.wait_for(r'hook pre_request \["GET", "/hello\?\d"', since=since, count=3)
    hooked.log.wait_for("hook post_request", since=since, count=3)


def test_of_a_request_that_is_refused(hooked: Server) -> None:
    """There is no request that hooks could be shown."""
    since = hooked.log.length
    with hooked.connect() as client:
        client.send("nonsense\r\n\r\n")
        assert client.receive().status_code == 400
    hooked.get("/hello")
    hooked.log.wait_for("hook post_request", since=since)
    assert len([line for line in hooked.log.lines(since) if "hook pre_request" in line]) == 1


def test_of_a_coroutine(serve: Serve, loop: str, gate: Gate) -> None:
    """pre_request before it runs, post_request when it is over."""
    server = serve("facts:gated", worker_class=STREAM, loop=loop, extra=HOOKS)
    with server.connect() as client:
        client.request("GET", f"/?gate={gate.port}")
        gate.arrived()
        server.log.wait_for("hook pre_request")
        assert "hook post_request" not in server.log.text()
        gate.open()
        assert client.receive().status_code == 200
    server.log.wait_for(r'hook post_request \["/", "GET", "200 OK", 200')


def test_hooks_see_no_running_loop(serve: Serve, loop: str) -> None:
    """They are ordinary code: one that runs a loop of its own can."""
    extra = """
import asyncio, os
async def nothing(): return "ran a loop"
def pre_request(worker, req): os.write(2, ("pre " + asyncio.run(nothing()) + "\\n").encode())
def post_request(worker, req, environ, resp): os.write(2, ("post " + asyncio.run(nothing()) + "\\n").encode())
"""
    server = serve("facts:application", worker_class=STREAM, loop=loop, extra=extra)
    assert server.get("/hello").status_code == 200
    server.log.wait_for("^pre ran a loop$")
    server.log.wait_for("^post ran a loop$")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_post_request_that_fails_is_logged(serve: Serve, loop: str, threads: int) -> None:
    extra = "def post_request(worker, req, environ, resp): raise RuntimeError('planned failure of the hook')"
    server = serve("facts:application", worker_class=STREAM, loop=loop, threads=threads, extra=extra)
    with server.connect() as client:
        assert client.get("/hello").body == b"Hello, world!\n"
        assert client.get("/hello").status_code == 200
    server.log.wait_for("planned failure of the hook", count=2)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pre_request_that_fails_is_an_error_of_the_request(serve: Serve, loop: str, threads: int) -> None:
    extra = "def pre_request(worker, req): raise RuntimeError('planned failure of the hook')"
    server = serve("facts:application", worker_class=STREAM, loop=loop, threads=threads, extra=extra)
    assert server.get("/hello").status_code == 500
    server.log.wait_for("planned failure of the hook")


@pytest.mark.parametrize("parameters", ["worker, req", "worker, req, environ", "worker, req, environ, resp"])
def test_post_request_with_fewer_parameters(serve: Serve, parameters: str) -> None:
    """As Gunicorn has allowed ever since there were fewer."""
    extra = f"def post_request({parameters}): worker.log.info('called with %s', req.path)"
    server = serve("facts:application", worker_class=STREAM, extra=extra)
    server.get("/hello")
    server.log.wait_for("called with /hello")
