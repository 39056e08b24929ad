"""Repeated messages that clients can cause, counted so that the log stays readable."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final

_SECONDS: Final = 60.0
_MOST: Final = 200


class Repetitions:
    """Lets each event through once a minute, and counts it meanwhile.

    Of all that come, so many as a table holds are let through in a minute.

    :param say: takes what is let through.
    :param whisper: takes what is not.
    """

    def __init__(self, say: Callable[[str], None], whisper: Callable[[str], None]) -> None:
        self._say = say
        self._whisper = whisper
        # Of events: when they were said, and how many came since.
        self._said: dict[Hashable, tuple[float, int]] = {}

    def tell(self, event: Hashable, text: str) -> None:
        """Say that something happened, or count it.

        :param event: what repetitions have in common.
        """
        now = time.monotonic()
        said, count = self._said.get(event, (-_SECONDS, 0))
        if now - said < _SECONDS:
            self._said[event] = (said, count + 1)
            self._whisper(text)
            return
        if event not in self._said and len(self._said) >= _MOST:
            self._said = {known: value for known, value in self._said.items() if now - value[0] < _SECONDS}
            if len(self._said) >= _MOST:
                self._whisper(text)
                return
        self._said[event] = (now, 0)
        self._say(f"{text} (and {count} times more since it was said last)" if count else text)
