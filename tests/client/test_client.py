"""Exchanges: keeping connections, retries, redirects, expectations, timeouts, cancellation, and what the response offers."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import socket
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import aiohttp
from tests.certificates import Authority
from tests.loops import LOOPS, new_loop

from .raw_server import Peer, RawServer


def reply(text: bytes | str = b"ok", *fields: str, status: str = "200 OK") -> bytes:
    body = text.encode() if isinstance(text, str) else text
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


OK = reply()


# -- keeping connections ----------------------------------------------------------------------------------------------


def test_a_connector_keeps_connections(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK, close=False) as server, aiohttp.SocketConnector() as connector:
            for _ in range(3):
                response = await aiohttp.request("GET", server.url, connector=connector)
                assert await response.read_and_close() == b"ok"
                assert response.closed
            assert len(server.peers) == 1
            assert b"Connection:" not in server.heads[0]

    run(main)


@pytest.mark.parametrize(
    ("first", "options"),
    [
        (reply(b"ok", "Connection: close"), {}),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", {}),
        (OK + b"x", {}),
        (OK, {"headers": {"Connection": "close"}}),
        (OK, {"version": (1, 0)}),
    ],
)
def test_not_kept(run: Any, first: bytes, options: dict[str, Any]) -> None:
    async def main() -> None:
        async with RawServer([first, OK], close=False) as server, aiohttp.SocketConnector() as connector:
            for _ in range(2):
                response = await aiohttp.request("GET", server.url, connector=connector, **options)
                assert await response.read_and_close() == b"ok"
            assert len(server.peers) == 2

    run(main)


def test_http_1_0_kept_when_asked(run: Any) -> None:
    async def main() -> None:
        kept = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
        async with RawServer(kept, close=False) as server, aiohttp.SocketConnector() as connector:
            for _ in range(2):
                headers = {"Connection": "keep-alive"}
                response = await aiohttp.request("GET", server.url, connector=connector, version="1.0", headers=headers)
                assert await response.read_and_close() == b"ok"
            assert len(server.peers) == 1
            assert b"Connection: keep-alive" in server.heads[0]

    run(main)


def test_without_a_connector_nothing_is_kept(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK, close=False) as server:
            for _ in range(2):
                async with aiohttp.request("GET", server.url) as response:
                    assert await response.read() == b"ok"
            assert len(server.peers) == 2
            for peer in server.peers:
                await peer.ended.wait()

    run(main)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_kept_connection_that_died(run: Any, method: str) -> None:
    """The server closes as soon as the second request comes: sent once more only where that cannot do harm."""

    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            if peer.number == 1:
                await peer.head()
                return
            await peer.request()
            await peer.send(OK)

        async with RawServer(script) as server, aiohttp.SocketConnector() as connector:
            response = await aiohttp.request("GET", server.url, connector=connector)
            await response.read_and_close()
            if method == "POST":
                with pytest.raises(aiohttp.ClientConnectionError, match="without an answer"):
                    await aiohttp.request(method, server.url, connector=connector, data=b"x")
                return
            response = await aiohttp.request(method, server.url, connector=connector, data=b"x")
            assert await response.read_and_close() == b"ok"
            assert len(server.peers) == 2

    run(main)


def test_retry_can_be_switched_off(run: Any) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            await peer.head()

        async with RawServer(script) as server, aiohttp.SocketConnector(retry=False) as connector:
            response = await aiohttp.request("GET", server.url, connector=connector)
            await response.read_and_close()
            with pytest.raises(aiohttp.ClientConnectionError):
                await aiohttp.request("GET", server.url, connector=connector)

    run(main)


def test_tls_that_a_server_does_not_end(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The end of the block does not wait for ever."""
    monkeypatch.setattr("aiohttp.connector.GOODBYE_SECONDS", 0.05)
    authority = Authority(tmp_path)
    tls = authority.server_context(authority.issue("server", "/CN=localhost"))

    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            peer.writer.transport.pause_reading()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                peer.writer.transport.abort()

        async with RawServer(script, tls=tls) as server:
            started = asyncio.get_running_loop().time()
            async with aiohttp.SocketConnector(ssl_context=authority.client_context()) as connector:
                async with aiohttp.request("GET", server.url, connector=connector) as response:
                    assert await response.read() == b"ok"
            assert asyncio.get_running_loop().time() - started < 5

    run(main)


def test_idle_connections_go_after_their_time(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK, close=False) as server, aiohttp.SocketConnector(reuse_timeout=0.05) as connector:
            response = await aiohttp.request("GET", server.url, connector=connector)
            await response.read_and_close()
            await server.peers[0].ended.wait()  # the client has closed

    run(main)


# -- the whole answer before the whole request -------------------------------------------------------------------------


def test_an_early_answer_ends_the_upload(run: Any) -> None:
    async def main() -> None:
        sent = 0

        async def endless() -> Any:
            nonlocal sent
            while True:
                sent += 1
                yield b"x" * 1000
                await asyncio.sleep(0)

        async def script(peer: Peer) -> None:
            await peer.head()
            await peer.send(reply(b"too much", status="413 Content Too Large"))
            await peer.reader.read()

        async with RawServer(script) as server, aiohttp.SocketConnector(limit=1) as connector:
            response = await aiohttp.request("POST", server.url, data=endless(), connector=connector)
            assert response.status == 413
            assert await response.read_and_close() == b"too much"
            assert connector._pool.in_use == 0
            assert connector._pool.oldest() is None

    run(main)


# -- redirects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        (301, "POST", "GET"), (302, "POST", "GET"), (301, "PUT", "PUT"), (302, "GET", "GET"), (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"), (307, "POST", "POST"), (308, "PUT", "PUT"),
    ],
)  # fmt: skip
def test_methods_after_redirects(run: Any, status: int, method: str, expected: str) -> None:
    async def main() -> None:
        first = reply(b"", "Location: /next?q#f", status=f"{status} X")
        async with RawServer([first, reply(b"") if expected == "HEAD" else OK], close=False) as server:
            async with aiohttp.SocketConnector() as connector:
                data = None if method in ("HEAD", "GET") else b"body"
                headers = {"Content-Type": "text/x", "X-A": "1", "Authorization": "secret"}
                async with aiohttp.request(
                    method, server.url + "/first", data=data, connector=connector, headers=headers
                ) as response:
                    assert response.url == server.url + "/next?q"
                    assert [one.status for one in response.history] == [status]
                    assert response.method == expected
            head = server.heads[1]
            assert head.startswith(f"{expected} /next?q HTTP/1.1".encode())
            assert b"X-A: 1" in head
            assert b"Authorization: secret" in head
            kept = expected in ("POST", "PUT")
            assert server.bodies[1] == (b"body" if kept else b"")
            assert (b"Content-Type: text/x" in head) == (
                kept or method in ("HEAD", "GET") and status not in (303,) or expected == method
            )
            assert (b"Content-Length" in head) == kept

    run(main)


def test_secrets_stay_with_their_origin(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK) as other:
            async with RawServer(reply(b"", f"Location: {other.url}/x", status="302 Found")) as server:
                async with aiohttp.request(
                    "GET", server.url.replace("//", "//u:p@"), headers={"Authorization": "s", "X": "y"}, cookies={"c": "1"}
                ) as response:
                    assert response.status == 200
                assert b"Cookie: c=1" in server.heads[0]
                assert b"Cookie" not in other.heads[0]
                assert b"uthorization" not in other.heads[0]
                assert b"X: y" in other.heads[0]
                async with aiohttp.request("GET", server.url, auth=("a", "b")) as response:
                    assert b"uthorization" not in other.heads[1]

    run(main)


@pytest.mark.parametrize("data", [lambda: iter([b"x"]), lambda: (x for x in [b"x"])])
def test_a_body_that_cannot_be_sent_again(run: Any, data: Any) -> None:
    async def main() -> None:
        async with RawServer(reply(b"", "Location: /", status="307 X")) as server:
            with pytest.raises(aiohttp.ClientConnectionError, match="cannot be sent again"):
                await aiohttp.request("POST", server.url, data=data())

    run(main)


def test_a_file_is_sent_again_from_where_it_was(run: Any, tmp_path: Any) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123456789" * 20000)

    async def main() -> None:
        async with RawServer([reply(b"", "Location: /", status="308 X"), OK]) as server:
            with path.open("rb") as file:
                file.seek(5)
                async with aiohttp.request("PUT", server.url, data=file) as response:
                    assert response.status == 200
                assert server.bodies[0] == server.bodies[1] == path.read_bytes()[5:]
                file.seek(7)
                async with aiohttp.request("PUT", server.url, files={"f": file}) as response:
                    assert path.read_bytes()[7:] in server.bodies[2]

    run(main)


@pytest.mark.parametrize(("most", "followed"), [(0, 0), (1, 0), (2, 1), (4, 3)])
def test_max_redirects(run: Any, most: int, followed: int) -> None:
    """The redirect of that number is returned, readable; 0 follows none."""

    async def main() -> None:
        async with RawServer(reply(b"again", "Location: /", status="302 X"), close=False) as server:
            async with aiohttp.SocketConnector() as connector:
                async with aiohttp.request("GET", server.url, max_redirects=most, connector=connector) as response:
                    assert (response.status, len(response.history)) == (302, followed)
                    assert await response.read() == b"again"
                assert len(server.heads) == followed + 1
                async with aiohttp.request("GET", server.url, allow_redirects=False, connector=connector) as response:
                    assert (response.status, len(response.history)) == (302, 0)
                assert len(server.peers) == 1

    run(main)


def test_max_redirects_without_a_limit(run: Any) -> None:
    async def main() -> None:
        again = reply(b"", "Location: /", status="302 X")
        async with RawServer([*[again] * 30, OK], close=False) as server, aiohttp.SocketConnector() as connector:
            async with aiohttp.request("GET", server.url, max_redirects=None, connector=connector) as response:
                assert (response.status, len(response.history)) == (200, 30)
            server.bodies.clear()
            async with aiohttp.request("GET", server.url, connector=connector) as response:
                assert (response.status, len(response.history)) == (302, 9)  # the tenth

    run(main)


@pytest.mark.parametrize("most", [-1, True, 1.5, "3"])
def test_max_redirects_is_a_number(run: Any, most: Any) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="max_redirects"):
            await aiohttp.request("GET", "http://127.0.0.1:9/", max_redirects=most)

    run(main)


# Set-Cookie fields of three redirects, from /a/ to /a/b to /c to /d; the Cookie field of each request.
HOPS = {
    "kept": (["s=1; Path=/", "t=2; Path=/", ""], ["", "s=1", "s=1; t=2", "s=1; t=2"]),
    "own path": (["s=1", "", ""], ["", "s=1", "", ""]),
    "other path": (["s=1; Path=/c", "", ""], ["", "", "s=1", ""]),
    "changed": (["s=1; Path=/", "s=2; Path=/", ""], ["", "s=1", "s=2", "s=2"]),
    "deleted": (["s=1; Path=/", "s=; Path=/; Max-Age=0", ""], ["", "s=1", "", ""]),
    "of another host": (["s=1; Path=/; Domain=example.org", "", ""], ["", "", "", ""]),
    "no promise kept": (["__Host-s=1", "__Secure-t=1; Path=/", ""], ["", "", "", ""]),
}


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("name", HOPS)
def test_cookies_of_redirects(run: Any, name: str, share: bool) -> None:
    """They go to the next hop, with a shared jar or without one, and without one no further than this call."""
    fields, expected = HOPS[name]

    async def main() -> None:
        replies = [
            reply(b"", f"Location: {path}", *([f"Set-Cookie: {field}"] if field else []), status="302 X")
            for path, field in zip(["/a/b", "/c", "/d"], fields, strict=True)
        ]
        async with RawServer([*replies, OK], close=False) as server:
            async with aiohttp.SocketConnector(share_cookies=share) as connector:
                async with aiohttp.request("GET", f"{server.url}/a/", connector=connector) as response:
                    assert (response.status, len(response.history)) == (200, 3)
                assert [cookie_of(head) for head in server.heads] == expected
                async with aiohttp.request("GET", f"{server.url}/d", connector=connector) as response:
                    assert response.status == 200
                assert cookie_of(server.heads[-1]) == (expected[-1] if share else "")

    run(main)


def cookie_of(head: bytes) -> str:
    found = [line.partition(b": ")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"cookie:")]
    assert len(found) < 2
    return b"".join(found).decode()


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("options", [{"cookies": {"s": "old", "own": "x"}}, {"headers": {"Cookie": "s=old;own=x"}}])
def test_a_redirect_replaces_the_cookie_of_the_caller(run: Any, options: dict[str, Any], share: bool) -> None:
    """A session that was renewed on the way in; one that ended; and both stay with their host."""

    async def main() -> None:
        renewed = reply(b"", "Location: /in", "Set-Cookie: s=new; Path=/", status="302 X")
        ended = reply(b"", "Location: /out", "Set-Cookie: s=; Path=/; Max-Age=0", status="302 X")
        async with (
            RawServer([renewed, ended, OK], close=False) as server,
            aiohttp.SocketConnector(share_cookies=share) as connector,
        ):
            async with aiohttp.request("POST", server.url, connector=connector, **options) as response:
                assert response.status == 200
            assert [cookie_of(head).replace("; ", ";") for head in server.heads] == ["s=old;own=x", "own=x;s=new", "own=x"]
        async with RawServer(OK) as other:
            moved = reply(b"", f"Location: http://localhost:{other.port}/", "Set-Cookie: s=new; Path=/", status="302 X")
            async with RawServer(moved) as server:
                async with aiohttp.request("GET", server.url, **options) as response:
                    assert response.status == 200
                assert cookie_of(other.heads[0]) == ""

    run(main)


def test_redirects_that_lead_nowhere(run: Any) -> None:
    async def main() -> None:
        async with RawServer(reply(b"x", status="302 X")) as server:
            async with aiohttp.request("GET", server.url) as response:
                assert response.status == 302
        async with RawServer(reply(b"x", "Location: ftp://x/", status="302 X")) as server:
            with pytest.raises(ValueError, match="ftp"):
                await aiohttp.request("GET", server.url)
        async with RawServer(reply(b"x", "Location: /", status="304 X")) as server:
            async with aiohttp.request("GET", server.url) as response:
                assert response.status == 304

    run(main)


# -- expectations ------------------------------------------------------------------------------------------------------


def test_expect_100(run: Any) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            head = await peer.head()
            assert b"Expect: 100-continue" in head
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.server.bodies.append(await peer.reader.readexactly(4))
            await peer.send(OK)

        async with RawServer(script) as server:
            async with aiohttp.request("POST", server.url, data=b"data", expect100=True) as response:
                assert response.status == 200
            assert server.bodies == [b"data"]

    run(main)


def test_expect_100_without_an_answer(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohttp.sending.CONTINUE_SECONDS", 0.02)

    async def main() -> None:
        async with RawServer(OK) as server:
            async with aiohttp.request("POST", server.url, data=b"data", headers={"Expect": "100-continue"}) as response:
                assert response.status == 200
            assert server.bodies == [b"data"]

    run(main)


def test_expect_100_refused(run: Any) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.head()
            await peer.send(reply(b"no", status="403 Forbidden"))
            peer.server.bodies.append(await peer.reader.read())

        async with RawServer(script) as server, aiohttp.SocketConnector() as connector:
            async with aiohttp.request("POST", server.url, data=b"data", expect100=True, connector=connector) as response:
                assert response.status == 403
                assert await response.read() == b"no"
            assert connector._pool.oldest() is None

    run(main)


def test_expectation_failed(run: Any) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            if peer.number == 1:
                await peer.head()
                await peer.send(reply(b"", status="417 Expectation Failed"))
                await peer.reader.read()
            else:
                await peer.request()
                await peer.send(OK)

        async with RawServer(script) as server:
            async with aiohttp.request("POST", server.url, data=b"data", expect100=True) as response:
                assert response.status == 200
            assert b"Expect" not in server.heads[1]
            assert server.bodies == [b"data"]

    run(main)


# -- time --------------------------------------------------------------------------------------------------------------


async def silence(peer: Peer) -> None:
    await peer.head()
    await peer.reader.read()


def test_total_timeout(run: Any) -> None:
    async def main() -> None:
        async with RawServer(silence) as server, aiohttp.SocketConnector(limit=1) as connector:
            with pytest.raises(TimeoutError, match=r"GET http://127.*no response within 0.05 s"):
                await aiohttp.request("GET", server.url, timeout=0.05, connector=connector)
            assert connector._pool.in_use == 0
            holder = asyncio.ensure_future(aiohttp.request("GET", f"{server.url}/held", connector=connector))
            while not any(b"/held" in head for head in server.heads):
                await asyncio.sleep(0)
            with pytest.raises(aiohttp.TimeoutError):  # waiting for the pool counts
                await aiohttp.request("GET", server.url, timeout=0.05, connector=connector)
            holder.cancel()
            with pytest.raises(asyncio.CancelledError):
                await holder
            assert connector._pool.in_use == 0

    run(main)


def test_total_does_not_limit_the_body(run: Any) -> None:
    async def main() -> None:
        async with RawServer(slow_body) as server:
            async with aiohttp.request("GET", server.url, timeout=0.2) as response:
                await asyncio.sleep(0.25)
                server.peers[0].ended.set()
                assert await response.read() == b"first last"

    run(main)


async def slow_body(peer: Peer) -> None:
    """A body whose second half comes when the test says so."""
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst ")
    await peer.ended.wait()
    await peer.send(b"last")


@pytest.mark.parametrize("read", ["read", "readany", "readline", "text"])
def test_timeout_of_the_exchange(run: Any, read: str) -> None:
    """It holds for the body, and the connection is not used again."""

    async def main() -> None:
        async with RawServer(slow_body) as server, aiohttp.SocketConnector(limit=1) as connector:
            timeout = aiohttp.Timeout(exchange=0.1)
            async with aiohttp.request("GET", server.url, timeout=timeout, connector=connector) as response:
                with pytest.raises(aiohttp.TimeoutError, match=r"GET http://127.*: the body was not there within 0.1 s"):
                    while True:
                        await getattr(response if read in ("read", "text") else response.content, read)()
            assert connector._pool.in_use == 0

    run(main)


def test_timeout_of_the_exchange_before_the_head(run: Any) -> None:
    async def main() -> None:
        async with RawServer(silence) as server:
            for timeout in (
                aiohttp.Timeout(exchange=0.05),
                aiohttp.Timeout(total=9, exchange=0.05),
                aiohttp.Timeout(0.05, exchange=9),
            ):
                with pytest.raises(TimeoutError, match=r"no response within 0\.05 s"):
                    await aiohttp.request("GET", server.url, timeout=timeout)

    run(main)


def test_timeout_of_the_exchange_that_is_kept(run: Any) -> None:
    """What has arrived can be read at any time; a timer is not left behind for the next exchange on the connection."""

    async def main() -> None:
        async with RawServer(OK, close=False) as server, aiohttp.SocketConnector() as connector:
            timeout = aiohttp.Timeout(exchange=0.05)
            response = await aiohttp.request("GET", server.url, timeout=timeout, connector=connector)
            async with aiohttp.request("GET", server.url, connector=connector) as other:
                await asyncio.sleep(0.1)
                assert await response.read() == await other.read() == b"ok"
            assert len(server.peers) == 1

    run(main)


def test_read_timeout(run: Any) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.head()
            if peer.number == 2:
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
            await peer.reader.read()

        async with RawServer(script) as server:
            with pytest.raises(TimeoutError, match="no answer within"):
                await aiohttp.request("GET", server.url, timeout=aiohttp.Timeout(read=0.05))
            response = await aiohttp.request("GET", server.url, timeout=(1, 0.05))
            with pytest.raises(TimeoutError, match="nothing more of the body"):
                await response.read_and_close()

    run(main)


def test_connect_timeout_and_refusal(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            port = server.port
        with pytest.raises(aiohttp.OsConnectionError, match=f"127.0.0.1:{port}: cannot connect") as caught:
            await aiohttp.request("GET", f"http://127.0.0.1:{port}/")
        assert isinstance(caught.value, ConnectionError)
        assert caught.value.errno
        with pytest.raises(aiohttp.OsConnectionError):
            await aiohttp.request("GET", "http://nothing.invalid/")

    run(main)


# -- cancelling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(12))
def test_cancelling_gives_the_slot_back(run: Any, turns: int) -> None:
    """Cancelled after any number of turns of the loop, a request leaves nothing behind."""

    async def main() -> None:
        async with RawServer(OK, close=False) as server:
            async with aiohttp.SocketConnector(limit=2, limit_per_host=1) as connector:
                tasks = [asyncio.create_task(aiohttp.request("GET", server.url, connector=connector)) for _ in range(4)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                done = await asyncio.gather(*tasks, return_exceptions=True)
                for one in done:
                    if isinstance(one, aiohttp.ClientResponse):
                        await one.read_and_close()
                assert connector._pool.in_use == 0
                assert not connector._pool._in_use_per_host
                async with aiohttp.request("GET", server.url, connector=connector, timeout=5) as response:
                    assert await response.read() == b"ok"

    run(main)


def test_cancelling_a_read(run: Any) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
            await peer.reader.read()

        async with RawServer(script) as server, aiohttp.SocketConnector(limit=1) as connector:
            response = await aiohttp.request("GET", server.url, connector=connector)
            task = asyncio.create_task(response.read_and_close())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert connector._pool.in_use == 0

    run(main)


def test_many_at_once(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK, close=False) as server, aiohttp.SocketConnector(limit=5) as connector:

            async def one() -> Any:
                async with aiohttp.request("GET", server.url, connector=connector) as response:
                    return await response.read()

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one()) for _ in range(50)]
            assert {task.result() for task in tasks} == {b"ok"}
            assert len(server.peers) <= 5
            assert connector._pool.in_use == 0

    run(main)


# -- the response ------------------------------------------------------------------------------------------------------


def test_what_the_head_says(ask: Any) -> None:
    async def use(response: aiohttp.ClientResponse) -> None:
        assert (response.status, response.reason, response.version, response.method) == (404, "Not Here", (1, 1), "GET")
        assert response.url.endswith("/a?b=c")
        assert response.host == "127.0.0.1"
        assert response.headers["X-ONE"] == response["x-one"] == response.get("X-One") == "1"
        assert response["missing"] is None
        assert response.get("missing", 5) == 5
        assert response.get_all("x-two") == ["a", "b"]
        assert ("X-Two", "b") in response.items()
        assert "x-two" in response
        assert "x-three" not in response
        assert len(response) == 6
        assert set(response.keys()) >= {"X-One", "X-Two"}
        assert response.raw_headers[1] == (b"X-One", b"1")
        assert response.cookies["good"].value == "1"
        assert response.cookies["odd[name]"].value == "2"
        assert response.cookies["good"]["path"] == "/x"
        assert not response.ok
        assert response
        assert "404" in repr(response)
        with pytest.raises(aiohttp.HttpErrorException, match="404 Not Here") as caught:
            response.raise_for_status()
        assert caught.value.code == 404
        assert caught.value.headers is not None

    fields = ["X-One: 1", "X-Two: a", "X-Two: b", "Set-Cookie: odd[name]=2; Path=/", "Set-Cookie: good=1; path=/x; HttpOnly"]
    ask(reply(b"", *fields, status="404 Not Here"), use, path="/a?b=c")


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ("ü".encode(), "text/plain", "ü"),
        ("ü".encode("latin-1"), "text/plain; charset=latin-1", "ü"),
        ("ü".encode("utf-16"), "text/plain", "ü"),
        (b"\xef\xbb\xbf\xc3\xbc", "text/plain", "ü"),
        ("ü".encode(), 'text/plain; charset="utf-8"', "ü"),
        ("ü".encode(), "text/plain; charset=nonsense", "ü"),
        (b"a\xffb", "text/plain; charset=utf-8", "a\ufffdb"),
    ],
)
def test_text(ask: Any, body: bytes, field: str, text: str) -> None:
    async def use(response: aiohttp.ClientResponse) -> None:
        assert await response.text() == text
        assert await response.text() == text  # the body is kept
        assert await response.read() == body

    ask(reply(body, f"Content-Type: {field}"), use)


def test_json(ask: Any) -> None:
    async def use(response: aiohttp.ClientResponse) -> None:
        assert await response.json() == {"a": "ü"}
        assert await response.read(decode=True) == {"a": "ü"}

    ask(reply(json.dumps({"a": "ü"}, ensure_ascii=False), "Content-Type: application/vnd.x+json"), use)

    async def latin(response: aiohttp.ClientResponse) -> None:
        assert await response.json() == "ü"
        assert await response.read(decode=True) == b'"\xfc"'

    ask(reply(b'"\xfc"', "Content-Type: text/json; charset=latin-1"), latin)


def test_links(ask: Any) -> None:
    async def use(response: aiohttp.ClientResponse) -> None:
        assert response.links["next"]["url"].endswith("/b?page=2")
        assert response.links["last"]["title"] == "a, b; c"

    ask(reply(b"", 'Link: </b?page=2>; rel="next", <http://x/z>; rel=last; title="a, b; c"'), use, path="/a")


def test_stream_methods(ask: Any) -> None:
    body = b"first\nsecond\nthird|rest"

    async def use(response: aiohttp.ClientResponse) -> None:
        content = response.content
        assert await content.readline() == b"first\n"
        assert await content.readexactly(3) == b"sec"
        assert await content.read(2) == b"on"
        assert await content.readuntil(b"|") == b"d\nthird|"
        assert not content.at_eof()
        assert await content.readany() == b"rest"
        assert content.at_eof()
        assert await content.read() == await content.read(5) == b""
        for read in (content.readany, content.readline):
            with pytest.raises(aiohttp.EofStream):
                await read()
        with pytest.raises(aiohttp.IncompleteRead) as caught:
            await content.readexactly(1)
        assert caught.value.expected == 1

    ask(reply(body), use)
    ask(reply(gzip.compress(body), "Content-Encoding: gzip"), use)

    async def lines(response: aiohttp.ClientResponse) -> None:
        assert [line async for line in response.content] == [b"first\n", b"second\n", b"third|rest"]

    ask(reply(body), lines)

    async def pieces(response: aiohttp.ClientResponse) -> None:
        assert [piece async for piece in response.content.iter_chunked(10)] == [body[:10], body[10:20], body[20:]]

    ask(reply(body), pieces)


def test_backpressure(run: Any) -> None:
    """When nobody reads, the socket is not read either; then everything arrives."""

    async def main() -> None:
        size = 20_000_000
        waiting = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            peer.writer.write(bytes(size))
            waiting.set()
            await peer.writer.drain()

        async with RawServer(script) as server:
            async with aiohttp.request("GET", server.url) as response:
                await waiting.wait()
                seen = -1
                while response.content.buffered() != seen:
                    seen = response.content.buffered()
                    await asyncio.sleep(0.05)
                assert seen < 1_000_000
                got = 0
                while piece := await response.content.readany():
                    got += len(piece)
                assert got == size

    run(main)


def test_a_connection_is_not_left_paused(run: Any) -> None:
    """The end of a large body comes while reading is paused; the next response must come all the same."""

    async def main() -> None:
        async with RawServer(reply(bytes(200_000)), close=False) as server, aiohttp.SocketConnector(limit=1) as connector:
            for _ in range(20):
                response = await aiohttp.request("GET", server.url, connector=connector, timeout=5)
                assert len(await response.read()) == 200_000
            assert len(server.peers) == 1

    run(main)


async def leave_block(response: aiohttp.ClientResponse) -> None:
    with response:
        pass


async def leave_async_block(response: aiohttp.ClientResponse) -> None:
    async with response:
        pass


async def close(response: aiohttp.ClientResponse) -> None:
    response.close()


async def close_by_force(response: aiohttp.ClientResponse) -> None:
    await response.read()
    response.close(force=True)


async def read_to_the_end(response: aiohttp.ClientResponse) -> None:
    assert await response.read() == b"hello1234"


async def release(response: aiohttp.ClientResponse) -> None:
    await response.release()


async def wait_for_close(response: aiohttp.ClientResponse) -> None:
    await response.wait_for_close()


@pytest.mark.parametrize(
    "end",
    [release, close, leave_block, leave_async_block, read_to_the_end, wait_for_close, close_by_force],
    ids=lambda end: end.__name__,
)
def test_ways_to_end(run: Any, end: Callable[[aiohttp.ClientResponse], Awaitable[None]]) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def script(peer: Peer) -> None:
            for _ in range(2):
                await peer.request()
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
                await go.wait()
                await peer.send(b"1234")

        async with RawServer(script) as server, aiohttp.SocketConnector(limit=1) as connector:
            for _ in range(2):
                response = await aiohttp.request("GET", server.url, connector=connector)
                if end in (read_to_the_end, wait_for_close, close_by_force):
                    go.set()
                await end(response)
                go.set()
                while not response.closed:
                    await asyncio.sleep(0)
                while connector._pool.in_use:
                    await asyncio.sleep(0)
                go.clear()
            assert len(server.peers) == (2 if end in (close, close_by_force) else 1)

    run(main)


def test_release_closes_where_much_is_left(run: Any) -> None:
    async def main() -> None:
        async with RawServer(reply(b"x" * 1_000_000), close=False) as server, aiohttp.SocketConnector(limit=1) as connector:
            for _ in range(2):
                async with aiohttp.request("GET", server.url, connector=connector) as response:
                    assert await response.content.read(5) == b"xxxxx"
            assert len(server.peers) == 2

    run(main)


def test_forgotten_response(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "tracebacklimit")  # the line that forgot it is the subject

    async def main() -> None:
        async with RawServer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", close=False) as server:
            async with aiohttp.SocketConnector(limit=1) as connector:
                response = await aiohttp.request("GET", server.url + "/forgotten", connector=connector)
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    del response
                    gc.collect()
                messages = [str(one.message) for one in caught if one.category is ResourceWarning]
                assert any("/forgotten" in message and "test_client.py" in message for message in messages)
                assert connector._pool.in_use == 0

    run(main, debug=True)


def test_a_stream_keeps_its_response(run: Any) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
            await go.wait()
            await peer.send(b"1234")

        async with RawServer(script) as server:
            asyncio.get_running_loop().call_later(0.01, go.set)
            assert await (await aiohttp.request("GET", server.url)).content.read() == b"hello1234"
            go.clear()
            asyncio.get_running_loop().call_later(0.01, go.set)
            pieces = (await aiohttp.request("GET", server.url)).content.iter_any()
            assert b"".join([piece async for piece in pieces]) == b"hello1234"

    run(main)


def test_read_until_eof(ask: Any) -> None:
    async def use(response: aiohttp.ClientResponse) -> bytes:
        return await response.read()

    assert ask(b"HTTP/1.1 200 OK\r\n\r\nhello", use, read_until_eof=False)[0] == b""
    assert ask(reply(b"hello"), use, read_until_eof=False)[0] == b"hello"


@pytest.mark.parametrize("packed", [False, True])
def test_max_body_size(run: Any, packed: bool) -> None:
    async def main() -> None:
        body = bytes(1_000_000)
        answer = reply(gzip.compress(body), "Content-Encoding: gzip") if packed else reply(body)
        async with RawServer([answer, OK], close=False) as server:
            async with aiohttp.SocketConnector(limit=1, max_body_size=1000) as connector:
                response = await aiohttp.request("GET", server.url, connector=connector)
                with pytest.raises(aiohttp.BodyTooLargeError, match="longer than 1000 bytes"):
                    await response.read_and_close()
                response = await aiohttp.request("GET", server.url, connector=connector)
                assert await response.read_and_close() == b"ok"
                async with aiohttp.request("GET", server.url, max_body_size=1) as response:
                    with pytest.raises(aiohttp.BodyTooLargeError):
                        await response.read()

    run(main)


def test_a_bomb_is_unpacked_in_steps(ask: Any) -> None:
    async def use(response: aiohttp.ClientResponse) -> None:
        got = 0
        while piece := await response.content.readany():
            assert len(piece) <= 131072
            assert response.content.buffered() < 400_000
            got += len(piece)
        assert got == 20_000_000

    ask(reply(gzip.compress(bytes(20_000_000)), "Content-Encoding: gzip"), use)


def test_auto_decompress_off(run: Any) -> None:
    async def main() -> None:
        packed = gzip.compress(b"x")
        async with RawServer(reply(packed, "Content-Encoding: gzip")) as server:
            async with aiohttp.SocketConnector(auto_decompress=False) as connector:
                async with aiohttp.request("GET", server.url, connector=connector) as response:
                    assert await response.read() == packed

    run(main)


def test_head_has_no_body(run: Any) -> None:
    async def main() -> None:
        heads_only = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            OK,
        ]
        async with RawServer(heads_only, close=False) as server, aiohttp.SocketConnector() as connector:
            for _ in range(2):
                response = await aiohttp.request("HEAD", server.url, connector=connector)
                assert await response.read_and_close() == b""
            response = await aiohttp.request("GET", server.url, connector=connector)
            assert await response.read_and_close() == b"ok"
            assert len(server.peers) == 1

    run(main)


def test_shared_cookies(run: Any) -> None:
    async def main() -> None:
        first = reply(b"", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Path=/deep", "Set-Cookie: c=3; Domain=example.org")
        async with RawServer([first, OK], close=False) as server, RawServer(OK, close=False) as other:
            async with aiohttp.SocketConnector(share_cookies=True) as connector:
                for path in ("/", "/x", "/deep/x"):
                    async with aiohttp.request("GET", server.url + path, connector=connector, cookies={"own": "5"}):
                        pass
                assert b"Cookie: own=5\r\n" in server.heads[0]
                assert b"Cookie: own=5; a=1\r\n" in server.heads[1]
                assert b"Cookie: own=5; b=2; a=1\r\n" in server.heads[2]
                assert {name: morsel.value for name, morsel in connector.cookies.items()} == {"a": "1", "b": "2"}
                async with aiohttp.request("GET", other.url.replace("127.0.0.1", "localhost"), connector=connector):
                    assert b"Cookie" not in other.heads[0]
                connector.update_cookies({"all": "1"})
                connector.update_cookies({"here": "1"}, url=other.url.replace("127.0.0.1", "localhost"))
                async with aiohttp.request("GET", other.url.replace("127.0.0.1", "localhost"), connector=connector):
                    assert b"Cookie: here=1; all=1\r\n" in other.heads[1]

    run(main)


def test_unix_socket(run: Any, tmp_path: Any) -> None:
    async def main() -> None:
        path = str(tmp_path / "s")
        async with RawServer(OK, close=False, path=path) as server:
            async with aiohttp.UnixSocketConnector(path) as connector:
                for _ in range(2):
                    async with aiohttp.request("GET", "http://any.host/x", connector=connector) as response:
                        assert await response.read() == b"ok"
                assert len(server.peers) == 1
                assert b"Host: any.host" in server.heads[0]
        async with aiohttp.UnixConnector(path) as connector:
            with pytest.raises(aiohttp.OsConnectionError, match="cannot connect"):
                await aiohttp.request("GET", "http://any/", connector=connector)

    run(main)


def test_ipv6(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK, host="::1") as server:
            async with aiohttp.request("GET", server.url) as response:
                assert await response.read() == b"ok"
            assert f"Host: [::1]:{server.port}".encode() in server.heads[0]

    run(main)


def test_happy_eyeballs(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name has addresses of both families, and nobody listens on the first."""

    def both(host: str, port: int, *_: Any, **__: Any) -> Any:
        assert host == "both.example"
        asked.append(host)
        tail = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(socket.AF_INET6, *tail, ("::1", port, 0, 0)), (socket.AF_INET, *tail, ("127.0.0.1", port))]

    asked: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with RawServer(OK) as server, aiohttp.SocketConnector(reuse_timeout=None) as connector:
            if type(loop).__module__.startswith("uvloop"):
                found = both("both.example", server.port)  # uvloop asks the system's library, not Python's socket module
                connector._resolver._known["both.example", server.port] = (loop.time() + 1e6, found)
            else:
                monkeypatch.setattr(socket, "getaddrinfo", both)
            asking = [aiohttp.request("GET", f"http://both.example:{server.port}/", connector=connector) for _ in range(3)]
            for response in await asyncio.gather(*asking):
                assert await response.read_and_close() == b"ok"
            assert len(asked) == 1  # look-ups of one name at one time are one

    run(main)


def test_closed_connector(run: Any) -> None:
    async def main() -> None:
        async with RawServer(silence) as server:
            connector = aiohttp.SocketConnector()
            task = asyncio.create_task(aiohttp.request("GET", server.url, connector=connector))
            while not server.heads:
                await asyncio.sleep(0)
            connector.close()
            with pytest.raises(aiohttp.ClientConnectionError):
                await task
            with pytest.raises(RuntimeError, match="closed"):
                await aiohttp.request("GET", server.url, connector=connector)
            connector.close()
            assert connector.closed

    run(main)


@pytest.mark.parametrize("limits", [{"limit": 1}, {"limit_per_host": 1}, {"limit": 1, "limit_per_host": 1}])
def test_closing_a_connector_ends_those_who_wait(run: Any, limits: dict[str, int]) -> None:
    async def main() -> None:
        async with RawServer(silence) as server:
            connector = aiohttp.SocketConnector(**limits)
            tasks = [asyncio.create_task(aiohttp.request("GET", server.url, connector=connector)) for _ in range(4)]
            while not server.heads:
                await asyncio.sleep(0)
            tasks[2].cancel()
            connector.close()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(results.pop(2), asyncio.CancelledError)
            assert [type(result) for result in results] == [aiohttp.ClientConnectionError] * 3
            assert [str(result) for result in results[1:]] == [
                "the connector was closed before there was a connection for the request"
            ] * 2
            assert results[1] is not results[2]
            assert connector._pool.in_use == 0
            assert not connector._pool._in_use_per_host

    run(main)


@pytest.mark.parametrize("options", [{}, {"conn_timeout": None}])
def test_closing_a_connector_ends_those_who_connect(run: Any, options: dict[str, Any]) -> None:
    """TLS that the server does not answer; the one behind it waits for a slot."""

    async def main() -> None:
        async def mute(peer: Peer) -> None:
            started.set()
            await peer.reader.read()

        started = asyncio.Event()
        async with RawServer(mute) as server:
            url = server.url.replace("http:", "https:")
            connector = aiohttp.SocketConnector(limit=1, **options)
            tasks = [asyncio.create_task(aiohttp.request("GET", url, connector=connector)) for _ in range(2)]
            await started.wait()
            connector.close()
            for task in tasks:
                with pytest.raises(aiohttp.ClientConnectionError, match="the connector was closed"):
                    await task
            assert connector._pool.in_use == 0
            await server.peers[0].ended.wait()

    run(main)


def test_redirected_after_the_connector_was_closed(run: Any) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(reply(b"", "Location: /next", "Connection: close", status="302 Found"))
            connector.close()

        connector = aiohttp.SocketConnector()
        async with RawServer(script) as server:
            with pytest.raises(aiohttp.ClientConnectionError, match="closed"):
                await aiohttp.request("GET", server.url, connector=connector)

    run(main)


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("kind", LOOPS)
def test_a_connector_in_two_loops_at_a_time(kind: str, connected: bool) -> None:
    """Refused at the first call, whether there are connections already or not."""
    connector = aiohttp.SocketConnector(reuse_timeout=30 if connected else 0)

    async def main() -> None:
        async with RawServer(OK, close=False) as server:
            async with aiohttp.request("GET", server.url, connector=connector) as response:
                assert await response.read() == b"ok"

    async def refused() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await aiohttp.request("GET", "http://127.0.0.1:9/", connector=connector)

    first, second = new_loop(kind), new_loop(kind)
    try:
        first.run_until_complete(main())
        second.run_until_complete(refused())
        thread = threading.Thread(target=asyncio.run, args=(refused(),))
        thread.start()
        thread.join(10)
        first.run_until_complete(main())  # it still belongs there
        connector.close()
        first.run_until_complete(asyncio.sleep(0))
    finally:
        first.close()
        second.close()


def test_a_connector_given_a_loop_is_refused_in_another(run: Any) -> None:
    other = asyncio.new_event_loop()
    connector = aiohttp.SocketConnector(loop=other)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await aiohttp.request("GET", "http://127.0.0.1:9/", connector=connector)

    try:
        run(main)
    finally:
        other.close()


def test_a_connector_is_closed_in_its_own_thread(run: Any) -> None:
    async def main() -> None:
        connector = aiohttp.SocketConnector()
        async with RawServer(OK, close=False) as server:
            async with aiohttp.request("GET", server.url, connector=connector) as response:
                assert await response.read() == b"ok"
            with pytest.raises(RuntimeError, match="another thread"):
                await asyncio.to_thread(connector.close)
            async with aiohttp.request("GET", server.url, connector=connector) as response:
                assert await response.read() == b"ok"
            connector.close()
            assert len(server.peers) == 1

    run(main)


def test_a_connector_in_one_loop_after_another() -> None:
    connector = aiohttp.SocketConnector()

    async def main() -> None:
        async with RawServer(OK, close=False) as server:
            for _ in range(2):
                async with aiohttp.request("GET", server.url, connector=connector) as response:
                    assert await response.read() == b"ok"
            assert len(server.peers) == 1

    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the first loop ends with a connection open
            asyncio.run(main())
            gc.collect()
    connector.close()
