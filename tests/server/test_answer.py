"""Answers: the calls that an application answers by, and the checks at the end."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from aiohttp_worker.errors import ClientDisconnectedError
from aiohttp_worker.server.answer import Answer
from aiohttp_worker.wsgi.environ import Environ

from .fakes import CHUNKED, GET, FakeServer

HEADERS = [("Content-Type", "text/plain")]


def waiting(threads: int = 1, data: bytes = GET % b"a") -> tuple[FakeServer, Answer]:
    """A request whose application waits, and so answers when the test does."""

    async def application(environ: Environ, start_response: Any) -> Any:
        await waits
        return []

    server = FakeServer(application)
    waits = server.loop.create_future()
    server.receive(data)
    return server, server.connection.exchange  # type: ignore[return-value]


def test_it_looks_like_a_function() -> None:
    _, answer = waiting()
    assert answer.__name__ == "start_response"  # type: ignore[attr-defined]
    assert list(inspect.signature(answer).parameters) == ["status", "headers", "exc_info"]


def test_start_response_and_write() -> None:
    server, answer = waiting()
    write = answer("200 OK", HEADERS)
    write(b"piece")
    answer.finish_from_task()
    sent = server.take_sent()
    assert sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert sent.endswith(b"5\r\npiece\r\n0\r\n\r\n")


def test_write_takes_bytes() -> None:
    _, answer = waiting()
    with pytest.raises(TypeError, match=r"write\(\) takes bytes, not str: 'text'"):
        answer("200 OK", HEADERS)("text")


def test_write_before_start_response() -> None:
    _, answer = waiting()
    with pytest.raises(Exception, match="start_response"):
        answer.write(b"a")


def test_nobody_is_there_to_read() -> None:
    server, answer = waiting()
    answer("200 OK", HEADERS)
    server.lose()
    for send in (answer.write, answer.send_piece):
        with pytest.raises(ClientDisconnectedError):
            send(b"a")


def test_early_hints_before_the_head_alone() -> None:
    server, answer = waiting()
    answer.early_hints([("Link", "</a.css>; rel=preload")])
    assert server.take_sent().startswith(b"HTTP/1.1 103 Early Hints\r\n")
    answer("200 OK", HEADERS)
    answer.send_piece(b"a")
    server.take_sent()
    answer.early_hints([("Link", "</a.css>; rel=preload")])
    assert server.take_sent() == b""


def test_no_early_hints_for_http_1_0() -> None:
    server, answer = waiting(data=b"GET / HTTP/1.0\r\n\r\n")
    answer.early_hints([("Link", "</a.css>; rel=preload")])
    assert server.take_sent() == b""


@pytest.mark.parametrize(
    ("body", "whole"),
    [([b"a"], True), ((b"a", b"b"), True), ([], True), ([b"a", "b"], False), (["a"], False), ([bytearray(b"a")], False)],
    ids=["one", "two", "none", "one-wrong", "wrong", "bytearray"],
)
def test_what_can_be_sent_whole(body: Any, whole: bool) -> None:
    server, answer = waiting()
    answer("200 OK", HEADERS)
    assert answer.send_whole(body) is whole
    server.loop.run_ready()
    sent = server.take_sent()
    if whole:
        assert b"Content-Length: %d\r\n" % len(b"".join(body)) in sent
        assert sent.endswith(b"\r\n\r\n" + b"".join(body))
    else:
        assert sent == b""


def test_nothing_is_whole_behind_a_piece() -> None:
    _, answer = waiting()
    answer("200 OK", HEADERS)(b"a")
    assert not answer.send_whole([b"b"])


def test_a_body_that_is_too_short_ends_the_connection() -> None:
    server, answer = waiting()
    answer("200 OK", [("Content-Length", "5")])
    answer.send_whole([b"abc"])
    assert not answer.response.keep_alive
    assert [line for line in server.logged if "2 bytes shorter" in line]


def test_a_body_where_there_can_be_none_is_logged_once() -> None:
    server, answer = waiting()
    answer("204 No Content", [])
    answer.send_piece(b"a")
    for _ in range(2):
        answer.check_complete()
    assert len([line for line in server.logged if "no-body response" in line]) == 1


def test_an_answer_in_its_place() -> None:
    server, answer = waiting()
    answer("200 OK", HEADERS)
    answer.send_error(503, "later")
    sent = server.take_sent()
    assert sent.startswith(b"HTTP/1.1 503 ")
    assert b"later" in sent
    assert not answer.response.keep_alive


def test_an_exit_is_kept_for_after_the_task() -> None:
    server, answer = waiting()
    error = SystemExit(1)
    answer.keep_exit(error)
    assert answer.error is error
    server.state.observers.exiting = lambda: True
    with pytest.raises(SystemExit):
        answer.keep_exit(error)


def test_what_a_hanging_thread_is_judged_by() -> None:
    server, answer = waiting(data=CHUNKED % b"a")
    answer("200 OK", HEADERS)
    before = answer.progress
    answer.send_piece(b"abc")
    assert answer.progress == before + 3
    assert not answer.waits_for_client
    server.connection.write_queue.paused = True
    assert answer.waits_for_client
