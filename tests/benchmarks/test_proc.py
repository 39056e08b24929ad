"""Reading /proc, on a folder that looks like it."""

from pathlib import Path

import pytest

from benchmarks.proc import TICKS_PER_SECOND, cpu_seconds, memory, open_sockets, parse_kib, parse_stat, session_processes

STAT = "42 (gunicorn: (worker) x) S 7 40 40 0 -1 4194560 1 2 3 4 150 50 20 10 20 0 1 0 100 5000 200"


def add_process(proc: Path, pid: int, session: int, state: str = "S", ticks: int = 1, kib: int = 0) -> Path:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (python) {state} 1 {session} {session} 0 -1 0 0 0 0 0 {ticks} {ticks} 0 0 20 0")
    (folder / "smaps_rollup").write_text(f"00-ff ---p 0 00:00 0 [rollup]\nRss: {2 * kib} kB\nPss: {kib} kB\nPss_Dirty: 1 kB\n")
    (folder / "status").write_text(f"Name:\tpython\nVmHWM:\t  {3 * kib} kB\n")
    return folder


def test_a_name_may_hold_spaces_and_parentheses() -> None:
    stat = parse_stat(STAT)
    assert (stat.pid, stat.name, stat.state, stat.parent, stat.session) == (42, "gunicorn: (worker) x", "S", 7, 40)


def test_cpu_time_includes_children_that_ended() -> None:
    assert parse_stat(STAT).cpu_ticks == 150 + 50 + 20 + 10


@pytest.mark.parametrize(("key", "expected"), [("Pss", 7 * 1024), ("Rss", 9 * 1024), ("Swap", 0)])
def test_a_line_is_found_by_its_whole_name(key: str, expected: int) -> None:
    assert parse_kib("Pss_Dirty: 1 kB\nRss:  9 kB\nPss:  7 kB\n", key) == expected


def test_only_processes_of_the_session_count(tmp_path: Path) -> None:
    add_process(tmp_path, 10, 10, ticks=TICKS_PER_SECOND, kib=100)
    add_process(tmp_path, 11, 10, ticks=TICKS_PER_SECOND, kib=50)
    add_process(tmp_path, 12, 12, ticks=99 * TICKS_PER_SECOND, kib=999)
    (tmp_path / "cpuinfo").write_text("not a process")
    assert cpu_seconds(10, tmp_path) == 4.0
    used = memory(10, tmp_path)
    assert (used.pss, used.rss, used.peak_rss) == (150 * 1024, 300 * 1024, 450 * 1024)


def test_a_zombie_is_no_living_process_but_its_time_counts(tmp_path: Path) -> None:
    add_process(tmp_path, 10, 10, state="Z", ticks=TICKS_PER_SECOND)
    assert session_processes(10, tmp_path) == []
    assert cpu_seconds(10, tmp_path) == 2.0


def test_a_process_that_ends_meanwhile_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "13").mkdir()
    add_process(tmp_path, 10, 10)
    assert [stat.pid for stat in session_processes(10, tmp_path)] == [10]


def test_sockets_are_told_from_files(tmp_path: Path) -> None:
    folder = add_process(tmp_path, 10, 10) / "fd"
    folder.mkdir()
    for number, target in enumerate(["socket:[1]", "socket:[2]", "/dev/null", "pipe:[3]"]):
        (folder / str(number)).symlink_to(target)
    assert open_sockets(10, tmp_path) == 2
