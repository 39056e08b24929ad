"""Users and passwords: how they are sent, and that no message has them."""

from __future__ import annotations

import base64
import logging
import re
from pathlib import Path
from typing import Any

import pytest

import aiohttp
from aiohttp import credentials
from aiohttp.__main__ import main as command
from aiohttp.credentials import authorization, basic, netrc_auth

from .raw_server import RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("auth", "octets"),
    [(("u", "ü"), b"u:\xfc"), (("u", "€"), "u:€".encode()), (("u", "\udcfc"), b"u:\xfc"), (("", ""), b":")],
)
def test_basic(auth: tuple[str, str], octets: bytes) -> None:
    assert basic(auth) == "Basic " + base64.b64encode(octets).decode()


def shown(value: object) -> str:
    """The name of a test, the same in every process: an address would not be."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


BAD: list[Any] = [
    ("user:secret", ""), ("user", b"secret"), ("user", None), ("secret",), ["a", "b", "secret"], "user:secret", b"secret", 5,
    {"user": "secret"}, ("user", "secret\ud800"), lambda *_: "secret\r\n", lambda *_: "secret\0",
]  # fmt: skip


@pytest.mark.parametrize("auth", BAD, ids=shown)
def test_bad_ones_are_not_shown(run: Any, auth: Any) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            with pytest.raises(ValueError) as caught:
                await aiohttp.request("GET", server.url, auth=auth)
            error: BaseException | None = caught.value
            while error is not None:
                assert "secret" not in f"{error}{error!r}{vars(error)}"
                error = error.__cause__ or error.__context__
            assert server.peers == []

    run(main)


@pytest.mark.parametrize("field", ["Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key"])
def test_bad_fields_are_not_shown(run: Any, field: str) -> None:
    async def main() -> None:
        for value in ("secret\n", "secret\0", b"secret\r", 1.5):
            with pytest.raises((ValueError, TypeError), match=f"the value of the field {field}") as caught:
                await aiohttp.request("GET", "http://127.0.0.1:1/", headers={field: value})
            assert "secret" not in str(caught.value)

    run(main)


@pytest.mark.parametrize(
    "options",
    [
        {"cookies": {"c": "secret;"}},
        {"cookies": {"c": "secret\n"}},
        {"data": ["password=secret"]},
        {"data": [("password", "secret", 1)]},
        {"params": ["secret"]},
        {"data": "password=secret", "files": {"f": b"x"}},
        {"files": [("f", b"x", "t", "secret")]},
        {"files": {"f": ("secret",)}},
        {"data": lambda: iter(["secret"])},
        {"proxy": "http://user:secret@p:x"},
        {"proxy": "http://p:1", "proxy_auth": ("user", b"secret")},
        {"proxy": "http://p:1", "proxy_auth": "secret"},
    ],
    ids=shown,
)
def test_bad_arguments_are_not_shown(run: Any, options: dict[str, Any]) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            given = {name: value() if callable(value) else value for name, value in options.items()}
            with pytest.raises((ValueError, TypeError)) as caught:
                await aiohttp.request("POST", server.url, **given)
            assert "secret" not in str(caught.value)

    run(main)


def test_no_password_in_errors_of_the_connection(run: Any) -> None:
    async def main() -> None:
        async with RawServer(b"nonsense") as server:
            for url in (server.url, "http://127.0.0.1:1", "http://nothing.invalid", "https://127.0.0.1:1"):
                with pytest.raises(aiohttp.ConnectionError) as caught:
                    await aiohttp.request("GET", url.replace("//", "//user:secret@"), proxy=None)
                assert "secret" not in str(caught.value)
                with pytest.raises(aiohttp.ConnectionError) as caught:
                    await aiohttp.request("GET", "https://x.example/", proxy=url.replace("//", "//user:secret@"))
                assert "secret" not in str(caught.value)
            call = aiohttp.request("GET", server.url, auth=("user", "secret"))
            assert "secret" not in repr(call)
            call.close()

    run(main)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"machine h login u password secret\xff\n", "it has bytes that are not in its charset"),
        (b"machine h login u password secret\n# \xff", "it has bytes that are not in its charset"),
        (b"machine h login u\nsecret\n", "it cannot be understood"),
        (None, "Is a directory"),
    ],
)
def test_a_bad_netrc_counts_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, octets: bytes | None, why: str
) -> None:
    """And says so, once, without what is in it."""
    path = tmp_path / "netrc"
    if octets is None:
        path.mkdir()
    else:
        path.write_bytes(octets)
    monkeypatch.setenv("NETRC", str(path))
    monkeypatch.setattr(credentials, "_said", set())
    with caplog.at_level(logging.WARNING, "aiohttp"):
        for _ in range(3):
            assert netrc_auth("h") is None
    assert [record.getMessage() for record in caplog.records] == [f"{path} counts as no netrc file: {why}"]
    assert "secret" not in caplog.text


def test_no_netrc_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert netrc_auth("h") is None
    assert not caplog.records


def test_a_bad_netrc_and_a_request(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_bytes(b"machine 127.0.0.1 login u password \xff\n")
    monkeypatch.setenv("NETRC", str(path))

    async def main() -> None:
        async with RawServer(OK) as server, aiohttp.SocketConnector(netrc=True) as connector:
            async with aiohttp.request("GET", server.url, connector=connector):
                assert b"Authorization" not in server.heads[0]

    run(main)


@pytest.mark.parametrize(
    "words", [["-u", "secret"], ["-b", "secret"], ["-H", "Authorization Bearer secret"], ["-x", "u:secret@p:x"]]
)
def test_the_command_line_shows_none(capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert command([*words, "http://127.0.0.1:1/"]) == 2
    said = capfd.readouterr().err
    assert said.startswith("aiohttp: ")
    assert "secret" not in said


def test_pairs_and_callables() -> None:
    assert authorization(["u", "p"], "GET", "http://h/") == basic(("u", "p"))
    assert authorization(lambda method, url: f"{method} {url}", "GET", "http://h/") == "GET http://h/"
