"""Credentials: Basic authentication (RFC 7617), callables, and the user's netrc file."""

from __future__ import annotations

import base64
import logging
import os
from typing import Any

__all__ = ["authorization", "basic", "netrc_auth", "pair"]


def basic(auth: tuple[str, str]) -> str:
    """The value of an Authorization field, in latin-1, or in UTF-8 where that cannot hold it."""
    text = f"{auth[0]}:{auth[1]}"
    for charset, errors in (("latin-1", "strict"), ("utf-8", "surrogateescape")):
        try:
            octets = text.encode(charset, errors)
            break
        except UnicodeEncodeError:
            pass
    else:  # behind the except clause: that error has the password
        raise ValueError("user or password has a character that cannot be sent")
    return f"Basic {base64.b64encode(octets).decode('ascii')}"


def authorization(auth: Any, method: str, url: str) -> str:
    """The value for ``auth``: a pair of user and password, or a callable that is given method and URL and returns it.

    Raises ValueError for anything else.
    """
    if callable(auth):
        value = auth(method, url)
        if not isinstance(value, str):
            raise ValueError(f"what auth is called for is the value of a field, str, not {type(value).__name__}")
        return value
    return basic(pair(auth, "auth is a pair of user and password, or a callable"))


def pair(auth: Any, rule: str) -> tuple[str, str]:
    """User and password. Raises ValueError that says the rule and what kind of thing was given instead."""
    if isinstance(auth, tuple | list):
        if len(auth) == 2 and all(isinstance(part, str) for part in auth):
            if ":" in auth[0]:
                raise ValueError(f"{rule}; a user name cannot have a colon")
            return auth[0], auth[1]
        raise ValueError(f"{rule}, not ({', '.join(type(part).__name__ for part in auth)})")
    raise ValueError(f"{rule}, not {type(auth).__name__}")


def netrc_auth(host: str) -> tuple[str, str] | None:
    """User and password for a host from ``$NETRC`` or ``~/.netrc``; a file that cannot be read counts as none.

    The log of ``aiohttp`` says so once.
    """
    import netrc

    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        found = netrc.netrc(path).authenticators(host)
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError:
        _say_once(path, "it cannot be understood")  # the error's own text can have the password
        return None
    except UnicodeError:
        _say_once(path, "it has bytes that are not in its charset")
        return None
    except OSError as error:
        _say_once(path, error.strerror or type(error).__name__)
        return None
    return (found[0] or "", found[2] or "") if found else None


_said: set[str] = set()


def _say_once(path: str, why: str) -> None:
    if path not in _said:
        _said.add(path)
        logging.getLogger("aiohttp").warning("%s counts as no netrc file: %s", path, why)
