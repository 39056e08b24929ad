"""Signals between the fork of a worker and its own handlers: kept, and handled later.

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

#: Signals that a master, or a terminal, sends to a worker.
_KEPT: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGUSR1)


class EarlySignals:
    """Signals of one worker, kept from its fork until it has handlers of its own.

    To be made in the master, before the fork.
    """

    def __init__(self) -> None:
        self._seen: list[int] = []
        _forks.expect(self)

    def keep(self, number: int, frame: FrameType | None) -> None:
        """Keep a signal for later: a handler for `signal.signal`."""
        self._seen.append(number)

    @contextmanager
    def handed_over(self) -> Iterator[None]:
        """Hand the signals that were kept, and those that come meanwhile, to the handlers that are set inside the block.

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
    """Installs the handlers of `EarlySignals` in the next process that is forked."""

    def __init__(self) -> None:
        self._expected: EarlySignals | None = None
        self._registered = False
        self._local = threading.local()  # a hook, or Gunicorn's control server, may fork in a thread of its own

    def expect(self, signals: EarlySignals) -> None:
        """Prepare for the fork of a worker; processes that a hook forks before do no harm."""
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
