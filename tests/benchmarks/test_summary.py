"""Rounds → rows with ratios to the best peer."""

from benchmarks.measure import Result
from benchmarks.summary import Row, summarise

OURS = "aiohttp-worker"


def results(server: str, *rates: float, cpu: float = 1e-5) -> list[Result]:
    return [Result("hello", server, number, rate=rate, cpu=cpu) for number, rate in enumerate(rates)]


def rows_by_server(*parts: list[Result]) -> dict[str, Row]:
    return {row.server: row for row in summarise([result for part in parts for result in part])}


def test_rows_are_medians_and_the_fastest_comes_first() -> None:
    rows = summarise([*results("sync", 1, 2, 9), *results("bjoern", 50, 10, 30)])
    assert [(row.server, row.rate, row.rounds) for row in rows] == [("bjoern", 30, 3), ("sync", 2, 3)]


def test_ratios_are_to_the_best_peer_and_never_to_ours() -> None:
    rows = rows_by_server(results(OURS, 200), results("bjoern", 100), results("sync", 10))
    assert (rows[OURS].rate_ratio, rows["bjoern"].rate_ratio, rows["sync"].rate_ratio) == (2.0, 1.0, 0.1)


def test_the_leanest_peer_need_not_be_the_fastest() -> None:
    rows = rows_by_server(results(OURS, 1, cpu=4e-6), results("bjoern", 100, cpu=8e-6), results("uwsgi", 10, cpu=2e-6))
    assert (rows[OURS].cpu_ratio, rows["bjoern"].cpu_ratio) == (2.0, 4.0)


def test_a_round_that_failed_is_no_zero() -> None:
    failed = Result("hello", "bjoern", 1, failure="it died")
    row = rows_by_server(results("bjoern", 100), [failed])["bjoern"]
    assert (row.rate, row.rounds, row.failure) == (100, 1, "it died")


def test_a_server_that_always_failed_has_a_row_and_is_no_reference() -> None:
    rows = rows_by_server(results(OURS, 100), [Result("hello", "bjoern", 0, failure="it died")])
    assert (rows["bjoern"].rounds, rows["bjoern"].failure) == (0, "it died")
    assert rows[OURS].rate_ratio is None
