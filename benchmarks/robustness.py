"""``python -m benchmarks.robustness``: take our workers and the peers through a hostile network, print a table."""

import argparse
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from . import cores, report, servers
from .cell import NOT_APPLICABLE, Cell
from .checks import cut_uploads, lifecycle, slow_loris, stalls, transfer
from .environment import Environment, prepare, say
from .process import Running, ServerError, check, free_port, running
from .servers import Deployment, Server

DEFAULT = (
    "aiohttp-worker,aiohttp-nostream,aiohttp-threads,sync,gthread,gevent,granian,waitress,bjoern,fastpysgi,fastwsgi,cheroot,uwsgi"
)
THREADS = 8  # for servers that have them, except where our inline form is measured
INLINE = ("aiohttp-worker", "aiohttp-nostream")

Cells = Iterator[tuple[str, Cell]]
Trouble = Callable[[Running, float], Cells]

TROUBLES: dict[str, Trouble] = {
    "heads": stalls.stalled_heads,
    "uploads": stalls.stalled_uploads,
    "readers": stalls.slow_readers,
    "idle": stalls.idle_connections,
    "loris": slow_loris.slow_loris,
    "upload": transfer.upload_of_1_gib,
    "download": transfer.download_of_1_gib,
}
EVENTS: dict[str, tuple[str, str, signal.Signals | None, int]] = {
    # name → (title, feature that is needed, signal, max_requests)
    "stop": ("graceful stop", "", signal.SIGTERM, 0),
    "reload": ("reload", "reload", signal.SIGHUP, 0),
    "max-requests": ("max_requests", "max_requests", None, 500),
}
CHECKS = (*TROUBLES, "cut", *EVENTS)


def deploy(server: Server, **changes: int) -> Deployment:
    threads = THREADS if "threads" in server.features and server.name not in INLINE else 0
    return replace(Deployment("wsgi:probe", free_port(), threads=threads), **changes)  # type: ignore[arg-type]


def event_cells(name: str, server: Server, environment: Environment, pinned: cores.Cores, runs: int) -> Cells:
    """Run one event several times, each with a server of its own."""
    title, feature, number, max_requests = EVENTS[name]
    label = f"{title}: failed requests, {runs} runs"
    if feature and feature not in server.features:
        yield label, NOT_APPLICABLE
        return
    workers = 2 if "workers" in server.features else 1
    failed, answered, clean = 0, 0, 0
    for _ in range(runs):
        deployment = deploy(server, workers=workers, max_requests=max_requests)
        with running(server, deployment, environment, pinned.server) as started:
            check(started, environment, 0, 13)
            seen = lifecycle.run(started, number)
        failed += seen.failed
        answered += seen.answered
        clean += not seen.failed
    yield label, Cell(f"{failed} ({runs - clean} bad)", failed)
    yield f"{title}: answered requests", Cell(f"{answered:,}")


def take_through(
    server: Server, names: list[str], environment: Environment, pinned: cores.Cores, runs: int, patience: float
) -> Cells:
    """Yield all cells of one server; a server that fails a check has a cell that says so."""
    for name in names:
        say(f"{server.name:18} {name}")
        try:
            if name in EVENTS:
                yield from event_cells(name, server, environment, pinned, runs)
                continue
            with running(server, deploy(server), environment, pinned.server) as started:
                check(started, environment, 0, 13)
                if name == "cut":
                    yield from cut_uploads.cut_uploads(started, environment)
                else:
                    yield from TROUBLES[name](started, patience)
        except (ServerError, OSError) as error:
            say(f"{server.name}: {error}")
            yield name, Cell("failed", float("inf"))


def table(columns: dict[str, dict[str, Cell]]) -> str:
    """Return one line per check and one column per server."""
    rows = list(dict.fromkeys(row for cells in columns.values() for row in cells))
    lines = [[row, *(cells.get(row, NOT_APPLICABLE).text for cells in columns.values())] for row in rows]
    return report.layout(["", *columns], lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--servers", default=DEFAULT, metavar="NAME,NAME")
    parser.add_argument("--checks", default=",".join(CHECKS), metavar="NAME,NAME")
    parser.add_argument("--runs", type=int, default=10, help="of each stop, reload and max_requests")
    parser.add_argument("--patience", type=float, default=75, help="seconds to wait for a server to end what makes no progress")
    parser.add_argument("--in-place", action="store_true", help="import our packages from the working tree, not installed")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), help="folder for the results")
    arguments = parser.parse_args()
    try:
        chosen = servers.find([name for name in arguments.servers.split(",") if name])
    except KeyError as error:
        parser.error(f"no server of the name {error}")
    names = [name for name in arguments.checks.split(",") if name]
    if unknown := set(names).difference(CHECKS):
        parser.error(f"no such check: {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    allow_many_files()
    environment = prepare(arguments.in_place)
    pinned = cores.choose(os.sched_getaffinity(0))
    pinned.pin_this_process()
    columns: dict[str, dict[str, Cell]] = {}
    for server in chosen:
        columns[server.name] = dict(take_through(server, names, environment, pinned, arguments.runs, arguments.patience))
    text = table(columns)
    arguments.output.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": report.machine(),
        "cells": {name: {row: asdict(cell) for row, cell in cells.items()} for name, cells in columns.items()},
    }
    (arguments.output / "robustness.json").write_text(json.dumps(content, indent=1) + "\n")
    (arguments.output / "robustness.txt").write_text(text + "\n")
    print(text)


def allow_many_files() -> None:
    """Raise the limit of open files to what is allowed; servers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
