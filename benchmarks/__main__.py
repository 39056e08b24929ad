"""``python -m benchmarks``: run the workloads, print the table, save figures and chart."""

import argparse
import os
import time
from pathlib import Path

from . import chart, cores, report, servers, summary, workloads
from .environment import Environment, prepare, say
from .figures import rotated
from .measure import Result, measure


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--servers", default="", metavar="NAME,NAME", help="only these; all if empty")
    parser.add_argument("--workloads", default="", metavar="NAME,NAME", help="only these; all if empty")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of load per measurement; whole seconds")
    parser.add_argument("--server-cores", default="", help="as taskset -c takes them; the first one if empty")
    parser.add_argument("--load-cores", default="", help="the others if empty")
    parser.add_argument("--in-place", action="store_true", help="import our packages from the working tree, not installed")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), help="folder for the results")
    parser.add_argument("--list", action="store_true", help="list servers and workloads, and end")
    return parser.parse_args()


def split(names: str) -> list[str]:
    return [name for name in names.split(",") if name]


def run_rounds(
    chosen: list[workloads.Workload],
    by: list[servers.Server],
    rounds: int,
    seconds: float,
    environment: Environment,
    pinned: cores.Cores,
) -> list[Result]:
    """Measure everything once per round, each round starting with another server, so that drift meets all alike."""
    results = []
    for number in range(rounds):
        for workload in chosen:
            taking_part = [server for server in by if workload.interface(server)]
            for server in rotated(taking_part, number):
                result = measure(server, workload, number, seconds, environment, pinned)
                results.append(result)
                shown = result.failure or f"{result.rate:10,.0f}/s {result.cpu * 1e6:8.1f} µs CPU"
                say(f"round {number + 1}/{rounds}  {workload.name:16} {server.name:18} {shown}")
    return results


def main() -> None:
    arguments = parse_arguments()
    if arguments.list:
        print("servers:   ", ", ".join(server.name for server in servers.SERVERS))
        print("workloads: ", ", ".join(workload.name for workload in workloads.WORKLOADS))
        return
    try:
        chosen = workloads.find(split(arguments.workloads))
        by = servers.find(split(arguments.servers))
    except KeyError as error:
        raise SystemExit(f"no server or workload of the name {error}; see --list") from None
    environment = prepare(arguments.in_place)
    pinned = cores.choose(os.sched_getaffinity(0))
    pinned = cores.Cores(arguments.server_cores or pinned.server, arguments.load_cores or pinned.load)
    about = {**report.machine(), "server cores": pinned.server, "load cores": pinned.load}
    about |= {"rounds": arguments.rounds, "seconds": arguments.seconds, "date": time.strftime("%Y-%m-%d")}
    results = run_rounds(chosen, by, arguments.rounds, arguments.seconds, environment, pinned)
    rows = summary.summarise(results)
    text = report.table(rows)
    arguments.output.mkdir(parents=True, exist_ok=True)
    report.save(arguments.output / "speed.json", about, results, rows)
    (arguments.output / "speed.txt").write_text(text + "\n")
    (arguments.output / "speed.svg").write_text(chart.draw(rows))
    print(text)


if __name__ == "__main__":
    main()
