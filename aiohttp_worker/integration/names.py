"""Errors for mistyped names, with the nearest name that exists."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

WORKERS: Final = ("AsyncGunicornWorker", "AsyncNoStreamGunicornWorker")


def nearest_name(name: str, names: Iterable[str]) -> str:
    """Return the nearest of *names* to a mistyped *name*, empty if none is near."""
    by_lower = {one.lower(): one for one in names}
    import difflib  # here, because names that are right never need it

    found = difflib.get_close_matches(name.lower(), by_lower, 1, 0.7)
    return by_lower[found[0]] if found else ""


def missing_name(module: str, name: str, names: Iterable[str]) -> Exception:
    """Return the error for a name that does not exist in *module*; to be called by its ``__getattr__``.

    :param names: names that exist in the module.
    """
    text = f"module {module!r} has no attribute {name!r}"
    if name.startswith("__"):
        return AttributeError(text)
    nearest = nearest_name(name, names)
    hint = f"did you mean {nearest!r}?" if nearest else f"its workers are {' and '.join(WORKERS)}"
    if sys._getframe(2).f_globals.get("__name__") == "gunicorn.util":
        # Gunicorn, which loads a worker by its name, hides an AttributeError behind another error; of a RuntimeError it
        # prints the sentence alone.
        return RuntimeError(f"{text}: {hint}")
    return AttributeError(f"{text}: {hint}")
