"""The grammar of RFC 9110, RFC 9112 and RFC 3986 as compiled patterns.

Every pattern is meant for ``fullmatch``: ``$`` is not the end of a string, and
``int()`` is not a grammar. ``*_BYTES`` patterns are for the wire's side, the
others for native strings that hold latin-1.
"""

from __future__ import annotations

import re
from typing import Final

# RFC 9110 section 5.6.2
_TCHAR = r"!#$%&'*+\-.^_`|~0-9A-Za-z"
TOKEN: Final = re.compile(rf"[{_TCHAR}]+")
_TOKEN = rf"[{_TCHAR}]+".encode()
TOKEN_BYTES: Final = re.compile(rf"[{_TCHAR}]+".encode())

# RFC 9110 section 5.5: VCHAR, obs-text, SP and HTAB; nothing that ends a line.
FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

# RFC 9112 section 4, with the one space that PEP 3333 asks for.
STATUS: Final = re.compile(r"[1-9][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?")

# RFC 9110 section 8.6. Eighteen digits fit into 64 bits whatever they are.
CONTENT_LENGTH: Final = re.compile(r"[0-9]{1,18}")

# RFC 9112 section 2.3
VERSION: Final = re.compile(r"HTTP/([0-9])\.([0-9])")
ABSOLUTE_TARGET: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?]*)(.*)")

# RFC 9110 section 7.2: uri-host [":" port], without user information. The host of an http URI is not empty (section 4.2.1).
_REG_NAME = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})"
_IP_LITERAL = r"\[(?:[0-9A-Fa-f:.]{2,}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\]"
HOST: Final = re.compile(rf"({_IP_LITERAL}|{_REG_NAME}+)(?::([0-9]{{0,5}}))?")

# RFC 9110 section 5.6.4
_QUOTED_STRING = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
# RFC 9112 section 7.1: chunk-size [ chunk-ext ] CRLF, 15 digits (60 bits) behind leading zeros.
_EXTENSION = rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED_STRING + rb"))?"
CHUNK_LINE: Final = re.compile(rb"(?=[0-9A-Fa-f])(0*+[0-9A-Fa-f]{0,15})((?:" + _EXTENSION + rb")*)\r\n")

# RFC 9112 section 5: field-line, and with its CRLF
FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)")
FIELD_LINE: Final = re.compile(rb"(" + _TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)\r\n")


def is_target(text: str) -> bool:
    """Say whether *text* can be a request-target (RFC 9112 section 3.2).

    It is made of visible ASCII without "#" (RFC 3986 section 2), which starts a
    fragment and has no place in it. Clients do send the characters that RFC 3986
    leaves out (such as "|" and "{"); they harm nobody.
    """
    return text != "" and is_plain_text(text) and " " not in text and "#" not in text


def is_plain_text(text: str) -> bool:
    """Say whether *text* is made of visible ASCII and spaces: faster than a pattern, and mostly true."""
    return text.isascii() and text.isprintable()
