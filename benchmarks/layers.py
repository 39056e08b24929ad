"""The layers part: microseconds and instructions of the pure layers, without the noise of a network.

Instructions are counted by ``perf stat`` where the processor lets it, otherwise by valgrind where it is installed.
"""

import json
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass

from . import report
from .cores import Cores
from .environment import APPS, Environment, say
from .options import Options

PROGRAM = APPS / "layers.py"
COUNTED = 1000  # requests between the two runs whose instructions are compared
PERF = ("perf", "stat", "-x", ",", "-e", "instructions:u")
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


@dataclass(frozen=True)
class Figure:
    """One case in one form of our distribution."""

    form: str
    case: str
    microseconds: float
    relative: float  # to one turn of a fixed loop in Python on the same machine
    instructions: float | None  # per request


def run_program(environment: Environment, form: str, arguments: list[str], prefix: tuple[str, ...]) -> tuple[str, str]:
    """Run the program and return what it and its observer wrote.

    :raises subprocess.CalledProcessError: if it failed.
    """
    # One order of sets and dicts in all runs: otherwise instruction counts differ.
    variables = {**environment.variables(form), "PYTHONHASHSEED": "0"}
    command = [*prefix, str(environment.python), str(PROGRAM), *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600, check=True)
    return done.stdout, done.stderr


def parse_instructions(text: str) -> int | None:
    """Return the count in the output of perf or cachegrind, None if there is none."""
    counted = re.search(r"^(\d+),[^,]*,instructions", text, re.MULTILINE) or re.search(r"I\s+refs:\s+([\d,]+)", text)
    return int(counted[1].replace(",", "")) if counted else None


def choose_counter() -> tuple[str, ...]:
    """Return the command that counts here, empty if none does."""
    if shutil.which(PERF[0]):
        tried = subprocess.run([*PERF, "true"], capture_output=True, text=True, check=False)
        if parse_instructions(tried.stderr) is not None:
            return PERF
    return VALGRIND if shutil.which(VALGRIND[0]) else ()


def instructions(environment: Environment, form: str, case: str, counter: tuple[str, ...]) -> float | None:
    """Return the instructions per request: the difference of two runs, so that starting up cancels out."""
    if not counter:
        return None
    counts = []
    for requests in (COUNTED, 2 * COUNTED):
        _, text = run_program(environment, form, ["count", case, str(requests)], counter)
        counted = parse_instructions(text)
        if counted is None:
            return None
        counts.append(counted)
    return (counts[1] - counts[0]) / COUNTED


def measure(environment: Environment, counter: tuple[str, ...], pinned: Cores) -> list[Figure]:
    figures = []
    # From the working tree both forms are the same files: the later name, "plain", stays.
    for form in {folder: form for form, folder in environment.forms.items()}.values():
        output, _ = run_program(environment, form, ["time"], ("taskset", "-c", pinned.server))
        found: dict[str, float] = json.loads(output)
        calibration = found.pop("calibration")
        for case, microseconds in found.items():
            counted = instructions(environment, form, case, counter) if case.endswith("answer") else None
            figures.append(Figure(form, case, microseconds, microseconds / calibration, counted))
            say(f"layers  {form:8} {case:32} {microseconds:7.2f} µs")
    return figures


def table(figures: list[Figure]) -> str:
    lines = [
        [
            figure.case,
            figure.form,
            f"{figure.microseconds:.2f}",
            f"{figure.relative:.1f}",
            "" if figure.instructions is None else f"{figure.instructions:,.0f}",
        ]
        for figure in figures
    ]
    return report.layout(("one process, no sockets", "form", "µs", "× loop", "instructions"), lines)


def run(options: Options, environment: Environment, pinned: Cores) -> None:
    """Measure on the server's core, print the table, save ``layers.json`` and ``layers.txt``."""
    figures = measure(environment, choose_counter() if options.count_instructions else (), pinned)
    content: dict[str, object] = {"machine": report.machine(), "figures": [asdict(figure) for figure in figures]}
    report.save(options.output, "layers", table(figures), content)
