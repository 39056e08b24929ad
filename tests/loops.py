"""The event loops that everything is tried on."""

from __future__ import annotations

import asyncio

try:
    import uvloop
except ImportError:
    uvloop = None

#: asyncio always; uvloop where it is installed.
LOOPS = ["asyncio", *(["uvloop"] if uvloop is not None else [])]


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    """Make a loop of that kind."""
    return uvloop.new_event_loop() if name == "uvloop" else asyncio.new_event_loop()
