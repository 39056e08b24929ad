"""Signals that come between a worker's fork and its handlers, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from aiohttp_worker.integration import early_signals
from aiohttp_worker.integration.early_signals import EarlySignals

# The parent tells its child something at the very moment of the fork. The child has handlers only when it is told to set them,
# and must still learn of it; the parent's own handlers see nothing, and its mask of signals is as before.
FORKS = """
import os, signal, subprocess, sys
from aiohttp_worker.integration.early_signals import EarlySignals

number = getattr(signal, sys.argv[1])
signal.signal(number, lambda *_: sys.exit("the parent's handler ran"))
before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
for _ in range(20):
    early = EarlySignals()
    {hook}
    go_on, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(go_on, 1)
        seen = []
        with early.handed_over():
            signal.signal(number, lambda number, _: seen.append(number))
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
        os._exit(0 if seen == [number] else 1)
    os.kill(pid, number)
    os.write(go, b".")
    assert os.waitpid(pid, 0)[1] == 0
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
"""
# What a pre_fork hook may do.
HOOKS = {
    "nothing": "",
    "a process": "subprocess.run(['true'], check=True, preexec_fn=bool)",
    "a fork": "os.fork() or os._exit(0)",
}


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT", "SIGABRT", "SIGUSR1"])
def test_no_signal_is_lost(name: str, hook: str) -> None:
    command = [sys.executable, "-c", FORKS.replace("{hook}", HOOKS[hook]), name]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_what_a_worker_forks_is_its_own_affair() -> None:
    """Only the first process that is forked gets these handlers."""
    code = """
import os, signal
from aiohttp_worker.integration.early_signals import EarlySignals
EarlySignals()
if (worker := os.fork()) == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if (child := os.fork()) == 0:
        os._exit(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert os.waitpid(worker, 0)[1] == 0
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_signals_are_handed_over() -> None:
    """The steps of a fork in this process: signals wait from the fork on, and reach the handlers that are set last."""
    number = signal.SIGUSR1
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    handlers = {one: signal.getsignal(one) for one in early_signals._KEPT}
    early = EarlySignals()
    seen: list[int] = []
    try:
        early_signals._forks._before()
        assert number in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        early_signals._forks._in_parent()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
        early_signals._forks._before()
        early_signals._forks._in_child()
        signal.raise_signal(number)
        with early.handed_over():
            signal.signal(number, lambda number, frame: seen.append(number))
            signal.raise_signal(number)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
        assert seen == [number]  # a signal that is blocked and comes twice is one
        early_signals._forks._before()  # of a process that the worker forks
        early_signals._forks._in_child()
        early_signals._forks._in_parent()
        assert signal.getsignal(number) not in (early.keep, signal.SIG_DFL)
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
