"""The names under which Gunicorn is told of the workers.

A folder, because PyPI's aiohttp has a file ``worker.py``: where the two packages are installed over each other, that file would
replace this one, and Gunicorn would start workers over and over from a class that is not there. A folder is found before a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `__getattr__` would have it take every name for one that there is
    from aiohttp_worker.worker import AsyncGunicornWorker, AsyncNoStreamGunicornWorker
else:
    from aiohttp_worker.integration.distributions import OverlayError, overlay
    from aiohttp_worker.integration.names import missing_name

    _OVERLAY = overlay()
    if not _OVERLAY:
        from aiohttp_worker.worker import AsyncGunicornWorker, AsyncNoStreamGunicornWorker

    def __getattr__(name: str) -> object:
        """Say whose files are in the way, or which worker was probably meant."""
        if _OVERLAY and name in __all__:
            raise OverlayError(_OVERLAY)
        raise missing_name(__name__, name, __all__)


__all__ = ["AsyncGunicornWorker", "AsyncNoStreamGunicornWorker"]
