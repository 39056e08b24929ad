"""Place of a thread in application code, told from its frames."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from aiohttp_worker.server import whereabouts
from aiohttp_worker.server.whereabouts import application_place, frames_inside, is_idle, local_of, traceback_text

SOURCE = """
    def outer(inner):
        exchange = "of this one"
        return inner()
"""


def stack(*filenames: str) -> list[FrameType]:
    """Frames of functions that are in these files, the innermost last; as `frames_inside` gives them."""
    caught: list[list[FrameType]] = []
    outside: list[CodeType] = []

    def innermost() -> None:
        caught.append(frames_inside(sys._getframe(1), outside[0]))

    call: Any = innermost
    for filename in reversed(filenames):
        scope: dict[str, Any] = {}
        exec(compile(textwrap.dedent(SOURCE), filename, "exec"), scope)
        call = _with(scope["outer"], call)

    def run() -> None:
        call()

    outside.append(run.__code__)
    run()
    return [frame for frame in caught[0] if frame.f_code.co_name == "outer"]


def _with(outer: Any, inner: Any) -> Any:
    return lambda: outer(inner)


OURS = str(Path(whereabouts.__file__).parent / "application.py")
DEMO = str(Path(whereabouts.__file__).parents[1] / "demo" / "views.py")
CLIENT = str(Path(whereabouts.__file__).parents[2] / "aiohttp" / "client.py")
STDLIB = sys.modules["selectors"].__file__ or ""
INSTALLED = "/usr/lib/python3/site-packages/requests/api.py"
SYSTEM = "/usr/lib/python3/dist-packages/requests/api.py"
OWN = "/srv/shop/views.py"


@pytest.mark.parametrize(
    ("filenames", "expected"),
    [
        ([OURS, OWN], OWN),
        ([OURS, OWN, STDLIB], OWN),
        ([OURS, OWN, INSTALLED, STDLIB], OWN),
        ([OURS, OWN, SYSTEM], OWN),
        ([OURS, INSTALLED, OWN, "/srv/shop/models.py"], "/srv/shop/models.py"),
        ([OURS, INSTALLED, STDLIB], INSTALLED),
        ([OURS, OWN, OURS], OWN),
        ([OURS, OWN, CLIENT, STDLIB], OWN),
        ([OURS, DEMO], DEMO),
        ([OURS, OWN, "<frozen runpy>"], OWN),
        ([OURS, "<string>"], "<string>"),
        ([OURS, STDLIB], None),
        ([OURS], None),
        ([], None),
    ],
)
def test_the_innermost_place_of_the_application(filenames: list[str], expected: str | None) -> None:
    place = application_place(stack(*filenames))
    assert (place.filename if place else None) == expected
    if place:
        assert (place.line, place.function) == (4, "outer")


def test_a_place_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "views.py"
    path.write_text(textwrap.dedent(SOURCE))
    place = application_place(stack(str(path)))
    assert str(place) == f"outer() ({path}, line 4: return inner())"
    assert str(application_place(stack(OWN))) == f"outer() ({OWN}, line 4)"


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "views.py"
    path.write_text("\n\n\n" + "x" * 1000)
    place = application_place(stack(str(path)))
    assert place is not None
    assert place.text == "x" * 117 + "..."


def test_a_traceback_has_the_innermost_last() -> None:
    lines = traceback_text(stack(OWN, STDLIB)).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.split('"')[1] for line in lines if "File" in line] == [OWN, STDLIB]


def test_a_loop_is_idle_when_nobody_else_has_a_frame() -> None:
    asyncio_file = sys.modules["asyncio"].__file__ or ""
    assert is_idle([])
    assert is_idle(stack(asyncio_file, STDLIB))
    assert not is_idle(stack(asyncio_file, OURS))
    assert not is_idle(stack(asyncio_file, OWN, STDLIB))


def test_locals_of_the_server_alone_are_looked_at() -> None:
    is_text = lambda value: isinstance(value, str)
    assert local_of(stack(OURS, OWN), "exchange", is_text) == "of this one"
    assert local_of(stack(OWN), "exchange", is_text) is None
    assert local_of(stack(OURS), "exchange", lambda value: False) is None
    assert local_of(stack(OURS), "another", is_text) is None
