"""Targets of redirects: Location fields and their meaning."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from typing import Any

import pytest

import aiohttp
from aiohttp.__main__ import main as command
from aiohttp.header_text import decode_field
from aiohttp.request import follow
from aiohttp.url import split

from .raw_server import Peer, RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def redirect(location: bytes) -> bytes:
    return b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 3\r\n\r\nold"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/gr\xfc\xdfe".encode("latin-1"), "/gr%FC%DFe"),
        ("/grüße".encode(), "/gr%C3%BC%C3%9Fe"),
        ("/Ж?q=€ x".encode(), "/%D0%96?q=%E2%82%AC%20x"),
        (b"/a%FC\xfc", "/a%FC%FC"),
        (b"/x;", "/x;"),
        (b"/x;?", "/x;?"),
        (b"/x?", "/x?"),
        (b"/x;a=b;", "/x;a=b;"),
        (b"x;#f", "/a/x;"),
        (b"?", "/a/b?"),
        (b"", "/a/b?c"),
        (b"#f", "/a/b?c"),
        (b"../../../x", "/x"),
        (b"./x/./y/..", "/a/x/"),
        (b"/x/%2e%2e/y", "/x/%2e%2e/y"),
        (b"/a b\\c", "/a%20b%5Cc"),
        (b"  /x\t", "/x"),
        (b"http:x", "/a/x"),
        (b"/x:y//z", "/x:y//z"),
        (b"/x?y=../z", "/x?y=../z"),
    ],
)
def test_where_it_leads(location: bytes, target: str) -> None:
    found = follow(302, "GET", split("http://h:1/a/b?c"), decode_field(location))
    assert (str(found.url.origin), found.url.path) == ("http://h:1", target)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("//other/x", "https://other/x"),
        ("//other", "https://other/"),
        ("HTTP://Other/../x", "http://other/x"),
        ("https://other?q", "https://other/?q"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("//[fe80::2%25eth1]:8/", "https://[fe80::2%25eth1]:8/"),
    ],
)
def test_another_host(location: str, url: str) -> None:
    assert follow(302, "GET", split("https://h/a"), location).url.text == url


def test_the_zone_of_an_address_stays() -> None:
    assert follow(302, "GET", split("http://[fe80::1%eth0]:8/a"), "/b").url.origin.host == "fe80::1%eth0"


NOWHERE = [
    b"http://", b"http:///x", b"https://", b"//", b"///x", b"http://user:secret@/", b"ftp://user:secret@x/", b"mailto:secret",
    b"http://h:99999/", b"http://h:secret/", b"http://a b/", b"https:/x", b"http://\xfc/", b"http://user:secret@[::1/",
    b"http://a..b/", b"http://" + b"a" * 64 + b".example/",
    b"/a\x01b", b"http://user:sec/secret@h:x/", b"about:blank", b"javascript:alert(1)",
]  # fmt: skip


@pytest.mark.parametrize("location", NOWHERE)
def test_nowhere(run: Any, location: bytes) -> None:
    """One class of the documented tree, which is ValueError too; the response is on it, and no password in it."""

    async def main() -> None:
        async with RawServer(redirect(location)) as server, aiohttp.SocketConnector(limit=1) as connector:
            with pytest.raises(aiohttp.RedirectError, match=r"GET http://127.*/start: 302 leads nowhere: ") as caught:
                await aiohttp.request("GET", server.url + "/start", connector=connector)
            error = caught.value
            assert isinstance(error, ValueError)
            assert isinstance(error, aiohttp.HttpException)
            assert error.url == decode_field(location)
            assert error.response is not None
            assert (error.code, error.response.status, error.response.url) == (302, 302, server.url + "/start")
            assert error.headers is not None
            assert error.headers["location"] == error.url
            assert "secret" not in str(error)
            str(error).encode()
            with pytest.raises(aiohttp.ClientConnectionError, match="before its body was read"):
                await error.response.read()
            for again in (copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
                assert type(again) is aiohttp.RedirectError
                assert (str(again), again.url, again.code, again.headers) == (str(error), error.url, 302, error.headers)
                assert again.response.status == 302
            assert connector._pool.in_use == 0

    run(main)


def test_a_body_that_cannot_be_sent_again(run: Any) -> None:
    """Who asked can go on by hand: the response says where."""

    async def main() -> None:
        async with RawServer(redirect(b"/other").replace(b"302 Found", b"307 X")) as server:
            with pytest.raises(aiohttp.RedirectError, match=r"redirected to http://.*/other, but the body cannot") as caught:
                await aiohttp.request("POST", server.url, data=iter([b"x"]))
            error = caught.value
            assert isinstance(error, aiohttp.ClientConnectionError)
            assert error.response is not None
            assert (error.response.status, error.code, error.url) == (307, 307, "/other")
            assert str(pickle.loads(pickle.dumps(error))) == str(error)

    run(main)


def test_nowhere_after_some_redirects(run: Any) -> None:
    async def main() -> None:
        async with RawServer([redirect(b"/second"), redirect(b"http:///third")]) as server:
            with pytest.raises(aiohttp.RedirectError, match=r"/second: 302 leads nowhere") as caught:
                await aiohttp.request("GET", server.url)
            assert caught.value.response is not None
            assert len(caught.value.response.history) == 1
            async with aiohttp.request("GET", server.url, allow_redirects=False) as response:
                assert response.status == 302

    run(main)


@pytest.mark.parametrize("location", ["/gr\xfc\xdfe".encode("latin-1"), "/grüße".encode()])
def test_octets_are_followed(run: Any, location: bytes) -> None:
    async def main() -> None:
        async with RawServer([redirect(location), OK]) as server:
            async with aiohttp.request("GET", server.url) as response:
                assert await response.read() == b"ok"
            path = server.heads[1].split()[1]
            assert path == b"".join(b"%%%02X" % octet if octet > 127 else bytes([octet]) for octet in location)

    run(main)


def test_links_in_octets_can_be_followed(run: Any) -> None:
    async def main() -> None:
        async with RawServer(b'HTTP/1.1 200 OK\r\nLink: </n\xfc;>; rel="next"\r\nContent-Length: 0\r\n\r\n') as server:
            async with aiohttp.request("GET", server.url) as response:
                following = response.links["next"]["url"]
            async with aiohttp.request("GET", following):
                assert server.heads[1].startswith(b"GET /n%FC; ")

    run(main)


def test_status_of_the_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    """A redirect that leads nowhere is no fault of the arguments."""
    started = threading.Event()
    made: list[Any] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(redirect(b"ftp://user:secret@x/"))

    async def serve() -> None:
        async with RawServer(script) as server:
            made.extend([server, asyncio.get_running_loop(), asyncio.Event()])
            started.set()
            await made[2].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(10)
        assert command([made[0].url]) == 1
    finally:
        made[1].call_soon_threadsafe(made[2].set)
        thread.join()
    said = capfd.readouterr().err
    assert "302 leads nowhere" in said
    assert "secret" not in said
