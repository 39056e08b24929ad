"""Generators that a body leaves behind when it is cut."""

from __future__ import annotations

import gc
import time
from typing import Final

_REST: Final = 100  # times as long as it took, before it is done again


class Leftovers:
    """Has the ``finally`` run of generators that the end of a body did not reach.

    To close an asynchronous generator closes none that it iterates over (PEP 533
    would have it so). Python closes those when nobody refers to them any more;
    but what frameworks put around a body may refer to itself, as a compressed
    response of Django does. Then it takes a collection of garbage, and the next
    may be minutes away: so long a client that has gone would look as if it were
    there.
    """

    __slots__ = ("_due", "_next")

    def __init__(self) -> None:
        self._due = False
        self._next = 0.0

    def add(self) -> None:
        """Take up that a generator was closed while it waited to be asked for more."""
        self._due = True

    def collect(self, now: float) -> None:
        """Collect garbage if there may be such, and it was not done lately.

        :param now: the time of the monotonic clock, in seconds.
        """
        if self._due and now >= self._next:
            self._due = False
            if gc.isenabled():
                gc.collect()
                self._next = now + _REST * (time.monotonic() - now)
