"""Asynchronous Gunicorn workers for WSGI applications.

The workers live in :mod:`aiohttp_worker.worker`; importing this package alone imports neither them nor Gunicorn.
"""

__version__ = "1.0.0"
