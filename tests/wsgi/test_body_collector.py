"""Collection of request bodies in memory and in temporary files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from aiohttp_worker.http1.buffer import SMALL
from aiohttp_worker.wsgi.body_collector import BodyCollector


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"a"] * 50, [bytes(SMALL), b"x", bytes(SMALL)]])
def test_body_in_memory(pieces: list[bytes], tmp_path: Path) -> None:
    collector = BodyCollector(1024 * 1024, str(tmp_path))
    for piece in pieces:
        collector.feed(piece)
    whole = b"".join(pieces)
    assert collector.size == collector.in_memory == len(whole)
    file = collector.finish()
    assert isinstance(file, io.BytesIO)
    assert file.read() == whole


def test_body_in_a_temporary_file(tmp_path: Path) -> None:
    collector = BodyCollector(1000, str(tmp_path))
    collector.feed(b"a" * 600)
    assert collector.in_memory == 600
    collector.feed(b"b" * 600)
    assert (collector.size, collector.in_memory) == (1200, 0)
    collector.feed(b"c")
    with collector.finish() as file:
        assert not isinstance(file, io.BytesIO)
        assert file.read() == b"a" * 600 + b"b" * 600 + b"c"
    assert list(tmp_path.iterdir()) == []


def test_body_spilled_before_its_size_demands_it(tmp_path: Path) -> None:
    collector = BodyCollector(1000, str(tmp_path))
    collector.feed(b"abc")
    collector.spill()
    assert collector.in_memory == 0
    with collector.finish() as file:
        assert file.read() == b"abc"


@pytest.mark.parametrize("size", [10, 2000])
def test_discarded_body(size: int, tmp_path: Path) -> None:
    collector = BodyCollector(1000, str(tmp_path))
    collector.feed(bytes(size))
    collector.close()
    collector.close()


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        BodyCollector(1, str(tmp_path / "missing")).feed(b"abc")
