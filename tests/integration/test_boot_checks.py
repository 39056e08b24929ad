"""The exit code of a process, whatever its caller does with ``SystemExit``."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest
from gunicorn.errors import AppImportError

from aiohttp_worker.integration import boot_checks as boot

# A caller that swallows the code, as pserve does, in a process of its own. What is registered at exit runs last first.
SWALLOWING = """
import atexit, sys, types
from aiohttp_worker.integration.boot_checks import keep_exit_code

worker = types.SimpleNamespace(booted=False)
atexit.register(print, "of the caller")
try:
    with keep_exit_code(worker):
        atexit.register(print, "of the application")
        {statements}
except (Exception, SystemExit):
    print("swallowed")
"""


def run(statements: str) -> tuple[int, list[str]]:
    code = SWALLOWING.format(statements="\n        ".join(statements.splitlines()))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert not ended.stderr
    return ended.returncode, ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("error", "booted", "code"),
    [
        (ValueError(), False, 3),
        (ValueError(), True, 255),
        (AppImportError(), False, 4),
        (KeyboardInterrupt(), True, 255),
        (SystemExit(), False, 0),
        (SystemExit(0), False, 0),
        (SystemExit(5), True, 5),
        (SystemExit(-1), True, 255),
        (SystemExit("a text"), True, 1),
    ],
)
def test_exit_code_of(error: BaseException, booted: bool, code: int) -> None:
    assert boot.exit_code_of(error, booted=booted) == code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statements", "code"),
    [
        ("raise ValueError", 3),
        ("worker.booted = True\nraise ValueError", 255),
        ("sys.exit(7)", 7),
    ],
)
def test_a_failure_keeps_its_code(statements: str, code: int) -> None:
    assert run(statements) == (code, ["swallowed", "of the application"])


@pytest.mark.slow
@pytest.mark.parametrize("statements", ["worker.booted = True", "sys.exit(0)"])
def test_a_good_end_changes_nothing(statements: str) -> None:
    code, said = run(statements)
    assert code == 0
    assert said[-2:] == ["of the application", "of the caller"]


@pytest.mark.slow
def test_a_process_forked_from_the_worker_ends_as_it_likes() -> None:
    statements = "import os\npid = os.fork()\nif not pid: sys.exit(0)\nprint(os.waitpid(pid, 0)[1])\nsys.exit(7)"
    code, said = run(statements.replace("sys.exit(0)", "worker.booted = True; raise SystemExit(0)"))
    assert code == 7
    assert "0" in said


def test_no_other_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(boot, "version", missing)
    boot.refuse_foreign_aiohttp()
    monkeypatch.setattr(boot, "version", lambda name: "3.9.0")
    with pytest.raises(RuntimeError, match=r"PyPI's package aiohttp \(3\.9\.0\).*pip uninstall aiohttp") as raised:
        boot.refuse_foreign_aiohttp()
    assert os.linesep not in str(raised.value)
