"""Many results → one row per workload and server, beside the best peer of the same run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from .figures import best_peer, ratio, spread
from .measure import Result
from .servers import OURS


@dataclass(frozen=True)
class Row:
    """The medians of all rounds."""

    workload: str
    server: str
    rounds: int
    rate: float
    rate_spread: float
    cpu: float
    busy: float
    p50: float
    p99: float
    pss: int
    rss: int
    errors: int
    failure: str
    rate_ratio: float | None  # to the peer with the highest rate
    cpu_ratio: float | None  # to the peer with the least CPU per request


def summarise(results: Iterable[Result]) -> list[Row]:
    """Return the rows, workloads in the order they came, servers by their rate."""
    grouped: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        grouped.setdefault(result.workload, {}).setdefault(result.server, []).append(result)
    rows: list[Row] = []
    for workload, servers in grouped.items():
        rows += summarise_workload(workload, servers)
    return rows


def summarise_workload(workload: str, servers: dict[str, list[Result]]) -> list[Row]:
    rates = {name: median_of(results, "rate") for name, results in servers.items()}
    cpus = {name: median_of(results, "cpu") for name, results in servers.items()}
    fastest = best_peer(rates, OURS)
    # The least CPU is the highest of its negative.
    leanest = best_peer({name: -cpu for name, cpu in cpus.items() if cpu}, OURS)
    rows = []
    for name, results in servers.items():
        good = [result for result in results if not result.failure]
        rows.append(
            Row(
                workload,
                name,
                len(good),
                rates[name],
                spread([result.rate for result in good]) if good else 0.0,
                cpus[name],
                median_of(results, "busy"),
                median_of(results, "p50"),
                median_of(results, "p99"),
                int(median_of(results, "pss")),
                int(median_of(results, "rss")),
                sum(result.errors for result in results),
                next((result.failure for result in results if result.failure), ""),
                ratio(rates[name], rates[fastest]) if fastest else None,
                ratio(cpus[name], cpus[leanest]) if leanest else None,
            )
        )
    return sorted(rows, key=lambda row: -row.rate)


def median_of(results: Sequence[Result], attribute: str) -> float:
    """Return the median over the rounds that have figures, 0 if none has."""
    values: list[float] = [getattr(result, attribute) for result in results if not result.failure]
    return median(values) if values else 0.0
