"""Position of a thread: the line of application code, the request it belongs to, and the traceback for the log.

Compiled modules have no frames, and so are never seen here.
"""

from __future__ import annotations

import linecache
import os
import sysconfig
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final

_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_DEMO: Final = os.path.join(_PACKAGE, "demo", "")
_CLIENT: Final = os.path.join(os.path.dirname(os.path.dirname(_PACKAGE)), "aiohttp", "")
_STDLIB: Final = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_MOST_TEXT: Final = 120


@dataclass(frozen=True)
class Place:
    """A line of code that a thread stands in.

    :ivar function: its qualified name.
    :ivar text: of the line, empty where the source cannot be read.
    """

    filename: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        where = f"{self.function}() ({self.filename}, line {self.line}"
        return f"{where}: {self.text})" if self.text else f"{where})"


def frames_inside(frame: FrameType | None, outside: CodeType | None) -> list[FrameType]:
    """Return the frames of a thread, innermost first, up to the one that runs *outside*.

    :param outside: where to stop; all of them if it is ``None`` or is not there.
    """
    frames = []
    while frame is not None and frame.f_code is not outside:
        frames.append(frame)
        frame = frame.f_back
    return frames


def application_place(frames: list[FrameType]) -> Place | None:
    """Return the innermost place in the application's own code, else in a package that is installed.

    :param frames: innermost first.
    :return: ``None`` where there is nothing but the standard library and the server.
    """
    installed: FrameType | None = None
    for frame in frames:
        filename = frame.f_code.co_filename
        if _is_foreign(filename):
            continue
        if not _is_installed(filename):
            return place_of(frame)
        if installed is None:
            installed = frame
    return None if installed is None else place_of(installed)


def _is_foreign(filename: str) -> bool:
    """True if code in a file is neither the application's nor that of a package it uses."""
    if filename.startswith((_PACKAGE, _CLIENT)):
        return not filename.startswith(_DEMO)
    if filename.startswith("<frozen"):
        return True
    return filename.startswith(_STDLIB) and not _is_installed(filename)


def _is_installed(filename: str) -> bool:
    return any(part in filename for part in _INSTALLED)


def place_of(frame: FrameType) -> Place:
    """Return the place where *frame* stands."""
    code = frame.f_code
    line = frame.f_lineno or 0
    text = linecache.getline(code.co_filename, line, frame.f_globals).strip()
    if len(text) > _MOST_TEXT:
        text = text[: _MOST_TEXT - 3] + "..."
    return Place(code.co_filename, line, code.co_qualname, text)


def traceback_text(frames: list[FrameType]) -> str:
    """Return what a traceback of *frames*, innermost first, would look like."""
    summary = traceback.StackSummary.extract((frame, frame.f_lineno or 0) for frame in reversed(frames))
    return "Traceback (most recent call last):\n" + "".join(summary.format()).rstrip("\n")


def is_idle(frames: list[FrameType]) -> bool:
    """Say whether a loop whose *frames* these are runs nothing but itself."""
    return all(frame.f_code.co_filename.startswith(_STDLIB) and not _is_installed(frame.f_code.co_filename) for frame in frames)


def local_of(frames: list[FrameType], name: str, is_meant: Callable[[object], bool]) -> Any:
    """Return a local variable of the server's own coroutines, the innermost that is meant, or ``None``."""
    for frame in frames:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            value = frame.f_locals.get(name)
            if is_meant(value):
                return value
    return None
