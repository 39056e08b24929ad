"""The names under which Gunicorn is told of the workers."""

from __future__ import annotations

from aiohttp_worker.worker import AsyncGunicornWorker, AsyncNoStreamGunicornWorker

__all__ = ["AsyncGunicornWorker", "AsyncNoStreamGunicornWorker"]
