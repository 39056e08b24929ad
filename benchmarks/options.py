"""The command line, the same for all parts."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from . import servers, workloads
from .checks import CHECKS
from .servers import Server
from .workloads import Workload

PARTS = ("speed", "layers", "scale", "robustness")


@dataclass(frozen=True)
class Options:
    """What is to be run, and how long."""

    parts: list[str]
    servers: list[str]  # empty: what suits the part
    workloads: list[Workload]
    checks: list[str]
    rounds: int
    seconds: float
    runs: int
    patience: float
    idle: int
    count_instructions: bool
    in_place: bool
    server_cores: str
    load_cores: str
    output: Path

    def choose_servers(self, default: str = "") -> list[Server]:
        """Return the servers that were asked for, otherwise those in ``default`` (comma-separated; all if empty)."""
        if self.servers:
            return servers.find(self.servers)
        found = servers.find(split(default))
        # From the working tree both forms are the same files.
        return [server for server in found if server.form != "plain"] if self.in_place else found


def split(names: str) -> list[str]:
    return [name for name in names.split(",") if name]


def parse(arguments: list[str]) -> Options:
    """Read the command line; ends the process with a word where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare the workers with other servers. Without a part: speed, layers and scale.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}")
    parser.add_argument(
        "--servers", default="", metavar="NAME,NAME", help=f"of {', '.join(server.name for server in servers.SERVERS)}"
    )
    parser.add_argument(
        "--workloads", default="", metavar="NAME,NAME", help=f"speed: of {', '.join(known.name for known in workloads.WORKLOADS)}"
    )
    parser.add_argument("--checks", default="", metavar="NAME,NAME", help=f"robustness: of {', '.join(CHECKS)}")
    parser.add_argument("--rounds", type=int, default=5, help="speed: how often each server meets each workload")
    parser.add_argument("--seconds", type=float, default=4, help="speed, scale: of load per measurement, whole seconds")
    parser.add_argument("--runs", type=int, default=10, help="robustness: of each stop, reload and max_requests")
    parser.add_argument("--patience", type=float, default=75, help="robustness: seconds until what makes no progress should end")
    parser.add_argument("--idle", type=int, default=10_000, help="scale: idle connections")
    parser.add_argument("--no-instructions", action="store_true", help="layers: microseconds only; counting takes minutes")
    parser.add_argument("--in-place", action="store_true", help="import our packages from the working tree, not installed")
    parser.add_argument("--server-cores", default="", help="as taskset -c takes them; the first one if empty")
    parser.add_argument("--load-cores", default="", help="the others if empty")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), help="folder for the results")
    found = parser.parse_args(arguments)
    checks = split(found.checks) or list(CHECKS)
    for kind, asked, known in (("part", found.parts, PARTS), ("check", checks, CHECKS)):
        if unknown := [name for name in asked if name not in known]:
            parser.error(f"no {kind} of the name {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        servers.find(split(found.servers))
        chosen = workloads.find(split(found.workloads))
    except KeyError as error:
        parser.error(f"no server or workload of the name {error}")
    return Options(
        found.parts or ["speed", "layers", "scale"],
        split(found.servers),
        chosen,
        checks,
        found.rounds,
        found.seconds,
        found.runs,
        found.patience,
        found.idle,
        not found.no_instructions,
        found.in_place,
        found.server_cores,
        found.load_cores,
        found.output,
    )
