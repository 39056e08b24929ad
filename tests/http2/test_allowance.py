"""Limits on the rate of events: the allowance, and its return with time."""

from __future__ import annotations

from aiohttp_worker.http2.allowance import Allowance


def taken(allowance: Allowance, now: float) -> int:
    """How many are allowed at once."""
    number = 0
    while allowance.take(now):
        number += 1
    return number


def test_so_many_at_once_and_then_with_time() -> None:
    allowance = Allowance(10, 2, 0.0)
    assert taken(allowance, 0.0) == 10
    assert taken(allowance, 0.4) == 0
    assert taken(allowance, 3.0) == 6
    assert taken(allowance, 100.0) == 10


def test_time_without_use_does_not_add_up() -> None:
    allowance = Allowance(3, 1, 0.0)
    assert allowance.take(1000.0)
    assert taken(allowance, 1000.0) == 2


def test_a_steady_rate_below_the_limit_is_always_allowed() -> None:
    allowance = Allowance(5, 10, 0.0)
    assert all(allowance.take(number / 9) for number in range(1000))


def test_more_can_be_allowed() -> None:
    allowance = Allowance(4, 0, 0.0)
    assert taken(allowance, 0.0) == 4
    allowance.add(2.5)
    allowance.add(0.5)
    assert taken(allowance, 0.0) == 3
    allowance.add(1000)
    assert taken(allowance, 0.0) == 4
