"""The budget of instructions: each case serves, and a figure over the budget is named."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.instructions import BUDGET, CASES, PROGRAM, ROOT, over_budget


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    """It runs, and what came last is an answer."""
    command = [sys.executable, str(PROGRAM), case, "20"]
    subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, check=True, timeout=60)


def test_every_case_has_a_budget() -> None:
    assert set(json.loads(BUDGET.read_text(encoding="utf-8"))["instructions"]) == set(CASES)


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        ({"get": 1000.0}, []),
        ({"get": 1009.0}, []),
        ({"get": 1020.0}, ["get: 1,020 instructions, 2.0% more than 1,000"]),
        ({"get": 900.0, "new": 5.0}, ["new: 5 instructions, and no budget"]),
    ],
)
def test_over_budget(counted: dict[str, float], expected: list[str]) -> None:
    assert over_budget(counted, {"get": 1000}) == expected
