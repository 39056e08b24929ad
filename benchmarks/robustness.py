"""``python -m benchmarks.robustness``: take our workers and the peers through a hostile network, print a table."""

import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

from . import report
from .cell import NOT_APPLICABLE, Cell
from .checks import cut_uploads, lifecycle, slow_loris, stalls, transfer
from .cores import Cores
from .environment import Environment, say
from .options import Options
from .process import Running, ServerError, check, free_port, running
from .servers import OURS, Deployment, Server

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
    "upload-coroutine": transfer.upload_of_1_gib,
    "download": transfer.download_of_1_gib,
}
EVENTS: dict[str, tuple[str, str, signal.Signals | None, int]] = {
    # name → (title, feature that is needed, signal, max_requests)
    "stop": ("graceful stop", "", signal.SIGTERM, 0),
    "reload": ("reload", "reload", signal.SIGHUP, 0),
    "max-requests": ("max_requests", "max_requests", None, 500),
}


def deploy(server: Server, **changes: int) -> Deployment:
    threads = THREADS if "threads" in server.features and server.name not in INLINE else 0
    return replace(Deployment("wsgi:probe", free_port(), threads=threads), **changes)  # type: ignore[arg-type]


def event_cells(name: str, server: Server, environment: Environment, pinned: Cores, runs: int) -> Cells:
    """Run one event several times, each with a server of its own."""
    title, feature, number, max_requests = EVENTS[name]
    label = f"{title}, {runs} runs: failed requests, in so many runs"
    if feature and feature not in server.features:
        yield label, NOT_APPLICABLE
        return
    failed, kept, answered, bad = 0, 0, 0, 0
    for _ in range(runs):
        deployment = deploy(server, max_requests=max_requests)
        with running(server, deployment, environment, pinned.server) as started:
            check(started, environment, 0, 13)
            seen = lifecycle.run(started, number)
        failed += seen.failed
        kept += seen.failed_kept
        answered += seen.answered
        bad += bool(seen.failed)
    yield label, Cell(f"{failed} in {bad}", failed)
    yield f"{title}: of them on kept connections", Cell(str(kept), kept)
    yield f"{title}: answered requests", Cell(f"{answered:,}")


def take_through(server: Server, names: list[str], environment: Environment, pinned: Cores, runs: int, patience: float) -> Cells:
    """Yield all cells of one server; a server that fails a check has a cell that says so."""
    for name in names:
        say(f"{server.name:18} {name}")
        try:
            if name in EVENTS:
                yield from event_cells(name, server, environment, pinned, runs)
                continue
            deployment, size = deploy(server), 13
            if name == "upload-coroutine":
                if "coroutine" not in server.interfaces:
                    continue
                deployment, size = replace(deployment, application="coroutine:upload", interface="coroutine"), 1
            with running(server, deployment, environment, pinned.server) as started:
                check(started, environment, 0, size)
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


def better_peers(columns: dict[str, dict[str, Cell]]) -> list[str]:
    """Return one line for each check in which a peer has a better figure than each of our workers."""
    lines = []
    for row in dict.fromkeys(row for cells in columns.values() for row in cells):
        values = {name: cells[row].value for name, cells in columns.items() if row in cells}
        ours = {name: value for name, value in values.items() if value is not None and name in OURS}
        peers = {name: value for name, value in values.items() if value is not None and name not in OURS}
        if not ours or not peers:
            continue
        best, peer = min(ours, key=ours.__getitem__), min(peers, key=peers.__getitem__)
        if peers[peer] < ours[best]:
            lines.append(f"{row}: {peer} {columns[peer][row].text}, {best} {columns[best][row].text}")
    return lines


def run(options: Options, environment: Environment, pinned: Cores) -> None:
    """Take all servers through all checks, print the table, save ``robustness.json`` and ``robustness.txt``."""
    columns = {
        server.name: dict(take_through(server, options.checks, environment, pinned, options.runs, options.patience))
        for server in options.choose_servers(DEFAULT)
    }
    cells = {name: {row: cell.as_content() for row, cell in column.items()} for name, column in columns.items()}
    better = better_peers(columns)
    text = "\n".join([table(columns), "", "A peer is better in:" if better else "No peer is better in any row.", *better])
    report.save(options.output, "robustness", text, {"machine": report.machine(), "cells": cells})


if __name__ == "__main__":
    from .__main__ import main

    main(["robustness", *sys.argv[1:]])
