"""Pure: what a redirect asks for (RFC 9110 section 15.4), after the rules of browsers."""

from __future__ import annotations

from typing import Final, NamedTuple

from .url import URL, join, split

__all__ = ["Redirect", "check_redirects", "follow"]

REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))


class Redirect(NamedTuple):
    """The next request: with the body or without, and whether it goes to another origin."""

    method: str
    url: URL
    keep_body: bool
    cross_origin: bool


def check_redirects(number: object) -> int | None:
    """How many redirects there may be, None for any number. Raises ValueError for anything that is no number of them."""
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
        raise ValueError(f"max_redirects is a number of responses, or None for no limit, not {number!r}")
    return number


def follow(status_code: int, method: str, url: URL, location: str) -> Redirect:
    """Decide on the next request. Raises ValueError if ``location`` is not a URL that can be asked for.

    Servers send UTF-8 and latin-1 here although they must not: ``header_text`` has kept the octets, and they are percent-encoded.
    """
    target = split(join(url, location.strip(" \t")))
    if (status_code == 303 and method != "HEAD") or (status_code in (301, 302) and method == "POST"):
        return Redirect("GET", target, False, target.origin != url.origin)
    return Redirect(method, target, True, target.origin != url.origin)
