"""The version, which client and server share."""

from importlib import import_module
from typing import Final

# Of the server's package the client knows http1 alone, which is inside of it: it is loaded already.
__version__: Final[str] = import_module("aiohttp_worker").__version__
