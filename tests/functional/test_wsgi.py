"""PEP 3333 and HTTP as an ordinary application and a strict client see them, on a real Gunicorn.

Every test runs in both workers, on each loop, inline and in threads.
"""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.loops import LOOPS

from .client import RawClient, Response, chunk_of
from .conftest import Serve
from .server import NO_STREAM, STREAM, Gate, Server

CASES = {
    **{f"stream-{loop}": (STREAM, loop, 1) for loop in LOOPS},
    **{f"nostream-{loop}": (NO_STREAM, loop, 1) for loop in LOOPS},
    f"stream-{LOOPS[-1]}-threads": (STREAM, LOOPS[-1], 2),
    "nostream-asyncio-threads": (NO_STREAM, "asyncio", 2),
}

_keys = itertools.count()


@pytest.fixture(scope="module", params=CASES)
def server(
    request: pytest.FixtureRequest,
    shared_server: Serve,
    tmp_path_factory: pytest.TempPathFactory,
) -> Server:
    worker_class, loop, threads = CASES[request.param]
    uploads = tmp_path_factory.mktemp("uploads")
    return shared_server(
        "probe:application",
        worker_class=worker_class,
        loop=loop,
        threads=threads,
        tmp_upload_dir=str(uploads),
        raw_env=[f"UPLOADS={uploads}"],
    )


@pytest.fixture
def key() -> str:
    """A word of its own for what one test writes to the log."""
    return f"key{next(_keys)}."


@pytest.fixture
def mark(server: Server) -> int:
    """Where the log stands before the test."""
    return server.log.length


def reads_live(server: Server) -> bool:
    """Whether an ordinary application is called before its body is there."""
    return server.worker_class == STREAM and server.threads > 1


def answers(client: RawClient) -> None:
    """The connection is in order: it serves one more request."""
    response = client.get("/hello")
    assert (response.status_code, response.body) == (200, b"Hello, world!\n")


# The body of a response


def test_one_item_list_gets_content_length(server: Server) -> None:
    with server.connect() as client:
        for target, body in (
            ("/hello", b"Hello, world!\n"),
            ("/tuple-of-one", b"in a tuple"),
            ("/list-of-empty", b""),
        ):
            response = client.get(target)
            assert response.value("Content-Length") == str(len(body))
            assert response.value("Content-Type") == "text/plain"
            assert (response.status_code, response.reason, response.body) == (200, "OK", body)


@pytest.mark.parametrize("target", ["/empty-list", "/empty-generator", "/list-of-empty"])
def test_no_data_at_all(server: Server, target: str) -> None:
    with server.connect() as client:
        response = client.get(target)
        assert (response.status_code, response.body, response.complete) == (200, b"", True)
        assert response.framing in ("length", "chunked")
        answers(client)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_many_items(server: Server, version: str) -> None:
    with server.connect() as client:
        response = client.get("/many-items", version=version)
        assert (response.body, response.complete) == (b"one two three", True)
        if version == "1.1":
            assert response.framing in ("length", "chunked")
            answers(client)
        else:
            assert response.framing in ("length", "close")


def test_length_of_the_application_stays(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/with-length")
        assert response.value("Content-Length") == "11"
        assert (response.framing, response.body) == ("length", b"hello world")
        answers(client)


def test_close_ends_an_http_1_0_body(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/generator", version="1.0")
        assert (response.framing, response.body) == ("close", b"one two")
        client.assert_closed()


def test_empty_items_do_not_end_a_chunked_body(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/generator")
        assert (response.framing, response.body) == ("chunked", b"one two")
        answers(client)


@pytest.mark.parametrize(
    ("target", "status_code", "body"),
    [
        ("/late-start", 201, b"late"),
        ("/generator", 200, b"one two"),
        ("/late-after-empty", 202, b"done"),
    ],
)
def test_start_response_at_the_first_step(server: Server, target: str, status_code: int, body: bytes) -> None:
    with server.connect() as client:
        response = client.get(target)
        assert (response.status_code, response.body) == (status_code, body)
        assert status_code == 202 or response.value("X-Late") == "yes"
        answers(client)


def test_first_piece_leaves_before_the_second_exists(server: Server, gate: Gate, key: str) -> None:
    with server.connect() as client:
        client.request("GET", f"/two-steps?gate={gate.port}&key={key}")
        response = client.receive_head()
        assert response.framing == "chunked"
        assert client.receive_chunk() == b"first"
        gate.let_through()
        assert client.receive_chunk() == b"second"
        assert client.receive_chunk() == b""
        client.receive_until(b"\r\n")
        answers(client)


@pytest.mark.parametrize("length", ["", "9"])
def test_an_answer_does_not_wait_for_close(server: Server, gate: Gate, key: str, mark: int, length: str) -> None:
    """However quick the calls before were, so that answers leave together."""
    with server.connect() as client:
        for _ in range(20):
            answers(client)
        client.request("GET", f"/close-at-gate?gate={gate.port}&key={key}&length={length}")
        response = client.receive()
        assert (response.text, response.complete) == ("all of it", True)
        gate.let_through()
        server.log.wait_for(f"closed {key}", since=mark)
        answers(client)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("length", ["", "1"])
def test_a_big_body_arrives_whole(server: Server, version: str, length: str) -> None:
    size = 3_000_001
    with server.connect() as client:
        target = f"/big?size={size}&key=big&length={length}"
        response = client.get(target, version=version)
        assert (len(response.body), response.complete) == (size, True)
        assert response.body.count(b"x") == size


def test_a_big_item_arrives_whole(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/big-list?size=5000000")
        assert response.value("Content-Length") == "5000000"
        assert len(response.body) == 5_000_000
        answers(client)


# The write callable


def test_write(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/written")
        assert (response.status_code, response.body) == (200, b"one two three")
        response = client.get("/written-only")
        assert (response.value("Content-Length"), response.body) == ("7", b"written")
        answers(client)


def much_written(pieces: int) -> bytes:
    return b"".join(bytes([i % 256]) * 16384 for i in range(pieces)) + b"last"


@pytest.mark.parametrize("length", ["", "&length=1"])
def test_write_much(server: Server, length: str) -> None:
    with server.connect() as client:
        assert client.get(f"/write-big?pieces=256{length}").body == much_written(256)
        answers(client)


@pytest.mark.parametrize("length", ["", "&length=1"])
def test_write_to_a_client_that_reads_late(server: Server, key: str, mark: int, length: str) -> None:
    """What one client does not read stops no other, and is all there later: from little over what a socket takes to much."""
    for pieces in [*range(100, 300, 25), 1000]:
        with server.connect(receive_buffer=4096) as client:
            client.request("GET", f"/write-big?pieces={pieces}&key={key}{length}")
            if server.threads == 1:
                server.wait_for_log(f"written {key}", since=mark)
                mark = server.log.length
            assert server.get("/hello").status_code == 200
            assert client.receive().body == much_written(pieces)
            answers(client)


def test_error_after_write_cuts_the_body(server: Server, mark: int) -> None:
    with server.connect() as client:
        response = client.get("/written-then-failed")
        if response.status_code == 200:  # write() sends, so the head cannot be taken back
            assert response.complete is False
        client.assert_closed()
    server.wait_for_log("planned failure after write", since=mark)


def test_write_takes_bytes_only(server: Server, mark: int) -> None:
    with server.connect() as client:
        assert client.get("/write-text").status_code == 500
    server.wait_for_log("TypeError.*str", since=mark)


# start_response


def test_exc_info_before_the_head_replaces_it(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/exc-info-before")
        assert (response.status_code, response.reason) == (503, "Second")
        assert response.value("X-Second") == "2"
        assert response.value("X-First") is None
        assert response.body == b"second"
        answers(client)


def test_exc_info_after_the_head_is_raised(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/exc-info-after?key={key}")
        assert (response.status_code, response.body) == (200, b"started")
        assert response.complete is False
        client.assert_closed()
    server.wait_for_log(f"raised again {key} True", since=mark)
    server.wait_for_log("planned failure after the head", since=mark)
    assert "went on" not in server.log.text(mark)


def test_second_start_response_is_refused(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/start-twice")
        assert response.status_code == 200
        assert response.body != b"allowed"
        assert response.text.endswith("Error")
        answers(client)


@pytest.mark.parametrize("target", ["/never-started", "/never-started-empty"])
def test_no_start_response(server: Server, target: str, mark: int) -> None:
    response = server.get(target)
    assert response.status_code == 500
    assert b"no head" not in response.body
    server.wait_for_log("start_response", since=mark)


@pytest.mark.parametrize(
    "case",
    [
        "status-bytes",
        "status-number",
        "status-without-code",
        "status-four-digits",
        "status-informational",
        "headers-none",
        "headers-dict",
        "header-name-bytes",
        "header-value-bytes",
        "header-value-number",
        "header-three",
        "header-name-empty",
        "header-name-space",
        "header-name-colon",
        "header-value-unicode",
        "length-negative",
        "length-word",
        "length-twice",
    ],
)
def test_wrong_start_response(server: Server, case: str, mark: int, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/wrong-start?case={case}&key={key}")
        assert response.status_code == 500
        assert response.complete
    server.wait_for_log(r"Error: .", since=mark)


@pytest.mark.parametrize(
    "case",
    [
        "status-crlf",
        "header-name-crlf",
        "header-value-crlf",
        "header-value-cr",
        "header-value-lf",
        "header-value-nul",
    ],
)
def test_nothing_is_injected(server: Server, case: str, mark: int, key: str) -> None:
    with server.connect() as client:
        client.request("GET", f"/wrong-start?case={case}&key={key}", headers=[("Connection", "close")])
        data = client.receive_until_close()
    head, _, _ = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"X-Injected" not in data
    assert b"X-A" not in data
    server.wait_for_log(r"Error: .", since=mark)


def test_the_applications_framing_headers_cannot_contradict(server: Server, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/wrong-start?case=hop-by-hop&key={key}")
        assert response.complete  # and the client refuses Content-Length beside Transfer-Encoding
        assert response.status_code == 500 or response.body == b"body"


def test_repeated_fields_stay_apart(server: Server) -> None:
    assert server.get("/repeated-headers").values("Set-Cookie") == ["a=1", "b=2"]


def test_latin1_goes_through(server: Server) -> None:
    response = server.get("/latin1-header")
    assert response.reason == "Tr\xe8s bien"
    assert response.value("X-Name") == "caf\xe9"


# Errors


def test_error_before_the_head(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/failed?key={key}")
        assert (response.status_code, response.complete) == (500, True)
        assert key not in response.text
    server.wait_for_log(f"RuntimeError: planned failure {key}", since=mark)
    assert server.log.text(mark).count("Traceback") == 1


def test_error_with_the_head_not_yet_sent(server: Server, mark: int) -> None:
    with server.connect() as client:
        response = client.get("/failed-started")
        assert (response.status_code, response.complete) == (500, True)
        assert response.value("X-First") is None
    server.wait_for_log("planned failure with the head not sent", since=mark)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_error_in_the_body_is_visible(server: Server, mark: int, key: str, version: str) -> None:
    with server.connect() as client:
        response = client.get(f"/recorded?key={key}&pieces=9&fail=2", version=version)
        assert response.status_code == 200
        assert b"piece 0;piece 1;".startswith(response.body)  # a reset may overtake it
        if version == "1.1":
            assert response.complete is False
            client.assert_closed()
        else:  # the end of the connection would say that all is well
            assert client.was_reset
    server.wait_for_log(f"planned failure {key}", since=mark)
    server.wait_for_log(f"closed {key}", since=mark)


def test_error_at_the_first_step(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/recorded?key={key}&fail=0")
        assert (response.status_code, response.complete) == (500, True)
    server.wait_for_log(f"closed {key}", since=mark)


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("case", ["text", "number", "none", "list"])
def test_wrong_items(server: Server, case: str, after: int, mark: int, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/wrong-item?case={case}&after={after}&key={key}")
        if after:
            assert response.body == b"good" * after
            assert response.complete is False
            client.assert_closed()
        else:
            assert (response.status_code, response.complete) == (500, True)
    name = {"text": "str", "number": "int", "none": "NoneType", "list": "list"}[case]
    server.wait_for_log(f"TypeError: .*{name}", since=mark)
    server.wait_for_log(f"closed {key}", since=mark)
    assert len(re.findall("TypeError: ", server.log.text(mark))) == 1


@pytest.mark.parametrize("case", ["none", "number", "text", "object"])
def test_wrong_results(server: Server, case: str, mark: int) -> None:
    with server.connect() as client:
        response = client.get(f"/wrong-result?case={case}")
        assert (response.status_code, response.complete) == (500, True)
    name = {"none": "NoneType", "number": "int", "text": "str", "object": "object"}[case]
    server.wait_for_log(f"TypeError: .*{name}", since=mark)
    assert len(re.findall("TypeError: ", server.log.text(mark))) == 1


def test_error_in_close(server: Server, mark: int, key: str) -> None:
    """The response was complete by then, and stays so."""
    with server.connect() as client:
        response = client.get(f"/failing-close?key={key}")
        assert (response.status_code, response.body, response.complete) == (200, b"one two", True)
    server.wait_for_log(f"planned failure of close {key}", since=mark)
    assert server.get("/hello").status_code == 200
    assert server.log.text(mark).count(f"closed {key}") == 1


@pytest.mark.parametrize("view", ["failing-iter", "stop-iteration"])
def test_errors_in_odd_places(server: Server, mark: int, key: str, view: str) -> None:
    with server.connect() as client:
        response = client.get(f"/{view}?key={key}")
        assert (response.status_code, response.complete) == (500, True)
    server.wait_for_log(f"planned .*{key}", since=mark)
    if view == "failing-iter":
        server.wait_for_log(f"closed {key}", since=mark)


def test_system_exit_ends_no_more_than_the_worker(serve: Serve) -> None:
    server = serve("probe:application", worker_class=STREAM)
    with server.connect() as client:
        client.request("GET", "/exits")
        assert b" 200 " not in client.receive_until_close()[:20]
    assert server.get("/hello").status_code == 200


def test_old_iterables_and_subclasses(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        assert client.get("/indexed").body == b"abc"
        response = client.get(f"/subclasses?key={key}")
        assert (response.value("X-Name"), response.body) == ("value", b"subclasses")
        answers(client)
    server.wait_for_log(f"closed {key}", since=mark)


# Content-Length against the body


@pytest.mark.parametrize("piece", [3, 100])
def test_too_long_a_body_is_trimmed(server: Server, mark: int, key: str, piece: int) -> None:
    with server.connect() as client:
        target = f"/recorded-with-length?key={key}&length=10&size=50&piece={piece}"
        response = client.get(target)
        assert (response.framing, response.body) == ("length", b"x" * 10)
        response = client.get("/list-with-length?length=10&size=50")
        assert (response.framing, response.body) == ("length", b"x" * 10)
        answers(client)
    server.wait_for_log(f"closed {key}", since=mark)


def test_too_short_a_body_closes(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/recorded-with-length?key={key}&length=50&size=10&piece=5")
        assert (response.body, response.complete) == (b"x" * 10, False)
        client.assert_closed()
    with server.connect() as client:
        response = client.get("/list-with-length?length=50&size=10")
        assert (response.body, response.complete) == (b"x" * 10, False)
        client.assert_closed()
    server.wait_for_log(f"closed {key}", since=mark)


def test_no_body_at_all_where_one_was_promised(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/recorded-with-length?key={key}&length=50&size=0")
        assert response.complete is False or response.status_code == 500
        client.assert_closed()


# HEAD, 204, 304


def test_head_sends_no_body(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        client.request("HEAD", "/hello")
        response = client.receive()
        assert response.status_code == 200
        assert response.value("Content-Length") in (None, "14")
        client.request("HEAD", "/with-length")
        assert client.receive().value("Content-Length") == "11"
        client.request("HEAD", f"/recorded?key={key}")
        assert client.receive().status_code == 200
        client.request("HEAD", "/written")
        assert client.receive().status_code == 200
        answers(client)
    server.wait_for_log(f"closed {key}", since=mark)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_204_and_304_send_no_body(server: Server, status: str, mark: int, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/no-body?status={quote(status)}&key={key}")
        assert f"{response.status_code} {response.reason}" == status
        assert response.value("Transfer-Encoding") is None
        assert response.value("X-A") == "1"
        answers(client)
    server.wait_for_log(f"closed {key}", since=mark)


@pytest.mark.parametrize(
    ("method", "arguments", "body"),
    [
        ("HEAD", "", b""),
        ("HEAD", "&length=5000", b""),
        ("GET", "&status=204%20No", b""),
        ("GET", "&status=304%20Not", b""),
        ("GET", "&length=2500", b"x" * 2500),
        ("GET", "&length=0", b""),
    ],
)
def test_what_nobody_gets_is_not_computed(server: Server, mark: int, key: str, method: str, arguments: str, body: bytes) -> None:
    """An endless iterable is closed as soon as nothing more of it can be sent."""
    with server.connect() as client:
        client.request(method, f"/endless?key={key}{arguments}")
        response = client.receive()
        assert (response.body, response.complete) == (body, True)
        server.wait_for_log(f"closed {key}", since=mark)
        answers(client)


# The close method


@pytest.mark.parametrize(
    "target",
    [
        "/recorded?pieces=3",
        "/recorded?pieces=0",
        "/recorded?pieces=3&fail=2",
        "/recorded?pieces=3&fail=0",
        "/recorded-with-length?length=10&size=10",
        "/recorded-with-length?length=10&size=50&piece=7",
        "/recorded-with-length?length=50&size=10",
        "/no-body?status=204%20No",
        "/wrong-item?case=text&after=1",
    ],
)
def test_close_is_called_once(server: Server, target: str, mark: int, key: str) -> None:
    with server.connect() as client:
        client.get(f"{target}&key={key}")
    server.wait_for_log(f"closed {key}", since=mark)
    assert server.get("/hello").status_code == 200
    assert server.log.text(mark).count(f"closed {key}") == 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_close_is_called_when_the_client_leaves(server: Server, mark: int, key: str, how: str) -> None:
    client = server.connect()
    client.request("GET", f"/endless?key={key}")
    client.receive_head()
    assert client.receive_chunk() == b"x" * 1000
    getattr(client, how)()
    server.wait_for_log(f"closed {key}", since=mark, timeout=5)
    assert server.get("/hello").status_code == 200
    text = server.log.text(mark)
    assert text.count(f"closed {key}") == 1
    assert "Traceback" not in text


@pytest.mark.parametrize("how", ["close", "reset"])
def test_write_raises_when_the_client_has_left(server: Server, mark: int, key: str, how: str) -> None:
    """Also where the call holds the loop, which cannot tell."""
    client = server.connect(receive_buffer=16384)
    client.request("GET", f"/endless-write?key={key}&pieces=20000")
    assert client.receive_head().status_code == 200
    getattr(client, how)()
    server.wait_for_log(f"write raised {key} True", since=mark)
    assert server.get("/hello").status_code == 200
    assert "Traceback" not in server.log.text(mark)


# Persistent connections (RFC 9112 section 9)


def test_http_1_1_stays_open(server: Server) -> None:
    with server.connect() as client:
        for _ in range(5):
            response = client.get("/hello")
            assert response.version == "1.1"
            assert not response.says_close
        assert client.is_quiet(0.05)


def test_http_1_1_close(server: Server) -> None:
    for value in ("close", "Close", "foo, close"):
        with server.connect() as client:
            response = client.get("/hello", headers=[("Connection", value)])
            assert response.says_close
            assert response.body == b"Hello, world!\n"
            client.assert_closed()


def test_http_1_0_closes(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/hello", version="1.0")
        assert response.framing in ("length", "close")
        assert response.body == b"Hello, world!\n"
        client.assert_closed()


def test_http_1_0_keep_alive(server: Server) -> None:
    with server.connect() as client:
        for _ in range(2):
            response = client.get("/hello", version="1.0", headers=[("Connection", "keep-alive")])
            assert (response.value("Connection") or "").lower() == "keep-alive"
            assert (response.framing, response.body) == ("length", b"Hello, world!\n")
        response = client.get("/generator", version="1.0", headers=[("Connection", "keep-alive")])
        assert (response.framing, response.body) == ("close", b"one two")
        client.assert_closed()


def test_the_application_may_close(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/says-close")
        assert response.body == b"bye"
        assert response.says_close
        client.assert_closed()


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    targets = ["/hello", "/generator", "/echo", "/no-body?status=204%20No&key=p", "/written"] * 4
    with server.connect() as client:
        data = b""
        for number, target in enumerate(targets):
            body = b"%d" % number
            data += b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (
                target.encode(),
                len(body),
                body,
            )
        client.send(data)
        for number, target in enumerate(targets):
            response = client.receive()
            assert response.complete
            expected = {
                "/hello": b"Hello, world!\n",
                "/generator": b"one two",
                "/echo": b"%d" % number,
                "/written": b"one two three",
            }
            assert response.body == expected.get(target, b"")
        answers(client)


def test_pipelined_behind_a_slow_one(server: Server, gate: Gate) -> None:
    with server.connect() as client:
        client.request("GET", f"/two-steps?gate={gate.port}&key=x")
        client.request("GET", "/hello")
        client.request("GET", "/environ-as-json")
        client.receive_head()
        assert client.receive_chunk() == b"first"
        gate.let_through()
        assert client.receive_chunk() == b"second"
        assert client.receive_chunk() == b""
        client.receive_until(b"\r\n")
        assert client.receive().body == b"Hello, world!\n"
        assert client.receive().status_code == 200


def test_nothing_is_read_after_close(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        client.send(
            f"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /unread?key={key} HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        assert client.receive().says_close
        client.assert_closed()
    assert key not in server.log.text(mark)


def test_a_thousand_pipelined_requests(server: Server) -> None:
    with server.connect() as client:
        client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        for _ in range(1000):
            assert client.receive().body == b"Hello, world!\n"


def test_pipelining_is_bounded(server: Server, gate: Gate) -> None:
    """While the first is busy the socket is not read for ever."""
    one = b"GET /hello HTTP/1.1\r\nHost: a\r\nX-Fill: " + b"f" * 4000 + b"\r\n\r\n"
    with server.connect() as client:
        client.request("GET", f"/at-gate?gate={gate.port}")
        gate.arrived()
        sent = client.send_some(one * 10_000, 0.3)
        assert sent < len(one) * 10_000
        gate.open()
        assert client.receive().body == b"through"


def test_unread_body_does_not_disturb_the_next_request(server: Server, key: str) -> None:
    with server.connect() as client:
        client.request("POST", f"/unread?key={key}", body=b"GET / HTTP/1.1\r\n\r\n" * 1100)
        assert client.receive().body == b"not read"
        client.request("POST", f"/unread?key={key}", chunks=[b"GET / HTTP/1.1\r\n\r\n"] * 1100)
        assert client.receive().body == b"not read"
        answers(client)


def test_date_and_server(server: Server) -> None:
    response = server.get("/hello")
    date = response.value("Date")
    assert date is not None
    assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date)
    assert parsedate_to_datetime(date).year >= 2024
    assert response.value("Server")


def test_date_and_server_of_the_application(server: Server) -> None:
    response = server.get("/own-date-and-server")
    assert response.value("Date") == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert response.value("Server") == "mine"


# The request


def environ_of(server: Server, request: bytes) -> dict[str, Any]:
    with server.connect() as client:
        client.send(request)
        response = client.receive()
        assert response.status_code == 200, response
        environ: dict[str, Any] = json.loads(response.body)
        environ["the client's port"] = str(client.socket.getsockname()[1])
    return environ


def test_environ(server: Server) -> None:
    environ = environ_of(
        server,
        b"POST /environ-as-json/?a=1&b=%20 HTTP/1.1\r\nHost: example.org:81\r\n"
        b"Content-Type: text/x\r\nContent-Length: 2\r\nX-Foo-Bar:  spaced out\t\r\n"
        b"Cookie: a=1\r\nCookie: b=2\r\n\r\nhi",
    )
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/environ-as-json/"
    assert environ["QUERY_STRING"] == "a=1&b=%20"
    assert environ["RAW_URI"] == "/environ-as-json/?a=1&b=%20"
    assert environ["CONTENT_TYPE"] == "text/x"
    assert environ["CONTENT_LENGTH"] == "2"
    assert "HTTP_CONTENT_TYPE" not in environ and "HTTP_CONTENT_LENGTH" not in environ
    assert environ["HTTP_HOST"] == "example.org:81"
    assert environ["HTTP_X_FOO_BAR"] == "spaced out"
    assert environ["HTTP_COOKIE"] in ("a=1; b=2", "a=1;b=2")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert re.fullmatch(r"gunicorn/[0-9.]+ aiohttp-worker/\S+", environ["SERVER_SOFTWARE"])
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(server.address[1])
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REMOTE_PORT"] == environ["the client's port"]
    assert environ["wsgi.version"] == [1, 0]
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.multithread"] is (server.threads > 1)
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper", "wsgi.early_hints"} < set(environ)


def test_repeated_request_fields(server: Server) -> None:
    environ = environ_of(
        server,
        b"GET /environ-as-json HTTP/1.1\r\nHost: a\r\nX-Foo: 1\r\nX-Foo: 2\r\nX_Foo: 3\r\n\r\n",
    )
    assert environ["HTTP_X_FOO"].replace(" ", "") == "1,2"


def test_path_info_is_decoded_as_latin1(server: Server) -> None:
    environ = environ_of(server, b"GET /environ-as-json//?%C3%A9 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert environ["QUERY_STRING"] == "%C3%A9"
    with server.connect() as client:
        client.send(b"GET /path-info/%C3%A9/%2F/%25+ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.receive().body == ascii("/path-info/\xc3\xa9///%+").encode()


def test_absolute_form(server: Server) -> None:
    environ = environ_of(
        server,
        b"GET http://example.org:81/environ-as-json?a=1 HTTP/1.1\r\nHost: example.org:81\r\n\r\n",
    )
    assert environ["PATH_INFO"] == "/environ-as-json"
    assert environ["QUERY_STRING"] == "a=1"
    assert environ["HTTP_HOST"] == "example.org:81"


def test_asterisk_form(server: Server) -> None:
    environ = environ_of(server, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert environ["REQUEST_METHOD"] == "OPTIONS"
    assert environ["PATH_INFO"] == "*"


def test_leading_empty_lines_and_split_heads(server: Server) -> None:
    request = b"\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    with server.connect() as client:
        for index in range(len(request)):
            client.send(request[index : index + 1])
        assert client.receive().body == b"Hello, world!\n"
        answers(client)


# The body of a request


@pytest.mark.parametrize("how", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 2_000_000])
def test_body(server: Server, how: str, size: int) -> None:
    body = (b"0123456789" * (size // 10 + 1))[:size]
    with server.connect(timeout=30) as client:
        if how == "length":
            client.request("POST", "/echo", body=body)
        else:
            pieces = [body[start : start + 9999] for start in range(0, size, 9999)]
            client.request("POST", "/echo", chunks=pieces)
        response = client.receive()
        assert response.body == body
        answers(client)


def facts(response: Response) -> dict[str, Any]:
    assert response.status_code == 200, response
    result: dict[str, Any] = json.loads(response.body)
    return result


def test_chunked_body_and_environ(server: Server) -> None:
    with server.connect() as client:
        client.request("POST", "/body-facts", chunks=[b"hello ", b"world"])
        got = facts(client.receive())
        assert got["body"] == "hello world"
        assert got["input_terminated"] is True
        if not reads_live(server):  # it was collected
            assert got["content_length"] == "11"
        client.request("POST", "/body-facts", body=b"hello world")
        got = facts(client.receive())
        assert (got["body"], got["content_length"]) == ("hello world", "11")
        client.request("GET", "/body-facts")
        got = facts(client.receive())
        assert got["body"] == ""
        assert got["content_length"] in (None, "", "0")


def test_trailers_never_reach_the_environ(server: Server) -> None:
    with server.connect() as client:
        client.request(
            "POST",
            "/body-facts",
            headers=[("Trailer", "X-Checksum")],
            chunks=[b"data"],
            trailers=[("X-Checksum", "1"), ("Content-Length", "9"), ("Host", "evil")],
        )
        response = client.receive()
        if response.status_code == 200:
            got = facts(response)
            assert got["body"] == "data"
            assert got["trailers"] in ([], ["HTTP_TRAILER"])
            assert got["content_length"] in (None, "4")
            answers(client)
        else:  # fields that frame or route must not be sent as trailers: refusing is allowed
            assert response.status_code == 400
    with server.connect() as client:
        client.request("POST", "/body-facts", chunks=[b"data"], trailers=[("X-Checksum", "1"), ("X-B", "2")])
        got = facts(client.receive())
        assert (got["body"], got["trailers"]) == ("data", [])
        answers(client)


def test_chunk_extensions_are_ignored(server: Server) -> None:
    with server.connect() as client:
        client.start_upload("/echo")
        client.send(b'4;name=value\r\ndata\r\n5;q="x;y"\r\n more\r\n0;last\r\n\r\n')
        assert client.receive().body == b"data more"
        answers(client)


def test_chunked_body_in_single_bytes(server: Server) -> None:
    with server.connect() as client:
        client.start_upload("/echo")
        for byte in chunk_of(b"abc") + chunk_of(b"0123456789abcdef") + b"0\r\nX-T: 1\r\n\r\n":
            client.send(bytes([byte]))
        assert client.receive().body == b"abc0123456789abcdef"
        answers(client)


TEXT = b"line one\nline two\n\nlast line without end"
LINES = TEXT.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("calls", "results"),
    [
        ("read", [TEXT]),
        ("read:-1", [TEXT]),
        ("read:None", [TEXT]),
        ("read:0,read:4,read:0,read", [b"", TEXT[:4], b"", TEXT[4:]]),
        ("read:1000", [TEXT]),
        ("read,read,read:5,readline,readlines,iter", [TEXT, b"", b"", b"", [], []]),
        ("readline,readline,readline,readline,readline", [*LINES, b""]),
        ("readline:-1", [LINES[0]]),
        ("readline:None", [LINES[0]]),
        ("readline:0,readline:4,readline:100,read", [b"", b"line", b" one\n", TEXT[9:]]),
        ("readline:9,readline:8,readline:1", [b"line one\n", b"line two", b"\n"]),
        ("readlines", [LINES]),
        ("readlines:None", [LINES]),
        ("readlines:-1", [LINES]),
        ("iter", [LINES]),
        ("next,next,read:3,iter", [LINES[0], LINES[1], b"\nla", [b"st line without end"]]),
        ("read:9,iter", [TEXT[:9], LINES[1:]]),
        ("readinto:4,readinto:1000,readinto:4", [TEXT[:4], TEXT[4:], b""]),
        ("readinto:0,read:4", [b"", TEXT[:4]]),
        ("type", [True]),
    ],
)
@pytest.mark.parametrize("how", ["length", "chunked"])
def test_input(server: Server, calls: str, results: list[object], how: str) -> None:
    with server.connect() as client:
        target = f"/read-calls?calls={calls}"
        if how == "length":
            client.request("POST", target, body=TEXT)
        else:
            client.request("POST", target, chunks=[TEXT[:3], TEXT[3:12], TEXT[12:]])
        response = client.receive()
        assert response.status_code == 200
        assert ast.literal_eval(response.text) == results
        answers(client)


def test_readlines_with_a_hint(server: Server) -> None:
    """PEP 3333 leaves the hint to the server: whole lines, at least one, none lost."""
    with server.connect() as client:
        client.request("POST", "/read-calls?calls=readlines:1,readlines", body=TEXT)
        some, rest = ast.literal_eval(client.receive().text)
        assert some and some + rest == LINES


def test_input_without_a_body(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/read-calls?calls=read,read:5,readline,readlines,iter,readinto:4")
        assert ast.literal_eval(response.text) == [b"", b"", b"", [], [], b""]
        answers(client)


def test_input_under_a_buffered_reader(server: Server) -> None:
    """Frameworks wrap it in io.TextIOWrapper and io.BufferedReader."""
    with server.connect() as client:
        client.request("POST", "/read-calls?calls=buffered", body=TEXT)
        assert ast.literal_eval(client.receive().text) == [TEXT]


# Expect: 100-continue (RFC 9110 section 10.1.1)

EXPECT = [("Expect", "100-continue")]


def test_continue_is_sent_when_the_body_is_read(server: Server) -> None:
    with server.connect() as client:
        head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        client.send(head)
        response = client.receive_continue()
        assert (response.status_code, response.headers) == (100, [])
        client.send(b"hello")
        response = client.receive()
        assert (response.status_code, response.body) == (200, b"hello")
        answers(client)


def test_one_continue_for_a_chunked_body(server: Server) -> None:
    with server.connect() as client:
        client.start_upload("/echo", headers=EXPECT)
        assert client.receive_continue().status_code == 100
        client.send_chunk(b"hello ")
        client.send_chunk(b"world")
        client.end_upload()
        response = client.receive()
        assert (response.body, response.informational) == (b"hello world", [])
        answers(client)


def test_no_continue_when_the_body_comes_anyway(server: Server) -> None:
    """RFC 9110 lets a server omit the 100 when it already has some of the body."""
    with server.connect() as client:
        client.request("POST", "/echo", body=b"hello", headers=EXPECT)
        response = client.receive()
        assert response.body == b"hello"
        assert len(response.informational) <= 1
        answers(client)


def test_no_continue_for_http_1_0(server: Server) -> None:
    with server.connect() as client:
        client.request("POST", "/echo", body=b"hello", headers=EXPECT, version="1.0")
        response = client.receive()
        assert (response.body, response.informational) == (b"hello", [])


def test_other_expectations_are_refused(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        client.request("GET", f"/unread?key={key}", headers=[("Expect", "the-unexpected")])
        assert client.receive().status_code == 417
        client.assert_closed()
    assert key not in server.log.text(mark).replace(f"key={key}", "")


# wsgi.file_wrapper, wsgi.early_hints, wsgi.errors


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "big"
    path.write_bytes(b"".join(b"%07d\n" % number for number in range(250_000)))
    return path


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_file_wrapper(server: Server, big_file: Path, mark: int, key: str, version: str) -> None:
    content = big_file.read_bytes()
    with server.connect() as client:
        response = client.get(f"/wrapped-file?path={big_file}&key={key}", version=version)
        assert response.body == content
    server.wait_for_log(f"file closed {key}", since=mark)


def test_file_wrapper_starts_at_the_offset(server: Server, big_file: Path, key: str) -> None:
    content = big_file.read_bytes()
    with server.connect() as client:
        target = f"/wrapped-file?path={big_file}&key={key}"
        response = client.get(f"{target}&offset=1000001")
        assert response.body == content[1000001:]
        response = client.get(f"{target}&offset=1999990")
        assert response.body == content[1999990:]
        response = client.get(f"{target}&offset=16&length=1234567")
        assert (response.framing, response.body) == ("length", content[16 : 16 + 1234567])
        answers(client)


def test_file_wrapper_and_too_short_a_file(server: Server, big_file: Path, mark: int, key: str) -> None:
    with server.connect() as client:
        response = client.get(f"/wrapped-file?path={big_file}&key={key}&length=2000001")
        assert (len(response.body), response.complete) == (2_000_000, False)
        client.assert_closed()
    server.wait_for_log(f"file closed {key}", since=mark)


def test_file_wrapper_and_head(server: Server, big_file: Path, mark: int, key: str) -> None:
    with server.connect() as client:
        client.request("HEAD", f"/wrapped-file?path={big_file}&key={key}&length=2000000")
        response = client.receive()
        assert response.value("Content-Length") == "2000000"
        answers(client)
    server.wait_for_log(f"file closed {key}", since=mark)


def test_file_wrapper_when_the_client_leaves(server: Server, big_file: Path, mark: int, key: str) -> None:
    client = server.connect(receive_buffer=4096)
    client.request("GET", f"/wrapped-file?path={big_file}&key={key}")
    client.receive_head()
    client.reset()
    server.wait_for_log(f"file closed {key}", since=mark)
    assert server.get("/hello").status_code == 200
    assert "Traceback" not in server.log.text(mark)


def test_file_wrapper_without_a_descriptor(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/wrapped-memory")
        assert (response.body, response.complete) == (b"0123456789" * 3000, True)
        response = client.get("/wrapped-temporary")
        assert (response.body, response.complete) == ((b"0123456789" * 3000)[10:], True)
        answers(client)


def test_early_hints(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/early")
        assert response.body == b"hinted"
        (hints,) = response.informational
        assert hints.status_code == 103
        assert hints.value("Link") == "</style.css>; rel=preload; as=style"
        answers(client)


def test_no_early_hints_for_http_1_0(server: Server) -> None:
    response = server.get("/early", version="1.0")
    assert (response.body, response.informational) == (b"hinted", [])


def test_nothing_is_injected_into_early_hints(server: Server) -> None:
    with server.connect() as client:
        client.request("GET", "/early-wrong", headers=[("Connection", "close")])
        assert b"X-Injected" not in client.receive_until_close()


def test_errors(server: Server, mark: int) -> None:
    assert server.get("/errors").status_code == 200
    for line in ("written to wsgi.errors", "line one", "line two \u20ac", "printed"):
        server.wait_for_log(f"^{line}$", since=mark)


# One context for each request


def test_one_context_for_each_request(server: Server, mark: int) -> None:
    with server.connect() as client:
        assert client.get("/context?value=one").text == "unset one"
        assert client.get("/context?value=two").text == "unset two"
    server.wait_for_log("context at close one", since=mark)
    server.wait_for_log("context at close two", since=mark)


# Slow clients hold nobody up


def test_half_sent_heads(server: Server) -> None:
    slow = [server.connect() for _ in range(8)]
    for client in slow:
        client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n")
    assert server.get("/hello").status_code == 200
    for client in slow:
        client.send(b"\r\n")
        assert client.receive().status_code == 200
        client.close()


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_stalled_uploads(server: Server, how: str) -> None:
    # In a thread the application reads the live stream, so a stalled one holds its thread.
    number = server.threads - 1 if reads_live(server) else 8
    slow = [server.connect() for _ in range(number)]
    for client in slow:
        if how == "length":
            client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        else:
            client.start_upload("/echo")
            client.send_chunk(b"hello")
    assert server.get("/hello").status_code == 200
    for client in slow:
        if how == "length":
            client.send(b"world")
        else:
            client.send_chunk(b"world")
            client.end_upload()
        assert client.receive().body == b"helloworld"
        client.close()


def test_idle_connections(server: Server) -> None:
    idle = [server.connect() for _ in range(8)]
    for client in idle:
        answers(client)
    assert server.get("/hello").status_code == 200
    for client in idle:
        answers(client)
        client.close()


def test_clients_that_do_not_read(server: Server, mark: int, key: str) -> None:
    """Each pulls a few MiB, then its iterable rests until it reads on or leaves."""
    number = 4  # more than there are threads
    slow = [server.connect(receive_buffer=65536) for _ in range(number)]
    for client in slow:
        client.request("GET", f"/big?size={200 << 20}&key={key}")
        client.receive_head()
    assert server.get("/hello").status_code == 200
    server.wait_for_log(f"produced {key}", since=mark, count=number)
    produced = max(int(line.rsplit(" ", 1)[1]) for line in server.log.lines(mark) if line.startswith(f"produced {key}"))
    assert produced < 16 << 20
    for client in slow:
        client.close()
    server.wait_for_log(f"closed {key}", since=mark, count=number)


# A body that is collected goes to a file beyond a size


def test_a_big_collected_body_is_spooled(server: Server) -> None:
    expected = 0 if reads_live(server) else 1
    body = b"x" * 4_000_000
    with server.connect(timeout=30) as client:
        client.request("POST", "/spooled", body=body)
        assert json.loads(client.receive().body) == {"held": expected, "size": len(body)}
        client.request("POST", "/spooled", chunks=[body[:1_000_000]] * 4)
        assert json.loads(client.receive().body) == {"held": expected, "size": len(body)}
        client.request("POST", "/spooled", body=b"small")
        assert json.loads(client.receive().body) == {"held": 0, "size": 5}


def test_nothing_of_it_stays(server: Server) -> None:
    assert os.listdir(server.settings["tmp_upload_dir"]) == []


# Half-closed connections


def test_a_client_may_end_its_side_and_still_be_answered(server: Server) -> None:
    with server.connect() as client:
        client.request("GET", "/generator", headers=[("Connection", "close")])
        client.end_of_sending()
        assert client.receive().body == b"one two"
        client.assert_closed()


def test_an_upload_that_is_cut_is_not_served(server: Server, mark: int, key: str) -> None:
    target = "/body-size" if reads_live(server) else f"/unread?key={key}"
    for head in ("Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello"):
        with server.connect() as client:
            client.send(f"POST {target} HTTP/1.1\r\nHost: a\r\n{head}")
            client.end_of_sending()
            data = client.receive_until_close()
            assert b" 200 " not in data.partition(b"\r\n")[0]
    assert server.get("/hello").status_code == 200
    assert f"called {key}" not in server.log.text(mark)


# Malformed requests


@pytest.mark.parametrize(
    ("request_bytes", "status_code"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET / HTTP/2.7\r\nHost: a\r\n\r\n", 505),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_malformed_requests(server: Server, request_bytes: bytes, status_code: int, mark: int) -> None:
    with server.connect() as client:
        client.send(request_bytes)
        try:
            response = client.receive()
        except AssertionError:
            assert request_bytes.startswith(b"\x16")  # TLS to a plain port may just be closed
            return
        assert response.status_code in (status_code, 400 if status_code == 505 else status_code)
        assert response.says_close
        client.assert_closed()
    server.wait_for_log(".", since=mark)
    assert server.get("/hello").status_code == 200
    assert len(server.log.lines(mark)) == 1
    assert "Traceback" not in server.log.text(mark)


def test_a_broken_chunk_is_refused(server: Server, mark: int, key: str) -> None:
    with server.connect() as client:
        client.start_upload("/body-size" if reads_live(server) else f"/unread?key={key}")
        client.send(b"zz\r\nhello\r\n0\r\n\r\n")
        response = client.receive()
        assert response.status_code == 400
        assert response.says_close
        client.assert_closed()
    assert f"called {key}" not in server.log.text(mark)
    assert "Traceback" not in server.log.text(mark)
