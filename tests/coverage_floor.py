"""Coverage of each file by the fast tests, held to a floor: ``make coverage``.

A file that they reach to less is either listed here, with the reason, or a fault; so is one that is listed and needs it no more.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PERCENT = 90.0

EXCUSED = {
    "aiohttp/coroutines.py": "what the worker steps for generators: tests/functional/test_dialects.py",
    "aiohttp/dialling.py": "errors of the system's resolver and of TLS with no verification: tests/client/functional",
    "aiohttp/proxies.py": "SOCKS needs a server of its own: tests/client/functional/test_proxies.py",
    "aiohttp_worker/__main__.py": "it is a process: tests/functional/test_paste.py",
    "aiohttp_worker/client.py": "its last lines are a process: tests/test_packaging.py",
    "aiohttp_worker/server/stream.py": "defaults of a class of which every protocol overrides some",
    "aiohttp_worker/testing/gunicorn_process.py": "it starts a process: tests/testing/test_gunicorn_process.py",
    "aiohttp_worker/testing/pytest_plugin.py": "its tests are a run of pytest: tests/testing/test_pytest_plugin.py",
    "aiohttp_worker/transport/descriptors.py": "its tests run in a forked process",
    "aiohttp_worker/transport/tls_records.py": "new keys need openssl's client, a process",
}


def faults(report: Path) -> list[str]:
    """Return what is wrong with a report of ``coverage json``, a line for each file."""
    found = []
    files = json.loads(report.read_text())["files"]
    for name, file in sorted(files.items()):
        summary = file["summary"]
        percent = summary["percent_covered"]
        excused = name in EXCUSED
        if percent < PERCENT and not excused:
            missing = ",".join(map(str, file["missing_lines"]))
            found.append(f"{name}: {percent:.0f} % of {summary['num_statements']} statements, not the lines {missing}")
        elif percent >= PERCENT and excused:
            found.append(f"{name}: {percent:.0f} %, so that it needs no excuse")
    found += [f"{name}: it is excused, and does not exist" for name in EXCUSED if name not in files]
    return found


def main() -> int:
    """Print the faults of the report that is named on the command line, and the excuses."""
    found = faults(Path(sys.argv[1]))
    for name, reason in EXCUSED.items():
        print(f"excused: {name}: {reason}")
    for line in found:
        print(line)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
