"""Rows → a text table, and the file that keeps the figures."""

import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from .measure import Result
from .summary import Row
from .workloads import WORKLOADS

HEADINGS = (
    "server",
    "requests/s",
    "± %",
    "× best",
    "CPU µs",
    "× least",
    "busy",
    "p50 ms",
    "p99 ms",
    "PSS MiB",
    "RSS MiB",
    "errors",
)


def layout(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table with the first column to the left and all others to the right, as reStructuredText reads it."""
    table = [list(headings), *map(list, lines)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    text = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in table
    ]
    return "\n".join([rule, text[0].rstrip(), rule, *(line.rstrip() for line in text[1:]), rule])


def cells(row: Row) -> list[str]:
    """Return one line of the table."""
    if not row.rounds:
        return [row.server, "-", *[""] * (len(HEADINGS) - 3), str(row.errors)]
    return [
        row.server,
        f"{row.rate:,.0f}",
        f"{row.rate_spread * 50:.0f}",
        shown_ratio(row.rate_ratio),
        f"{row.cpu * 1e6:,.1f}",
        shown_ratio(row.cpu_ratio),
        f"{row.busy:.2f}",
        f"{row.p50 * 1e3:.2f}",
        f"{row.p99 * 1e3:.2f}",
        f"{row.pss / 2**20:.1f}",
        f"{row.rss / 2**20:.1f}",
        str(row.errors),
    ]


def shown_ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def table(rows: Iterable[Row]) -> str:
    """Return one table per workload, each under its title."""
    titles = {workload.name: workload.title for workload in WORKLOADS}
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.workload, []).append(row)
    parts = []
    for workload, group in grouped.items():
        title = f"{workload}: {titles.get(workload, workload)}"
        parts.append(f"{title}\n{'-' * len(title)}\n\n{layout(HEADINGS, map(cells, group))}")
        parts += [f"{row.server}: {row.failure}" for row in group if row.failure]
    return "\n\n".join(parts)


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load before": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def as_content(results: Iterable[Result], rows: Iterable[Row]) -> dict[str, object]:
    """Return every round and the summary, as JSON takes them."""
    return {"results": [result.as_dict() for result in results], "summary": [asdict(row) for row in rows]}


def save(folder: Path, name: str, text: str, content: dict[str, object]) -> None:
    """Print the table, and write it and all figures into the folder."""
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / f"{name}.txt").write_text(text + "\n")
    print(text)
