"""Programs that were written for the aiohttp of April 2014."""

from __future__ import annotations

import email.message
import gzip
import http.client
from collections.abc import Generator
from typing import Any

import pytest

import aiohttp

from .raw_server import RawServer

PACKED = gzip.compress(b"hello")
BODIES = {
    "some": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "none": b"HTTP/1.1 204 No Content\r\n\r\n",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(PACKED), PACKED),
    "until the end": b"HTTP/1.1 200 OK\r\n\r\nhello",
}


@pytest.mark.parametrize("method", ["read", "readany", "readline", "read some"])
@pytest.mark.parametrize("name", BODIES)
def test_a_loop_that_ends_with_nothing_but_eofstream(run: Any, name: str, method: str) -> None:
    def fetch(url: str) -> Generator[Any, Any, list[bytes]]:
        pieces = []
        response = yield from aiohttp.request("GET", url)
        while True:
            try:
                if method == "read some":
                    piece = yield from response.content.read(2)
                else:
                    piece = yield from getattr(response.content, method)()
                pieces.append(piece)
            except aiohttp.EofStream:
                break
        response.close()
        return pieces

    async def main() -> None:
        async with RawServer(BODIES[name]) as server:
            pieces = await aiohttp.coroutine(fetch)(server.url)
            assert b"".join(pieces) == (b"" if name in ("none", "empty") else b"hello")
            assert pieces[-2:] == [b"", b""]
            assert pieces.count(b"") == 2

    run(main)


def test_who_sees_the_end_meets_no_eofstream(ask: Any) -> None:
    """Iterating is no empty read, nor is asking for nothing; and what was read stays."""

    async def use(response: aiohttp.ClientResponse) -> None:
        for _ in range(4):
            assert [line async for line in response.content] in ([b"hello"], [])
            assert [piece async for piece in response.content.iter_any()] == []
            assert [piece async for piece in response.content.iter_chunked(2)] == []
            assert await response.content.read(0) == b""
            assert await response.read() == b""
            assert response.content.at_eof()
        assert await response.content.read() == b""
        assert await response.content.read() == b""
        for _ in range(2):
            with pytest.raises(aiohttp.EofStream, match=r"GET http://127\.0\.0\.1"):
                await response.content.read()
        assert await response.text() == ""

    ask(BODIES["some"], use)


def test_a_body_that_was_cut_is_no_end(ask: Any) -> None:
    async def use(response: aiohttp.ClientResponse) -> None:
        for _ in range(4):
            with pytest.raises(aiohttp.IncompleteRead):
                await response.content.read()

    ask(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", use)


@pytest.mark.parametrize(
    "value",
    [
        None, "text/html", "Text/HTML; Charset=UTF-8", 'application/json;charset="latin-1"', "nonsense", "a/b/c", "; charset=x",
        "text/plain; format=flowed", "",
    ],
)  # fmt: skip
def test_what_email_says_of_the_type(ask: Any, value: str | None) -> None:
    """In 2014 a response was a message of ``email``'s."""
    message = email.message.Message()
    field = b""
    if value is not None:
        message["Content-Type"] = value
        field = f"Content-Type: {value}\r\n".encode()

    async def use(response: aiohttp.ClientResponse) -> None:
        assert response.get_content_type() == message.get_content_type()
        assert response.get_content_charset() == message.get_content_charset()
        assert response.get_content_charset("failed") == message.get_content_charset("failed")

    ask(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b\r\n" % field, use)


def test_errors_of_http_client() -> None:
    assert issubclass(aiohttp.HttpException, http.client.HTTPException)
    assert issubclass(aiohttp.IncompleteRead, http.client.IncompleteRead)
    assert issubclass(aiohttp.BadStatusLine, http.client.BadStatusLine)
    assert issubclass(aiohttp.LineTooLong, http.client.LineTooLong)
    assert aiohttp.BadRequestException is aiohttp.HttpBadRequest
    assert "2 bytes read" in repr(aiohttp.IncompleteRead(b"ab", 3))


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", http.client.IncompleteRead),
        (b"220 ready\r\n", http.client.BadStatusLine),
        (b"HTTP/1.1 200 OK\r\nA: %b\r\n\r\n" % (b"x" * 70000), http.client.LineTooLong),
    ],
)
def test_caught_as_one_of_http_client(ask: Any, sent: bytes, error: type[Exception]) -> None:
    async def use(response: aiohttp.ClientResponse) -> None:
        await response.read()

    with pytest.raises(error) as caught:
        ask(sent, use)
    assert "127.0.0.1" in str(caught.value)
    assert isinstance(caught.value, aiohttp.BadRequestException)


def test_names_of_connectors() -> None:
    for kind in (aiohttp.SocketConnector, aiohttp.ProxyConnector, aiohttp.UnixSocketConnector):
        assert issubclass(kind, aiohttp.BaseConnector)
    assert isinstance(aiohttp.UnixSocketConnector("/nonexistent"), aiohttp.BaseConnector)
