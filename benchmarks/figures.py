"""Statistics of repeated measurements."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")


def spread(values: Sequence[float]) -> float:
    """Return how far the extremes lie apart, as a part of the median."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def best_peer(rates: Mapping[str, float], ours: Iterable[str]) -> str | None:
    """Return the name of the server with the highest rate that is not one of ours."""
    own = set(ours)
    peers = {name: rate for name, rate in rates.items() if name not in own}
    return max(peers, key=peers.__getitem__) if peers else None


def ratio(value: float, reference: float) -> float | None:
    """Return ``value`` as a multiple of ``reference``, None if that is 0."""
    return value / reference if reference else None


def rotated(items: Sequence[T], by: int) -> list[T]:
    """Return the items starting at another one, so that no server is always first."""
    if not items:
        return []
    by %= len(items)
    return [*items[by:], *items[:by]]


def at(values: Sequence[float], part: float) -> float:
    """Return the value below which that part of the sorted values lies, 0 if there are none."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0
