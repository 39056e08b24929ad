"""A command that serves an ini, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .server import PATIENCE, ROOT, Output


class Command:
    """A process started with the ini's directory as its current one; both its pipes are collected.

    `environ` adds to the environment. The project is on the path, the directory is not.
    """

    def __init__(self, *words: str, directory: Path, environ: dict[str, str] | None = None) -> None:
        cleaned = {name: value for name, value in os.environ.items() if name != "GUNICORN_CMD_ARGS"}
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env={**cleaned, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(environ or {})},
            start_new_session=True,
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self.output = Output(self.process.stdout)
        self.log = Output(self.process.stderr)

    def url(self, since: int = 0) -> str:
        """Wait until it listens, and return the address of it."""
        line = self.log.wait_for("Listening at: ", since=since)[0]
        match = re.search(r"Listening at: (http://[^\s,]+)", line)
        assert match is not None, line
        return match[1]

    def get(self, path: str = "/") -> str:
        with urllib.request.urlopen(self.url() + path, timeout=PATIENCE) as response:
            text: str = response.read().decode()
            return text

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its own end, and return the exit code."""
        code = self.process.wait(PATIENCE)
        self.log.join()
        self.output.join()
        return code

    def stop(self) -> int:
        """End it with TERM; what still runs of its session is killed."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.wait()
            raise AssertionError(f"TERM did not end it:\n{self.log.text()}") from None


@contextmanager
def started(*words: str, directory: Path, environ: dict[str, str] | None = None) -> Iterator[Command]:
    """A command that is ended with the block."""
    command = Command(*words, directory=directory, environ=environ)
    try:
        yield command
    finally:
        command.stop()
