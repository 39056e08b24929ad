"""When garbage is collected for generators that a cut body left behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from aiohttp_worker.server.leftovers import Leftovers


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    calls: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: calls.append(1) or 0)
    return calls


def test_nothing_is_collected_without_leftovers(collected: list[int]) -> None:
    Leftovers().collect(1000.0)
    assert collected == []


def test_once_for_all_of_a_tick(collected: list[int]) -> None:
    leftovers = Leftovers()
    leftovers.add()
    leftovers.add()
    leftovers.collect(1000.0)
    leftovers.collect(2000.0)
    assert collected == [1]


def test_not_at_every_tick(collected: list[int]) -> None:
    """For one per cent of the time at most."""
    leftovers = Leftovers()
    leftovers.add()
    leftovers.collect(1000.0)
    leftovers._next = 1010.0  # what a collection of a tenth of a second makes of it
    leftovers.add()
    leftovers.collect(1005.0)
    assert collected == [1]
    leftovers.collect(1010.0)
    assert collected == [1, 1]


def test_a_collector_that_is_switched_off(collected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "isenabled", lambda: False)
    leftovers = Leftovers()
    leftovers.add()
    leftovers.collect(1000.0)
    assert collected == []
