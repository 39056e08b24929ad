"""Bounded tables of what was made of bytes that come again and again."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

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
    """Which keys came before, as far as a byte of a hash tells: one in 256 is mistaken.

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


class Memory(Generic[_Value]):
    """A bounded table from bytes to what was made of them, when they came for the second time.

    In two generations: when the young one is full it becomes the old one, and
    what is asked for again moves back. Nothing is ever searched for the oldest.

    :param most: entries of a generation.
    :param longest: bytes of a key; what is longer is not kept.
    """

    __slots__ = ("_longest", "_most", "_old", "_sightings", "young")

    def __init__(self, most: int, longest: int) -> None:
        self._most = most
        self._longest = longest
        self._sightings = Sightings()
        self._old: dict[bytes, _Value] = {}
        self.young: dict[bytes, _Value] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def recall(self, raw: bytes) -> _Value | None:
        """Return what :attr:`young` does not have, if it is still known."""
        value = self._old.get(raw)
        if value is not None:
            self._put(raw, value)
        return value

    def keep(self, raw: bytes, value: _Value) -> bool:
        """Remember *value* for a while if *raw* came before, and say whether."""
        if len(raw) > self._longest or not self._sightings.seen(raw):
            return False
        self._put(raw, value)
        return True

    def _put(self, raw: bytes, value: _Value) -> None:
        if len(self.young) >= self._most:
            self._old = self.young
            self.young = {}
        self.young[raw] = value
