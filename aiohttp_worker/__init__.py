"""Two Gunicorn worker classes that serve WSGI applications on an asyncio loop.

Importing this package starts nothing and needs neither Gunicorn nor a loop: the
workers, here and in ``aiohttp.worker``, are loaded when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .integration.names import WORKERS, missing_name
from .wsgi.async_body import AsyncBody
from .wsgi.stream_input import stream_input

__version__ = "1.0.0"

__all__ = ["AsyncBody", "__version__", "stream_input"]

if TYPE_CHECKING:
    from .worker import AsyncGunicornWorker as AsyncGunicornWorker
    from .worker import AsyncNoStreamGunicornWorker as AsyncNoStreamGunicornWorker
else:

    def __getattr__(name: str) -> object:
        """Load the workers, and with them Gunicorn, when they are asked for."""
        if name in WORKERS:
            return getattr(import_module(".worker", __name__), name)
        raise missing_name(__name__, name, [*WORKERS, *__all__])
