"""Bounded caches, which keep an entry once it has been seen twice."""

from __future__ import annotations

from aiohttp_worker.http1.caches import Sightings


def test_sightings_of_anything_with_a_hash() -> None:
    sightings = Sightings()
    sightings.seen(("name", "value"))
    assert sightings.seen(("name", "value"))
    assert [sightings.seen((name, "value")) for name in range(1000)].count(True) < 100
