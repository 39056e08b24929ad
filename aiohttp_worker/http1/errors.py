"""Protocol errors: of the peer, with the status code that answers them (400, 413, 431, …), and of the application."""

from __future__ import annotations


class ProtocolError(Exception):
    """Violation of RFC 9110 or RFC 9112."""


class LocalProtocolError(ProtocolError):
    """Violation by this side: the application, or the server itself, tried to send a malformed message."""


class RemoteProtocolError(ProtocolError):
    """Violation by the peer.

    :param message: one line for the log: the rule, and the bytes that break it.
    :param status_code: status code of the answer (RFC 9110 section 15).
    """

    def __init__(self, message: str, status_code: int = 400) -> None:
        super().__init__(message)
        self.status_code = status_code


class UnservableRequestError(RemoteProtocolError):
    """Valid request that cannot be served because the server or the application lacks something: a fault of this side.

    A class of its own instead of a ``__cause__``, which compiled code does not set.
    """


class EofStream(Exception):  # noqa: N818 - the name of 2014
    """Third empty read after the end of a body; read loops written in 2014 wait for this exception."""
