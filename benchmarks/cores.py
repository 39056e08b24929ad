"""Cores for the server and for the load."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """Two lists as ``taskset -c`` takes them."""

    server: str
    load: str

    def pin_this_process(self) -> None:
        """Keep this process, and the clients it runs, away from the server's core."""
        os.sched_setaffinity(0, parse_list(self.load))


def choose(available: set[int], server: str = "", load: str = "") -> Cores:
    """Give the server the first core and the load all others, if nothing else is asked for; a single one they share."""
    first, *others = sorted(available)
    return Cores(server or str(first), load or ",".join(map(str, others or [first])))


def parse_list(cores: str) -> set[int]:
    """Return the numbers in a list like ``0,2-3``."""
    found: set[int] = set()
    for part in cores.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found
