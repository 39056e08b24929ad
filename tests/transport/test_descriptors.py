"""Descriptors that a forked process shares with its parent, and their separation."""

from __future__ import annotations

import os
import select
import socket
import tempfile

import pytest

from aiohttp_worker.transport.descriptors import detach, reopen


def in_fork(statements: object) -> None:
    """Run something in a forked process, and wait for its end."""
    pid = os.fork()
    if pid == 0:
        try:
            statements()  # type: ignore[operator]
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.slow
def test_a_socket_that_leads_nowhere() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def child() -> None:
            detach([ours.fileno()], [])
            assert ours.send(b"unheard") == 7
            assert not os.get_inheritable(ours.fileno())
            with pytest.raises(BlockingIOError):
                ours.recv(1)

        in_fork(child)
        ours.send(b"heard")
        assert theirs.recv(100) == b"heard"


@pytest.mark.slow
def test_an_epoll_that_watches_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, select.epoll() as epoll:
        epoll.register(ours, select.EPOLLIN)

        def child() -> None:
            detach([ours.fileno()], [epoll.fileno()])
            with pytest.raises(OSError, match="No such file"):
                epoll.unregister(ours)
            assert epoll.poll(0) == []

        in_fork(child)
        theirs.send(b"!")
        assert epoll.poll(1) == [(ours.fileno(), select.EPOLLIN)]


def test_without_a_descriptor_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be replaced is closed."""

    def none_left(*_: object) -> None:
        raise OSError(24, "Too many open files")

    ours, theirs = socket.socketpair()
    epoll = select.epoll()
    with theirs:
        monkeypatch.setattr(socket, "socketpair", none_left)
        monkeypatch.setattr(select, "epoll", none_left)
        detach([ours.detach()], [epoll.fileno()])
        assert theirs.recv(1) == b""
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(epoll.fileno())


@pytest.mark.slow
@pytest.mark.parametrize("buffering", [0, -1])
def test_a_position_of_its_own(buffering: int) -> None:
    with tempfile.TemporaryFile(buffering=buffering) as file:
        file.write(b"0123456789" * 10000)
        file.seek(5)
        assert file.read(1) == b"5"

        def child() -> None:
            reopen(file.fileno())
            assert file.read(3) == b"678"
            file.read()

        in_fork(child)
        assert file.read(3) == b"678"
        assert len(file.read()) == 99991


def test_what_is_no_file_stays_as_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reopen(ours.fileno())
        ours.send(b"!")
        assert theirs.recv(1) == b"!"
