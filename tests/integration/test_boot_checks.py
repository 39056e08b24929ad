"""Checks of the settings before workers start, and the exit code of a worker that cannot boot."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.errors import AppImportError

from aiohttp_worker.integration import boot_checks as boot
from aiohttp_worker.integration import settings as settings_module
from aiohttp_worker.worker import AsyncGunicornWorker

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


class Log:
    """A logger that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str, *arguments: object) -> None:
        self.warnings.append(message % arguments)


def check(**settings: object) -> list[str]:
    """Check these settings; return the warnings."""
    cfg, log = Config(), Log()
    for name, value in settings.items():
        cfg.set(name, value)
    boot.check_settings(AsyncGunicornWorker, cfg, log)
    return log.warnings


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"protocol": "uwsgi"}, "protocol = 'uwsgi': AsyncGunicornWorker speaks HTTP only"),
        ({"http_protocols": "h2", "http2_initial_window_size": 0}, "http2_initial_window_size = 0: no body"),
        ({"worker_connections": 0}, "worker_connections = 0: no connection would ever be accepted"),
        ({"tmp_upload_dir": "/nowhere/at/all"}, "tmp_upload_dir = '/nowhere/at/all': workers cannot store bodies"),
        ({"tmp_upload_dir": __file__}, "Not a directory"),
        ({"raw_env": ["AIOHTTP_WORKER_HEAD_TIMEOUT=soon"]}, "AIOHTTP_WORKER_HEAD_TIMEOUT must be a number of seconds"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, object], text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        check(**settings)


def test_addresses_that_are_refused() -> None:
    """What Gunicorn lets pass."""
    cfg = Config()
    cfg.settings["forwarded_allow_ips"].value = ["somewhere"]
    with pytest.raises(RuntimeError, match=r"forwarded_allow_ips or proxy_allow_ips: .*somewhere"):
        boot.check_settings(AsyncGunicornWorker, cfg, Log())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, None),
        ({"http_parser": "python"}, "always parses with its own parser"),
        ({"http_protocols": "h2,h1", "http2_cleartext": "prior-knowledge"}, None),
        ({"http_protocols": "h2,h1", "http2_cleartext": "both"}, "an Upgrade from HTTP/1.1 to HTTP/2 is ignored"),
        ({"http2_cleartext": "prior-knowledge"}, "has no effect without h2 in http_protocols"),
        ({"root_path": "/a"}, "root_path is for ASGI"),
        ({"certfile": __file__, "suppress_ragged_eofs": False}, "suppress_ragged_eofs"),
    ],
)
def test_settings_without_effect(monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], text: str | None) -> None:
    monkeypatch.setattr(settings_module, "find_spec", lambda name: name)
    warnings = check(**settings)
    assert len(warnings) == (text is not None)
    assert text is None or text in warnings[0]


def test_http2_without_the_package_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP/1.1 is served."""
    monkeypatch.setattr(settings_module, "find_spec", lambda name: None)
    (warning,) = check(http_protocols="h2,h1")
    assert "needs the package ngh2" in warning


def test_uvloop_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "has_uvloop", lambda: False)
    assert check(asgi_loop="auto") == []
    with pytest.raises(RuntimeError, match="uvloop is not installed: pip install uvloop"):
        check(asgi_loop="uvloop")


def test_a_directory_to_store_in(tmp_path: Path) -> None:
    assert check(tmp_upload_dir=str(tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, errno.EACCES])
def test_rights_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A process with the worker's rights writes a file, and tells how that went."""
    monkeypatch.setattr(boot, "set_owner_process", lambda uid, gid, initgroups: None)
    monkeypatch.setattr(boot, "try_storage", lambda directory: OSError(code, "") if code else None)
    if not code:
        boot.refuse_storage(str(tmp_path), os.geteuid() + 1, os.getegid(), False)
        return
    with pytest.raises(RuntimeError, match=r"Permission denied \(for the user \d+ and the group \d+\)"):
        boot.refuse_storage(str(tmp_path), os.geteuid() + 1, os.getegid(), False)


def test_ending_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the code of the error, in the worker's own process."""
    left: list[int] = []
    registered: list[Any] = []
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(boot.atexit, "register", registered.append)
    worker = SimpleNamespace(booted=False)
    with pytest.raises(ValueError), boot.keep_exit_code(worker):
        raise ValueError
    with boot.keep_exit_code(worker):
        pass
    for leave in registered:
        leave()
    assert left == [3]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    registered[0]()
    assert left == [3]


@pytest.mark.parametrize(("error", "told"), [(None, b"0"), (OSError(errno.EACCES, ""), b"13"), (OSError("of no number"), b"5")])
def test_the_process_that_tries(monkeypatch: pytest.MonkeyPatch, error: OSError | None, told: bytes) -> None:
    """Its side of the pipe, played in this process."""
    pipe = os.pipe()

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(os, "pipe", lambda: pipe)
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(boot, "set_owner_process", lambda uid, gid, initgroups: None)
    monkeypatch.setattr(boot, "try_storage", lambda directory: error)
    with pytest.raises(SystemExit):
        boot._reason_as(1, 1, False, "/srv")
    assert os.read(pipe[0], 10) == told
    for end in pipe:
        os.close(end)


@pytest.mark.parametrize(
    ("told", "reason"), [(b"0", ""), (b"13", "Permission denied (for the user 1 and the group 2)"), (b"", "Input")]
)
def test_the_process_that_asks(monkeypatch: pytest.MonkeyPatch, told: bytes, reason: str) -> None:
    """The other side; a process that dies without a word counts as an error."""
    readable, writable = os.pipe()
    os.write(writable, told)
    monkeypatch.setattr(os, "fork", lambda: 1 << 22)
    monkeypatch.setattr(os, "pipe", lambda: (readable, writable))

    def waited(pid: int, options: int) -> None:
        raise ChildProcessError

    monkeypatch.setattr(os, "waitpid", waited)
    assert boot._reason_as(1, 2, False, "/srv").startswith(reason)
