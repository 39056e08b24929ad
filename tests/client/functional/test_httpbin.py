"""httpbin: what it says it received."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

import aiohttp

from .servers import gunicorn

pytestmark = pytest.mark.slow


@pytest.fixture
def get_json(run: Any, httpbin: str) -> Any:
    """The JSON that httpbin answers with."""

    def get(method: str, path: str, **options: Any) -> Any:
        async def main() -> Any:
            async with aiohttp.SocketConnector() as connector:
                async with aiohttp.request(method, httpbin + path, connector=connector, timeout=20, **options) as response:
                    assert response.status == 200, await response.text()
                    return await response.json()

        return run(main)

    return get


def test_echo(get_json: Any) -> None:
    seen = get_json("GET", "/get?x=1", params={"a": ["b", "ü"]}, headers={"X-One": "1"}, cookies={"c": "d"})
    assert seen["args"] == {"x": "1", "a": ["b", "ü"]}
    assert (seen["headers"]["X-One"], seen["headers"]["Cookie"]) == ("1", "c=d")
    assert get_json("DELETE", "/delete", data={"a": "1"})["form"] == {"a": "1"}
    assert get_json("PATCH", "/patch", json={"a": [1]})["json"] == {"a": [1]}


def test_bodies(get_json: Any, tmp_path: Path) -> None:
    assert get_json("POST", "/post", data={"a": ["1", "ü"]})["form"] == {"a": ["1", "ü"]}
    assert get_json("POST", "/post", data=b"raw", headers={"Content-Type": "text/plain"})["data"] == "raw"
    path = tmp_path / "big.txt"
    path.write_text("0123456789" * 50_000)
    with path.open("rb") as file:
        seen = get_json("POST", "/post", data=file, headers={"Content-Type": "text/plain"})
        assert seen["data"] == path.read_text()
    with path.open("rb") as file:
        seen = get_json("POST", "/post", files={"up": file, "other": ("n.txt", b"x")}, data={"field": "ä"})
    assert seen["files"] == {"up": path.read_text(), "other": "x"}
    assert seen["form"] == {"field": "ä"}


def test_chunked(get_json: Any) -> None:
    async def pieces() -> Any:
        for number in range(5):
            yield f"piece {number};".encode()
            await asyncio.sleep(0)

    kind = {"Content-Type": "text/plain"}
    assert get_json("POST", "/post", data=pieces(), headers=kind)["data"] == "".join(f"piece {n};" for n in range(5))
    assert get_json("POST", "/post", data=b"x" * 100_000, chunked=1000, headers=kind)["data"] == "x" * 100_000
    assert get_json("PUT", "/put", data=io.BytesIO(b"y" * 300_000), expect100=True, headers=kind)["data"] == "y" * 300_000


def test_auth(get_json: Any) -> None:
    assert get_json("GET", "/basic-auth/user/pass", auth=("user", "pass"))["authenticated"]
    assert get_json("GET", "/bearer", auth=lambda *_: "Bearer token")["token"] == "token"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "brotli"])
def test_codings(get_json: Any, coding: str) -> None:
    if coding == "brotli":
        pytest.importorskip("brotli", reason="the package brotli is not installed")
    assert get_json("GET", f"/{coding}")["brotli" if coding == "brotli" else coding + ("ped" if coding == "gzip" else "d")]


def test_redirects(run: Any, httpbin: str) -> None:
    async def main() -> None:
        async with aiohttp.SocketConnector() as connector:
            for kind in ("redirect", "absolute-redirect", "relative-redirect"):
                async with aiohttp.request("GET", f"{httpbin}/{kind}/4", connector=connector) as response:
                    assert response.url == f"{httpbin}/get"
                    assert [one.status for one in response.history] == [302] * 4
            other = httpbin.replace("127.0.0.1", "localhost")
            target = {"url": f"{other}/anything", "status_code": "307"}
            async with aiohttp.request(
                "POST",
                f"{httpbin}/redirect-to",
                params=target,
                data={"a": "b"},
                auth=("u", "p"),
                cookies={"c": "d"},
                connector=connector,
            ) as response:
                seen = await response.json()
            assert seen["form"] == {"a": "b"}
            assert seen["method"] == "POST"
            assert not {"Authorization", "Cookie"} & set(seen["headers"])

    run(main)


def test_cookies(run: Any, httpbin: str) -> None:
    async def main() -> None:
        async with aiohttp.SocketConnector(share_cookies=True) as connector:
            async with aiohttp.request("GET", f"{httpbin}/cookies/set?a=1&b=2", connector=connector) as response:
                assert (await response.json())["cookies"] == {"a": "1", "b": "2"}
            async with aiohttp.request("GET", f"{httpbin}/cookies/delete?a", connector=connector) as response:
                assert (await response.json())["cookies"] == {"b": "2"}

    run(main)


def test_status_and_errors(run: Any, httpbin: str) -> None:
    async def main() -> None:
        async with aiohttp.SocketConnector() as connector:
            for status in (204, 304, 400, 404, 418, 500, 503):
                async with aiohttp.request("GET", f"{httpbin}/status/{status}", connector=connector) as response:
                    assert response.status == status
                    assert response.ok == (status < 400)
            async with aiohttp.request("HEAD", f"{httpbin}/get", connector=connector) as response:
                assert int(response.headers["Content-Length"]) > 0
                assert await response.read() == b""

    run(main)


def test_streaming(run: Any, httpbin: str) -> None:
    async def main() -> None:
        async with aiohttp.SocketConnector() as connector:
            async with aiohttp.request("GET", f"{httpbin}/stream/20", connector=connector) as response:
                assert len([line async for line in response.content]) == 20
            async with aiohttp.request("GET", f"{httpbin}/bytes/100000?seed=1", connector=connector) as response:
                whole = await response.read()
            headers = {"Range": "bytes=100-199"}
            async with aiohttp.request("GET", f"{httpbin}/range/1000", headers=headers, connector=connector) as response:
                assert response.status == 206
                assert len(await response.read()) == 100
            assert len(whole) == 100_000
            async with aiohttp.request("GET", f"{httpbin}/drip?numbytes=5&duration=0.2&delay=0", connector=connector) as response:
                assert await response.read() == b"*****"
            with pytest.raises(TimeoutError):
                await aiohttp.request("GET", f"{httpbin}/delay/5", timeout=0.2, connector=connector)

    run(main)


def test_many_at_once(run: Any, httpbin: str) -> None:
    async def main() -> None:
        async with aiohttp.SocketConnector(limit=10) as connector:

            async def one(number: int) -> Any:
                async with aiohttp.request("GET", f"{httpbin}/get?n={number}", connector=connector) as response:
                    return (await response.json())["args"]["n"]

            assert await asyncio.gather(*[one(n) for n in range(60)]) == [str(n) for n in range(60)]

    run(main)


def test_unix_socket(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("httpbin", reason="the package httpbin is not installed")
    path = str(tmp_path / "socket")

    async def main(url: str) -> None:
        async with aiohttp.UnixSocketConnector(path) as connector:
            for number in range(3):
                async with aiohttp.request("POST", f"{url}/post", data={"n": number}, connector=connector) as response:
                    assert (await response.json())["form"] == {"n": str(number)}

    with gunicorn(
        "tests.client.functional.httpbin_app:application", tmp_path, "-k", "gthread", "--threads", "2", bind=path
    ) as url:
        run(lambda: main(url))
