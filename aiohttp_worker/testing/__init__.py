"""Tests of endpoints: requests that the server's own code answers, in memory or in a real worker.

``call`` and ``InMemoryServer`` need neither Gunicorn nor a socket. ``TestApp`` needs WebTest, and ``GunicornProcess`` starts one.
Each is loaded when it is asked for: the plugin of pytest is loaded in every run, also in those of others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

_PLACES = {
    "GunicornProcess": "gunicorn_process",
    "InMemoryServer": "memory",
    "Response": "memory",
    "TestApp": "webtest_app",
    "call": "memory",
}

__all__ = ["GunicornProcess", "InMemoryServer", "Response", "TestApp", "call"]

if TYPE_CHECKING:
    from .gunicorn_process import GunicornProcess
    from .memory import InMemoryServer, Response, call
    from .webtest_app import TestApp
else:

    def __getattr__(name: str) -> object:
        """Load what is asked for."""
        if name in _PLACES:
            return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
