"""Errors for responses that are malformed or cut short."""

from __future__ import annotations

from aiohttp_worker.http1.response_reader import ResponseCutError, ResponseSyntaxError, ResponseTooLargeError

from .errors import BadStatusLine, ClientConnectionError, IncompleteRead, InvalidHeader, LineTooLong

__all__ = ["cut_error", "malformed_error"]


def malformed_error(label: str, error: ResponseSyntaxError, *, in_body: bool, in_fields: bool) -> Exception:
    """Return the error for a response that breaks the grammar of RFC 9112.

    :param label: method and URL of the request.
    :param in_body: True if the head was complete.
    :param in_fields: True if the status line was complete.
    """
    text = f"{label}: {error}"
    if isinstance(error, ResponseTooLargeError):
        return LineTooLong(text)
    if in_body:
        return IncompleteRead(b"", None, text)
    return InvalidHeader(text) if in_fields else BadStatusLine(text)


def cut_error(label: str, cut: ResponseCutError, cause: Exception | None) -> Exception:
    """Return the error for a connection that ended before the response was complete (RFC 9112 section 8).

    :param label: method and URL of the request.
    :param cause: what ended the connection, None if the server closed it.
    """
    why = f" ({cause})" if cause is not None else ""
    if not cut.started:
        return ClientConnectionError(f"{label}: the server closed the connection without an answer{why}")
    if not cut.head_complete:
        return ClientConnectionError(f"{label}: the server closed the connection inside the head{why}")
    missing = "inside a chunk" if cut.missing is None else f"{cut.missing} bytes before the end of the body"
    return IncompleteRead(b"", cut.missing, f"{label}: the server closed the connection {missing}{why}")
