"""Addresses of sockets: in environ, and as the log shows them."""

from __future__ import annotations

from typing import Any

import pytest

from aiohttp_worker.server.addresses import put_addresses, shown_address


@pytest.mark.parametrize(
    ("peername", "shown"),
    [(("192.0.2.9", 1), "192.0.2.9"), (("::1", 1, 0, 0), "::1"), ("", "a unix socket"), (b"\0name", "\0name"), ("/a", "/a")],
)
def test_shown(peername: Any, shown: str) -> None:
    assert shown_address(peername) == shown


@pytest.mark.parametrize(
    ("peername", "sockname", "expected"),
    [
        (
            ("192.0.2.9", 1),
            ("192.0.2.2", 80),
            {"REMOTE_ADDR": "192.0.2.9", "REMOTE_PORT": "1", "SERVER_NAME": "192.0.2.2", "SERVER_PORT": "80"},
        ),
        ("", "/run/a.sock", {"REMOTE_ADDR": ""}),
        (b"\0name", "/run/a.sock", {"REMOTE_ADDR": "\0name"}),
    ],
)
def test_environ(peername: Any, sockname: Any, expected: dict[str, str]) -> None:
    environ: dict[str, Any] = {}
    put_addresses(environ, peername, sockname)
    assert environ == expected
