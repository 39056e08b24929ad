"""Terms are values."""

from __future__ import annotations

import dataclasses

import pytest

from aiohttp_worker.websocket.terms import Terms


def test_terms_are_hashable_and_fixed() -> None:
    assert hash(Terms()) == hash(Terms())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Terms().compression = False  # type: ignore[misc]
