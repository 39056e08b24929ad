"""An HTTP client for asyncio, and the names under which Gunicorn finds the workers.

``aiohttp.worker`` has the worker classes; nothing else here needs Gunicorn.
"""

from .client import request
from .connector import ProxyConnector, SocketConnector, UnixSocketConnector
from .content import EofStream, StreamReader
from .coroutines import coroutine, run
from .errors import *  # noqa: F403
from .errors import __all__ as _errors
from .response import ClientResponse
from .timeouts import Timeout
from .version import __version__

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
