"""Position of a thread, from its frames: the line of application code, local variables of the server, the traceback.

Compiled modules have no frames, and never appear here.
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
    """A line of code in which a thread stands.

    :ivar function: qualified name of the function.
    :ivar text: text of the line, empty if the source cannot be read.
    """

    filename: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        where = f"{self.function}() ({self.filename}, line {self.line}"
        return f"{where}: {self.text})" if self.text else f"{where})"


def frames_inside(frame: FrameType | None, outside: CodeType | None) -> list[FrameType]:
    """Return the frames of a thread, innermost first, up to the frame that runs *outside*.

    :param outside: code object at which to stop; all frames are returned if it is ``None`` or does not run.
    """
    frames = []
    while frame is not None and frame.f_code is not outside:
        frames.append(frame)
        frame = frame.f_back
    return frames


def application_place(frames: list[FrameType]) -> Place | None:
    """Return the innermost place in the application's own code, else in an installed package.

    :param frames: innermost first.
    :return: ``None`` if there are only frames of the standard library and the server.
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
    """Return True if the code of a file belongs to the server, the client or the standard library."""
    if filename.startswith((_PACKAGE, _CLIENT)):
        return not filename.startswith(_DEMO)
    if filename.startswith("<frozen"):
        return True
    return filename.startswith(_STDLIB) and not _is_installed(filename)


def _is_installed(filename: str) -> bool:
    return any(part in filename for part in _INSTALLED)


def place_of(frame: FrameType) -> Place:
    """Return the place in which *frame* stands."""
    code = frame.f_code
    line = frame.f_lineno or 0
    text = linecache.getline(code.co_filename, line, frame.f_globals).strip()
    if len(text) > _MOST_TEXT:
        text = text[: _MOST_TEXT - 3] + "..."
    return Place(code.co_filename, line, code.co_qualname, text)


def traceback_text(frames: list[FrameType]) -> str:
    """Return the text of a traceback of *frames*, innermost first."""
    summary = traceback.StackSummary.extract((frame, frame.f_lineno or 0) for frame in reversed(frames))
    return "Traceback (most recent call last):\n" + "".join(summary.format()).rstrip("\n")


def is_idle(frames: list[FrameType]) -> bool:
    """Return True if *frames* are those of an event loop that runs no callback."""
    return all(frame.f_code.co_filename.startswith(_STDLIB) and not _is_installed(frame.f_code.co_filename) for frame in frames)


def local_of(frames: list[FrameType], name: str, is_meant: Callable[[object], bool]) -> Any:
    """Return the innermost local variable of this name in the server's own coroutines that satisfies *is_meant*, or ``None``."""
    for frame in frames:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            value = frame.f_locals.get(name)
            if is_meant(value):
                return value
    return None
