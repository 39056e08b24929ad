"""Temporary files: whether there can be any, and who is told what if not."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.integration.boot_checks import refuse_storage
from aiohttp_worker.transport.storage import storage_error, try_storage
from tests.server.fakes import CHUNKED, POST, FakeServer

NOBODY = 65534


def test_a_directory_that_can_be_written(tmp_path: Path) -> None:
    assert try_storage(str(tmp_path)) is None
    assert try_storage(None) is None
    assert list(tmp_path.iterdir()) == []
    refuse_storage(str(tmp_path), os.geteuid(), os.getegid(), False)


@pytest.mark.parametrize(
    ("name", "reason"), [("missing", "No such file or directory"), ("file", "Not a directory"), ("file/below", "No such file")]
)
def test_a_directory_that_is_none_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    path = str(tmp_path / name)
    with pytest.raises(RuntimeError, match=f"tmp_upload_dir = '{path}': .*{reason}"):
        refuse_storage(path, os.geteuid(), os.getegid(), False)
    assert try_storage(path) is not None


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
@pytest.mark.parametrize("initgroups", [False, True])
def test_a_directory_of_somebody_else_is_refused(initgroups: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o700)
        with pytest.raises(RuntimeError, match="for the user 65534 and the group 65534"):
            refuse_storage(directory, NOBODY, NOBODY, initgroups)
        os.chown(directory, NOBODY, NOBODY)
        refuse_storage(directory, NOBODY, NOBODY, initgroups)
        below = os.path.join(directory, "below")
        os.mkdir(below)
        os.chmod(below, 0o777)
        os.chown(directory, 0, 0)
        with pytest.raises(RuntimeError, match="Permission denied"):
            refuse_storage(below, NOBODY, NOBODY, initgroups)
    assert os.geteuid() == 0


def test_a_device_without_space_is_named() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert storage_error("/spool", error).strerror == "No space left on device, in tmp_upload_dir = '/spool'"
    told = storage_error(None, error)
    assert told.errno == errno.ENOSPC
    assert "tmp_upload_dir can name another directory" in str(told)
    assert tempfile.gettempdir() in str(storage_error(None, error))
    assert "no number" in str(storage_error("/spool", OSError("no number")))


@pytest.mark.parametrize("request_of", ["length", "chunked"])
@pytest.mark.parametrize("directory", ["missing", None])
def test_a_body_that_cannot_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str | None, request_of: str
) -> None:
    path = str(tmp_path / "missing")
    monkeypatch.setattr(tempfile, "tempdir", path)
    server = FakeServer(body_memory_size=10, body_directory=directory and path)
    server.receive(CHUNKED % b"" + b"20\r\n" if request_of == "chunked" else POST % (b"", 32))
    server.receive(bytes(20))
    assert server.status_codes() == [507]
    assert server.refused == [507]
    assert len(server.logged) == 1
    assert server.logged[0].startswith("ERROR 192.0.2.1: the body of a request cannot be stored: No such file or directory, in ")
    assert path in server.logged[0]
    assert "tmp_upload_dir" in server.logged[0]
    assert "Invalid request" not in server.logged[0]


@pytest.mark.parametrize("directory", ["missing", None])
def test_an_answer_that_cannot_be_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str | None) -> None:
    path = str(tmp_path / "missing")
    monkeypatch.setattr(tempfile, "tempdir", path)
    raised: list[OSError] = []

    def application(environ: dict[str, object], start_response: object) -> list[bytes]:
        write = start_response("200 OK", [])  # type: ignore[operator]
        try:
            for _ in range(4):
                write(bytes(1_000_000))
        except OSError as error:
            raised.append(error)
            raise
        return []

    server = FakeServer(application, body_directory=directory and path)
    server.transport.stuck = True
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert len(raised) == 1
    assert raised[0].errno == errno.ENOENT
    assert path in str(raised[0])
    assert "tmp_upload_dir" in str(raised[0])
    assert not isinstance(raised[0], RemoteProtocolError)
    assert [line for line in server.logged if line.startswith("ERROR Error handling request GET /: ") and path in line]
