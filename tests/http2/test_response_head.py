"""Heads of HTTP/2 responses: fields made from status and headers (RFC 9113 section 8.3.2)."""

from __future__ import annotations

import pytest

from aiohttp_worker.http1.response_encoder import HeadEncoder
from aiohttp_worker.http2.response_head import FieldEncoder, FieldList, interim_fields

DATE = (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")


def encoder_at(seconds: float) -> HeadEncoder:
    encoder = HeadEncoder("s")
    encoder.set_time(seconds)
    return encoder


def encode(headers: list[tuple[str, str]], status_code: int = 200, length: int | None = None) -> FieldList:
    encoder = encoder_at(0)
    block = encoder.field_block(headers)
    return FieldEncoder().fields(status_code, block, encoder.defaults_beside(block), length)


def test_head() -> None:
    fields = encode([("Content-Type", "text/plain"), ("X-A", "b\xe4")], length=5)
    assert fields == [
        (b":status", b"200"),
        (b"server", b"s"),
        DATE,
        (b"content-type", b"text/plain"),
        (b"x-a", b"b\xe4"),
        (b"content-length", b"5"),
    ]


def test_a_length_of_the_application_stands() -> None:
    assert encode([("Content-Length", "7")], length=5)[-1] == (b"content-length", b"7")


def test_without_a_length() -> None:
    assert b"content-length" not in dict(encode([("X", "y")]))


def test_server_and_date_of_the_application_stand() -> None:
    assert encode([("Server", "mine"), ("Date", "now")]) == [(b":status", b"200"), (b"server", b"mine"), (b"date", b"now")]


def test_what_is_about_a_connection_is_left_out() -> None:
    """RFC 9113 section 8.2.2."""
    names = ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"]
    assert {name for name, _ in encode([(name, "close") for name in names])} == {b":status", b"server", b"date"}


@pytest.mark.parametrize(("status_code", "length"), [(204, None), (205, b"0"), (304, b"9")])
def test_lengths_where_there_is_no_body(status_code: int, length: bytes | None) -> None:
    assert dict(encode([("Content-Length", "9")], status_code, 0)).get(b"content-length") == length


def test_304_has_no_length_of_ours() -> None:
    assert b"content-length" not in dict(encode([], 304, 0))


def test_the_date_goes_on() -> None:
    encoder, fields = encoder_at(0), FieldEncoder()
    block = encoder.field_block([])
    first = fields.fields(200, block, encoder.defaults_beside(block), None)
    encoder.set_time(1)
    second = fields.fields(200, block, encoder.defaults_beside(block), None)
    assert dict(first)[b"date"] == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert dict(second)[b"date"] == b"Thu, 01 Jan 1970 00:00:01 GMT"


def test_long_and_many_fields() -> None:
    encoder, fields = encoder_at(0), FieldEncoder()
    for number in range(3000):
        headers = [("X-Number", str(number)), ("X-Long", "v" * 300)]
        block = encoder.field_block(headers)
        assert fields.fields(200, block, b"", None)[1:] == [(b"x-number", b"%d" % number), (b"x-long", b"v" * 300)]


def test_early_hints() -> None:
    raw = encoder_at(0).early_hints([("Link", "</a.css>; rel=preload"), ("Connection", "close")])
    assert interim_fields(raw) == [(b":status", b"103"), (b"link", b"</a.css>; rel=preload")]
