"""Spill file: output that waits for a client that does not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiohttp_worker.transport.spill_file import SpillFile


def test_first_in_first_out(tmp_path: Path) -> None:
    spill = SpillFile(str(tmp_path))
    spill.append([b"ab", b"", b"cd"])
    spill.skip(3)
    spill.append([b"ef"])
    assert (spill.offset, spill.size) == (3, 3)
    assert os.pread(spill.fileno(), spill.size, spill.offset) == b"def"
    spill.close()


def test_no_file_is_left(tmp_path: Path) -> None:
    spill = SpillFile(str(tmp_path))
    spill.append([b"abc"])
    assert list(tmp_path.iterdir()) == []
    fd = spill.fileno()
    spill.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        SpillFile(str(tmp_path / "missing"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    spill = SpillFile(str(tmp_path))
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), spill.fileno())
    with pytest.raises(OSError, match="No space left"):
        spill.append([b"abc"])
    spill.close()
