"""Sockets that something but their transport waits for."""

from __future__ import annotations

import asyncio
import socket

import pytest

from aiohttp_worker.transport.writable_sockets import WritableSockets
from tests.loops import LOOPS, new_loop

pytestmark = pytest.mark.skipif(not WritableSockets.available, reason="there is no epoll here")


def full_pair() -> tuple[socket.socket, socket.socket]:
    """Ours takes no more until theirs is read."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    try:
        while True:
            ours.send(bytes(65536))
    except BlockingIOError:
        pass
    return ours, theirs


@pytest.mark.parametrize("name", LOOPS)
def test_called_when_a_socket_takes_more(name: str) -> None:
    loop = new_loop(name)
    sockets = WritableSockets(loop, lambda: False)
    ours, theirs = full_pair()
    others = full_pair()
    called: list[str] = []

    def writable() -> None:
        called.append("ours")
        sockets.remove(ours.fileno())
        loop.stop()

    async def read() -> None:
        assert called == []
        theirs.recv(16 * 1024 * 1024)

    sockets.add(ours.fileno(), writable)
    sockets.add(others[0].fileno(), lambda: called.append("others"))
    task = loop.create_task(read())
    loop.run_forever()
    assert called == ["ours"]
    assert task.done()
    sockets.remove(others[0].fileno())
    sockets.add(ours.fileno(), writable)  # once more, after nobody was there
    loop.run_forever()
    assert called == ["ours", "ours"]
    loop.close()
    for sock in (ours, theirs, *others):
        sock.close()


def test_called_when_a_socket_has_failed() -> None:
    loop = asyncio.new_event_loop()
    sockets = WritableSockets(loop, lambda: False)
    ours, theirs = full_pair()
    theirs.close()
    called: list[int] = []

    def failed() -> None:
        called.append(1)
        sockets.remove(ours.fileno())
        loop.stop()

    sockets.add(ours.fileno(), failed)
    loop.run_forever()
    assert called == [1]
    loop.close()
    ours.close()


def test_one_callback_may_remove_another() -> None:
    loop = asyncio.new_event_loop()
    sockets = WritableSockets(loop, lambda: False)
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def first_of(number: int) -> None:
        called.append(number)
        for ours, _ in pairs:
            sockets.remove(ours.fileno())
        loop.stop()

    for number, (ours, _) in enumerate(pairs):
        sockets.add(ours.fileno(), lambda number=number: first_of(number))  # type: ignore[misc]
    loop.run_forever()
    assert len(called) == 1
    loop.close()
    for ours, theirs in pairs:
        ours.close()
        theirs.close()
