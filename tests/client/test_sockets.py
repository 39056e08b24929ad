"""Sockets below the transports, with a pair of them."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from aiohttp.sockets import is_readable, rest_of


def transport(sock: socket.socket | None) -> Any:
    return SimpleNamespace(get_extra_info=lambda name: sock)


@pytest.mark.parametrize("lost", [True, False])
def test_without_a_socket(lost: bool) -> None:
    assert is_readable(transport(None), lost=lost) is lost
    assert list(rest_of(transport(None))) == []


def test_readable() -> None:
    """Bytes that wait, and the end, make a socket readable."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not is_readable(transport(ours))
        theirs.send(b"a")
        assert is_readable(transport(ours))
        ours.recv(1)
        theirs.close()
        assert is_readable(transport(ours))


def test_rest() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(b"the rest")
        assert list(rest_of(transport(ours))) == [b"the rest"]
        theirs.send(b"more")
        theirs.close()
        assert list(rest_of(transport(ours))) == [b"more"]
