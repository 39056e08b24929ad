"""An application whose nested loop takes the signals' wakeup descriptor with it."""

import asyncio
import signal
from collections.abc import Iterable
from typing import Any

from probe import PLAIN, Environ


def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
    async def nested() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR2, lambda: None)
        loop.remove_signal_handler(signal.SIGUSR2)

    asyncio.run(nested())
    start_response("200 OK", PLAIN)
    return [b"added and removed"]
