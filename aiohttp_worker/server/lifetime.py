"""Phases of a connection and the time limit of each: head, body, keep-alive, unread answer, lingering close."""

from __future__ import annotations

import enum
import math
from typing import Final

from .settings import TimeLimits

NEVER: Final = math.inf


class Phase(enum.Enum):
    """Phase of a connection: each waits for something, and may last so long."""

    NEW = "accepted; no request has begun"
    IDLE = "between two requests"
    HEAD = "a head is being received"
    COLLECT = "a body is being received for an application that is called with all of it"
    CALL = "the application is being called; what it answers at once needs no other phase"
    RUN = "a request is being answered"
    HELD = "received requests wait until the client reads, or until other connections had their turn"
    SKIP = "answered; the rest of a body, which nobody reads, is being received"
    CLOSING = "answered for the last time; the answer is being sent"
    LINGER = "answered for the last time; what is received is thrown away"
    CLOSED = "the transport is gone"

    # Members are singletons. Enum's own hash is a Python function, called for each connection once a second.
    __hash__ = object.__hash__


# Bound here once: looked up in a class, a member costs more than the rest of a line.
NEW: Final = Phase.NEW
IDLE: Final = Phase.IDLE
HEAD: Final = Phase.HEAD
COLLECT: Final = Phase.COLLECT
CALL: Final = Phase.CALL
RUN: Final = Phase.RUN
HELD: Final = Phase.HELD
SKIP: Final = Phase.SKIP
CLOSING: Final = Phase.CLOSING
LINGER: Final = Phase.LINGER
CLOSED: Final = Phase.CLOSED


def phase_limits(times: TimeLimits, draining: bool) -> dict[Phase, float]:
    """Return how long each phase may last, in seconds.

    Missing are the phases whose limit is that of the body: how fast that comes, and not when the phase began, decides.

    :param draining: the worker stops gracefully, and idle connections end soon.
    """
    return {
        NEW: times.head or NEVER,
        IDLE: min(times.linger, times.keep_alive) if draining else times.keep_alive,
        HEAD: times.head or NEVER,
        HELD: NEVER,
        CLOSING: times.write or NEVER,
        LINGER: times.linger,
        CLOSED: NEVER,
    }


class Lifetime:
    """The phase of one connection, and since when it lasts.

    :ivar phase: set directly where a phase has no time limit of its own, by :meth:`enter` where it has one.
    :ivar since: when the phase began or, where the client is still reading the last answer, when it last read; on the monotonic
        clock, in seconds.
    """

    __slots__ = ("phase", "since")

    def __init__(self, now: float) -> None:
        self.phase = NEW
        self.since = now

    def enter(self, phase: Phase, now: float) -> None:
        """Begin a phase, and its time limit."""
        self.phase = phase
        self.since = now

    def postpone(self, now: float) -> None:
        """Begin the time limit anew where it counts from when the client has read the last answer."""
        phase = self.phase
        if phase is IDLE or phase is CLOSING or phase is LINGER:
            self.since = now

    def deadline(self, limits: dict[Phase, float], body_deadline: float) -> float:
        """Return when the phase has lasted too long, on the monotonic clock: the one place where time limits become times.

        :param limits: of :func:`phase_limits`.
        :param body_deadline: when the body that is being received is too slow.
        """
        limit = limits.get(self.phase)
        return body_deadline if limit is None else self.since + limit
