"""Files of PyPI's aiohttp and of this project that lie over each other: found, told, and refused where something is broken."""

from __future__ import annotations

import os
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

from aiohttp_worker.integration.distributions import OverlayError, is_whole, overlay, refuse_damage

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
# Of the file below, as pip writes it.
RECORD = """\
aiohttp/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
aiohttp/data.txt,sha256=changed,0
aiohttp-3.9.0.dist-info/RECORD,,
"""


def install(folder: Path, name: str, version: str, record: str = "") -> Path:
    """Leave what an installer leaves of a distribution; its metadata."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(METADATA.format(name=name, version=version))
    if record:
        (metadata / "RECORD").write_text(record)
    return metadata


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages that is looked into first."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def whole(site: Path) -> Path:
    """PyPI's aiohttp, with all of its files."""
    install(site, "aiohttp", "3.9.0", RECORD)
    (site / "aiohttp").mkdir()
    (site / "aiohttp" / "__init__.py").touch()
    return site


def test_alone() -> None:
    assert overlay() == ""
    refuse_damage()


def test_pypis_files_are_whole(whole: Path) -> None:
    assert is_whole(distribution("aiohttp"))
    refuse_damage()
    text = overlay()
    for part in (
        "PyPI's package aiohttp (3.9.0) is installed beside aiohttp-worker (",
        f"`{sys.executable} -m pip uninstall aiohttp aiohttp-worker`",
        f"`{sys.executable} -m pip install aiohttp-worker-core aiohttp`",
        "aiohttp_worker.AsyncGunicornWorker",
    ):
        assert part in text
    assert os.linesep not in text


@pytest.mark.parametrize("damage", [lambda path: path.write_text("ours"), Path.unlink], ids=["overwritten", "missing"])
def test_a_file_of_pypis_is_not_its_own(whole: Path, damage: object) -> None:
    damage(whole / "aiohttp" / "__init__.py")  # type: ignore[operator]
    assert not is_whole(distribution("aiohttp"))
    with pytest.raises(OverlayError, match=r"PyPI's package aiohttp \(3\.9\.0\) is installed beside aiohttp-worker"):
        refuse_damage()


def test_without_a_record_nothing_is_known(site: Path) -> None:
    metadata = install(site, "aiohttp", "3.9.0")
    assert not is_whole(Distribution.at(metadata))
    with pytest.raises(OverlayError):
        refuse_damage()


def test_two_versions_of_ours(site: Path) -> None:
    for version in ("1.0.0", "2.0.0"):
        install(site, "aiohttp-worker" if version == "1.0.0" else "aiohttp-worker-core", version)
    with pytest.raises(OverlayError, match=r"aiohttp-worker \(1\.0\.0\) and aiohttp-worker-core \(2\.0\.0\).*uninstall"):
        refuse_damage()


def test_the_same_version_of_both(site: Path) -> None:
    for name in ("aiohttp-worker", "aiohttp-worker-core"):
        install(site, name, "2.0.0")
    refuse_damage()
