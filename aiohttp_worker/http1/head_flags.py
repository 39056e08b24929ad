"""Flags: what the scanner found in the head of a request, in one number with the length of the head."""

from __future__ import annotations

from typing import Final

METHOD: Final = 7  # a place in METHODS
HTTP_1_0: Final = 8
ESCAPED: Final = 16  # a percent sign in the path
# Fields that say something to the server itself. Each is well-formed, and all but Connection and Expect are there once.
HOST: Final = 32
LENGTH: Final = 64  # HeadScanner.content_length has the number
CODING: Final = 128  # Transfer-Encoding: chunked
TYPE: Final = 256
EXPECT: Final = 512  # 100-continue
CLOSE: Final = 1024
KEEP_ALIVE: Final = 2048
# What the scanner leaves to the grammar: a rare method, form or value, or a repetition.
ODD: Final = 4096
MALFORMED: Final = 8192  # and not all of it is in the table
# What names alone say; the last two are up to whoever knows the keys.
CONNECTION: Final = 16384
COOKIE: Final = 32768
FORWARDED: Final = 65536  # says something of scheme or mount point
REFUSED: Final = 131072  # may not be there

# Of the fields of a response, besides LENGTH and ODD.
SERVER: Final = 1
DATE: Final = 2

BITS: Final = 18
ALL: Final = (1 << BITS) - 1

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
#: The fields of which a flag is noted, by their names in lower case.
MEANINGS: Final[dict[str, int]] = {
    "connection": CONNECTION,
    "content-length": LENGTH,
    "content-type": TYPE,
    "cookie": COOKIE,
    "expect": EXPECT,
    "host": HOST,
    "transfer-encoding": CODING,
}
