"""Bytes to text, as far as that can be known."""

from __future__ import annotations

import codecs
from typing import Final

__all__ = ["check_charset", "decode_text"]

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def check_charset(name: str) -> str:
    """The name of a charset that Python has. Raises ValueError for any other."""
    try:
        return codecs.lookup(name).name
    except (LookupError, TypeError):
        raise ValueError(f"unknown charset: {name!r}") from None


def decode_text(body: bytes, charset: str | None) -> str:
    """Text in the given charset; else by its byte order mark, as UTF-8, or as charset-normalizer guesses."""
    if charset is not None:
        try:
            return body.decode(charset, "replace")
        except (LookupError, UnicodeError):
            pass  # a charset that nobody knows is no better than none
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body.decode(name, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return body.decode("utf-8", "replace")
    guess = from_bytes(body).best()
    return str(guess) if guess is not None else body.decode("utf-8", "replace")
