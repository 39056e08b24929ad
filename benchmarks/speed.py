"""The speed part: every server under every workload, several rounds, a table and a chart."""

from collections.abc import Sequence

from . import chart, report, summary
from .cores import Cores
from .environment import Environment, say
from .figures import rotated
from .measure import Result, measure
from .options import Options
from .servers import Server
from .workloads import Workload


def run_rounds(
    workloads: Sequence[Workload],
    servers: Sequence[Server],
    rounds: int,
    seconds: float,
    environment: Environment,
    pinned: Cores,
) -> list[Result]:
    """Measure everything once per round, each round starting with another server, so that drift meets all alike."""
    results = []
    for number in range(rounds):
        for workload in workloads:
            taking_part = [server for server in servers if workload.interface(server)]
            for server in rotated(taking_part, number):
                result = measure(server, workload, number, seconds, environment, pinned)
                results.append(result)
                shown = result.failure or f"{result.rate:10,.0f}/s {result.cpu * 1e6:8.1f} µs CPU"
                say(f"round {number + 1}/{rounds}  {workload.name:16} {server.name:18} {shown}")
    return results


def run(options: Options, environment: Environment, pinned: Cores) -> None:
    """Measure, print the table, save ``speed.json``, ``speed.txt`` and ``speed.svg``."""
    about = {**report.machine(), "server cores": pinned.server, "load cores": pinned.load}
    about |= {"rounds": options.rounds, "seconds": options.seconds}
    results = run_rounds(options.workloads, options.choose_servers(), options.rounds, options.seconds, environment, pinned)
    rows = summary.summarise(results)
    text = report.table(rows)
    report.save(options.output, "speed", text, {"machine": about, **report.as_content(results, rows)})
    (options.output / "speed.svg").write_text(chart.draw(rows))
