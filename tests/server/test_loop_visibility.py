"""The loop is hidden from ordinary applications, and from nobody else who needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aiohttp_worker.server.loop_visibility import RunningLoop
from tests.loops import LOOPS, new_loop


def seen() -> bool:
    return asyncio._get_running_loop() is not None


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[RunningLoop, list[object]], None]], list[object]]:
    """Runs a function in a callback of a running loop; returns what it has noted."""

    def run(callback: Callable[[RunningLoop, list[object]], None]) -> list[object]:
        loop = new_loop(request.param)
        notes: list[object] = []

        def begin() -> None:
            try:
                callback(RunningLoop(loop), notes)
            finally:
                turn(5)

        def turn(left: int) -> None:
            if left:
                loop.call_soon(turn, left - 1)
            else:
                loop.stop()

        loop.call_soon(begin)
        loop.run_forever()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        return notes

    return run


Run = Callable[[Callable[[RunningLoop, list[object]], None]], list[object]]


def test_an_application_never_sees_it(run: Run) -> None:
    def callback(running_loop: RunningLoop, notes: list[object]) -> None:
        for _ in range(2):
            running_loop.enter_application()
            notes.append((running_loop.in_application, seen()))
            running_loop.leave_application()
            notes.append((running_loop.in_application, seen()))
        running_loop.hide_until_task()
        notes.append(seen())
        running_loop.enter_application()
        notes.append(seen())
        running_loop.leave_application()
        notes.append(seen())

    assert run(callback) == [(True, False), (False, True)] * 2 + [False, False, False]


@pytest.mark.parametrize("inside", [False, True])
def test_whoever_makes_a_task_brings_it_back(run: Run, inside: bool) -> None:
    def callback(running_loop: RunningLoop, notes: list[object]) -> None:
        loop = asyncio.get_running_loop()
        running_loop.hide_until_task()

        async def task() -> None:
            await asyncio.sleep(0)
            notes.append(asyncio.get_running_loop() is loop)

        if inside:
            running_loop.enter_application()
        made = loop.create_task(task(), name="named")
        notes.append((made.get_name(), seen()))
        if inside:
            running_loop.leave_application()
        notes.append(seen())
        notes.append(loop.get_task_factory())

    assert run(callback) == [("named", not inside), True, None, True]


def test_a_loop_that_has_stopped_can_run_again(run: Run) -> None:
    """The fixture makes the first task after the end."""

    def callback(running_loop: RunningLoop, notes: list[object]) -> None:
        running_loop.hide_until_task()

    assert run(callback) == []


def test_a_forked_process_is_left(run: Run) -> None:
    """When a piece of an application has ended, or would begin; hidden or shown."""

    def in_fork(running: RunningLoop, notes: list[object]) -> None:
        running.enter_application()
        running.forsake(lambda: notes.append("left"))
        running.leave_application()
        running.enter_application()

    assert run(in_fork) == ["left", "left"]
