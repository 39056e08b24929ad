"""Framing of bodies and keep-alive, as tables of fields and results."""

import pytest

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.framing import (
    LAST_CHUNK,
    Framing,
    RequestFraming,
    chunk,
    response_framing,
)
from aiohttp_worker.http1.messages import RequestHead


def head_of(*fields: tuple[str, str], version: tuple[int, int] = (1, 1)) -> RequestHead:
    head = RequestHead(b"", {}, 0)
    head.set_version(*version)
    RequestFraming(fields).apply(head)
    return head


@pytest.mark.parametrize(("value", "length"), [("0", 0), ("5", 5), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_content_length(value: str, length: int) -> None:
    assert head_of(("content-length", value)).content_length == length


@pytest.mark.parametrize("value", ["", "+5", "-5", "5_0", "0x5", "5, 5", "²", "٥", " 5", "5\x0b", "1" * 19])
def test_malformed_content_length(value: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        head_of(("Content-Length", value))
    assert caught.value.status_code == 400


@pytest.mark.parametrize("second", ["5", "6", "0"])
def test_content_length_twice(second: str) -> None:
    with pytest.raises(RemoteProtocolError, match="more than once"):
        head_of(("content-length", "5"), ("content-length", second))


@pytest.mark.parametrize("value", ["chunked", "Chunked", "CHUNKED"])
def test_chunked(value: str) -> None:
    assert head_of(("transfer-encoding", value)).chunked


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
        head_of(*[("transfer-encoding", value) for value in values])
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
    options = ["close"] * close + ["Keep-Alive"] * keep_alive
    assert head_of(("connection", ", ".join(options)), version=version).keep_alive is expected
    assert head_of(*[("Connection", option) for option in options], version=version).keep_alive is expected


def test_length_beside_coding() -> None:
    with pytest.raises(RemoteProtocolError, match="beside"):
        head_of(("content-length", "5"), ("transfer-encoding", "chunked"))


def test_coding_in_http10() -> None:
    with pytest.raises(RemoteProtocolError, match=r"HTTP/1\.0"):
        head_of(("transfer-encoding", "chunked"), version=(1, 0))


@pytest.mark.parametrize(
    ("version", "length", "expected"),
    [((1, 1), 5, True), ((1, 2), 5, True), ((1, 0), 5, False), ((1, 1), 0, False), ((1, 1), None, False)],
)
def test_expect_continue(version: tuple[int, int], length: int | None, expected: bool) -> None:
    """Ignored in HTTP/1.0 (RFC 9110 section 10.1.1), and without anything to wait for."""
    lengths = [] if length is None else [("content-length", str(length))]
    head = head_of(("expect", "100-Continue"), *lengths, version=version)
    assert head.expect_continue is expected
    assert head.has_body is bool(length)


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
