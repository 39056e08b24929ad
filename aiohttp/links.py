"""Pure: Link fields (RFC 8288 section 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from .url import URL, join

__all__ = ["parse_links"]

_LINK: Final = re.compile(r'<([^>]*)>((?:\s*;\s*[^\s;,=]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)')
_PARAMETER: Final = re.compile(r';\s*([^\s;,=]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?')


def parse_links(fields: Iterable[str], base: URL) -> dict[str, dict[str, str]]:
    """Relation (or URL) to the parameters of the link, with its absolute URL as ``url``."""
    found: dict[str, dict[str, str]] = {}
    for field in fields:
        for link in _LINK.finditer(field):
            url = join(base, link[1].strip())
            parameters: dict[str, str] = {}
            for parameter in _PARAMETER.finditer(link[2]):
                quoted, plain = parameter[2], parameter[3]
                value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain or ""
                parameters.setdefault(parameter[1].lower(), value)
            parameters["url"] = url
            found[parameters.get("rel") or url] = parameters
    return found
