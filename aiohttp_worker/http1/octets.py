"""The plain form of what ``head_scanner.pxd`` and ``field_writer.pxd`` do with pointers: bytes of heads and native strings.

Where these are compiled nothing here is used but as an oracle for them. Each function has the name, the arguments and
the result of its compiled twin.
"""

from __future__ import annotations

import re
from typing import Any, Final

from .caches import remember
from .grammar import TOKEN
from .head_flags import DATE, ESCAPED, HTTP_1_0, LENGTH, METHODS, ODD, SERVER

compiled: Final = False  # what `cython.compiled` says where Cython is not installed

_MOST_NAMES: Final = 1024
_LONGEST_NAME: Final = 64
_NUMBERS: Final = {method: number for number, method in enumerate(METHODS)}
_ALLOWED: Final = bytes([9, *range(32, 127), *range(128, 256)])
_PLAIN_HOST: Final = re.compile(r"[A-Za-z0-9.\-]+(?::[0-9]{0,5})?")
_KINDS: Final = {"content-length": LENGTH, "date": DATE, "server": SERVER} | dict.fromkeys(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"), ODD
)
_learned_kinds: Final[dict[str, int]] = {}  # of names as applications write them


def head_end(data: bytes, start: int) -> int:
    """Return where the line end before the empty line is, -1 if there is none from *start* on."""
    return data.find(b"\r\n\r\n", start)


def open_head(scanner: Any, data: bytes, start: int, end: int) -> bool:
    """Begin with the head in ``data[start:end]``; return False if a line end or a control character is out of place."""
    raw = data[start:end]
    lines = raw.decode("latin-1").split("\r\n")
    scanner.lines = iter(lines)
    scanner.fields = len(lines) - 1
    if scanner.fields > scanner.most_fields:
        return False
    if len(raw) > scanner.longest_field - 2 and max(map(len, lines[1:]), default=0) > scanner.longest_field - 2:
        return False
    return bool(len(raw.translate(None, _ALLOWED)) == 2 * scanner.fields)


def read_line(scanner: Any, table: dict[str, object]) -> int:
    """Put the parts of an ordinary request line into *table* and return its flags; ODD for any other line."""
    line = next(scanner.lines)
    limit = scanner.longest_line
    method_key, protocol_key, path_key, query_key, target_key, second_target_key = scanner.keys
    method, _, rest = line.partition(" ")
    target, _, protocol = rest.partition(" ")
    flags = _NUMBERS.get(method, ODD)
    if flags == ODD or 0 < limit < len(line) or not target.startswith("/"):
        return ODD
    if not (target.isascii() and target.isprintable()) or "#" in target:
        return ODD
    if protocol != "HTTP/1.1":
        if protocol != "HTTP/1.0":
            return ODD
        flags |= HTTP_1_0
        table[protocol_key] = protocol
    if flags & ~HTTP_1_0:
        table[method_key] = method
    path, question, query = target.partition("?")
    if "%" in path:
        flags |= ESCAPED
    table[path_key] = path
    if question:
        table[query_key] = query
    table[target_key] = target
    table[second_target_key] = target
    return flags


def next_name(scanner: Any) -> int:
    """Go on to the next field and return the place of its name; -1 behind the last one, -2 if it is malformed."""
    line = next(scanner.lines, None)
    if line is None:
        return -1
    name, colon, scanner.rest = line.partition(":")
    place = scanner.places.get(name)
    if place is None:
        if not colon or TOKEN.fullmatch(name) is None:
            return -2
        if len(name) > _LONGEST_NAME:
            place = _MOST_NAMES  # not kept
        else:
            if len(scanner.places) >= _MOST_NAMES:
                scanner.places.clear()
            place = scanner.places[name] = len(scanner.places)
        scanner.learn_name(place, name)
    return place if colon else -2


def take_value(scanner: Any) -> str:
    """Return the value of the field, without the spaces and tabs around it."""
    rest: str = scanner.rest
    return rest.strip(" \t")


def is_plain_host(value: str) -> bool:
    """Say whether *value* is a name or an IPv4 address, and perhaps a port: what most Host fields are."""
    return _PLAIN_HOST.fullmatch(value) is not None


def read_length(value: str) -> int:
    """Return the number that 1 to 18 digits are, -1 for anything else (RFC 9110 section 8.6)."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else -1


def field_kind(pair: Any) -> int:
    """Return LENGTH, SERVER or DATE for such a field of a response, ODD for one that has to be looked at, and 0 for any other."""
    if type(pair) is not tuple or len(pair) != 2:
        return ODD
    name, value = pair
    if type(name) is not str or type(value) is not str:
        return ODD
    if not (value.isascii() and value.isprintable()) or value[:1] == " " or value[-1:] == " ":
        return ODD
    kind = _learned_kinds.get(name)
    if kind is None:
        if TOKEN.fullmatch(name) is None:
            return ODD
        kind = _KINDS.get(name.lower(), 0)
        if len(name) <= _LONGEST_NAME:
            remember(_learned_kinds, _MOST_NAMES, name, kind)
    return kind


def join_lines(headers: list[tuple[str, str]]) -> bytes:
    """Return the lines of fields, which are all of ASCII."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("ascii")
