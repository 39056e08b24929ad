"""Signals that come to a worker before it has handlers of its own.

Gunicorn's master forks a worker with the master's handlers, and they stay until the worker sets its own: they put the signal
into a queue that nobody reads in the worker. And what comes before Python has tidied up after the fork is forgotten. On a busy
machine that takes long enough for the master to send TERM meanwhile; a worker that does not know of it serves on, until
the master kills it after ``graceful_timeout``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

#: What the master, or somebody at its terminal, says to a worker.
_KEPT: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGUSR1)


class EarlySignals:
    """The signals of one worker, from its fork to its own handlers.

    To be made in the master, before the fork.
    """

    def __init__(self) -> None:
        self._seen: list[int] = []
        _forks.expect(self)

    def keep(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal: a handler for `signal.signal`."""
        self._seen.append(number)

    @contextmanager
    def handed_over(self) -> Iterator[None]:
        """Deliver the signals received before, and those that arrive now, to the handlers that are set inside.

        Between the old handlers and the new ones is the system's default, which would end the worker without a word.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _KEPT)
        try:
            yield
            seen, self._seen = self._seen, []
            for number in seen:
                signal.raise_signal(number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Forks:
    """Puts the handlers of `EarlySignals` into the next process that is forked."""

    def __init__(self) -> None:
        self._expected: EarlySignals | None = None
        self._registered = False
        self._local = threading.local()  # a hook, or Gunicorn's control server, may fork in a thread of its own

    def expect(self, signals: EarlySignals) -> None:
        """Be ready for the fork of a worker; what a hook forks before it does no harm."""
        self._expected = signals
        if not self._registered:
            self._registered = True
            os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def _before(self) -> None:
        self._local.mask = None
        if self._expected is not None:
            self._local.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _KEPT)

    def _in_parent(self) -> None:
        if self._local.mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._local.mask)

    def _in_child(self) -> None:
        expected, self._expected = self._expected, None
        if expected is not None and self._local.mask is not None:
            for number in _KEPT:
                signal.signal(number, expected.keep)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._local.mask)


_forks: Final = _Forks()
