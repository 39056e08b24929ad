"""Repeated messages that clients can cause, in a log that stays readable."""

from __future__ import annotations

import time

import pytest

from aiohttp_worker.transport.repetitions import Repetitions


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(time, "monotonic", one)
    return one


def test_once_a_minute_and_the_rest_counted(clock: Clock) -> None:
    said: list[str] = []
    whispered: list[str] = []
    log = Repetitions(said.append, whispered.append)
    for _ in range(5):
        log.tell(("a", 1), "one")
        log.tell(("b", 1), "two")
    assert said == ["one", "two"]
    assert whispered == ["one", "two"] * 4
    clock.now = 59.9
    log.tell(("a", 1), "one")
    assert len(said) == 2
    clock.now = 60
    log.tell(("a", 1), "one")
    log.tell(("a", 1), "one")
    assert said[2:] == ["one (and 5 times more since it was said last)"]
    clock.now = 121
    log.tell(("b", 1), "two")
    clock.now = 200
    log.tell(("b", 1), "two")
    assert said[3:] == ["two (and 4 times more since it was said last)", "two"]


def test_no_more_in_all_than_can_be_read(clock: Clock) -> None:
    """Nor is more remembered, whoever comes from however many addresses."""
    said: list[str] = []
    whispered: list[str] = []
    log = Repetitions(said.append, whispered.append)
    for number in range(10_000):
        log.tell(number, str(number))
    assert len(said) == 200
    assert len(whispered) == 9_800
    clock.now = 61
    for number in range(10_000, 10_100):
        log.tell(number, str(number))
    assert len(said) == 300
