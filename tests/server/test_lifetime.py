"""Phases and their time limits, as a table."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest

from aiohttp_worker.server import lifetime
from aiohttp_worker.server.lifetime import Lifetime, Phase, phase_limits
from aiohttp_worker.server.settings import TimeLimits

TIMES = TimeLimits(head=20, body=30, write=60, keep_alive=5, linger=2)
OF_THE_BODY = 7777.0

#: phase → seconds that it may last, while the worker serves and while it stops
LIMITS: dict[Phase, tuple[float, float]] = {
    Phase.NEW: (20, 20),
    Phase.IDLE: (5, 2),
    Phase.HEAD: (20, 20),
    Phase.HELD: (math.inf, math.inf),
    Phase.CLOSING: (60, 60),
    Phase.LINGER: (2, 2),
    Phase.CLOSED: (math.inf, math.inf),
}


@pytest.mark.parametrize("draining", [False, True])
@pytest.mark.parametrize("phase", Phase)
def test_deadlines(phase: Phase, draining: bool) -> None:
    one = Lifetime(1.0)
    one.enter(phase, 1000.0)
    expected = 1000 + LIMITS[phase][draining] if phase in LIMITS else OF_THE_BODY
    assert one.deadline(phase_limits(TIMES, draining), OF_THE_BODY) == expected


@pytest.mark.parametrize("phase", Phase)
def test_the_time_after_an_answer_counts_from_its_reading(phase: Phase) -> None:
    one = Lifetime(1.0)
    one.enter(phase, 1000.0)
    one.postpone(1003.0)
    assert one.since == (1003 if phase in (Phase.IDLE, Phase.CLOSING, Phase.LINGER) else 1000)


def test_a_new_connection() -> None:
    assert (Lifetime(5.0).phase, Lifetime(5.0).since) == (Phase.NEW, 5.0)


@pytest.mark.parametrize("name", ["head", "write"])
def test_no_limit(name: str) -> None:
    limits = phase_limits(TimeLimits(**{name: 0}), False)
    assert limits[Phase.HEAD if name == "head" else Phase.CLOSING] == math.inf


def test_no_deadline_is_stored() -> None:
    """Time limits become times in one function: nothing else of a connection has a name for one, to be set and forgotten."""
    folder = Path(lifetime.__file__).parent
    for path in (folder / name for name in ("lifetime.py", "connection.py", "request_body.py")):
        for node in ast.walk(ast.parse(path.with_suffix(".py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and "deadline" in node.attr:
                assert isinstance(node.ctx, ast.Load), f"{path.name}:{node.lineno}"
