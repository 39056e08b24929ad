"""Bounded caches."""

from __future__ import annotations

from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def remember(table: dict[_Key, _Value], most: int, key: _Key, value: _Value) -> None:
    """Put an entry into a table that begins anew when it has *most* of them."""
    if len(table) >= most:
        table.clear()
    table[key] = value
