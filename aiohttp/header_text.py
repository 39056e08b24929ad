"""Pure: the text of header fields, and one rule for its octets in both directions (RFC 9110 section 5.5).

Octets are read as UTF-8, and each one that is not UTF-8 becomes a lone surrogate (``surrogateescape``). Written the same way,
any text that was received goes back octet by octet, whichever charset its author had in mind.
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["check_field_value", "decode_field", "encode_field", "printable", "refuse_controls"]

# What no octet stands for: controls, which end a line or worse, and the surrogates that are not of surrogateescape.
_REFUSED: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udc7f\udd00-\udfff]")


def decode_field(octets: bytes) -> str:
    """The text of octets that were received."""
    return octets.decode("utf-8", "surrogateescape")


def encode_field(text: str) -> bytes:
    """The octets of text that is sent. Raises UnicodeEncodeError for surrogates that no octet became."""
    return text.encode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """Text that any terminal or log can take: octets that are not UTF-8 as ``\\xff``."""
    return encode_field(text).decode("utf-8", "backslashreplace")


def check_field_value(name: str, value: Any) -> str:
    """A value of a field as text, without the blanks around it.

    Raises ValueError for what cannot stand in a header, TypeError for what is neither str, bytes nor a whole number. The
    value can be a secret, so no error shows it.
    """
    if isinstance(value, bytes):
        value = decode_field(value)
    elif not isinstance(value, str):
        if not isinstance(value, int):
            raise TypeError(f"the value of the field {name} must be str, not {type(value).__name__}")
        value = str(value)
    if _REFUSED.search(value):
        refuse_controls(value, f"the value of the field {name}")
    return str(value.strip(" \t"))


def refuse_controls(text: str, what: str) -> None:
    """Raise ValueError that says which character of ``what`` cannot be sent, and where it is."""
    found = _REFUSED.search(text)
    if found is not None:
        raise ValueError(f"{what} cannot have {found[0]!r}, which is its character {found.start() + 1}")
