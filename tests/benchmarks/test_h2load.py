"""h2load's command line, and the result in its log."""

from pathlib import Path

import pytest

from benchmarks.h2load import VARIANTS, Shape, command, parse

OUTPUT = "TLS Protocol: TLSv1.3\nApplication protocol: h2\nStopped all clients for thread #0\n"
URL = "https://127.0.0.1:1/"


def test_result_is_in_seconds() -> None:
    log = "".join(f"{1_000_000 + number * 1000}\t200\t{1000 + number}\n" for number in range(100))
    load = parse(OUTPUT, log)
    assert (load.requests, load.errors) == (100, 0)
    assert load.seconds == pytest.approx(0.100099)
    assert (load.p50, load.p99, load.maximum) == (0.00105, 0.001099, 0.001099)


def test_errors_are_streams_without_a_status_and_statuses_from_400() -> None:
    load = parse(OUTPUT, "1\t200\t5\n1\t-1\t5\n1\t503\t5\n1\t304\t5\n")
    assert (load.requests, load.errors) == (2, 2)


def test_nothing_answered() -> None:
    assert parse(OUTPUT, "").requests == 0
    assert parse(OUTPUT, "1\t-1\t5\n").rate == 0


def test_http1_is_no_result() -> None:
    with pytest.raises(ValueError, match="spoke no HTTP/2: "):
        parse(OUTPUT.replace("h2", "http/1.1"), "1\t200\t5\n")


def test_streams_and_body(tmp_path: Path) -> None:
    line = command(URL, Shape("plain", 32, 1000), 16, 2, "1", tmp_path)
    assert line[:4] == ["taskset", "-c", "1", "h2load"]
    assert line[line.index("--clients") + 1] == "16"
    assert line[line.index("--max-concurrent-streams") + 1] == "32"
    assert line[line.index("--duration") + 1] == "2000ms"
    assert len(Path(line[line.index("--data") + 1]).read_bytes()) == 1000
    assert line[-1] == URL


def test_browser_asks_for_another_path_each_time(tmp_path: Path) -> None:
    line = command(URL, Shape("browser"), 64, 2, "1", tmp_path)
    uris = Path(line[line.index("--input-file") + 1]).read_text().split()
    assert len(set(uris)) == len(uris) == VARIANTS
    assert any(argument.startswith("--header=user-agent: Mozilla") for argument in line)
