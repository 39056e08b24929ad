"""Exceptions that an application gets when its client disconnects."""

from __future__ import annotations

from .http1.errors import EofStream

__all__ = ["ClientDisconnectedError", "EofStream", "IncompleteBodyError"]


class ClientDisconnectedError(ConnectionError):
    """Disconnect of the client before its response was complete."""


class IncompleteBodyError(ConnectionError):
    """Disconnect or time-out of the client before its request body was complete.

    :param status_code: status code of the answer, for a client that still reads.
    """

    def __init__(self, message: str, status_code: int = 400) -> None:
        super().__init__(message)
        self.status_code = status_code
