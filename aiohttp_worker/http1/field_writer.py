"""Writer of the field lines of responses: checks and encodes a list of pairs at once (RFC 9112 section 5).

One source of two forms, as ``head_scanner``: compiled by Cython, with the functions of ``octets`` as pointers have them in
``field_writer.pxd``. What is not as in nearly all responses is left to ``response_encoder``.
"""

from __future__ import annotations

from typing import Any

try:
    import cython
except ImportError:  # it is needed to compile only
    from aiohttp_worker.http1 import octets as cython

from .head_flags import DATE, LENGTH, ODD, SERVER  # noqa: F401  all but ODD and LENGTH are for the .pxd

if not cython.compiled:
    from .octets import field_kind, join_lines, read_length


def write_fields(headers: list[Any]) -> tuple[bytes, int, int] | None:
    """Encode fields that an application may send.

    :return: their lines, the Content-Length (-1 without one), and the flags SERVER and DATE if these are there; None if a field
        has to be looked at: it is no tuple of two strings of visible ASCII, malformed, there twice, or the server's to send.
    """
    found = 0
    length = -1
    for pair in headers:
        kind = field_kind(pair)
        if kind:
            if kind & ODD or (kind & LENGTH and length >= 0):
                return None
            if kind & LENGTH:
                length = read_length(pair[1])
                if length < 0:
                    return None
            found |= kind
    return join_lines(headers), length, found
