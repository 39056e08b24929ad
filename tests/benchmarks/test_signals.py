import signal
import subprocess
import sys

import pytest

# What stands in for a part of the benchmarks: a server's process, which a context manager ends.
PROGRAM = """
import contextlib, signal, sys
from benchmarks import __main__ as command

@contextlib.contextmanager
def server():
    print("started", flush=True)
    try:
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_stops_the_server_that_is_measured(number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "started\n"
    process.send_signal(number)
    rest, _ = process.communicate(timeout=30)
    assert rest == "stopped\n"
    assert process.returncode == (-number if number == signal.SIGINT else 128 + number)
