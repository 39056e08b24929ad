"""Rows → a table."""

import json
from pathlib import Path

import pytest

from benchmarks.measure import Result
from benchmarks.report import as_content, layout, save, table
from benchmarks.summary import summarise

RESULTS = [
    Result("hello", "bjoern", 0, rate=1234.4, cpu=8.26e-6, busy=0.99, p50=0.0005, p99=0.002, pss=2**20, rss=2**21, errors=3),
    Result("hello", "sync", 0, failure="did not listen"),
]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert layout(["a", "b"], [["long name", "1"]]) == ("=========  =\na          b\n=========  =\nlong name  1\n=========  =")


def test_each_workload_has_its_title_and_table() -> None:
    text = table(summarise(RESULTS))
    assert text.startswith("hello: hello, the same request again and again\n----")
    (line,) = (line for line in text.splitlines() if line.startswith("bjoern"))
    assert line.split() == ["bjoern", "1,234", "0", "1.00", "8.3", "1.00", "0.99", "0.50", "2.00", "1.0", "2.0", "3"]


def test_a_failure_is_said_below_the_table() -> None:
    assert table(summarise(RESULTS)).endswith("sync: did not listen")


def test_every_round_is_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, "speed", "the table", as_content(RESULTS, summarise(RESULTS)))
    saved = json.loads((tmp_path / "speed.json").read_text())
    assert [result["server"] for result in saved["results"]] == ["bjoern", "sync"]
    assert saved["summary"][0]["rate"] == 1234.4
    assert (tmp_path / "speed.txt").read_text() == capsys.readouterr().out == "the table\n"
