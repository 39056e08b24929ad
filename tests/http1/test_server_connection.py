"""The HTTP cycle of a server: every state of the request × every state of the response × every event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiohttp_worker.http1 import response_side
from aiohttp_worker.http1.errors import LocalProtocolError, RemoteProtocolError
from aiohttp_worker.http1.messages import Limits, RequestHead
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.response_encoder import HeadEncoder
from aiohttp_worker.http1.response_side import ResponseSide, ResponseState
from aiohttp_worker.http1.server_connection import END, NEED_DATA, PAUSED, CloseReason, RequestState, ServerConnection
from tests.http1.reading import new_request

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

Q = RequestState
S = ResponseState


def connection() -> ServerConnection:
    return ServerConnection(HeadParser(Limits()), HeadEncoder("me"))


def head(one: ServerConnection, length: int | None = None, status: str = "200 OK", fields: Any = ()) -> bytes:
    return one.start(one.encoder.status_line(status), one.encoder.field_block(list(fields)), length)


def whole(one: ServerConnection, data: bytes, status: str = "200 OK", fields: Any = ()) -> bytes:
    return b"".join(one.whole(one.encoder.status_line(status), one.encoder.field_block(list(fields)), data))


def events(one: ServerConnection) -> list[Any]:
    """What can be read now; of heads, their targets."""
    found: list[Any] = []
    while True:
        event = one.next_event()
        found.append(event.target if isinstance(event, RequestHead) else event)
        if event is NEED_DATA or event is PAUSED:
            return found


# Each pair of states that there can be.


def make(request: RequestState, response: ResponseState) -> ServerConnection:
    one = connection()
    if request is Q.IDLE:
        return one
    if response is S.IDLE:
        one.receive_data(b"nonsense\r\n\r\n")
        with pytest.raises(RemoteProtocolError):
            one.next_event()
        return one
    one.receive_data(GET if request is Q.DONE else CHUNKED)
    events(one)
    if response is not S.DUE:
        head(one, fields=[("Content-Length", "3")])
    if response is S.DONE:
        one.data(b"abc")
        one.end()
    if request is Q.BROKEN:
        one.receive_data(b"no size\r\n")
        with pytest.raises(RemoteProtocolError):
            one.next_event()
    return one


PAIRS = [
    (Q.IDLE, S.IDLE),
    (Q.BROKEN, S.IDLE),
    *((request, response) for request in (Q.BODY, Q.DONE, Q.BROKEN) for response in (S.DUE, S.BODY, S.DONE)),
]
pairs = pytest.mark.parametrize(("request_", "response"), PAIRS, ids=[f"{a.name}-{b.name}" for a, b in PAIRS])


@pairs
def test_states(request_: RequestState, response: ResponseState) -> None:
    one = make(request_, response)
    assert (one.request_state, one.response_state) == (request_, response)
    assert one.head_sent is (response in (S.BODY, S.DONE))


@pairs
def test_the_next_cycle(request_: RequestState, response: ResponseState) -> None:
    one = make(request_, response)
    assert one.next_cycle() is ((request_, response) == (Q.DONE, S.DONE))
    expected = (Q.IDLE, S.IDLE) if (request_, response) == (Q.DONE, S.DONE) else (request_, response)
    assert (one.request_state, one.response_state) == expected


@pairs
@pytest.mark.parametrize("reason", CloseReason)
def test_no_next_cycle_where_somebody_wants_the_end(request_: RequestState, response: ResponseState, reason: CloseReason) -> None:
    one = make(request_, response)
    one.close_after(reason)
    one.close_after(CloseReason.HOOK)  # the first reason counts
    assert one.close_reason is reason
    assert not one.keep_alive
    assert not one.next_cycle()
    assert (one.request_state, one.response_state) == (request_, response)


@pairs
@pytest.mark.parametrize("next_head", [GET, POST, b"nonsense\r\n\r\n"])
def test_the_next_head_waits_for_the_next_cycle(request_: RequestState, response: ResponseState, next_head: bytes) -> None:
    one = make(request_, response)
    one.receive_data((b"0\r\n\r\n" if request_ is Q.BODY else b"") + next_head)
    if request_ is Q.IDLE and next_head.startswith(b"nonsense"):
        with pytest.raises(RemoteProtocolError):
            one.next_event()
        assert (one.request_state, one.response_state) == (Q.BROKEN, S.IDLE)
    elif request_ is Q.IDLE:
        assert one.next_event().target == "/a"  # type: ignore[union-attr]
        assert (one.request_state, one.response_state) == (Q.DONE if next_head is GET else Q.BODY, S.DUE)
    else:
        assert events(one) == ([END, PAUSED] if request_ is Q.BODY else [PAUSED])
        assert one.request_state is (Q.DONE if request_ is Q.BODY else request_)
        assert one.response_state is response
        assert one.buffered >= len(next_head)


@pairs
def test_pieces_of_a_body(request_: RequestState, response: ResponseState) -> None:
    """They are read whatever the response does meanwhile."""
    one = make(request_, response)
    if request_ is Q.BODY:
        one.receive_data(b"3\r\nabc\r\n")
        assert events(one) == [b"abc", NEED_DATA]
        one.receive_data(b"0\r\n\r\n")
        assert events(one) == [END, PAUSED]
        assert (one.request_state, one.response_state) == (Q.DONE, response)


@pairs
def test_a_body_that_breaks(request_: RequestState, response: ResponseState) -> None:
    one = make(request_, response)
    if request_ is Q.BODY:
        one.receive_data(b"no size\r\n" + GET)
        with pytest.raises(RemoteProtocolError):
            one.next_event()
    assert request_ is Q.IDLE or one.next_event() in (PAUSED, NEED_DATA)
    assert one.request_state is (Q.BROKEN if request_ is Q.BODY else request_)
    assert one.response_state is response  # it may still be answered


@pairs
def test_nothing_but_need_data_without_data(request_: RequestState, response: ResponseState) -> None:
    one = make(request_, response)
    assert one.next_event() is (NEED_DATA if request_ in (Q.IDLE, Q.BODY) else PAUSED)
    assert (one.request_state, one.response_state) == (request_, response)


@pairs
def test_the_client_ends_its_side(request_: RequestState, response: ResponseState) -> None:
    """That alone ends nothing: what was received is answered."""
    one = make(request_, response)
    one.receive_eof()
    assert one.eof
    assert one.close_reason is None
    if request_ is Q.BODY:
        with pytest.raises(RemoteProtocolError, match="within the body"):
            one.check_eof()
    elif request_ is not Q.BROKEN:
        one.check_eof()


#: event of the response → the states that it may come in, and the one that follows
RESPONSE_EVENTS: dict[str, tuple[Callable[[ServerConnection], Any], ResponseState, ResponseState]] = {
    "start": (lambda one: head(one, None), S.DUE, S.BODY),
    "whole": (lambda one: whole(one, b"abc"), S.DUE, S.DONE),
    "start_file": (lambda one: one.start_file(one.encoder.status_line("200 OK"), one.encoder.field_block([]), 3), S.DUE, S.BODY),
    "data": (lambda one: one.data(b"abc"), S.BODY, S.BODY),
    "end": (lambda one: one.end(), S.BODY, S.DONE),
    "file_sent": (lambda one: one.file_sent(3), S.BODY, S.DONE),
}


@pairs
@pytest.mark.parametrize("event", RESPONSE_EVENTS)
def test_events_of_the_response(request_: RequestState, response: ResponseState, event: str) -> None:
    one = make(request_, response)
    act, before, after = RESPONSE_EVENTS[event]
    if response is before:
        act(one)
        assert (one.request_state, one.response_state) == (request_, after)
    else:
        with pytest.raises(LocalProtocolError, match="there is no"):
            act(one)
        assert (one.request_state, one.response_state) == (request_, response)


@pairs
def test_refusing(request_: RequestState, response: ResponseState) -> None:
    """Whatever was before, nothing is read any more."""
    if response in (S.BODY, S.DONE):
        return  # the response has begun: a second one would be taken for its body
    one = make(request_, response)
    sent = b"".join(one.refuse(one.encoder.status_line("400 Bad Request"), one.encoder.field_block([]), b"why"))
    assert sent.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert sent.endswith(b"\r\nConnection: close\r\n\r\nwhy")
    assert (one.request_state, one.response_state) == (Q.BROKEN, S.DONE)
    one.receive_data(GET)
    assert events(one) == [PAUSED]
    assert not one.next_cycle()
    assert one.close_reason is CloseReason.REFUSED


def test_pipelined_requests() -> None:
    one = connection()
    one.receive_data(GET * 3 + POST + b"abcdef" + GET)
    for expected in ([PAUSED], [PAUSED], [PAUSED], [b"abcdef", END, PAUSED], [PAUSED]):
        assert one.next_event().target == "/a"  # type: ignore[union-attr]
        assert events(one) == expected
        whole(one, b"x")
        assert one.next_cycle()
    assert events(one) == [NEED_DATA]
    assert one.between_requests


def test_a_body_that_came_with_its_head() -> None:
    one = connection()
    one.receive_data(POST + b"abcdef" + GET)
    one.next_event()
    assert one.take_whole_body() == b"abcdef"
    assert one.request_state is Q.DONE
    whole(one, b"x")
    assert one.next_cycle()
    assert isinstance(one.next_event(), RequestHead)
    one = connection()
    one.receive_data(POST + b"abc")
    one.next_event()
    assert one.take_whole_body() is None
    assert one.request_state is Q.BODY
    assert events(one) == [b"abc", NEED_DATA]


def test_what_was_received_can_be_forgotten() -> None:
    one = connection()
    one.receive_data(GET[:10])
    assert events(one) == [NEED_DATA]
    assert not one.between_requests
    one.forget()
    assert one.buffered == 0


def test_tls_is_recognized() -> None:
    one = connection()
    one.receive_data(b"\x16\x03\x01\x02\x00")
    assert one.starts_tls


# Framing: method, version and status against what the application announced and gave.


def asked(method: str = "GET", version: str = "1.1", field: str = "") -> ServerConnection:
    one = connection()
    one.receive_data(f"{method} / HTTP/{version}\r\nHost: a\r\n{field}\r\n".encode())
    one.next_event()
    return one


KEEP = "Connection: keep-alive\r\n"


@pytest.mark.parametrize(
    ("version", "field", "reason"),
    [
        ("1.1", "", None),
        ("1.1", "Connection: close\r\n", CloseReason.CLIENT),
        ("1.0", "", CloseReason.CLIENT),
        ("1.0", KEEP, None),
    ],
)
def test_whether_the_client_wants_to_go_on(version: str, field: str, reason: CloseReason | None) -> None:
    one = asked(version=version, field=field)
    assert one.close_reason is reason
    sent = whole(one, b"x")
    told = b"Connection: close" if reason else b"Connection: keep-alive" if version == "1.0" else b""
    assert [line for line in sent.split(b"\r\n") if line.startswith(b"Connection")] == ([told] if told else [])
    assert one.next_cycle() is (reason is None)


@pytest.mark.parametrize(
    ("version", "field", "framing", "pieces", "reason"),
    [
        ("1.1", "", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n", None),
        ("1.0", KEEP, b"Connection: close", b"abc", CloseReason.FRAMING),
    ],
)
def test_a_body_without_a_length(version: str, field: str, framing: bytes, pieces: bytes, reason: CloseReason | None) -> None:
    one = asked(version=version, field=field)
    assert framing in head(one, None).split(b"\r\n")
    assert b"".join([*one.data(b"abc"), *one.end()]) == pieces
    assert one.close_reason is reason
    assert one.cut_looks_complete is (reason is not None)
    assert one.chunked is (reason is None)
    assert (one.announced, one.sent, one.missing, one.irregular) == (None, 3, 0, False)


@pytest.mark.parametrize(("given", "sent"), [(2, 2), (3, 3), (4, 3), (9, 3)])
@pytest.mark.parametrize("how", ["whole", "pieces"])
def test_a_body_and_its_length(given: int, sent: int, how: str) -> None:
    one = asked()
    fields = [("Content-Length", "3")]
    if how == "whole":
        data = whole(one, bytes(given), fields=fields)
    else:
        data = head(one, None, fields=fields)
        for _ in range(given):
            assert one.complete is (one.sent == 3)
            data += b"".join(one.data(b"\0"))
        data += b"".join(one.end())
    assert data.partition(b"\r\n\r\n")[2] == bytes(sent)
    assert (one.sent, one.missing, one.irregular) == (sent, 3 - sent, given < 3)
    assert one.surplus is (given > 3)
    assert not one.dropped
    assert one.close_reason is (CloseReason.SHORT if given < 3 else None)


@pytest.mark.parametrize(
    ("method", "status", "dropped"),
    [
        ("HEAD", "200 OK", False),
        ("GET", "204 No Content", True),
        ("GET", "205 Reset Content", True),
        ("GET", "304 Not Modified", True),
    ],
)
@pytest.mark.parametrize("how", ["whole", "pieces", "file"])
def test_responses_without_a_body(method: str, status: str, dropped: bool, how: str) -> None:
    one = asked(method)
    if how == "whole":
        data = whole(one, b"abc", status)
    elif how == "pieces":
        data = head(one, None, status) + b"".join([*one.data(b"abc"), *one.end()])
    else:
        data, size = one.start_file(one.encoder.status_line(status), one.encoder.field_block([]), 3)
        assert size == 0
        one.file_sent(0)
    assert data.endswith(b"\r\n\r\n")
    assert b"chunked" not in data
    assert (one.sent, one.surplus, one.dropped, one.irregular) == (0, True, dropped, True)
    assert one.next_cycle()


def test_head_without_a_body_does_not_say_its_length() -> None:
    """The application may have left it out because nobody would see it."""
    one = asked("HEAD")
    assert b"Content-Length" not in whole(one, b"")
    assert not one.surplus


def test_a_file() -> None:
    one = asked()
    data, size = one.start_file(one.encoder.status_line("200 OK"), one.encoder.field_block([]), 5)
    assert (b"Content-Length: 5\r\n" in data, size) == (True, 5)
    one.file_sent(2)
    assert (one.sent, one.missing, one.close_reason) == (2, 3, CloseReason.SHORT)


@pytest.mark.parametrize("size", [4096, 4097])
def test_a_large_body_is_not_copied(size: int) -> None:
    one = asked()
    data = bytes(size)
    pieces = one.whole(one.encoder.status_line("200 OK"), one.encoder.field_block([]), data)
    assert len(pieces) == (1 if size <= 4096 else 2)
    assert pieces[-1] is data or size <= 4096


def test_early_hints() -> None:
    one = asked()
    assert one.early_hints([("Link", "</a>")]).startswith(b"HTTP/1.1 103 ")
    assert one.response_state is S.DUE


class StreamOfHTTP2(ResponseSide):
    """As a protocol sees it that delimits bodies itself, and whose heads are encoded when they are sent."""

    def start(self, status: Any, fields: Any, length: int | None) -> bytes:
        self.delimit(status.code, fields, length)
        return b""


@pytest.mark.skipif(not response_side.__file__.endswith(".py"), reason="a compiled class has compiled subclasses only")
@pytest.mark.parametrize("length", [None, 3])
def test_another_protocol(length: int | None) -> None:
    one = StreamOfHTTP2(HeadEncoder("me"))
    one.expect(new_request(version=(2, 0)))
    line, block = one.encoder.status_line("200 OK"), one.encoder.field_block([])
    assert one.start(line, block, length) == b""
    assert one.data(b"abc") == [b"abc"]
    assert one.end() == []
    assert (one.announced, one.sent, one.close_reason, one.cut_looks_complete) == (length, 3, None, False)


def test_the_response_side_alone_encodes_nothing() -> None:
    one = ResponseSide(HeadEncoder("me"))
    with pytest.raises(NotImplementedError):
        one.start(one.encoder.status_line("200 OK"), one.encoder.field_block([]), None)
