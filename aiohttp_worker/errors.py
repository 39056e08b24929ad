"""What an application meets when its client goes away."""

from __future__ import annotations

from .http1.errors import EofStream

__all__ = ["ClientDisconnectedError", "EofStream", "IncompleteBodyError"]


class ClientDisconnectedError(ConnectionError):
    """The client went away before its response was complete."""


class IncompleteBodyError(ConnectionError):
    """The client went away, or was too slow, before its body was complete.

    :param status_code: what a client that still reads is answered.
    """

    def __init__(self, message: str, status_code: int = 400) -> None:
        super().__init__(message)
        self.status_code = status_code
