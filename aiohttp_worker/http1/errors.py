"""What can go wrong in the protocol, and whose fault it is."""

from __future__ import annotations


class ProtocolError(Exception):
    """A rule of RFC 9110 or RFC 9112 was broken."""


class LocalProtocolError(ProtocolError):
    """We, or the application we serve, tried to send what must not be sent."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what must not be sent.

    :param message: one line for the log: the rule, and the bytes that broke it.
    :param status_code: the answer that RFC 9110 section 15 gives to this fault.
    """

    def __init__(self, message: str, status_code: int = 400) -> None:
        super().__init__(message)
        self.status_code = status_code


class UnservableRequestError(RemoteProtocolError):
    """A request in order that cannot be served, for what this server or the application lacks: the fault is ours.

    A class, and not the ``__cause__`` of an error, which compiled code does not set.
    """


class EofStream(Exception):  # noqa: N818 - the name of 2014
    """Raised by the third empty read behind the end of a body, so that the read loops of 2014, which wait for it, end."""
