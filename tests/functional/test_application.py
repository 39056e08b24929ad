"""Every kind of application and result, on a real Gunicorn."""

from __future__ import annotations

import ast
import itertools
import re
import signal
from urllib.parse import quote

import pytest

from tests.loops import LOOPS

from .client import RawClient
from .conftest import Serve
from .server import NO_STREAM, STREAM, Gate, Server

CASES = {
    **{f"stream-{loop}": (STREAM, loop, 1) for loop in LOOPS},
    f"nostream-{LOOPS[-1]}": (NO_STREAM, LOOPS[-1], 1),
    "stream-asyncio-threads": (STREAM, "asyncio", 4),
}

APPLICATIONS = {
    "coroutine": "coroutines:application",
    "marked": "coroutines:marked",
    "chosen": "coroutines:chosen",
    "generator": "generators:application",
    "ordinary": "results:application",
}

_keys = itertools.count()


class Servers:
    """The four applications under one worker, started when needed."""

    def __init__(self, serve: Serve, case: str) -> None:
        self.worker_class, self.loop, self.threads = CASES[case]
        self._serve = serve

    def __call__(self, name: str) -> Server:
        return self._serve(
            APPLICATIONS[name],
            worker_class=self.worker_class,
            loop=self.loop,
            threads=self.threads,
            asgi_disconnect_grace_period=0,
        )

    @property
    def streams(self) -> bool:
        return self.worker_class == STREAM

    @property
    def inline(self) -> bool:
        return self.threads == 1


@pytest.fixture(scope="module", params=CASES)
def servers(request: pytest.FixtureRequest, shared_server: Serve) -> Servers:
    return Servers(shared_server, request.param)


@pytest.fixture
def key() -> str:
    """A word of its own for what one test writes to the log."""
    return f"key{next(_keys)}."


def answers(server: Server, client: RawClient, target: str = "/hello") -> None:
    """The connection is in order: it serves one more request."""
    response = client.get(target)
    assert (response.status_code, response.complete) == (200, True)


# Ordinary callables


def test_an_ordinary_callable_does_not_see_the_loop(servers: Servers, key: str) -> None:
    server = servers("ordinary")
    place = "hidden main" if servers.inline else "hidden pool"
    response = server.get(f"/where?key={key}")
    assert response.text == f"{place}, {place}"
    server.wait_for_log(f"close {key} {place}")


def test_an_ordinary_callable_may_run_loops(servers: Servers) -> None:
    server = servers("ordinary")
    for _ in range(2):
        assert server.get("/runs-loops").text == "run new runner asgiref"


def test_hooks_do_not_see_the_loop(serve: Serve, loop: str) -> None:
    server = serve(
        "results:application",
        worker_class=STREAM,
        loop=loop,
        extra="""
import asyncio, os
def look(where):
    try:
        asyncio.get_running_loop()
        os.write(2, f"{where} visible\\n".encode())
    except RuntimeError:
        os.write(2, f"{where} hidden\\n".encode())
def pre_request(worker, request):
    look(f"pre_request {request.method} {request.path}")
def post_request(worker, request, environ, response):
    look(f"post_request {response.status} {environ['PATH_INFO']}")
""",
    )
    assert server.get("/both").text == "synchronous"
    server.wait_for_log("^pre_request GET /both hidden$")
    server.wait_for_log("^post_request 200 OK /both hidden$")


def test_an_application_with_a_nested_loop_leaves_the_signals_alone(serve: Serve, loop: str) -> None:
    """A nested loop that added and removed a signal handler leaves no wakeup descriptor."""
    server = serve("signals:application", worker_class=STREAM, loop=loop)
    assert server.get("/").text == "added and removed"
    server.signal(signal.SIGTERM)
    assert server.wait(timeout=5) == 0


# Returned awaitables


@pytest.mark.parametrize("name", ["coroutine", "future", "task", "awaitable"])
def test_a_returned_awaitable(servers: Servers, name: str) -> None:
    server = servers("ordinary")
    server.get("/remember")
    with server.connect() as client:
        for _ in range(2):
            response = client.get(f"/{name}")
            expected = "coroutine visible main" if name == "coroutine" else name
            assert (response.status_code, response.text) == (200, expected)


def test_a_returned_coroutine_reads_the_collected_body(servers: Servers) -> None:
    with servers("ordinary").connect() as client:
        client.request("POST", "/returns-coroutine-that-reads", body=b"collected")
        assert client.receive().body == b"collected"
        client.request("POST", "/returns-coroutine-that-reads", chunks=[b"collected ", b"chunks"])
        assert client.receive().body == b"collected chunks"
        answers(servers("ordinary"), client, "/both")


def test_an_async_body_after_a_blocking_read(servers: Servers) -> None:
    with servers("ordinary").connect() as client:
        client.request("POST", "/reads-and-streams", body=b"foobar")
        response = client.receive()
        assert (response.status_code, response.body) == (200, b"foobar")


# Generators


def test_a_returned_generator(servers: Servers) -> None:
    """It is an iterable like any other."""
    place = f"hidden {'main' if servers.inline else 'pool'}"
    assert servers("ordinary").get("/generator").text == place


def test_a_returned_generator_that_awaits(servers: Servers) -> None:
    """It says so in its own code."""
    assert servers("ordinary").get("/awaiting-generator").text == "awaited"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("hello", "hello generator"),
        ("where", "visible main"),
        ("future", "future"),
        ("task", "task"),
        ("gather", "a b"),
        ("bare-yield", "bare coroutine"),
        ("sleeps", "slept"),
        ("nested", "from the middle one two"),
        ("returned-after-pieces", "yielded returned"),
        ("returns-async", "piece 0;piece 1;piece 2;"),
        ("caught", "from planned bare planned"),
        ("timeout", "timed out"),
        ("current-task", "True"),
        ("context?value=a", "unset a a"),
        ("list-of-awaitables", "one plain two"),
    ],
)
def test_generator(servers: Servers, name: str, body: str) -> None:
    with servers("generator").connect() as client:
        for _ in range(2):
            response = client.get(f"/{name}")
            assert (response.status_code, response.text, response.complete) == (200, body, True)


def test_the_iterable_that_a_generator_returns_is_closed(servers: Servers, key: str) -> None:
    server = servers("generator")
    server.get(f"/returned-after-pieces?key={key}")
    server.wait_for_log(f"^closed {key}")
    server.get(f"/returns-async?key={key}")
    server.wait_for_log(f"^aclosed {key}")


def test_generator_fails(servers: Servers, key: str) -> None:
    server = servers("generator")
    mark = server.log.length
    assert server.get(f"/failed?key={key}").status_code == 500
    server.wait_for_log(f"planned failure {key}", since=mark)
    with server.connect() as client:
        response = client.get(f"/failed-in-body?key={key}")
        assert (response.status_code, response.body) == (200, b"started")
        assert response.complete is False
        client.assert_closed()
    server.wait_for_log(f"planned failure {key}", since=mark, count=2)


# Coroutines


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("hello", "hello"),
        ("where", "visible main"),
        ("current-task", "True"),
        ("task-group", "0,1,2"),
        ("failed-group", "1"),
        ("timeout", "timed out"),
        ("context?value=a", "unset a a"),
        ("written", "one two three"),
        ("nested", "hello"),
        ("list-of-awaitables", "one plain two"),
        ("recorded?key=x", "one two"),
    ],
)
@pytest.mark.parametrize("application", ["coroutine", "marked"])
def test_coroutine(servers: Servers, application: str, name: str, body: str) -> None:
    with servers(application).connect() as client:
        for _ in range(2):
            response = client.get(f"/{name}")
            assert (response.status_code, response.text, response.complete) == (200, body, True)


@pytest.mark.parametrize("application", ["coroutine", "ordinary"])
def test_a_list_after_write_arrives_whole(servers: Servers, application: str) -> None:
    with servers(application).connect() as client:
        for _ in range(2):
            response = client.get("/written-then-list")
            assert (len(response.body), response.complete) == (8 + (4 << 20), True)


def test_a_wrong_item_in_the_list_of_a_coroutine(servers: Servers) -> None:
    server = servers("coroutine")
    mark = server.log.length
    with server.connect() as client:
        response = client.get("/wrong-list")
        assert response.status_code == 500 or (response.body, response.complete) == (b"good", False)
    server.wait_for_log("TypeError: .*str.*bytes", since=mark)


def test_coroutine_and_exc_info(servers: Servers) -> None:
    response = servers("coroutine").get("/exc-info")
    assert (response.status_code, response.body) == (503, b"second")
    assert response.value("X-First") is None


def test_the_iterable_of_a_coroutine_is_closed(servers: Servers, key: str) -> None:
    server = servers("coroutine")
    server.get(f"/recorded?key={key}")
    server.wait_for_log(f"^closed {key}")


@pytest.mark.parametrize(
    ("name", "logged"),
    [
        ("failed", "planned failure"),
        ("never-started", "start_response"),
        ("nothing", "TypeError: .*NoneType"),
        ("number", "TypeError: .*int"),
        ("cancels-itself", "CancelledError"),
    ],
)
def test_coroutine_fails(servers: Servers, key: str, name: str, logged: str) -> None:
    server = servers("coroutine")
    mark = server.log.length
    response = server.get(f"/{name}?key={key}")
    assert (response.status_code, response.complete) == (500, True)
    server.wait_for_log(logged, since=mark)
    assert server.get("/hello").status_code == 200
    assert len([line for line in server.log.lines(mark) if "[ERROR]" in line]) == 1


# Asynchronous bodies


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("async-generator", "firstsecond"),
        ("async-iterable", "piece 0;piece 1;piece 2;"),
        ("async-iterable-with-close", "piece 0;piece 1;piece 2;"),
        ("both", "synchronous"),
        ("told-async", "asynchronous"),
        ("told-sync", "synchronous"),
        ("async-body", "piece 0;piece 1;piece 2;"),
        ("async-body-inside", "piece 0;piece 1;piece 2;"),
        ("awaitable-items", "plain awaited plain"),
        ("list-of-awaitables", "one two"),
        ("context?value=a", "unset a"),
    ],
)
def test_asynchronous_body(servers: Servers, name: str, body: str) -> None:
    with servers("ordinary").connect() as client:
        for version in ("1.1", "1.1", "1.0"):
            response = client.get(f"/{name}", version=version)
            assert (response.status_code, response.text, response.complete) == (200, body, True)


def test_pieces_leave_as_they_are_produced(servers: Servers, gate: Gate, key: str) -> None:
    with servers("ordinary").connect() as client:
        client.request("GET", f"/async-generator?gate={gate.port}&key={key}")
        client.receive_head()
        assert client.receive_chunk() == b"first"
        gate.let_through()
        assert client.receive_chunk() == b"second"
        assert client.receive_chunk() == b""


@pytest.mark.parametrize(
    ("name", "logged"),
    [
        ("async-iterable", "aclosed {key}"),
        ("async-iterable?fail=0", "aclosed {key}"),
        ("async-iterable?fail=1", "aclosed {key}"),
        ("async-iterable-with-close", "closed {key} hidden"),
        ("async-generator", "finally {key} visible main unset"),
        ("async-body", "aclosed {key}"),
        ("async-body-inside", "closed {key}"),
        ("awaitable-items", "closed {key}"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_asynchronous_bodies_are_closed_once(servers: Servers, key: str, name: str, logged: str, method: str) -> None:
    server = servers("ordinary")
    mark = server.log.length
    with server.connect() as client:
        client.request(method, f"/{name}{'&' if '?' in name else '?'}key={key}")
        client.receive()
    if method == "HEAD" and name == "async-generator":
        return  # its finally runs only if it was begun, which a HEAD does not need
    line = logged.format(key=key)
    server.wait_for_log(f"^{line}", since=mark)
    server.get("/both")
    assert len([x for x in server.log.lines(mark) if x.startswith(line)]) == 1


def test_asynchronous_body_fails(servers: Servers, key: str) -> None:
    server = servers("ordinary")
    mark = server.log.length
    with server.connect() as client:
        response = client.get(f"/async-iterable?fail=1&key={key}")
        assert (response.body, response.complete) == (b"piece 0;", False)
        client.assert_closed()
    with server.connect() as client:
        response = client.get(f"/async-iterable?fail=0&key={key}")
        assert (response.status_code, response.complete) == (500, True)
    server.wait_for_log(f"RuntimeError: planned failure {key}", since=mark, count=2)


@pytest.mark.parametrize("application", ["coroutine", "generator"])
def test_a_request_of_its_own(servers: Servers, application: str) -> None:
    """Through the client of this distribution, to the very same worker."""
    server = servers(application)
    url = quote(f"{server.url}/hello", safe="")
    body = "got hellohello" if application == "coroutine" else "got hello generator"
    for _ in range(2):
        assert server.get(f"/outgoing?url={url}").text == body


def test_an_async_body_waits_for_a_slow_reader(servers: Servers, key: str) -> None:
    server = servers("coroutine")
    mark = server.log.length
    client = server.connect(receive_buffer=16384)
    client.request("GET", f"/spin?key={key}")
    assert client.receive_head().status_code == 200
    assert client.receive_chunk() == b"x" * 65536
    assert server.get("/hello").status_code == 200
    assert server.log.text(mark).count(f"produced {key}") < 200
    client.close()
    server.wait_for_log(f"spin ended {key}", since=mark)
    assert "Traceback" not in server.log.text(mark)


def test_head_of_an_endless_async_body(servers: Servers, key: str) -> None:
    """Nothing of it is sent, so nothing of it is awaited for ever."""
    with servers("coroutine").connect() as client:
        client.request("HEAD", f"/spin?key={key}")
        assert client.receive().status_code == 200
        answers(servers("coroutine"), client)


@pytest.mark.parametrize("application", ["coroutine", "generator"])
def test_stop_iteration_is_an_error_like_others(servers: Servers, key: str, application: str) -> None:
    server = servers(application)
    mark = server.log.length
    with server.connect() as client:
        response = client.get(f"/stop-iteration?key={key}")
        assert (response.status_code, response.complete) == (500, True)
    server.wait_for_log(f"planned {key}", since=mark)
    assert server.get("/hello").status_code == 200


# A client that leaves


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("application", ["coroutine", "generator", "marked"])
def test_the_task_is_cancelled_when_the_client_leaves(servers: Servers, gate: Gate, key: str, application: str, how: str) -> None:
    server = servers(application)
    mark = server.log.length
    client = server.connect()
    client.request("GET", f"/at-gate?gate={gate.port}&key={key}")
    gate.arrived()
    getattr(client, how)()
    server.wait_for_log(f"cancelled {key} True", since=mark)
    gate.left()
    assert server.get("/hello").status_code == 200
    assert "Traceback" not in server.log.text(mark)


def test_an_async_body_is_ended_when_the_client_leaves(servers: Servers, gate: Gate, key: str) -> None:
    server = servers("ordinary")
    mark = server.log.length
    client = server.connect()
    client.request("GET", f"/async-generator?gate={gate.port}&key={key}")
    client.receive_head()
    gate.arrived()
    client.close()
    server.wait_for_log(f"finally {key}", since=mark)
    gate.left()
    server.get("/both")
    assert "Traceback" not in server.log.text(mark)


def test_the_grace_period(serve: Serve, gate: Gate, key: str) -> None:
    """Until it is over, the task goes on; it ends by itself when it is quick enough."""
    server = serve("coroutines:application", worker_class=STREAM, asgi_disconnect_grace_period=60)
    client = server.connect()
    client.request("GET", f"/at-gate?gate={gate.port}&key={key}")
    gate.arrived()
    client.reset()
    assert server.get("/hello").status_code == 200
    gate.open()
    assert server.get("/hello").status_code == 200
    assert "cancelled" not in server.log.text()


def test_an_upload_whose_sender_leaves(servers: Servers, key: str) -> None:
    server = servers("coroutine")
    mark = server.log.length
    client = server.connect()
    client.start_upload(f"/lost-upload?key={key}")
    client.send_chunk(b"some")
    if servers.streams:
        server.wait_for_log(f"reading {key}", since=mark)
    client.reset()
    if servers.streams:
        server.wait_for_log(f"lost {key} (CancelledError|IncompleteBodyError)", since=mark)
    assert server.get("/hello").status_code == 200
    if not servers.streams:
        assert key not in server.log.text(mark)
    assert "Traceback" not in server.log.text(mark)


# The request's body as it arrives

KINDS = [
    "coroutine",
    "generator",
    "marked",
    "coroutine_object",
    "coroutine_method",
    "generator_object",
    "generator_method",
    "coroutine_partial",
    "partial_of_partial",
    "decorated",
    "marked_function",
]


@pytest.mark.parametrize("name", KINDS)
def test_called_when_the_head_is_there(shared_server: Serve, name: str) -> None:
    """Each piece comes back before the next one is sent."""
    server = shared_server(
        APPLICATIONS.get(name, f"kinds:{name}"),
        worker_class=STREAM,
        loop=LOOPS[-1],
        threads=1,
        asgi_disconnect_grace_period=0,
    )
    with server.connect() as client:
        for _ in range(2):
            client.start_upload("/echo-as-it-comes")
            client.send_chunk(b"zero")
            response = client.receive_head()
            assert (response.status_code, response.framing) == (200, "chunked")
            assert client.receive_chunk() == b"zero"
            for number in range(5):
                client.send_chunk(b"piece %d" % number)
                assert client.receive_chunk() == b"piece %d" % number
            client.end_upload()
            assert client.receive_chunk() == b""
            client.receive_until(b"\r\n")


@pytest.mark.parametrize("application", ["coroutine", "generator", "marked"])
def test_a_known_length_arrives_in_pieces_too(servers: Servers, application: str) -> None:
    if not servers.streams:
        return
    with servers(application).connect() as client:
        client.send(b"POST /echo-as-it-comes HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        client.receive_head()
        assert client.receive_chunk() == b"hello"
        client.send(b"worldGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.receive_chunk() == b"world"
        assert client.receive_chunk() == b""
        client.receive_until(b"\r\n")
        assert client.receive().status_code == 200


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
@pytest.mark.parametrize("application", ["coroutine", "generator"])
def test_whole_body(servers: Servers, application: str, size: int) -> None:
    if not servers.streams:
        return
    body = (b"0123456789" * (size // 10 + 1))[:size]
    with servers(application).connect() as client:
        client.request("POST", "/echo", body=body)
        assert client.receive().body == body
        client.request("POST", "/echo", chunks=[body[:10], body[10:]] if size > 10 else [])
        assert client.receive().body == (body if size > 10 else b"")
        answers(servers(application), client)


@pytest.mark.parametrize("application", ["coroutine", "generator"])
def test_the_kind_of_input(servers: Servers, application: str) -> None:
    with servers(application).connect() as client:
        client.request("POST", "/input-type", chunks=[b"chunked ", b"body"])
        expected = "stream 12 None" if servers.streams else "file 12 12"
        assert client.receive().text == expected
        client.request("POST", "/input-type", body=b"body")
        expected = "stream 4 4" if servers.streams else "file 4 4"
        assert client.receive().text == expected


def test_reads(servers: Servers) -> None:
    if not servers.streams:
        return
    body = b"one line\none\ntwo three\nrest"
    with servers("coroutine").connect() as client:
        for pieces in ([body], [bytes([byte]) for byte in body]):
            client.request("POST", "/reads", chunks=pieces)
            assert ast.literal_eval(client.receive().text) == [
                *(b"", b"one ", b"line\n", b"one\ntwo", b" three\n"),
                *(b"rest", b"", b"", True, b""),
            ]


@pytest.mark.parametrize("application", ["coroutine", "generator"])
def test_lines(servers: Servers, application: str) -> None:
    if not servers.streams:
        return
    with servers(application).connect() as client:
        client.request("POST", "/lines", chunks=[b"a\nb", b"\n\nlast"])
        assert ast.literal_eval(client.receive().text) == [b"a\n", b"b\n", b"\n", b"last"]


def test_a_read_may_time_out(servers: Servers) -> None:
    if not servers.streams:
        return
    with servers("coroutine").connect() as client:
        client.start_upload("/timeout-of-the-body")
        client.send_chunk(b"x")
        response = client.receive()
        assert response.text == "timed out"


def test_the_socket_rests_while_nobody_reads(servers: Servers, gate: Gate) -> None:
    if not servers.streams:
        return
    size = 64 << 20
    with servers("coroutine").connect(timeout=30) as client:
        client.send(f"POST /unread-at-gate?gate={gate.port} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
        gate.arrived()
        data = bytes(size)
        sent = client.send_some(data, 0.5)
        assert sent < 32 << 20
        assert servers("coroutine").get("/hello").status_code == 200
        gate.open()
        client.send(data[sent:])
        assert client.receive().text == str(size)


def test_the_body_that_nobody_read(servers: Servers) -> None:
    """It is skipped, or the connection ends; it is never taken for a request."""
    body = b"GET /number HTTP/1.1\r\nHost: a\r\n\r\n" * 600
    for framing in ("body", "chunks"):
        with servers("coroutine").connect() as client:
            if framing == "body":
                client.request("POST", "/unread", body=body)
            else:
                client.request("POST", "/unread", chunks=[body])
            response = client.receive()
            assert response.text == "not read"
            if response.says_close:
                client.assert_closed()
            else:
                answers(servers("coroutine"), client)


# Expect: 100-continue


@pytest.mark.parametrize("application", ["coroutine", "generator"])
def test_continue_at_the_first_read(servers: Servers, application: str) -> None:
    with servers(application).connect() as client:
        client.start_upload("/input-type", headers=[("Expect", "100-continue")])
        assert client.receive_continue().status_code == 100
        client.send_chunk(b"data")
        client.end_upload()
        response = client.receive()
        assert response.status_code == 200
        assert response.informational == []
        answers(servers(application), client)


def test_no_continue_when_nobody_reads(servers: Servers) -> None:
    if not servers.streams:
        return
    with servers("coroutine").connect() as client:
        client.start_upload("/unread", headers=[("Expect", "100-continue")])
        response = client.receive()
        assert (response.text, response.informational) == ("not read", [])
        if response.says_close:
            client.assert_closed()
        else:  # then the body is still expected
            client.send_chunk(b"data")
            client.end_upload()
            answers(servers("coroutine"), client)


def test_no_continue_before_the_read(servers: Servers, gate: Gate) -> None:
    if not servers.streams:
        return
    with servers("coroutine").connect() as client:
        client.start_upload(f"/unread-at-gate?gate={gate.port}", headers=[("Expect", "100-continue")])
        gate.arrived()
        assert client.is_quiet(0.05)
        gate.open()
        assert client.receive_continue().status_code == 100
        client.send_chunk(b"data")
        client.end_upload()
        assert client.receive().text == "4"


# An inline call that takes too long


def test_a_slow_inline_call_is_logged_once(serve: Serve) -> None:
    server = serve("results:application", worker_class=STREAM)
    for _ in range(3):
        assert server.get("/slow?secret=1").text == "slow"
    assert server.get("/both").status_code == 200
    lines = server.wait_for_log("/slow")
    assert len(lines) == 1
    assert "--threads" in lines[0]
    assert "secret" not in lines[0]
    assert not [line for line in server.log.lines() if "/both" in line]


def test_a_slow_call_in_a_thread_is_not(serve: Serve) -> None:
    server = serve("results:application", worker_class=STREAM, threads=2)
    assert server.get("/slow").text == "slow"
    assert server.get("/both").status_code == 200
    assert "/slow" not in server.log.text()


# Nonsense


@pytest.mark.parametrize("after", ["", "1"])
@pytest.mark.parametrize("case", ["text", "number"])
@pytest.mark.parametrize(("application", "name"), [("ordinary", "wrong-async-item"), ("generator", "wrong-item")])
def test_wrong_items(servers: Servers, key: str, application: str, name: str, case: str, after: str) -> None:
    server = servers(application)
    mark = server.log.length
    with server.connect() as client:
        response = client.get(f"/{name}?case={case}&after={after}&key={key}")
        if after:
            assert (response.body, response.complete) == (b"good", False)
        else:
            assert (response.status_code, response.complete) == (500, True)
        client.assert_closed() if after else None
    type_name = {"text": "str", "number": "int"}[case]
    server.wait_for_log(f"TypeError: .*{type_name}.*bytes", since=mark)
    server.wait_for_log(f"finally {key}", since=mark)
    assert len(re.findall("TypeError: ", server.log.text(mark))) == 1


def test_an_awaitable_item_of_the_wrong_type(servers: Servers) -> None:
    server = servers("ordinary")
    mark = server.log.length
    with server.connect() as client:
        response = client.get("/wrong-awaitable-item")
        assert (response.body, response.complete) == (b"good", False)
        client.assert_closed()
    server.wait_for_log("TypeError: .*str.*bytes", since=mark)


def test_awaiting_where_there_is_no_loop(servers: Servers) -> None:
    server = servers("ordinary")
    mark = server.log.length
    assert server.get("/awaits-in-the-call").status_code == 500
    server.wait_for_log("RuntimeError: .*loop", since=mark)


def test_an_async_generator_function_is_no_application_by_accident(serve: Serve) -> None:
    """It is an asynchronous body whose first step starts the response."""
    server = serve("kinds:async_generator", worker_class=STREAM)
    with server.connect() as client:
        client.start_upload("/")
        client.send_chunk(b"one")
        client.receive_head()
        assert client.receive_chunk() == b"one"
        client.send_chunk(b"two")
        assert client.receive_chunk() == b"two"
        client.end_upload()
        assert client.receive_chunk() == b""


# Single endpoints that read their input as it arrives


def test_one_endpoint_reads_as_it_arrives(servers: Servers) -> None:
    with servers("chosen").connect() as client:
        client.start_upload("/stream")
        client.send_chunk(b"one\n")
        if servers.streams:
            client.receive_head()
            assert client.receive_chunk() == b"one\n", "the rest is not sent yet"
            client.send_chunk(b"two\n")
            assert client.receive_chunk() == b"two\n"
            client.end_upload()
            assert client.receive_chunk() == b""


def test_the_others_are_ordinary(servers: Servers) -> None:
    if servers.streams:
        with servers("chosen").connect() as client:
            for body in (b"", b"small", bytes(100_000), bytes(3_000_000)):
                assert client.post("/file", body).text == f"{len(body)} {len(body)}"
            client.request("POST", "/file", chunks=[b"a" * 70_000, b"b" * 70_000])
            assert client.receive().text.startswith("140000 ")
            assert client.post("/stream", b"and back\n").text == "and back\n"
            assert client.get("/file").text == "0 None"
            assert client.get("/stream").text == ""


def test_a_choice_that_fails(servers: Servers) -> None:
    """Is answered with 500, named in one line of the log, and harms nobody."""
    server = servers("chosen")
    mark = server.log.length
    with server.connect() as client:
        if servers.streams:
            assert client.post("/broken", b"body").status_code == 500
            server.wait_for_log(
                "stream_input: when failed for /broken: LookupError: 'no such table'|LookupError: no such table", since=mark
            )
    assert server.get("/file").status_code == 200


@pytest.mark.parametrize("loop", LOOPS)
def test_the_loop_is_seen_by_tasks_alone(serve: Serve, loop: str) -> None:
    """In a new worker: before the first task, in it, and after it."""
    server = serve("results:application", worker_class=STREAM, loop=loop)
    with server.connect() as client:
        for _ in range(2):
            for _ in range(2):
                assert client.get("/runs-loops").text.startswith("run new runner")
            assert client.get("/coroutine").text == "coroutine visible main"
            assert client.get("/awaiting-generator").text == "awaited"
