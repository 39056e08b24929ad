"""The names under which Gunicorn is told of the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp_worker.worker import AsyncGunicornWorker, AsyncNoStreamGunicornWorker

__all__ = ["AsyncGunicornWorker", "AsyncNoStreamGunicornWorker"]

if not TYPE_CHECKING:  # which would take every name for one that there is
    from aiohttp_worker.worker import missing_name

    def __getattr__(name: str) -> object:
        """Say which worker was probably meant."""
        raise missing_name(__name__, name, __all__)
