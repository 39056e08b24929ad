"""Pure: how long a task may work before others have their turn."""

from __future__ import annotations

import time
from typing import Final

__all__ = ["Turns"]

_SECONDS: Final = 0.005


class Turns:
    """A clock for work that may go on for long without waiting for anything: ``if turns.over(): await asyncio.sleep(0)``."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = time.monotonic() + _SECONDS

    def over(self) -> bool:
        """True if it is the turn of others; after a True the next turn begins."""
        now = time.monotonic()
        if now < self._end:
            return False
        self._end = now + _SECONDS
        return True
