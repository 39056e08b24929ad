"""An HTTP client for asyncio, and the names under which Gunicorn finds the workers.

``aiohttp.worker`` has the worker classes; nothing else here needs Gunicorn.
"""

from typing import TYPE_CHECKING

from aiohttp_worker import __version__

from .client import Timeout, request
from .connector import ProxyConnector, SocketConnector, UnixSocketConnector
from .content import EofStream, StreamReader
from .coroutines import coroutine, run
from .errors import *  # noqa: F403
from .errors import __all__ as _errors
from .missing import missing_name, refuse_missing_modules
from .response import ClientResponse

BaseConnector = SocketConnector
TCPConnector = SocketConnector
UnixConnector = UnixSocketConnector

__all__ = [
    "BaseConnector",
    "ClientResponse",
    "EofStream",
    "ProxyConnector",
    "SocketConnector",
    "StreamReader",
    "TCPConnector",
    "Timeout",
    "UnixConnector",
    "UnixSocketConnector",
    "__version__",
    "coroutine",
    "request",
    "run",
    *_errors,
]

refuse_missing_modules()

if not TYPE_CHECKING:  # which would take every name for one that there is

    def __getattr__(name: str) -> object:
        """Say whose aiohttp this is, and what to use instead of a name that it has not."""
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        raise missing_name(name, __all__)
