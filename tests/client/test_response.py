"""Reading after the response was given back: it raises, or gives what was read before, whatever the timing."""

from __future__ import annotations

import asyncio
import copy
import gzip
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import aiohttp

from .raw_server import Peer, RawServer

HEAD = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
SIZED = HEAD + b"Content-Length: 5\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = gzip.compress(b"hello")
#: head, then the body in two halves
REPLIES = {
    "sized": (SIZED, b"hel", b"lo"),
    "chunked": (CHUNKED, b"5\r\nhel", b"lo\r\n0\r\n\r\n"),
    "end of a chunked one late": (CHUNKED, b"5\r\nhello\r\n", b"0\r\n\r\n"),
    "to the end": (HEAD + b"Connection: close\r\n\r\n", b"hel", b"lo"),
    "packed": (HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED), PACKED[:12], PACKED[12:]),
}
#: how much of the body has come when the response is given back
ARRIVED = {"head": 1, "half": 2, "all": 3}


async def by_release(response: aiohttp.ClientResponse) -> None:
    await response.release()


async def by_close(response: aiohttp.ClientResponse) -> None:
    response.close()


async def by_block(response: aiohttp.ClientResponse) -> None:
    async with response:
        pass


async def by_plain_block(response: aiohttp.ClientResponse) -> None:
    with response:
        pass


async def by_error(response: aiohttp.ClientResponse) -> None:
    with pytest.raises(aiohttp.HttpErrorException):
        response.raise_for_status()


async def by_error_in_a_block(response: aiohttp.ClientResponse) -> None:
    with pytest.raises(aiohttp.HttpErrorException):
        async with response:
            response.raise_for_status()


GIVEN_BACK: dict[str, Callable[[aiohttp.ClientResponse], Awaitable[None]]] = {
    "release": by_release,
    "close": by_close,
    "async with": by_block,
    "with": by_plain_block,
    "raise_for_status": by_error,
    "raise_for_status in a block": by_error_in_a_block,
}
READS: dict[str, Callable[[aiohttp.ClientResponse], Awaitable[Any]]] = {
    "text": lambda response: response.text(),
    "read": lambda response: response.read(),
    "json": lambda response: response.json(),
    "read_and_close": lambda response: response.read_and_close(),
    "content.read": lambda response: response.content.read(),
    "content.read(1)": lambda response: response.content.read(1),
    "readany": lambda response: response.content.readany(),
    "readline": lambda response: response.content.readline(),
    "readexactly": lambda response: response.content.readexactly(5),
    "readuntil": lambda response: response.content.readuntil(b"l"),
    "async for": lambda response: anext(aiter(response.content)),
}


class Script:
    """Sends a reply piece by piece, as many as the test allows."""

    def __init__(self, reply: tuple[bytes, ...], pieces: int) -> None:
        self.reply = reply
        self.pieces = pieces
        self.go_on = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        await peer.send(b"".join(self.reply[: self.pieces]))
        if self.pieces < len(self.reply):
            await self.go_on.wait()
            await peer.send(b"".join(self.reply[self.pieces :]))


async def arrived(response: aiohttp.ClientResponse, script: Script) -> None:
    """Wait until everything that the server has sent is here."""
    if script.pieces == len(script.reply):
        while not response.closed:
            await asyncio.sleep(0)
    elif script.pieces == 2:
        while not response.content.buffered():
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", REPLIES)
@pytest.mark.parametrize("given_back", GIVEN_BACK)
def test_what_was_not_read_raises(run: Any, kind: str, given_back: str) -> None:
    """However much had come, and whichever way it is read."""

    async def main() -> None:
        for pieces in ARRIVED.values():
            script = Script(REPLIES[kind], pieces)
            async with RawServer(script) as server:
                response = await aiohttp.request("GET", server.url)
                await arrived(response, script)
                await GIVEN_BACK[given_back](response)
                assert not response.content.at_eof()
                for read in READS.values():
                    with pytest.raises(aiohttp.ClientConnectionError, match="before its body was read"):
                        await read(response)
                script.go_on.set()
                with pytest.raises(aiohttp.ClientConnectionError):
                    await response.text()

    run(main)


@pytest.mark.parametrize("kind", REPLIES)
@pytest.mark.parametrize("given_back", GIVEN_BACK)
def test_what_was_read_stays(run: Any, kind: str, given_back: str) -> None:
    async def main() -> None:
        async with RawServer(Script(REPLIES[kind], 3)) as server:
            response = await aiohttp.request("GET", server.url)
            assert await response.read() == b"hello"
            await GIVEN_BACK[given_back](response)
            assert await response.text() == "hello"
            assert await response.read_and_close() == b"hello"
            assert await response.content.read() == b""

    run(main)


@pytest.mark.parametrize("kind", REPLIES)
def test_the_body_of_an_error_can_be_read_in_the_block(run: Any, kind: str) -> None:
    async def main() -> None:
        script = Script(REPLIES[kind], 1)
        async with RawServer(script) as server:
            async with aiohttp.request("GET", server.url) as response:
                with pytest.raises(aiohttp.HttpErrorException, match="404"):
                    response.raise_for_status()
                script.go_on.set()
                assert await response.text() == "hello"
            assert await response.text() == "hello"
            script.go_on.clear()
            with pytest.raises(aiohttp.HttpErrorException):
                async with aiohttp.request("GET", server.url) as response:
                    response.raise_for_status()
            with pytest.raises(aiohttp.ClientConnectionError, match="released before its body was read"):
                await response.text()
            script.go_on.set()

    run(main)


@pytest.mark.parametrize(
    ("reply", "method"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: gzip\r\n\r\n", "GET"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "GET"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Encoding: gzip\r\n\r\n", "HEAD"),
    ],
)
def test_no_body_is_no_loss(run: Any, reply: bytes, method: str) -> None:
    async def main() -> None:
        async with RawServer(reply) as server:
            async with aiohttp.request(method, server.url) as response:
                pass
            assert await response.text() == ""
            assert await response.content.read() == b""

    run(main)


def test_no_body_is_wanted(run: Any) -> None:
    async def main() -> None:
        async with RawServer(b"HTTP/1.1 200 OK\r\n\r\nhello") as server:
            async with aiohttp.request("GET", server.url, read_until_eof=False) as response:
                pass
            assert await response.text() == ""

    run(main)


def test_who_has_every_byte_has_read(run: Any) -> None:
    """Of a body whose size was announced, or whose end was seen."""

    async def main() -> None:
        async with RawServer(SIZED + b"hello") as server:
            async with aiohttp.request("GET", server.url) as response:
                assert await response.content.readexactly(5) == b"hello"
            assert await response.content.read() == b""
        async with RawServer(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n") as server:
            async with aiohttp.request("GET", server.url) as response:
                assert [line async for line in response.content] == [b"hello"]
            assert await response.content.read() == b""

    run(main)


def test_the_rest_of_a_body_that_was_begun(run: Any) -> None:
    async def main() -> None:
        for pieces in (2, 3):
            async with RawServer(Script(REPLIES["sized"], pieces)) as server:
                async with aiohttp.request("GET", server.url) as response:
                    assert await response.content.readexactly(2) == b"he"
                with pytest.raises(aiohttp.ClientConnectionError, match="before its body was read"):
                    await response.content.read()

    run(main)


def test_who_waits_when_the_block_ends(run: Any) -> None:
    """A task that reads hears of it, and does not take what it has for everything."""

    async def main() -> None:
        for pieces in (1, 2):
            script = Script(REPLIES["sized"], pieces)
            async with RawServer(script) as server:
                async with aiohttp.request("GET", server.url) as response:
                    await arrived(response, script)
                    reading = asyncio.ensure_future(response.read())
                    await asyncio.sleep(0)
                with pytest.raises(aiohttp.ClientConnectionError, match="before its body was read"):
                    await reading

    run(main)


def test_wait_for_close_drops(run: Any) -> None:
    async def main() -> None:
        async with RawServer(Script(REPLIES["chunked"], 3)) as server:
            response = await aiohttp.request("GET", server.url)
            await response.wait_for_close()
            with pytest.raises(aiohttp.ClientConnectionError, match="before its body was read"):
                await response.text()

    run(main)


@pytest.mark.parametrize("framing", [b"Content-Length: 3\r\n\r\nold", b"Transfer-Encoding: chunked\r\n\r\n3\r\nold\r\n0\r\n\r\n"])
def test_history_is_not_readable(run: Any, framing: bytes) -> None:
    async def main() -> None:
        first = b"HTTP/1.1 302 Found\r\nLocation: /\r\n" + framing
        empty = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"
        async with RawServer([first, empty, SIZED + b"hello"], close=False) as server, aiohttp.SocketConnector() as connector:
            async with aiohttp.request("GET", server.url, connector=connector) as response:
                with pytest.raises(aiohttp.ClientConnectionError, match="before its body was read"):
                    await response.history[0].read()
                assert await response.history[1].read() == b""
                assert await response.read() == b"hello"

    run(main)


def test_a_released_connection_is_kept(run: Any) -> None:
    async def main() -> None:
        async with RawServer(SIZED + b"hello", close=False) as server, aiohttp.SocketConnector(limit=1) as connector:
            for _ in range(3):
                async with aiohttp.request("GET", server.url, connector=connector):
                    pass
                while connector._pool.in_use:
                    await asyncio.sleep(0)
            assert len(server.peers) == 1

    run(main)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda response: pickle.loads(pickle.dumps(response))])
def test_copies(run: Any, duplicate: Any) -> None:
    """A copy has the head, and the body if that was read."""

    async def main() -> None:
        async with RawServer(SIZED + b"hello") as server:
            async with aiohttp.request("GET", server.url.replace("//", "//user:secret@") + "/x") as response:
                unread = duplicate(response)
                await response.read()
                read = duplicate(response)
            for made in (unread, read):
                assert (made.status, made.reason, made.url, made.method) == (404, "Not Found", response.url, "GET")
                assert made.headers == response.headers
                assert made.closed
                made.close(force=True)
                made.release()
            assert await read.text() == "hello"
            with pytest.raises(aiohttp.ClientConnectionError, match="copy, which was made before its body was read"):
                await unread.text()
            assert b"secret" not in pickle.dumps(response)

    run(main)
