"""Bounded caches, which begin anew when they are full."""

from __future__ import annotations

from aiohttp_worker.http1.caches import remember


def test_full_cache_begins_anew() -> None:
    table: dict[str, int] = {}
    for number, key in enumerate("abc"):
        remember(table, 2, key, number)
    assert table == {"c": 2}
