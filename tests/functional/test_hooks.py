"""Gunicorn's hooks: their order, their arguments, and what happens when one fails."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

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
    ended = r'hook post_request \["/recorded"'  # that of the test before may come only now
    hooked.log.wait_for(ended, since=since)
    lines = [line.split(" [")[0] for line in hooked.log.lines(since) if re.match(f"closed closing|{ended}", line)]
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


SHOWING = """
import json, os
def say(*words): os.write(2, ("shown " + json.dumps(words) + "\\n").encode())
def pre_request(worker, req):
    req.mine = req.path
    say("pre", worker.nr, req.method, req.uri, req.path, req.query, req.fragment, req.version, req.headers, req.trailers,
        req.scheme, len(req.peer_addr), req.remote_addr == req.peer_addr, req.must_close, req.should_close(), req.req_number,
        req.limit_request_line, req.limit_request_fields, req.limit_request_field_size, req.max_buffer_headers,
        req.proxy_protocol_info, req.cfg is worker.cfg, hasattr(req.body, "read"))
    if req.path == "/changed":
        req.method, req.query = "PUT", "x=y"
        req.uri = "/%41?x=y"
        req.path = "/%41"
        req.headers.append(("X-ADDED", "one"))
        req.headers.append(("X-ADDED", "two"))
        req.headers.remove(("X-REMOVED", "gone"))
    if req.path == "/closing":
        req.force_close()
def post_request(worker, req, environ, resp):
    say("post", worker.nr, req.mine, resp.status, resp.status_code, resp.headers, resp.headers_sent, resp.sent,
        resp.response_length, resp.chunked, resp.is_chunked(), resp.should_close(), resp.upgrade, resp.req is req,
        resp.cfg is worker.cfg, hasattr(resp.sock, "getpeername"), isinstance(resp.version, str))
"""
SHOWN = """
import json
def application(environ, start_response):
    names = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "RAW_URI", "HTTP_X_ADDED", "HTTP_X_REMOVED", "HTTP_HOST")
    body = json.dumps({name: environ.get(name) for name in names}).encode()
    headers = [("Content-Type", "text/plain")]
    if environ["PATH_INFO"] != "/chunked":
        headers.append(("Content-Length", str(len(body))))
    start_response("200 OK", headers)
    return iter([body])
"""


def exchanges_shown(server: Server) -> tuple[list[Any], list[bytes]]:
    """Return what the hooks were shown, in the order of events, and what the application was."""
    bodies = []
    for target, headers, version in (
        ("/first?a=b", [("X-Kept", "1")], "HTTP/1.1"),
        ("/chunked", [], "HTTP/1.1"),
        ("/changed", [("X-Removed", "gone"), ("X-Kept", "2")], "HTTP/1.1"),
        ("/old", [], "HTTP/1.0"),
    ):
        since = server.log.length
        with server.connect() as client:
            for number in range(1, 2 if version == "HTTP/1.0" else 3):
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
                client.send(f"GET {target} {version}\r\nHost: a\r\n{lines}\r\n")
                bodies.append(client.receive().body)
                # The next request may begin before the hook after this one has run.
                server.log.wait_for(r'shown \["post"', since=since, count=number)
    with server.connect() as client:
        client.request("GET", "/closing")
        answer = client.receive()
        assert [value for name, value in answer.headers if name.lower() == "connection"] == ["close"]
    return [json.loads(line[6:]) for line in server.log.lines() if line.startswith("shown ")][:14], bodies


@pytest.mark.parametrize("threads", [1, 4])
def test_requests_and_responses_are_shown_as_gunicorn_shows_them(serve: Serve, tmp_path: Path, loop: str, threads: int) -> None:
    """Every attribute, the count of requests, and what a hook changes: the same as with gthread."""
    (tmp_path / "shown.py").write_text(SHOWN)
    settings = {"extra": SHOWING, "environ": {"PYTHONPATH": str(tmp_path)}, "limit_request_fields": 50}
    expected = exchanges_shown(serve("shown:application", worker_class="gthread", threads=4, **settings))
    found = exchanges_shown(serve("shown:application", worker_class=STREAM, loop=loop, threads=threads, **settings))
    assert found == expected
    assert [one[1] for one in found[0]] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7]


def test_the_worker_counts_for_whoever_can_look(serve: Serve, loop: str) -> None:
    """Also where no hook is told of requests, no access log is written, and nothing is limited."""
    extra = "import os\ndef worker_exit(server, worker): os.write(2, f'counted {worker.nr}\\n'.encode())"
    server = serve("facts:application", worker_class=STREAM, loop=loop, extra=extra, accesslog=None)
    for _ in range(3):
        assert server.get("/hello").status_code == 200
    server.stop()
    server.log.wait_for("counted 3")


@pytest.mark.parametrize("threads", [1, 4])
def test_an_exception_in_a_hook_is_called_that(serve: Serve, loop: str, threads: int) -> None:
    extra = """
def pre_request(worker, req):
    if req.path == "/pre": raise ValueError("planned before")
def post_request(worker, req, environ, resp):
    if req.path == "/post": raise ValueError("planned after")
"""
    server = serve("facts:application", worker_class=STREAM, loop=loop, threads=threads, extra=extra)
    assert server.get("/pre").status_code == 500
    server.log.wait_for("Error handling request GET /pre")
    server.log.wait_for("ValueError: planned before")
    server.log.wait_for("This is an exception in the pre_request hook; the application was not called")
    server.get("/post")
    server.log.wait_for("Exception in post_request hook: GET /post")
    server.log.wait_for("ValueError: planned after")
    assert "Error handling request GET /post" not in server.log.text()


@pytest.mark.parametrize("threads", [1, 4])
def test_the_answer_that_reaches_max_requests_says_that_the_connection_ends(serve: Serve, loop: str, threads: int) -> None:
    """So that a client sends its next request on another one, and none is lost."""
    server = serve("facts:application", worker_class=STREAM, loop=loop, threads=threads, max_requests=3)
    with server.connect() as client, server.connect() as other:
        said = []
        for _ in range(3):
            client.request("GET", "/hello")
            answer = client.receive()
            assert answer.status_code == 200
            said.append([value for name, value in answer.headers if name.lower() == "connection"])
        assert said == [[], [], ["close"]]
        # One that is open, and has asked for nothing so far, is told the same.
        other.request("GET", "/hello")
        answer = other.receive()
        assert answer.status_code == 200
        assert ("connection", "close") in [(name.lower(), value) for name, value in answer.headers]
    server.log.wait_for("Autorestarting worker after current request.")
    assert len(server.log.wait_for("Autorestarting")) == 1


def test_an_application_that_exits_while_the_worker_leaves_gets_a_500(serve: Serve, loop: str, tmp_path: Path) -> None:
    """Its SystemExit is not taken for the one with which Gunicorn ends a worker."""
    (tmp_path / "leaving.py").write_text("import sys\ndef application(environ, start_response): sys.exit(7)\n")
    settings = {"max_requests": 1, "environ": {"PYTHONPATH": str(tmp_path)}}
    server = serve("leaving:application", worker_class=STREAM, loop=loop, **settings)
    for _ in range(2):
        assert server.get("/").status_code == 500
    server.log.wait_for("Error handling request GET /", count=2)
