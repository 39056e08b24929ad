"""Framing of bodies and keep-alive, as tables of fields and results."""

import pytest

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.framing import (
    LAST_CHUNK,
    Framing,
    check_codings,
    chunk,
    keeps_alive,
    read_framing,
    response_framing,
)
from aiohttp_worker.http1.messages import FieldSection, RequestLine


def fields_of(*lines: tuple[str, str]) -> FieldSection:
    fields = FieldSection([])
    for name, value in lines:
        read_framing(fields, name, value)
    check_codings(fields)
    return fields


def line(version: tuple[int, int]) -> RequestLine:
    return RequestLine("POST", "/", None, "/", "", version)


@pytest.mark.parametrize(("value", "length"), [("0", 0), ("5", 5), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_content_length(value: str, length: int) -> None:
    assert fields_of(("content-length", value)).content_length == length


@pytest.mark.parametrize("value", ["", "+5", "-5", "5_0", "0x5", "5, 5", "²", "٥", " 5", "5\x0b", "1" * 19])
def test_malformed_content_length(value: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        fields_of(("content-length", value))
    assert caught.value.status_code == 400


@pytest.mark.parametrize("second", ["5", "6", "0"])
def test_content_length_twice(second: str) -> None:
    with pytest.raises(RemoteProtocolError, match="more than once"):
        fields_of(("content-length", "5"), ("content-length", second))


@pytest.mark.parametrize("value", ["chunked", "Chunked", "CHUNKED"])
def test_chunked(value: str) -> None:
    assert fields_of(("transfer-encoding", value)).chunked


@pytest.mark.parametrize(
    ("values", "status_code"),
    [
        (["gzip"], 400),
        (["identity"], 400),
        (["chunked, gzip"], 400),
        (["chunked, chunked"], 400),
        (["chunked", "chunked"], 400),
        (["chunked", "gzip"], 400),
        (["xchunked"], 400),
        (["chunked;q=1"], 400),
        ([""], 400),
        (["gzip, chunked"], 501),
        (["gzip", "chunked"], 501),
        (["identity,chunked"], 501),
    ],
)
def test_codings(values: list[str], status_code: int) -> None:
    """RFC 9112 section 6.3: 400 when chunked is not last; section 6.1: 501 for what is not understood before it."""
    with pytest.raises(RemoteProtocolError) as caught:
        fields_of(*[("transfer-encoding", value) for value in values])
    assert caught.value.status_code == status_code


@pytest.mark.parametrize(
    ("version", "close", "keep_alive", "expected"),
    [
        ((1, 1), False, False, True),
        ((1, 1), False, True, True),
        ((1, 1), True, False, False),
        ((1, 1), True, True, False),
        ((1, 2), False, False, True),
        ((1, 0), False, False, False),
        ((1, 0), False, True, True),
        ((1, 0), True, False, False),
        ((1, 0), True, True, False),
    ],
)
def test_keep_alive(version: tuple[int, int], close: bool, keep_alive: bool, expected: bool) -> None:
    """RFC 9112 section 9.3."""
    fields = fields_of()
    fields.close, fields.keep_alive = close, keep_alive
    assert keeps_alive(line(version), fields) is expected


def test_length_beside_coding() -> None:
    fields = fields_of(("content-length", "5"), ("transfer-encoding", "chunked"))
    with pytest.raises(RemoteProtocolError, match="beside"):
        keeps_alive(line((1, 1)), fields)


def test_coding_in_http10() -> None:
    with pytest.raises(RemoteProtocolError, match=r"HTTP/1\.0"):
        keeps_alive(line((1, 0)), fields_of(("transfer-encoding", "chunked")))


@pytest.mark.parametrize(
    ("method", "status_code", "version", "length", "expected"),
    [
        ("GET", 200, (1, 1), 5, Framing.LENGTH),
        ("GET", 200, (1, 1), 0, Framing.LENGTH),
        ("GET", 200, (1, 1), None, Framing.CHUNKED),
        ("GET", 200, (1, 0), None, Framing.CLOSE),
        ("GET", 200, (1, 0), 5, Framing.LENGTH),
        ("HEAD", 200, (1, 1), 5, Framing.NONE),
        ("HEAD", 200, (1, 1), None, Framing.NONE),
        ("GET", 204, (1, 1), None, Framing.NONE),
        ("GET", 304, (1, 1), 5, Framing.NONE),
        ("GET", 103, (1, 1), None, Framing.NONE),
    ],
)
def test_response_framing(method: str, status_code: int, version: tuple[int, int], length: int | None, expected: Framing) -> None:
    """RFC 9112 section 6.3."""
    assert response_framing(method, status_code, version, length) is expected


@pytest.mark.parametrize("size", [1, 9, 10, 15, 16, 255, 65536])
def test_chunk(size: int) -> None:
    data = bytes(size)
    pieces = chunk(data)
    assert b"".join(pieces) == f"{size:x}\r\n".encode() + data + b"\r\n"
    assert pieces[1] is data


def test_last_chunk() -> None:
    assert LAST_CHUNK == b"0\r\n\r\n"
