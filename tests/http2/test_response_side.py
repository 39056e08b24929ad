"""The response of one HTTP/2 stream: its states, and its framing."""

from __future__ import annotations

from typing import Any

import pytest

from aiohttp_worker.http1.errors import LocalProtocolError
from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.response_encoder import HeadEncoder
from aiohttp_worker.http2.response_head import FieldEncoder
from aiohttp_worker.http2.response_side import StreamResponse

ENCODER = HeadEncoder("s")


def response(method: str = "GET") -> StreamResponse:
    request = RequestHead(b"", {}, 0)
    request.method = method
    request.set_version(2, 0)
    return StreamResponse(ENCODER, FieldEncoder(), request)


def start(one: StreamResponse, status: str = "200 OK", headers: Any = (), length: int | None = None) -> None:
    assert one.start(ENCODER.status_line(status), ENCODER.field_block(list(headers)), length) == b""


def test_a_whole_response() -> None:
    one = response()
    pieces = one.whole(ENCODER.status_line("200 OK"), ENCODER.field_block([("X", "y")]), b"hello")
    assert b"".join(pieces) == b"hello"
    head = one.take_head()
    assert head is not None
    assert (head[0], head[-1]) == ((b":status", b"200"), (b"content-length", b"5"))
    assert one.take_head() is None
    assert [one.ends_after(size) for size in (0, 4, 5)] == [False, False, True]


def test_pieces_are_the_bytes_of_the_body() -> None:
    one = response()
    start(one)
    assert one.data(b"a") + one.data(b"bc") == [b"a", b"bc"]
    assert not one.ends_after(3)
    assert one.end() == [b""]  # there is an end to be sent
    assert one.ends_after(3)
    assert b"content-length" not in dict(one.take_head() or [])


def test_what_is_behind_the_length_is_dropped() -> None:
    one = response()
    start(one, headers=[("Content-Length", "2")])
    assert one.data(b"abc") == [b"ab"]
    assert (one.complete, one.surplus) == (True, True)


def test_what_is_shorter_than_its_length_does_not_end() -> None:
    one = response()
    start(one, headers=[("Content-Length", "9")])
    one.data(b"abc")
    one.end()
    assert not one.ends_after(3)
    assert one.missing == 6


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")])
def test_no_body(method: str, status: str) -> None:
    one = response(method)
    start(one, status, length=5)
    assert one.data(b"hello") == []
    one.end()
    assert one.ends_after(0)


def test_interim_responses_come_before_the_head() -> None:
    one = response()
    assert one.early_hints([("Link", "</a>")]) == one.ask_for_body() == b""
    assert [one.take_interim(), one.take_interim(), one.take_interim()] == [
        [(b":status", b"103"), (b"link", b"</a>")],
        [(b":status", b"100")],
        None,
    ]


def test_mistakes() -> None:
    one = response()
    with pytest.raises(LocalProtocolError):
        one.data(b"early")
    with pytest.raises(LocalProtocolError):
        one.early_hints([("Link", "a\r\nb")])
    assert one.take_interim() is None
    start(one)
    with pytest.raises(LocalProtocolError):
        start(one)
