"""The event loop of a worker: asyncio's or uvloop's, by Gunicorn's setting ``asgi_loop``."""

from __future__ import annotations

import asyncio


def has_uvloop() -> bool:
    """Return True if uvloop is installed."""
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True


def new_loop(choice: str) -> asyncio.AbstractEventLoop:
    """Make the event loop of a worker.

    It is not set as the current loop of the thread: an application that asks for a loop of its own would get it otherwise, and
    find it running.

    :param choice: ``auto``, ``asyncio`` or ``uvloop``.
    """
    if choice != "asyncio" and has_uvloop():
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()
