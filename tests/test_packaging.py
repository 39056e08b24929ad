"""Installation with ``pip``: built from a copy of the source, in environments without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEFTOVERS = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "*.egg-info", "*.so", "__pycache__", ".*_cache", ".hypothesis"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source, because a build leaves files beside it."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("source") / "aiohttp-worker", ignore=LEFTOVERS))


def empty_environment(folder: Path) -> Path:
    """Make a virtual environment with pip alone; its interpreter."""
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def run(
    *command: str | Path, cwd: Path = Path(sys.prefix), compiled: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with the choice of compiling as given, ``""`` for none made, and with nothing inherited that imports."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"AIOHTTP_WORKER_COMPILE": compiled, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}
    words = [str(part) for part in command]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)


def succeed(*command: str | Path, cwd: Path = Path(sys.prefix), compiled: str = "", **variables: str) -> str:
    """Run a command that must succeed; its output."""
    done = run(*command, cwd=cwd, compiled=compiled, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


TRY_IT = """
import aiohttp, aiohttp_worker, aiohttp_worker.http1, pathlib, sys
from importlib.metadata import distribution
from gunicorn.util import load_class
here = distribution("aiohttp-worker")
assert here.version == aiohttp_worker.__version__ == "1.0.0", here.version
for package in (aiohttp, aiohttp_worker):
    folder = pathlib.Path(package.__file__).parent
    assert folder.is_relative_to(sys.prefix), folder
    assert (folder / "py.typed").is_file()
for name, dotted in [("async", "AsyncGunicornWorker"), ("async-nostream", "AsyncNoStreamGunicornWorker")]:
    by_entry_point, by_name = load_class(f"egg:aiohttp-worker#{name}"), load_class(f"aiohttp.worker.{dotted}")
    assert by_entry_point is by_name and by_name.__name__ == dotted, (by_entry_point, by_name)
"""


def test_pip_install_in_an_empty_environment(source: Path, tmp_path: Path) -> None:
    expected = {
        str(path.relative_to(source))
        for name in ("aiohttp", "aiohttp_worker")
        for path in (source / name).rglob("*")
        if path.is_file() and path.suffix != ".pxd"  # types for the compiler alone
    }
    python = empty_environment(tmp_path / "empty")
    succeed(python, "-m", "pip", "wheel", "--no-deps", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("aiohttp_worker-1.0.0-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
    assert {"aiohttp/py.typed", "aiohttp_worker/py.typed", "aiohttp_worker/demo/page.html"} <= expected <= files
    assert {name.split("/")[0] for name in files if not name.endswith(".so")} == {
        "aiohttp",
        "aiohttp_worker",
        "aiohttp_worker-1.0.0.dist-info",
    }
    assert not [name for name in files if name.endswith((".c", ".pyc"))]
    succeed(python, "-m", "pip", "install", wheel)
    succeed(python, "-m", "pip", "check")
    succeed(python, "-c", TRY_IT)


BUILD_WHEEL = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
BUILD_SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


def test_builds_without_mypy_and_without_a_compiler(source: Path, tmp_path: Path) -> None:
    python = empty_environment(tmp_path / "empty")
    succeed(python, "-m", "pip", "install", "setuptools>=77")
    build = (python, "-c", BUILD_WHEEL, tmp_path)

    without_mypy = succeed(*build, cwd=source)
    assert "py3-none-any.whl" in without_mypy
    assert "installing as plain Python" in without_mypy

    without_compiler = succeed(*build, cwd=source, CC="/nonexistent/cc")
    assert "py3-none-any.whl" in without_compiler
    assert "/nonexistent/cc" in without_compiler

    switched_off = succeed(*build, cwd=source, compiled="0")
    assert "py3-none-any.whl" in switched_off
    assert "plain Python" not in switched_off

    # As on a build without the global lock.
    free_threaded = f"import sysconfig; sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1; {BUILD_WHEEL}"
    without_lock = succeed(python, "-c", free_threaded, tmp_path, cwd=source)
    assert "py3-none-any.whl" in without_lock
    assert "plain Python, not compiled: RuntimeError: mypyc compiles for CPython with its global lock" in without_lock

    assert run(*build, cwd=source, compiled="1").returncode != 0
    refused = run(*build, cwd=source, compiled="yes")
    assert refused.returncode != 0
    assert "AIOHTTP_WORKER_COMPILE must be 0, 1 or unset" in refused.stderr

    succeed(python, "-c", BUILD_SDIST, tmp_path, cwd=source)
    with tarfile.open(tmp_path / "aiohttp_worker-1.0.0.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.rst", "Makefile", "development.ini", "tests/test_packaging.py", "aiohttp/py.typed"} <= names


def test_the_same_bytes_from_anywhere(source: Path, tmp_path: Path) -> None:
    """A plain wheel, from two folders, at two times."""
    python = empty_environment(tmp_path / "empty")
    succeed(python, "-m", "pip", "install", "setuptools>=77")
    made = []
    for name in ("first", "a second"):
        folder = shutil.copytree(source, tmp_path / name, ignore=LEFTOVERS)
        for path in folder.rglob("*.py"):
            os.utime(path, (1e9 + len(name), 1e9 + len(name)))
        succeed(python, "-c", BUILD_WHEEL, folder / "dist", cwd=folder, compiled="0", SOURCE_DATE_EPOCH="1700000000")
        (wheel,) = (folder / "dist").glob("*.whl")
        made.append(wheel.read_bytes())
    assert made[0] == made[1]
