"""Signals that end the benchmarks, which end the servers that they started."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

# What stands in for a part of the benchmarks: a server's process, which a context manager ends.
PROGRAM = """
import contextlib, signal, sys
from benchmarks import __main__ as command

@contextlib.contextmanager
def server():
    try:
        print("started", flush=True)
        yield
    finally:
        print("stopped", flush=True)

def run(*arguments):
    with server():
        signal.pause()

command.RUN["speed"] = run
command.prepare = lambda in_place: None
command.main(["speed", "--output", sys.argv[1]])
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_the_server_that_is_measured(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            process.send_signal(number)
            rest, _ = process.communicate(timeout=30)
            assert rest == "stopped\n"
            assert process.returncode == 128 + number
        finally:
            process.kill()
