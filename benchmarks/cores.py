"""Which cores the server and the load run on."""

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


def choose(available: set[int]) -> Cores:
    """Give the server the first core and the load all others; with a single one they share it."""
    first, *others = sorted(available)
    return Cores(str(first), ",".join(map(str, others or [first])))


def parse_list(cores: str) -> set[int]:
    return {int(core) for core in cores.split(",")}
