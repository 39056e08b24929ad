"""Instructions of a request, against a budget: ``python -m benchmarks.instructions``.

With ``--write`` what was counted becomes the new budget.

Counted by valgrind, for a connection without a socket and with a clock that counts its calls: the same files give the same
figure on every machine of one kind, whatever else runs there. The budget, ``instructions.json``, is for the compiled form under
the Python that it names; with another one, or without valgrind, nothing is compared.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .layers import VALGRIND, parse_instructions

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(__file__).with_name("apps") / "connection.py"
BUDGET = Path(__file__).with_name("instructions.json")
CASES = ("get", "iterable", "post", "vary")
REQUESTS = 1000  # between the two runs whose instructions are compared
ALLOWANCE = 0.01  # what another revision of the interpreter or the compiler may make of the same files


def count(case: str) -> float:
    """Return the instructions of one request: the difference of two runs, so that starting up cancels out.

    :raises subprocess.CalledProcessError: a run failed.
    :raises ValueError: valgrind told no figure.
    """
    variables = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(["", str(ROOT)])}
    variables["MALLOC_TOP_PAD_"] = str(100 << 20)  # one heap for all, so that where it would have to grow decides nothing
    program = [sys.executable, str(PROGRAM), case]
    # The first run of all compiles what it imports, and would not be comparable.
    subprocess.run([*program, "1"], cwd=os.getcwd(), env=variables, capture_output=True, timeout=600, check=True)
    counts = []
    for requests in (REQUESTS, 2 * REQUESTS):
        command = [*VALGRIND, *program, str(requests)]
        done = subprocess.run(command, cwd=os.getcwd(), env=variables, capture_output=True, text=True, timeout=600, check=True)
        counted = parse_instructions(done.stderr)
        if counted is None:
            raise ValueError(f"no figure in what valgrind said: {done.stderr[-500:]}")
        counts.append(counted)
    return (counts[1] - counts[0]) / REQUESTS


def over_budget(counted: Mapping[str, float], budget: Mapping[str, float]) -> list[str]:
    """Return a sentence for each case that takes more than it may, or has no budget."""
    found = []
    for case, figure in counted.items():
        allowed = budget.get(case)
        if allowed is None:
            found.append(f"{case}: {figure:,.0f} instructions, and no budget")
        elif figure > allowed * (1 + ALLOWANCE):
            found.append(f"{case}: {figure:,.0f} instructions, {figure / allowed - 1:.1%} more than {allowed:,.0f}")
    return found


def version() -> str:
    """Return what the budget depends on besides the files: the interpreter's minor version."""
    return f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}-{os.uname().machine}"


def main(arguments: list[str]) -> int:
    """Count, compare, and return the exit status."""
    budget = json.loads(BUDGET.read_text(encoding="utf-8")) if BUDGET.exists() else {}
    if "--write" not in arguments and budget.get("python") != version():
        print(f"the budget is for {budget.get('python')}, this is {version()}: nothing is compared")
        return 0
    try:
        counted = {case: count(case) for case in CASES}
    except FileNotFoundError:
        print("valgrind is not installed: nothing is counted")
        return 0
    for case, figure in counted.items():
        print(f"{case:10} {figure:10,.0f}")
    if "--write" in arguments:
        content = {"python": version(), "instructions": {case: round(figure) for case, figure in counted.items()}}
        BUDGET.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return 0
    over = over_budget(counted, budget["instructions"])
    print("\n".join(over) or "within the budget")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
