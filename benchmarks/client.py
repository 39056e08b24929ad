"""Compare the client with the aiohttp on PyPI, which gets an environment of its own: ``python -m benchmarks.client``.

The server has one core and the client the other, where there are two. The clients take turns within each round, ratios are formed
within a round, and the middle one of all rounds is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEER = "aiohttp>=3.14,<3.15"
SCENARIOS = {
    "sequential": "one request after the other",
    "concurrent": "50 requests at a time",
    "stream": "a body of 10 MB, piece by piece",
    "post": "sending 1 MB",
    "json": "100 kB of JSON, gzipped",
    "new": "a connection for each request",
}
TARGETS = {
    "sequential": (1.5, 0.5),
    "concurrent": (2.5, 0.4),
    "stream": (0.95, 1.0),
    "post": (None, 0.7),
    "json": (None, 0.85),
    "new": (None, 0.65),
}
PEAK = 30  # MB

IMPORT = """
import asyncio, resource, ssl, sys, time
start = time.perf_counter()
import aiohttp
took = time.perf_counter() - start
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def pin(core: int) -> None:
    """Keep this process on one core, if it has more than one."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[min(core, len(cores) - 1)]})


def make_peer(folder: Path) -> Path:
    """The interpreter of an environment with PyPI's aiohttp and uvloop; made once."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PEER, "uvloop"], check=True)
    return python


class Measured:
    """Who can be measured: name, interpreter, loop and environment variables."""

    def __init__(self, name: str, python: Path | str, loop: str, variables: dict[str, str]) -> None:
        self.name = name
        self.python = python
        self.loop = loop
        self.environment = {**os.environ, **variables}

    def load(self, port: str, scenario: str, seconds: float) -> dict[str, float]:
        """One run."""
        words = [str(self.python), "-P", str(HERE / "client_load.py"), port, scenario, str(seconds), self.loop]
        run = subprocess.run(
            words, env=self.environment, stdout=subprocess.PIPE, text=True, check=True, timeout=120, preexec_fn=lambda: pin(1)
        )
        measured: dict[str, float] = json.loads(run.stdout)
        return measured

    def imports(self) -> tuple[float, float]:
        """Seconds and resident megabytes of ``import aiohttp``, asyncio and ssl being there."""
        runs = []
        for _ in range(7):
            run = subprocess.run(
                [str(self.python), "-P", "-c", IMPORT], env=self.environment, stdout=subprocess.PIPE, text=True, check=True
            )
            runs.append(tuple(float(word) for word in run.stdout.split()))
        return statistics.median(run[0] for run in runs), statistics.median(run[1] for run in runs)


def middle(values: list[float]) -> float:
    return statistics.median(values)


def compare(clients: list[Measured], port: str, scenario: str, seconds: float, rounds: int) -> None:
    """Measure one scenario and print a line for each client."""
    results: dict[str, list[dict[str, float]]] = {client.name: [] for client in clients}
    for number in range(rounds):
        order = clients[number % len(clients) :] + clients[: number % len(clients)]
        for client in order:
            results[client.name].append(client.load(port, scenario, seconds))
    first = results[clients[0].name]
    print(f"\n{scenario}: {SCENARIOS[scenario]}")
    for client in clients:
        own = results[client.name]
        rate = middle([one["rate"] / other["rate"] for one, other in zip(own, first, strict=True)])
        used = middle([one["cpu"] / other["cpu"] for one, other in zip(own, first, strict=True)])
        print(
            f"  {client.name:16} {middle([one['rate'] for one in own]):9.0f}/s  x{rate:5.2f}   "
            f"{middle([one['cpu'] for one in own]) * 1000:8.3f} ms CPU  x{used:5.2f}   {max(one['peak'] for one in own):5.1f} MB"
        )
    least, most = TARGETS[scenario]
    wanted = ([f"rate >= {least}"] if least else []) + [f"CPU <= {most}", f"peak <= {PEAK} MB"]
    print(f"  wanted of ours: {', '.join(wanted)}")


def arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help=f"of {', '.join(SCENARIOS)}; all by default")
    parser.add_argument("--seconds", type=float, default=2, help="length of one run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--environment", type=Path, default=ROOT / "build" / "benchmark-client", help="where the other aiohttp goes"
    )
    chosen = parser.parse_args()
    if importlib.util.find_spec("httptools") is None:
        parser.error(f"{sys.executable} lacks what our client needs; after `make test`, use .venv/bin/python")
    unknown = set(chosen.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    return chosen


def main() -> None:
    """Compare and print."""
    chosen = arguments()
    peer = make_peer(chosen.environment)
    mine = {"PYTHONPATH": str(ROOT)}
    clients = [
        Measured("aiohttp", peer, "asyncio", {}),
        Measured("aiohttp, uvloop", peer, "uvloop", {}),
        Measured("ours", sys.executable, "asyncio", mine),
        Measured("ours, uvloop", sys.executable, "uvloop", mine),
    ]
    server = subprocess.Popen(
        [sys.executable, "-P", str(HERE / "client_server.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: pin(0),
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        port = server.stdout.readline().strip()
        for scenario in chosen.scenarios or SCENARIOS:
            compare(clients, port, scenario, chosen.seconds, chosen.rounds)
    finally:
        server.stdin.close()
        server.wait(10)
    print("\nimport aiohttp, after asyncio and ssl")
    first = clients[0].imports()
    for client in (clients[0], clients[2]):
        took, peak = client.imports() if client is not clients[0] else first
        print(f"  {client.name:16} {took * 1000:7.1f} ms  x{took / first[0]:5.2f}   {peak:5.1f} MB")
    print("  wanted of ours: x <= 0.5, <= 25 MB")


if __name__ == "__main__":
    main()
