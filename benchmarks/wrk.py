"""wrk: its command line, and the result that ``load.lua`` prints."""

import json
import subprocess
from pathlib import Path

from .load import Load

SCRIPT = Path(__file__).with_name("load.lua")


def command(url: str, shape: str, connections: int, seconds: float, cores: str) -> list[str]:
    """Return the command line; wrk takes whole seconds only."""
    return [
        *("taskset", "-c", cores, "wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{max(1, round(seconds))}s", "--timeout", "10s", "--script", str(SCRIPT), url, "--", shape),
    ]


def parse(output: str) -> Load:
    """Read what ``load.lua`` printed.

    :raises ValueError: if there is no result in it.
    """
    for line in output.splitlines():
        if line.startswith("RESULT "):
            found = json.loads(line.removeprefix("RESULT "))
            return Load(
                requests=found["requests"],
                seconds=found["microseconds"] / 1e6,
                p50=found["p50"] / 1e6,
                p99=found["p99"] / 1e6,
                maximum=found["maximum"] / 1e6,
                errors=sum(value for key, value in found.items() if key.endswith("_errors") or key == "timeouts"),
            )
    raise ValueError(f"wrk gave no result: {output.strip()[-300:]}")


def run(url: str, shape: str, connections: int, seconds: float, cores: str) -> Load:
    """Run wrk for ``seconds``.

    :raises ValueError: if it gave no result.
    """
    completed = subprocess.run(
        command(url, shape, connections, seconds, cores),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    return parse(completed.stdout)
