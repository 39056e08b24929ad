"""Bounded caches, which keep an entry once it has been seen twice."""

from __future__ import annotations

from aiohttp_worker.http1.caches import Memory, Sightings


def test_cache_keeps_the_latest() -> None:
    """What is asked for again stays, what is not goes."""
    memory: Memory[int] = Memory(most=2, longest=3)

    def keep_twice(raw: bytes, value: int) -> None:
        memory.keep(raw, value)
        assert memory.keep(raw, value)

    keep_twice(b"a", 1)
    assert not any([memory.keep(b"long", 2), memory.keep(b"long", 2)])
    assert len(memory) == 1
    keep_twice(b"b", 2)
    keep_twice(b"c", 3)
    assert memory.young == {b"c": 3}
    assert memory.recall(b"a") == 1
    assert memory.recall(b"x") is None
    keep_twice(b"d", 4)
    assert memory.recall(b"b") is None
    assert memory.recall(b"a") == 1


def test_value_seen_once_is_not_cached() -> None:
    """But for one in 256, whose hash looks like another's."""
    memory: Memory[int] = Memory(most=10_000, longest=100)
    kept = [memory.keep(b"line %d" % number, number) for number in range(1000)]
    assert kept.count(True) == len(memory) < 100


def test_sightings_of_anything_with_a_hash() -> None:
    sightings = Sightings()
    sightings.seen(("name", "value"))
    assert sightings.seen(("name", "value"))
    assert [sightings.seen((name, "value")) for name in range(1000)].count(True) < 100
