"""Statistics."""

import pytest

from benchmarks.figures import at, best_peer, ratio, rotated, spread


def test_spread_is_relative_to_the_median() -> None:
    assert spread([90, 100, 120]) == pytest.approx(0.3)
    assert spread([0, 0]) == 0.0


def test_the_best_peer_is_none_of_ours() -> None:
    rates = {"ours": 100.0, "granian": 80.0, "sync": 3.0}
    assert best_peer(rates, ["ours"]) == "granian"
    assert best_peer({"ours": 100.0}, ["ours"]) is None


def test_there_is_no_ratio_to_nothing() -> None:
    assert ratio(3, 2) == 1.5
    assert ratio(3, 0) is None


def test_each_round_starts_with_another() -> None:
    assert [rotated("abc", number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert rotated([], 5) == []


def test_value_at_a_part_of_the_sorted() -> None:
    assert [at(range(100), part) for part in (0.0, 0.5, 0.99, 1.0)] == [0, 50, 99, 99]
    assert at([], 0.5) == 0.0
