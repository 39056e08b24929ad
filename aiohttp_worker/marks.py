"""How an application says that it wants its input as it arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Application = TypeVar("_Application", bound=Callable[..., Any])

_MARK = "_aiohttp_worker_stream_input"


def stream_input(application: _Application) -> _Application:
    """Mark a WSGI callable to be called as soon as the request's head is there.

    Coroutine and generator functions are called so without it. Middleware
    around one of them, or an ordinary function that returns a coroutine, hides
    what it is: mark it, and ``environ['wsgi.input']`` is the live stream, to be
    awaited in what the callable returns. Under another server the mark means
    nothing.

    :return: *application* itself.
    """
    setattr(application, _MARK, True)
    return application


def wants_stream(application: object) -> bool:
    """Say whether *application* was marked by :func:`stream_input`."""
    return bool(getattr(application, _MARK, False))
