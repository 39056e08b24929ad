"""A limit on how often something may happen."""

from __future__ import annotations


class Allowance:
    """A number of things that may happen, which grows with time up to a limit (a token bucket).

    :param most: so many may happen at once.
    :param rate: so many are added each second.
    :param now: the time of a monotonic clock, in seconds.
    """

    __slots__ = ("_left", "_most", "_rate", "_since")

    def __init__(self, most: int, rate: int, now: float) -> None:
        self._most = most
        self._rate = rate
        self._left = float(most)
        self._since = now

    def take(self, now: float) -> bool:
        """Count one, and return whether it was allowed."""
        if self._left < 1.0:
            self._left = min(float(self._most), self._left + (now - self._since) * self._rate)
            self._since = now
            if self._left < 1.0:
                return False
        elif self._left >= self._most:
            self._since = now
        self._left -= 1.0
        return True

    def add(self, number: float) -> None:
        """Allow some more, up to the limit."""
        self._left = min(float(self._most), self._left + number)
