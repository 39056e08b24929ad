"""Who asks: Basic authentication (RFC 7617), callables, and the user's netrc file."""

from __future__ import annotations

import base64
import os
from typing import Any

__all__ = ["authorization", "basic", "netrc_auth"]


def basic(auth: tuple[str, str]) -> str:
    """The value of an Authorization field, in latin-1, or in UTF-8 where that cannot hold it."""
    text = f"{auth[0]}:{auth[1]}"
    try:
        octets = text.encode("latin-1")
    except UnicodeEncodeError:
        octets = text.encode("utf-8")
    return f"Basic {base64.b64encode(octets).decode('ascii')}"


def authorization(auth: Any, method: str, url: str) -> str:
    """The value for ``auth``: a pair of user and password, or a callable that is given method and URL and returns it.

    Raises ValueError for anything else.
    """
    if callable(auth):
        return str(auth(method, url))
    if isinstance(auth, tuple | list) and len(auth) == 2 and all(isinstance(part, str) for part in auth):
        if ":" in auth[0]:
            raise ValueError(f"a user name cannot have a colon: {auth[0]!r}")
        return basic((auth[0], auth[1]))
    raise ValueError(f"auth is a pair of user and password, or a callable, not {auth!r}")


def netrc_auth(host: str) -> tuple[str, str] | None:
    """User and password for a host from ``$NETRC`` or ``~/.netrc``; a file that cannot be read counts as none."""
    import netrc

    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        found = netrc.netrc(path).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0] or "", found[2] or "") if found else None
