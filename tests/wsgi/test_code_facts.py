"""Facts about a code object and those nested in it."""

from __future__ import annotations

import pytest

from aiohttp_worker.wsgi.code_facts import Facts, Reference, holds


@pytest.mark.parametrize("name", ["delegates", "streams", "collects", "is_coroutine"])
@pytest.mark.parametrize("depth", range(4))
def test_fact_of_nested_code_holds(name: str, depth: int) -> None:
    facts = Facts(**{name: True})
    for _ in range(depth):
        facts = Facts(within=[Facts(), facts])
    assert holds(facts, name)
    assert getattr(facts, name) is (depth == 0)
    assert not any(holds(facts, other) for other in {"delegates", "streams", "collects", "is_coroutine"} - {name})


def test_references_are_equal_by_their_attributes() -> None:
    assert {Reference("asyncio", ("sleep",)), Reference("asyncio", ("sleep",)), Reference("asyncio")} == {
        Reference("asyncio"),
        Reference("asyncio", ("sleep",)),
    }
