"""`gunicorn.socket` before and after it is taken; what it says of a connection is tried in test_tls_environ.py, too."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from aiohttp_worker.wsgi.connection_socket import ConnectionSocket, connection_socket


class Owner:
    """A connection that hands over one end of a pair."""

    def __init__(self) -> None:
        self.given, self.client = socket.socketpair()
        self.client.settimeout(10)
        self.taken = 0
        self.sent = 0
        self.closed = 0

    def take_socket(self) -> socket.socket:
        self.taken += 1
        return self.given

    def count_sent(self, size: int) -> None:
        self.sent += size

    def socket_closed(self) -> None:
        self.closed += 1


@pytest.fixture
def owner() -> Iterator[Owner]:
    one = Owner()
    yield one
    one.given.close()
    one.client.close()


@pytest.fixture
def sock(owner: Owner) -> ConnectionSocket:
    def get_extra_info(name: str, default: Any = None) -> Any:
        return owner.client if name == "socket" else default

    return connection_socket(SimpleNamespace(get_extra_info=get_extra_info), owner)


def test_questions_do_not_take(owner: Owner, sock: ConnectionSocket) -> None:
    assert sock.fileno() == owner.client.fileno()
    assert sock.family == socket.AF_UNIX
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    assert sock.gettimeout() is None
    assert hasattr(sock, "recv")
    sock.close()
    assert (owner.taken, owner.closed) == (0, 0)


def test_taken_once_by_what_reads_writes_or_sets(owner: Owner, sock: ConnectionSocket) -> None:
    sock.settimeout(5)
    assert sock.gettimeout() == 5
    sock.setblocking(True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    owner.client.sendall(b"abcdef")
    assert sock.recv(2) == b"ab"
    buffer = bytearray(2)
    assert sock.recv_into(buffer) == 2 and buffer == b"cd"
    with sock.makefile("rb") as file:
        assert file.read(2) == b"ef"
    assert sock.send(b"12") == 2
    sock.sendall(memoryview(b"345"))
    sock.shutdown(socket.SHUT_WR)
    assert owner.client.recv(10) == b"12345"
    assert sock.fileno() == owner.given.fileno()
    assert (owner.taken, owner.sent) == (1, 5)


def test_closed_once(owner: Owner, sock: ConnectionSocket) -> None:
    sock.settimeout(1)
    sock.close()
    assert owner.closed == 1
    owner.given.close()
    sock.close()
    assert owner.closed == 1
