"""CPU time and memory of a server's processes, from /proc.

A server is started as the leader of a session of its own, so all its processes, also those that a
re-exec or a dead parent left behind, are found by their session.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stat:
    """The fields of ``/proc/PID/stat`` that are used here."""

    pid: int
    name: str
    state: str
    parent: int
    session: int
    cpu_ticks: int  # its own and that of its children that ended and were waited for


def parse_stat(line: str) -> Stat:
    """Read the text of ``/proc/PID/stat``; the name in parentheses may itself hold spaces and parentheses."""
    pid, _, rest = line.partition(" (")
    name, _, rest = rest.rpartition(") ")
    fields = rest.split()
    return Stat(int(pid), name, fields[0], int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])))


def parse_kib(text: str, key: str) -> int:
    """Return the bytes that the line ``key:  N kB`` of ``smaps_rollup`` or ``status`` names, 0 if there is none."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    return 0


def read_stats(proc: Path = PROC) -> Iterable[Stat]:
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                yield parse_stat((folder / "stat").read_text())
            except OSError:  # it ended meanwhile
                continue


def session_processes(session: int, proc: Path = PROC) -> list[Stat]:
    """Return the living processes of a session, without zombies."""
    return [stat for stat in read_stats(proc) if stat.session == session and stat.state != "Z"]


def cpu_seconds(session: int, proc: Path = PROC) -> float:
    """Return user and system time that all processes of a session have used, ended children included."""
    ticks = sum(stat.cpu_ticks for stat in read_stats(proc) if stat.session == session)
    return ticks / TICKS_PER_SECOND


@dataclass(frozen=True)
class Memory:
    """Bytes in use by all processes of a server."""

    pss: int  # shared pages divided by the number of their users
    rss: int
    peak_rss: int

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.pss + other.pss, self.rss + other.rss, self.peak_rss + other.peak_rss)


def memory(session: int, proc: Path = PROC) -> Memory:
    total = Memory(0, 0, 0)
    for stat in session_processes(session, proc):
        folder = proc / str(stat.pid)
        try:
            rollup = (folder / "smaps_rollup").read_text()
            status = (folder / "status").read_text()
        except OSError:
            continue
        total += Memory(parse_kib(rollup, "Pss"), parse_kib(rollup, "Rss"), parse_kib(status, "VmHWM"))
    return total


def open_sockets(session: int, proc: Path = PROC) -> int:
    """Return how many sockets the processes of a session have open; one that several share counts for each."""
    count = 0
    for stat in session_processes(session, proc):
        try:
            for link in (proc / str(stat.pid) / "fd").iterdir():
                try:
                    count += os.readlink(link).startswith("socket:")
                except OSError:  # closed meanwhile
                    continue
        except OSError:
            continue
    return count
