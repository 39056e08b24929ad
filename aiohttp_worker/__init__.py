"""Two Gunicorn worker classes that serve WSGI applications on an asyncio loop.

The workers themselves are in ``aiohttp.worker``; importing this package starts
nothing and needs neither Gunicorn nor a loop.
"""

from __future__ import annotations

from .body import AsyncBody
from .marks import stream_input

__version__ = "1.0.0"

__all__ = ["AsyncBody", "__version__", "stream_input"]
