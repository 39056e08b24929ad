"""Scanner of request heads: one pass over the bytes, which fills a table and says what is unusual (RFC 9112 sections 3 and 5).

The one source of both forms. Uncompiled it is plain Python with the functions of ``octets``; a wheel has it compiled by
Cython, with the types and the functions of the same names in ``head_scanner.pxd``, which look at bytes by pointers. mypyc, which
compiles the files around it, has no bytes by pointer: a browser's head took 2.6 times the instructions.

Nothing here refuses a head. What is not as in nearly all requests is flagged as ODD and left to ``request_parser``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

try:
    import cython
except ImportError:  # it is needed to compile only
    from aiohttp_worker.http1 import octets as cython

from .head_flags import (
    BITS,
    CLOSE,
    CODING,
    CONNECTION,
    COOKIE,
    ESCAPED,  # noqa: F401  this and the next two of its kind are for the .pxd
    EXPECT,
    FORWARDED,
    HOST,
    HTTP_1_0,  # noqa: F401
    KEEP_ALIVE,
    LENGTH,
    MALFORMED,
    METHODS,  # noqa: F401
    ODD,
    TYPE,
)

if not cython.compiled:
    from .octets import head_end, is_plain_host, next_name, open_head, read_length, read_line, take_value

_ONCE = HOST | LENGTH | CODING | TYPE
_JUDGED = HOST | LENGTH | CODING | EXPECT | CONNECTION


class HeadScanner:
    """Reads heads into tables, and keeps what was learned of the names of fields.

    :param learn: from the name of a field to the key of its values in a table, "" for none, and the flags of the name.
    :param keys: of method, protocol, path and query, and two of the target; a table has presumed the method to be GET, the
        protocol HTTP/1.1 and the query empty.
    :param longest_line: bytes of a request line, 0 for no limit.
    :param most_fields: number of fields.
    :param longest_field: bytes of a field with its line end.
    :ivar content_length: of the last head with the flag LENGTH.
    """

    def __init__(
        self,
        learn: Callable[[str], tuple[str, int]],
        keys: tuple[str, ...],
        longest_line: int,
        most_fields: int,
        longest_field: int,
    ) -> None:
        self.learn = learn
        self.keys = keys
        self.longest_line = longest_line
        self.most_fields = most_fields
        self.longest_field = longest_field
        self.content_length = 0
        # Of each name, at its place: the key and the flags. Two names with one place take it from each other; long ones use the
        # last place.
        self.names: list[bytes] = [b""] * 1025
        self.name_keys: list[str] = [""] * 1025
        self.name_flags: list[int] = [0] * 1025
        # Of the head that is read now.
        self.fields = 0
        self.places: dict[str, int] = {}
        self.lines: Iterator[str] = iter(())
        self.rest = ""

    def read(self, data: bytes, start: int, table: dict[str, object]) -> int:
        """Put into *table* what the head says that begins at *start*.

        :return: the flags, and behind them (see ``BITS``) where the head ends with its empty line; -1 if it does not end.
        """
        end = head_end(data, start)
        if end < 0:
            return -1
        if not open_head(self, data, start, end):
            return (end + 4) << BITS | MALFORMED
        flags = read_line(self, table)
        size = len(table)
        while True:
            place = next_name(self)
            if place < 0:
                break
            value = take_value(self)
            meaning = self.name_flags[place]
            if meaning:
                flags = self.note(flags, meaning, value)
            key = self.name_keys[place]
            if key:
                table.setdefault(key, value)
                if len(table) > size:
                    size += 1
                else:
                    table[key] = joined(meaning, table[key], value)
        if place == -2:
            flags |= MALFORMED
        return (end + 4) << BITS | flags

    def note(self, flags: int, meaning: int, value: str) -> int:
        """Return *flags* with what a field says to the server itself."""
        if flags & meaning & _ONCE:
            return flags | ODD
        if not meaning & _JUDGED:
            return flags | meaning
        flags |= meaning & FORWARDED
        if meaning & CONNECTION:
            if value == "keep-alive" or value == "Keep-Alive":
                return flags | KEEP_ALIVE
            return flags | (CLOSE if value == "close" or value == "Close" else ODD)
        if meaning & HOST:
            fits = is_plain_host(value)
        elif meaning & LENGTH:
            self.content_length = read_length(value)
            fits = self.content_length >= 0
        else:
            fits = value == ("chunked" if meaning & CODING else "100-continue")
        return flags | meaning if fits else flags | ODD

    def learn_name(self, place: int, name: str) -> None:
        """Have *name* at *place* from now on."""
        self.names[place] = name.encode("ascii")
        self.name_keys[place], self.name_flags[place] = self.learn(name)


def joined(meaning: int, values: object, value: str) -> str:
    """Return the values of two fields of a name as one (RFC 9110 section 5.3), cookies by "; " (RFC 6265 section 5.4)."""
    return f"{values}{'; ' if meaning & COOKIE else ','}{value}"
