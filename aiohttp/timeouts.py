"""How long things may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Timeout", "make_timeout"]


@dataclass(frozen=True, slots=True)
class Timeout:
    """Limits in seconds, None for no limit.

    ``total``: until ``request()`` returns, redirects and the wait for a connection included; the body of the response is not.
    ``connect``: to get a connection. ``read``: between two pieces of the response, the head included.
    ``exchange``: all of it, from the call to the last byte of the response's body.
    """

    total: float | None = None
    connect: float | None = None
    read: float | None = None
    exchange: float | None = None

    @property
    def call(self) -> float | None:
        """How long ``request()`` may take."""
        if self.total is None or self.exchange is None:
            return self.exchange if self.total is None else self.total
        return min(self.total, self.exchange)

    def __post_init__(self) -> None:
        for seconds in (self.total, self.connect, self.read, self.exchange):
            if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0):
                raise ValueError(f"a timeout is a positive number of seconds, not {seconds!r}")


def make_timeout(value: Any) -> Timeout:
    """A Timeout from a number (total), (connect, read) or (connect, read, total). Raises ValueError for anything else."""
    if isinstance(value, Timeout):
        return value
    if isinstance(value, tuple | list):
        if len(value) == 2:
            return Timeout(connect=value[0], read=value[1])
        if len(value) == 3:
            return Timeout(connect=value[0], read=value[1], total=value[2])
    elif isinstance(value, int | float):
        return Timeout(total=value)
    raise ValueError(f"timeout is a number, (connect, read), (connect, read, total) or a Timeout, not {value!r}")
