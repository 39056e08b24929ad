"""Small answers that leave together at the end of a turn of the loop."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Final

from .write_queue import WriteQueue

_monotonic: Final = time.monotonic
# Answers leave together only while they are this small, and come this quickly.
MOST_HELD: Final = 16 * 1024  # bytes of one body
_MOST_HELD_SECONDS: Final = 0.001
_QUICK_SECONDS: Final = 0.005
# After a call that was not quick nothing is held for so many times as long: what
# is held waits for such calls in a tenth of the time at most.
_SLOW_FACTOR: Final = 10


class WriteBatch:
    """Small whole answers of one turn of the loop, which leave together at its end.

    Sent one by one between the application's calls, each wakes a client, and
    finds the kernel's code gone from the processor's caches: that takes longer
    than the answer took here. No answer is held longer than a millisecond and
    the application's next call, and none for a while after a call that was not
    quick.

    :ivar until: the time of the monotonic clock when :meth:`flush` is due.
    """

    __slots__ = ("_due", "_held", "_loop", "_slow_until", "until")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._held: list[WriteQueue] = []
        self._due = False
        self._slow_until = 0.0
        self.until = math.inf

    def put(self, write_queue: WriteQueue, pieces: list[bytes], began: float) -> None:
        """Have *pieces* sent in this turn, after which no code of the application's is run for them.

        :param began: when the application was called, by the monotonic clock.
        """
        if began < self._slow_until:
            write_queue.send(pieces)
        else:
            write_queue.keep(pieces)
            self._hold(write_queue, began)

    def put_early(self, write_queue: WriteQueue, pieces: list[bytes], began: float) -> None:
        """Have *pieces* sent in this turn, though the application's ``close()`` is still to be called.

        It may take its time, and an answer must not wait for it (PEP 3333,
        "Buffering and Streaming"); so the kernel gets them at once.

        :param began: when the application was called, by the monotonic clock.
        """
        if began < self._slow_until:
            write_queue.send(pieces)
        elif write_queue.cork(pieces):
            self._hold(write_queue, began)

    def _hold(self, write_queue: WriteQueue, began: float) -> None:
        held = self._held
        if not held:
            self.until = began + _MOST_HELD_SECONDS
            if not self._due:
                self._due = True
                self._loop.call_soon(self._turn_ends)
        held.append(write_queue)

    @property
    def slow(self) -> bool:
        """True if a call that was not quick is not long ago."""
        return _monotonic() < self._slow_until

    def note_call(self, seconds: float, now: float) -> None:
        """Learn how long a call took."""
        if seconds > _QUICK_SECONDS:
            self._slow_until = now + seconds * _SLOW_FACTOR

    def _turn_ends(self) -> None:
        self._due = False
        if self._held:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        held, self._held = self._held, []
        self.until = math.inf
        for write_queue in held:
            write_queue.release()
