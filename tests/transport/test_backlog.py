"""The file that holds bytes for a client that reads slowly."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from aiohttp_worker.transport.backlog import Backlog
from aiohttp_worker.transport.write_queue import WriteQueue
from tests.server.fakes import FakeTransport


def test_all_of_it_is_sent_in_order(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        write_queue = WriteQueue(FakeTransport(), ours)  # type: ignore[arg-type]
        backlog = Backlog(str(tmp_path))
        backlog.add([b"ab", b"cd"])
        backlog.add([b"ef"])
        assert (backlog.part.offset, backlog.part.size) == (0, 6)
        assert backlog.send(write_queue)
        assert theirs.recv(100) == b"abcdef"
        assert (backlog.part.offset, backlog.part.size) == (6, 0)
        backlog.close()


def test_the_socket_takes_a_part(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        write_queue = WriteQueue(FakeTransport(), ours)  # type: ignore[arg-type]
        backlog = Backlog(str(tmp_path))
        size = 8 * 1024 * 1024
        backlog.add([bytes(size)])
        assert not backlog.send(write_queue)
        part = backlog.part
        assert 0 < part.offset < size
        assert part.offset + part.size == size
        received = 0
        while received < size:
            received += len(theirs.recv(1024 * 1024))
            backlog.send(write_queue)
        assert backlog.part.size == 0
        backlog.close()


def test_nothing_is_sent_past_what_waits(tmp_path: Path) -> None:
    write_queue = WriteQueue(FakeTransport(), None)  # type: ignore[arg-type]
    backlog = Backlog(str(tmp_path))
    backlog.add([b"abc"])
    assert not backlog.send(write_queue)
    backlog.close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Backlog(str(tmp_path / "missing"))


def test_no_file_is_left(tmp_path: Path) -> None:
    backlog = Backlog(str(tmp_path))
    backlog.add([b"abc"])
    assert list(tmp_path.iterdir()) == []
    backlog.close()
