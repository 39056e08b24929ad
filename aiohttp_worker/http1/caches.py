"""Bounded caches for parsed request lines, header fields and encoded heads."""

from __future__ import annotations

from typing import Final, TypeVar

_HASH_BITS: Final = 12
_MARKS: Final = 1 << _HASH_BITS
_HASHES: Final = _MARKS << 8

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def remember(table: dict[_Key, _Value], most: int, key: _Key, value: _Value) -> None:
    """Put an entry into a table that begins anew when it has *most* of them."""
    if len(table) >= most:
        table.clear()
    table[key] = value


class Sightings:
    """Keys that came before, as far as a byte of a hash tells: one in 256 is mistaken.

    Most of what comes once never comes again. Kept, it would push what does out
    of the processor's caches.
    """

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks = [0] * _MARKS  # small numbers, which exist once

    def seen(self, key: object) -> bool:
        """Say whether *key* came before, and note that it came."""
        value = hash(key) % _HASHES  # small, before anything else is done with it
        slot = value & (_MARKS - 1)
        mark = value >> _HASH_BITS
        if self._marks[slot] == mark:
            return True
        self._marks[slot] = mark
        return False
