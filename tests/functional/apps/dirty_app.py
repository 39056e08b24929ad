"""An application for Gunicorn's separate pool of slow processes."""

import os
from typing import Any

from gunicorn.dirty import DirtyApp


class Doubler(DirtyApp):  # type: ignore[misc]
    def init(self) -> None:
        os.write(2, b"doubler ready\n")

    def __call__(self, action: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, action)(*args, **kwargs)

    def double(self, number: int) -> int:
        return 2 * number

    def close(self) -> None:
        os.write(2, b"doubler closed\n")
