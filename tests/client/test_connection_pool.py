"""Slots and idle connections, without any network."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from aiohttp.connection_pool import ConnectionPool


class Idle:
    def __init__(self, key: str) -> None:
        self.key = key
        self.idle_since = 0.0
        self.closed = False

    def close(self) -> None:
        self.closed = True


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_waiters_come_in_order(run: Any) -> None:
    async def main() -> None:
        pool: ConnectionPool[Idle] = ConnectionPool(2, 0)
        order: list[int] = []

        async def take(number: int) -> None:
            if not pool.try_acquire("a"):
                await pool.acquire("a")
            order.append(number)

        tasks = [asyncio.create_task(take(number)) for number in range(6)]
        await settle()
        assert order == [0, 1]
        assert not pool.try_acquire("b")
        for expected in range(2, 6):
            pool.release_slot("a")
            await settle()
            assert order[-1] == expected
        for _ in range(2):
            pool.release_slot("a")
        assert pool.in_use == 0
        await asyncio.gather(*tasks)

    run(main)


def test_limit_per_host(run: Any) -> None:
    async def main() -> None:
        pool: ConnectionPool[Idle] = ConnectionPool(3, 1)
        assert pool.try_acquire("a")
        assert not pool.try_acquire("a")
        assert pool.try_acquire("b")
        waiting = asyncio.create_task(pool.acquire("a"))
        await settle()
        assert pool.try_acquire("c")
        assert not pool.try_acquire("d")  # the whole pool is full
        pool.release_slot("a")
        await settle()
        assert waiting.done()
        assert pool.in_use == 3
        for key in "abc":
            pool.release_slot(key)
        assert (pool.in_use, pool._in_use_per_host) == (0, {})

    run(main)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_whoever_is_cancelled(run: Any, seed: int) -> None:
    """Random users, each cancelled at a random moment; afterwards every slot is free and nobody waits."""

    async def main() -> None:
        source = random.Random(seed)
        pool: ConnectionPool[Idle] = ConnectionPool(source.choice([1, 2, 5]), source.choice([0, 1, 2]))
        most = 0

        async def use(key: str, turns: int) -> None:
            nonlocal most
            if not pool.try_acquire(key):
                await pool.acquire(key)
            try:
                most = max(most, pool.in_use)
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                pool.release_slot(key)

        tasks = []
        for _ in range(200):
            tasks.append(asyncio.create_task(use(source.choice("abc"), source.randrange(5))))
            if source.random() < 0.4:
                source.choice(tasks).cancel()
            if source.random() < 0.3:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert pool.in_use == 0
        assert not pool._in_use_per_host
        assert most <= pool.limit
        assert pool.try_acquire("a")

    run(main)


def test_idle_connections() -> None:
    pool: ConnectionPool[Idle] = ConnectionPool(2, 0)
    first, second, third, other = Idle("a"), Idle("a"), Idle("a"), Idle("b")
    assert pool.add_idle(first) is None
    assert pool.add_idle(second) is None
    assert pool.add_idle(other) is first  # one too many: the oldest goes
    assert pool.oldest() is second
    assert pool.take_idle("a") is second
    assert pool.take_idle("a") is None
    pool.add_idle(third)
    pool.discard_idle(first)  # not there any more
    pool.discard_idle(third)
    assert pool.take_idle("a") is None
    assert pool.pop_oldest() is other
    assert pool.pop_oldest() is None
    assert pool.oldest() is None


def test_last_used_first() -> None:
    pool: ConnectionPool[Idle] = ConnectionPool(0, 0)
    idle = [Idle("a") for _ in range(3)]
    for one in idle:
        pool.add_idle(one)
    assert [pool.take_idle("a") for _ in range(3)] == idle[::-1]


def test_idle_ones_make_room() -> None:
    pool: ConnectionPool[Idle] = ConnectionPool(2, 0)
    pool.add_idle(Idle("a"))
    pool.add_idle(Idle("b"))
    assert pool.try_acquire("c")
    assert pool.crowded()
    assert pool.pop_oldest() is not None
    assert not pool.crowded()


def test_no_limit() -> None:
    pool: ConnectionPool[Idle] = ConnectionPool(0, 0)
    assert all(pool.try_acquire("a") for _ in range(1000))
    assert not pool.crowded()
