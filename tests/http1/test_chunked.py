"""Decoding of chunked bodies, piece by piece. Refused ones are in the corpus."""

import pytest

from aiohttp_worker.http1.chunked import ChunkedBody
from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.messages import Limits


def test_data_is_decoded_as_it_arrives() -> None:
    body = ChunkedBody(Limits())
    assert body.feed(b"5\r\nhel", 0) == 6
    assert body.pieces == [b"hel"]
    assert body.feed(b"lo\r\n", 0) == 4
    assert body.pieces == [b"hel", b"lo"]
    assert not body.complete
    assert body.feed(b"0\r\n\r\n", 0) == 5
    assert body.complete


@pytest.mark.parametrize("cut", range(1, 16))
def test_bytes_after_the_body_are_left_alone(cut: int) -> None:
    body = ChunkedBody(Limits())
    data = b"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n"
    if cut < 15:
        assert body.feed(data[:cut], 0) == cut
        assert not body.complete
        assert body.feed(data, cut) == 15
    else:
        assert body.feed(data, 0) == 15
    assert body.complete
    assert b"".join(body.pieces) == b"hello"


def test_body_that_starts_in_the_middle_of_the_data() -> None:
    body = ChunkedBody(Limits())
    assert body.feed(b"head2\r\nab\r\n0\r\n\r\nrest", 4) == 16
    assert body.pieces == [b"ab"]
    assert body.complete


def test_trailers_are_kept_apart() -> None:
    body = ChunkedBody(Limits())
    body.feed(b"0\r\nChecksum: \t abc \r\nB:\r\n\r\n", 0)
    assert body.complete
    assert body.trailers == [("checksum", "abc"), ("b", "")]


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "HOST", "Trailer", "Authorization", "TE"])
def test_fields_that_a_trailer_section_must_not_have(name: str) -> None:
    """RFC 9110 section 6.5.1: what frames, routes or authenticates cannot come afterwards."""
    body = ChunkedBody(Limits())
    with pytest.raises(RemoteProtocolError, match=name.lower()):
        body.feed(f"0\r\n{name}: 1\r\n\r\n".encode(), 0)


def test_extensions_are_bounded_by_the_data() -> None:
    """RFC 9112 section 7.1.1: their total is limited. A signature in every large chunk is fine."""
    body = ChunkedBody(Limits(field_size=100))
    chunk = b"%x;signature=%s\r\n%s\r\n" % (200, b"0" * 64, bytes(200))
    for _ in range(100):
        body.feed(chunk, 0)
    greedy = ChunkedBody(Limits(field_size=100))
    greedy.feed(b"1;signature=%s\r\n.\r\n" % (b"0" * 64), 0)
    with pytest.raises(RemoteProtocolError) as caught:
        greedy.feed(b"1;signature=%s\r\n.\r\n" % (b"0" * 64), 0)
    assert caught.value.status_code == 431


@pytest.mark.parametrize(("length", "refused"), [(100, False), (101, True)])
@pytest.mark.parametrize("step", [1, 1000])
def test_longest_line(length: int, refused: bool, step: int) -> None:
    line = b"5;" + b"a" * (length - 4) + b"\r\n"
    body = ChunkedBody(Limits(field_size=100))

    def feed() -> None:
        for start in range(0, len(line), step):
            body.feed(line[start : start + step], 0)

    if refused:
        with pytest.raises(RemoteProtocolError) as caught:
            feed()
        assert caught.value.status_code == 431
    else:
        feed()


@pytest.mark.parametrize(("number", "refused"), [(3, False), (4, True)])
def test_most_trailers(number: int, refused: bool) -> None:
    body = ChunkedBody(Limits(fields=3))
    data = b"0\r\n" + b"A: b\r\n" * number + b"\r\n"
    if refused:
        with pytest.raises(RemoteProtocolError) as caught:
            body.feed(data, 0)
        assert caught.value.status_code == 431
    else:
        body.feed(data, 0)
        assert len(body.trailers) == number
