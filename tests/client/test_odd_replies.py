"""Malformed and odd replies of servers, byte by byte, and the errors of the client."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

import aiohttp

from .raw_server import RawServer


async def body(response: aiohttp.ClientResponse) -> bytes:
    return await response.read()


async def status(response: aiohttp.ClientResponse) -> int:
    await response.read()
    return response.status


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
PACKED = gzip.compress(b"hello" * 100)
BARE = zlib.compressobj(wbits=-15)
BARE_DEFLATE = BARE.compress(b"hello") + BARE.flush()


def reply(fields: str, content: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + fields.replace("\n", "\r\n").encode() + b"\r\n\r\n" + content


GOOD = {
    "plain": (OK, b"hello"),
    "length unknown, HTTP/1.1": (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
    "length unknown, HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    "103 before": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, b"hello"),
    "100 unasked": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"hello"),
    "100 of HTTP/1.0": (b"HTTP/1.0 100 Continue\r\n\r\n" + OK, b"hello"),
    "102 and 103 of HTTP/1.0": (b"HTTP/1.0 102 Processing\r\n\r\nHTTP/1.0 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, b"hello"),
    "103 with close": (b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + OK, b"hello"),
    "102 with a length and close": (b"HTTP/1.1 102 Wait\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" + OK, b"hello"),
    "100 with a length": (b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + OK, b"hello"),
    "100 and chunked": (b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n" + OK, b"hello"),
    "100 of HTTP/1.0, body until the end": (b"HTTP/1.0 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    "bare LF": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", b"hello"),
    "control byte in a value": (b"HTTP/1.1 200 OK\r\nA: b\x01c\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "folded line": (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "space before the colon": (reply("Content-Length : 5", b"hello"), b"hello"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "chunks and trailers": (reply("Transfer-Encoding: chunked", b"2;x=y\r\nhe\r\n3 \r\nllo\r\n0\r\nSum: 1\r\n\r\n"), b"hello"),
    "chunks, odd case": (reply("transfer-ENCODING: Chunked", b"5\r\nhello\r\n0\r\n\r\n"), b"hello"),
    "gzip of two members": (reply("Content-Encoding: gzip", gzip.compress(b"hel") + gzip.compress(b"lo")), b"hello"),
    "gzip with padding": (reply("Content-Encoding: gzip", gzip.compress(b"hello") + bytes(9)), b"hello"),
    "x-gzip": (reply("Content-Encoding: X-GZip", gzip.compress(b"hello")), b"hello"),
    "zlib deflate": (reply("Content-Encoding: deflate", zlib.compress(b"hello")), b"hello"),
    "bare deflate": (reply("Content-Encoding: deflate", BARE_DEFLATE), b"hello"),
    "two codings": (reply("Content-Encoding: deflate, gzip", gzip.compress(zlib.compress(b"hello"))), b"hello"),
    "two coding fields": (
        reply("Content-Encoding: deflate\nContent-Encoding: gzip", gzip.compress(zlib.compress(b"hello"))),
        b"hello",
    ),
    "unknown coding": (reply("Content-Encoding: rot13", b"uryyb"), b"uryyb"),
    "identity": (reply("Content-Encoding: identity", b"hello"), b"hello"),
    "coding without a body": (reply("Content-Encoding: gzip\nContent-Length: 0"), b""),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    "excess after the body": (OK + b"more", b"hello"),
    "a second response": (OK + OK, b"hello"),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw", b"raw"),
    "status 999": (b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok", b"ok"),
}


@pytest.mark.parametrize("name", GOOD)
def test_read(ask: Any, name: str) -> None:
    sent, expected = GOOD[name]
    received, _ = ask(sent, body)
    assert received == expected


BAD = {
    "body too short": (reply("Content-Length: 9", b"hello"), aiohttp.IncompleteRead, b"hello"),
    "cut chunk": (reply("Transfer-Encoding: chunked", b"9\r\nhello"), aiohttp.IncompleteRead, b"hello"),
    "no last chunk": (reply("Transfer-Encoding: chunked", b"5\r\nhello\r\n"), aiohttp.IncompleteRead, b"hello"),
    "garbage for a chunk": (reply("Transfer-Encoding: chunked", b"5\r\nhello\r\nxyz\r\n"), aiohttp.IncompleteRead, b"hello"),
    "gzip cut": (reply("Content-Encoding: gzip", PACKED[:-5]), aiohttp.IncompleteRead, b"hello" * 100),
    "gzip cut, length right": (reply("Content-Encoding: gzip\nContent-Length: 12", PACKED[:12]), aiohttp.IncompleteRead, None),
    "deflate cut": (reply("Content-Encoding: deflate", zlib.compress(b"hello")[:-3]), aiohttp.IncompleteRead, b"hello"),
    "gzip that is not": (reply("Content-Encoding: gzip", b"hello"), aiohttp.ContentEncodingError, None),
    "deflate that is not": (reply("Content-Encoding: deflate", b"\xff\xff\xff\xff"), aiohttp.ContentEncodingError, None),
    "nothing": (b"", aiohttp.ClientConnectionError, None),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", aiohttp.ClientConnectionError, None),
    "not HTTP": (b"220 mail ready\r\n", aiohttp.BadStatusLine, None),
    "not HTTP at all": (b"\x16\x03\x01\x02\x00", aiohttp.BadStatusLine, None),
    "HTTP/2": (b"HTTP/2.0 200 OK\r\n\r\n", aiohttp.BadStatusLine, None),
    "length twice": (reply("Content-Length: 5\nContent-Length: 5", b"hello"), aiohttp.InvalidHeader, None),
    "length and chunked": (
        reply("Content-Length: 5\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        aiohttp.InvalidHeader,
        None,
    ),
    "chunked and length": (
        reply("Transfer-Encoding: chunked\nContent-Length: 5", b"5\r\nhello\r\n0\r\n\r\n"),
        aiohttp.InvalidHeader,
        None,
    ),
    "length negative": (reply("Content-Length: -1", b"hello"), aiohttp.InvalidHeader, None),
    "unknown transfer coding": (reply("Transfer-Encoding: gzip", PACKED), aiohttp.InvalidHeader, None),
    "chunked in two fields": (
        reply("Transfer-Encoding: chunked\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        aiohttp.InvalidHeader,
        None,
    ),
    "chunked twice": (reply("Transfer-Encoding: chunked, chunked", b"5\r\nhello\r\n0\r\n\r\n"), aiohttp.InvalidHeader, None),
    "chunked and nothing": (reply("Transfer-Encoding: chunked,", b"5\r\nhello\r\n0\r\n\r\n"), aiohttp.InvalidHeader, None),
    "nothing and chunked": (reply("Transfer-Encoding: ,chunked", b"5\r\nhello\r\n0\r\n\r\n"), aiohttp.InvalidHeader, None),
    "gzip after chunked": (reply("Transfer-Encoding: chunked, gzip", PACKED), aiohttp.InvalidHeader, None),
    "no reason, a bad field": (b"HTTP/1.1 200\r\nA B: c\r\n\r\n", aiohttp.InvalidHeader, None),
    "gzip and chunked in two fields": (
        reply("Transfer-Encoding: gzip\nTransfer-Encoding: chunked", PACKED),
        aiohttp.InvalidHeader,
        None,
    ),
    "letters in the status": (b"HTTP/1.1 20x OK\r\n\r\n", aiohttp.BadStatusLine, None),
    "letters behind the status": (b"HTTP/1.1 200x OK\r\n\r\n", aiohttp.BadStatusLine, None),
    "a coded interim response": (b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: gzip\r\n\r\n" + OK, aiohttp.InvalidHeader, None),
    "space in a name": (reply("A B: 5", b"hello"), aiohttp.InvalidHeader, None),
    "a line of 70 kB": (reply(f"A: {'x' * 70000}", b"hello"), aiohttp.LineTooLong, None),
    "an endless head": (reply("\n".join(f"A{i}: {'x' * 100}" for i in range(2000))), aiohttp.LineTooLong, None),
    "endless trailers": (reply("Transfer-Encoding: chunked", b"0\r\n" + b"A: b\r\n" * 20000), aiohttp.LineTooLong, None),
    "endless extension": (reply("Transfer-Encoding: chunked", b"5;" + b"x" * 1000000), aiohttp.HttpBadRequest, None),
    "too many codings": (reply("Content-Encoding: gzip, gzip, gzip, gzip, gzip", PACKED), aiohttp.ContentEncodingError, None),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(ask: Any, name: str) -> None:
    sent, error, partial = BAD[name]
    with pytest.raises(error) as caught:
        ask(sent, body)
    assert isinstance(caught.value, aiohttp.ClientConnectionError)
    assert isinstance(caught.value, ConnectionError)
    assert "127.0.0.1" in str(caught.value), str(caught.value)
    assert "GET" in str(caught.value)
    if partial is not None:
        assert caught.value.partial == partial


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chunked in two fields", "Transfer-Encoding has chunked twice"),
        ("chunked twice", "Transfer-Encoding has chunked twice"),
        ("gzip after chunked", "Transfer-Encoding has b'gzip' after chunked"),
        ("unknown transfer coding", "unknown transfer coding b'gzip'"),
        ("gzip and chunked in two fields", "unknown transfer coding b'gzip'"),
        ("a coded interim response", "a transfer coding in an interim response"),
    ],
)
def test_framing_is_refused_with_its_reason(ask: Any, name: str, said: str) -> None:
    with pytest.raises(aiohttp.InvalidHeader) as caught:
        ask(BAD[name][0], body)
    assert str(caught.value).endswith(f": {said}")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_close_in_an_interim_response_closes(run: Any, method: str) -> None:
    """Whoever announces the end of the connection early is believed, although the final response says nothing of it."""
    body = b"" if method == "HEAD" else b"hello"

    async def main() -> None:
        odd = b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body
        async with RawServer(odd, close=False) as server, aiohttp.SocketConnector() as connector:
            for _ in range(2):
                async with aiohttp.request(method, server.url, connector=connector) as response:
                    assert (response.status, await response.read()) == (200, body)
            assert len(server.peers) == 2

    run(main)


@pytest.mark.parametrize("name", GOOD | BAD)
def test_pool_is_not_poisoned(run: Any, name: str) -> None:
    """After any odd reply the next request on the same connector gets its own answer."""
    odd = (GOOD | BAD)[name][0]

    async def main() -> None:
        async with RawServer([odd, reply("Content-Length: 4", b"next")], close=False) as server:
            async with aiohttp.SocketConnector(limit=1, max_head_size=65536) as connector:
                try:
                    response = await aiohttp.request("GET", server.url, connector=connector, timeout=(5, 0.1))
                    await response.read_and_close()
                except (aiohttp.ClientConnectionError, TimeoutError):
                    pass
                response = await aiohttp.request("GET", server.url, connector=connector)
                assert await response.read_and_close() == b"next"

    run(main)


@pytest.mark.parametrize("name", [name for name in GOOD if name not in ("excess after the body", "a second response")])
def test_at_every_split_point(name: str) -> None:
    """The reader gives the same whatever the network does to the bytes."""
    from aiohttp_worker.http1.response_reader import END, ResponseHead, ResponseReader

    sent, _ = GOOD[name]

    def read(*pieces: bytes) -> tuple[list[Any], bytes, bool]:
        reader = ResponseReader()
        reader.start("GET")
        events = [event for piece in pieces for event in reader.feed(piece)]
        if END not in events:
            events += reader.feed_eof()
        heads = [(event.status_code, event.headers) for event in events if isinstance(event, ResponseHead)]
        return heads, b"".join(event for event in events if isinstance(event, bytes)), events[-1] is END

    whole = read(sent)
    assert whole[2]
    for cut in range(1, len(sent)):
        assert read(sent[:cut], sent[cut:]) == whole, cut
    assert read(*[sent[i : i + 1] for i in range(len(sent))]) == whole
