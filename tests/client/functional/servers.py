"""Real servers as child processes, each with a configuration of its own on loopback ports."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def program(*names: str) -> str:
    """The path of a program; skips the test where it is missing."""
    for name in names:
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if found:
            return found
    pytest.skip(f"the program {names[0]} is not installed")


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


def open_to_all(folder: Path) -> Path:
    """Let servers that change their user read a folder and all above it."""
    for one in (folder, *folder.parents):
        with contextlib.suppress(PermissionError):
            one.chmod(one.stat().st_mode | 0o055)
    return folder


def nobody() -> str | None:
    """An unprivileged user for servers that refuse to work as root."""
    return "nobody" if os.getuid() == 0 and pwd.getpwnam("nobody") else None


@contextlib.contextmanager
def running(command: list[str], *listening: int | Path, folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process, from when it accepts connections on all these ports and sockets; ended afterwards."""
    log = folder / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env={**os.environ, **variables}
        )
    try:
        deadline = time.monotonic() + 30
        for place in listening:
            while not accepts(place):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command} does not listen: {log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def accepts(place: int | Path) -> bool:
    """Whether somebody listens there."""
    family = socket.AF_INET if isinstance(place, int) else socket.AF_UNIX
    with socket.socket(family) as sock:
        sock.settimeout(1)
        try:
            sock.connect(("127.0.0.1", place) if isinstance(place, int) else str(place))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def gunicorn(application: str, folder: Path, *options: str, bind: str | None = None) -> Iterator[str]:
    """Gunicorn with an application; its URL."""
    port = free_port()
    place: int | Path = port if bind is None else Path(bind)
    address = f"127.0.0.1:{port}" if bind is None else f"unix:{bind}"
    command = [sys.executable, "-m", "gunicorn", "-b", address, "--graceful-timeout", "2", *options, application]
    with running(command, place, folder=folder, PYTHONPATH=str(ROOT)):
        yield f"http://127.0.0.1:{port}" if bind is None else "http://localhost"
