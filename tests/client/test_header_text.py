"""Octets outside of ASCII: whatever a server sent can be sent back, octet by octet."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import aiohttp
from aiohttp.__main__ import main as command
from aiohttp.header_text import check_field_value, decode_field, encode_field, printable

from .raw_server import RawServer

OCTETS = [
    "city=€".encode(),
    "über".encode(),
    "über".encode("latin-1"),
    b"\x80\xff \xc3",
    "Ж\N{GRINNING FACE}".encode(),
    bytes(range(0x80, 0x100)),
]


@pytest.mark.parametrize("octets", OCTETS)
def test_there_and_back(octets: bytes) -> None:
    text = decode_field(octets)
    assert encode_field(text) == octets
    assert encode_field(check_field_value("X", text)) == octets
    assert check_field_value("X", octets) == text
    printable(text).encode("utf-8")


def test_utf_8_reads_as_text() -> None:
    assert decode_field("city=€".encode()) == "city=€"
    assert printable(decode_field(b"a\xff")) == "a\\xff"


REFUSED = ["a\r", "a\nb", "\0", "a\x7f", "\x1b[1m", b"a\r\nb", *map(chr, (0xD800, 0xDC00, 0xDC7F, 0xDD00, 0xDFFF))]


@pytest.mark.parametrize("bad", REFUSED, ids=ascii)
def test_refused(bad: Any) -> None:
    """Also the surrogates from which a lenient encoder would make controls; the value itself is never shown."""
    with pytest.raises(ValueError, match="the value of the field X cannot have") as caught:
        check_field_value("X", bad)
    assert "character " in str(caught.value)
    with pytest.raises(TypeError, match="must be str, not float"):
        check_field_value("X", 1.5)


@pytest.mark.parametrize("octets", OCTETS)
def test_what_is_received_goes_back(run: Any, octets: bytes) -> None:
    """Cookies, shared or by hand, an ETag, any field, and a Location."""
    fields = b"Set-Cookie: c=" + octets + b"; Path=/\r\nETag: " + octets + b"\r\nX-Odd: " + octets + b"\r\n"

    async def main() -> None:
        async with RawServer(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 0\r\n\r\n") as server:
            async with aiohttp.SocketConnector(share_cookies=True) as connector:
                async with aiohttp.request("GET", server.url, connector=connector) as response:
                    headers = {"If-None-Match": response.headers["ETag"], "X-Odd": response["x-odd"]}
                    cookies = response.cookies
                    assert pickle.loads(pickle.dumps(headers)) == headers
                async with aiohttp.request("GET", server.url, connector=connector, headers=headers):
                    pass
                connector.update_cookies(cookies)
            async with aiohttp.request("GET", server.url, cookies=cookies):
                pass
            async with aiohttp.request("GET", server.url, cookies={"c": cookies["c"].value}):
                pass
            assert b"\r\nIf-None-Match: " + octets + b"\r\n" in server.heads[1]
            assert b"\r\nX-Odd: " + octets + b"\r\n" in server.heads[1]
            for head in server.heads[1:]:
                assert b"\r\nCookie: c=" + octets + b"\r\n" in head

    run(main)


def test_a_received_cookie_with_an_odd_name_goes_back(run: Any) -> None:
    async def main() -> None:
        async with RawServer(b"HTTP/1.1 200 OK\r\nSet-Cookie: \xfc b,c=1\r\nContent-Length: 0\r\n\r\n") as server:
            async with aiohttp.request("GET", server.url) as response:
                cookies = response.cookies
            async with aiohttp.request("GET", server.url, cookies=cookies):
                assert b"\r\nCookie: \xfc b,c=1\r\n" in server.heads[1]

    run(main)


def test_text_goes_out_as_utf_8(run: Any) -> None:
    """In a field, in a cookie, in what a callable gives, in the parts of a form; and octets as they are."""

    async def main() -> None:
        async with RawServer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
            async with aiohttp.request(
                "POST",
                server.url,
                headers={"X-Text": "ü€", "X-Octets": b"\xfc"},
                cookies={"ü": "€", "o": b"\xfc"},
                auth=lambda method, url: "Token ü",
                files={"f": ("n", b"x", "text/x; n=ü", {"X-Part": "€", "X-Octet": b"\xfc"})},
            ):
                head, body = server.heads[0], server.bodies[0]
            for line in ("X-Text: ü€", "Cookie: ü=€; o=", "Authorization: Token ü"):
                assert f"\r\n{line}".encode() in head
            assert b"; o=\xfc\r\n" in head
            assert b"\r\nX-Octets: \xfc\r\n" in head
            assert "\r\nContent-Type: text/x; n=ü\r\nX-Part: €\r\nX-Octet: ".encode() + b"\xfc\r\n" in body

    run(main)


@pytest.mark.parametrize("reason", [b"Gr\xfc\xdfe", "Grüße".encode()])
def test_reason(ask: Any, reason: bytes) -> None:
    async def use(response: aiohttp.ClientResponse) -> aiohttp.HttpErrorException:
        assert response.reason.encode("utf-8", "surrogateescape") == reason
        with pytest.raises(aiohttp.HttpErrorException) as caught:
            response.raise_for_status()
        return caught.value

    error, _ = ask(b"HTTP/1.1 404 " + reason + b"\r\nContent-Length: 0\r\n\r\n", use)
    assert "Gr" in str(error).encode("utf-8").decode()  # it can go to any terminal


def test_reason_of_a_proxy(run: Any) -> None:
    async def main() -> None:
        async with RawServer(b"HTTP/1.1 403 Gr\xfc\xdfe\r\nContent-Length: 0\r\n\r\n") as proxy:
            with pytest.raises(aiohttp.ProxyConnectionError, match=r"403 Gr\\xfc\\xdfe$"):
                await aiohttp.request("GET", "https://x.example/", proxy=proxy.url)

    run(main)


def test_command_line(capfdbinary: Any) -> None:
    """What a server sent is shown octet by octet, and octets of the arguments go out as they are."""
    import asyncio
    import threading

    started = threading.Event()
    made: list[Any] = []

    async def serve() -> None:
        async with RawServer(b"HTTP/1.1 200 \xfc\r\nX: \xff\r\nContent-Length: 0\r\n\r\n") as server:
            made.extend([server, asyncio.get_running_loop(), asyncio.Event()])
            started.set()
            await made[2].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(10)
        assert command(["-i", "-H", "Y: \udcfc", "-b", "c=\udcfc", made[0].url]) == 0
    finally:
        made[1].call_soon_threadsafe(made[2].set)
        thread.join()
    assert capfdbinary.readouterr().out == b"HTTP/1.1 200 \xfc\r\nX: \xff\r\nContent-Length: 0\r\n\r\n"
    assert b"\r\nY: \xfc\r\n" in made[0].heads[0]
    assert b"\r\nCookie: c=\xfc\r\n" in made[0].heads[0]


def test_octets_in_queries_forms_and_names(run: Any) -> None:
    """What is not UTF-8 goes on as its octet where it is percent-encoded, and in the name of a file."""

    async def main() -> None:
        async with RawServer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
            async with aiohttp.request("POST", server.url + "/\udcfc", params={"a": "\udcfc"}, data={"b": "\udcff"}):
                assert server.heads[0].startswith(b"POST /%FC?a=%FC HTTP/1.1\r\n")
                assert server.bodies[0] == b"b=%FF"
            async with aiohttp.request("POST", server.url, files={"f": ("n\udcfc", b"x")}):
                assert b'filename="n\xfc"' in server.bodies[1]

    run(main)
