"""wrk's command line and result."""

import pytest

from benchmarks.wrk import command, parse

OUTPUT = """Running 1s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
Requests/sec:  50000.00

RESULT {"requests": 100000, "microseconds": 2000000, "bytes": 5, "p50": 1500, "p99": 9000, "maximum": 10000, \
"connect_errors": 1, "read_errors": 2, "write_errors": 3, "timeouts": 4, "status_errors": 5}
"""


def test_the_result_is_in_seconds() -> None:
    load = parse(OUTPUT)
    assert load.rate == 50_000
    assert (load.seconds, load.p50, load.p99, load.maximum) == (2.0, 0.0015, 0.009, 0.01)


def test_all_kinds_of_errors_count() -> None:
    assert parse(OUTPUT).errors == 15


def test_without_a_result_the_output_is_the_reason() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


def test_wrk_gets_whole_seconds_and_its_core() -> None:
    line = command("http://127.0.0.1:1/", "browser", 64, 0.4, "1")
    assert line[:4] == ["taskset", "-c", "1", "wrk"]
    assert "1s" in line and line[-2:] == ["--", "browser"]
