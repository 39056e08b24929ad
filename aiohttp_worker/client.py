"""The HTTP client, under a name that PyPI's aiohttp does not have.

The distribution ``aiohttp-worker`` has the client as the package ``aiohttp``, and this is the same one. In
``aiohttp-worker-core``, which PyPI's aiohttp can lie beside, the files of that package are here in the place of this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .integration.distributions import OverlayError, overlay

if text := overlay():
    raise OverlayError(text)

from aiohttp import *  # noqa: F403
from aiohttp import __all__  # noqa: F401

if not TYPE_CHECKING:  # which would take every name for one that there is
    from aiohttp import __getattr__  # noqa: F401

if __name__ == "__main__":
    from aiohttp.__main__ import main

    raise SystemExit(main())
