"""Opening handshakes (RFC 6455 sections 4.2 and 4.4)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aiohttp_worker.websocket.handshake import RefusedHandshakeError, accept
from aiohttp_worker.websocket.terms import Terms

from .test_server_connection import DEFLATE, ENVIRON


def test_accepted() -> None:
    """The example of section 1.3."""
    protocol, headers = accept(ENVIRON, Terms(), 0.0)
    assert sorted(headers) == [
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("Upgrade", "websocket"),
    ]
    assert protocol.data_to_send() == [] and protocol.subprotocol is None


@pytest.mark.parametrize(("key", "value"), [("HTTP_UPGRADE", "WebSocket"), ("HTTP_CONNECTION", "UPGRADE")])
def test_case_does_not_matter(key: str, value: str) -> None:
    accept({**ENVIRON, key: value}, Terms(), 0.0)


REFUSED: list[tuple[dict[str, str], int, list[tuple[str, str]]]] = [
    ({"REQUEST_METHOD": "POST"}, 405, [("Allow", "GET")]),
    ({"SERVER_PROTOCOL": "HTTP/1.0"}, 505, []),
    ({"HTTP_UPGRADE": ""}, 426, [("Sec-WebSocket-Version", "13")]),
    ({"HTTP_UPGRADE": "h2c"}, 426, [("Sec-WebSocket-Version", "13")]),
    ({"HTTP_CONNECTION": "keep-alive"}, 426, [("Sec-WebSocket-Version", "13")]),
    ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, 426, [("Sec-WebSocket-Version", "13")]),
    ({"HTTP_SEC_WEBSOCKET_VERSION": ""}, 426, [("Sec-WebSocket-Version", "13")]),
    ({"HTTP_SEC_WEBSOCKET_KEY": ""}, 400, []),
    ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZQ=="}, 400, []),
    ({"HTTP_SEC_WEBSOCKET_KEY": "not base64"}, 400, []),
    ({"HTTP_SEC_WEBSOCKET_EXTENSIONS": ";;"}, 400, []),
]


@pytest.mark.parametrize(("changes", "status_code", "headers"), REFUSED, ids=str)
def test_refused(changes: dict[str, str], status_code: int, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(RefusedHandshakeError, match="this is for WebSocket clients") as caught:
        accept({**ENVIRON, **changes}, Terms(), 0.0)
    assert caught.value.status_code == status_code
    assert list(caught.value.headers) == headers


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        (("a", "b"), "b, a", "a"),
        (("a", "b"), "b", "b"),
        (("a",), "c", None),
        (("a",), "", None),
        ((), "a", None),
    ],
)
def test_subprotocols(ours: tuple[str, ...], theirs: str, chosen: str | None) -> None:
    protocol, headers = accept({**ENVIRON, "HTTP_SEC_WEBSOCKET_PROTOCOL": theirs}, Terms(subprotocols=ours), 0.0)
    assert protocol.subprotocol == chosen == dict(headers).get("Sec-WebSocket-Protocol")


ORIGINS: tuple[Any, ...] = ("https://a.example", re.compile(r"https://\w+\.b\.example"))


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (None, "https://anywhere.example", True),
        (ORIGINS, "https://a.example", True),
        (ORIGINS, "https://www.b.example", True),
        (ORIGINS, "https://www.b.example.evil.example", False),
        (ORIGINS, "http://a.example", False),
        (ORIGINS, "", False),
        ((*ORIGINS, None), "", True),
    ],
)
def test_origins(origins: tuple[Any, ...] | None, origin: str, allowed: bool) -> None:
    environ = {**ENVIRON, "HTTP_ORIGIN": origin}
    if allowed:
        accept(environ, Terms(origins=origins), 0.0)
    else:
        with pytest.raises(RefusedHandshakeError) as caught:
            accept(environ, Terms(origins=origins), 0.0)
        assert caught.value.status_code == 403


def test_compression() -> None:
    """With windows of 4 KiB, and only where both sides agree."""
    _, headers = accept(DEFLATE, Terms(), 0.0)
    agreed = dict(headers)["Sec-WebSocket-Extensions"]
    assert set(agreed.split("; ")) == {"permessage-deflate", "server_max_window_bits=12", "client_max_window_bits=12"}
    assert "Sec-WebSocket-Extensions" not in dict(accept(DEFLATE, Terms(compression=False), 0.0)[1])
    unknown = {**ENVIRON, "HTTP_SEC_WEBSOCKET_EXTENSIONS": "x-unknown"}
    assert "Sec-WebSocket-Extensions" not in dict(accept(unknown, Terms(), 0.0)[1])
