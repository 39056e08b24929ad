"""The scanner: what it flags, what it puts into a table, and that both of its forms do the same."""

import re

import pytest

from aiohttp_worker.http1.grammar import CONTENT_LENGTH, FIELD, TOKEN
from aiohttp_worker.http1.grammar import HOST as HOST_PATTERN
from aiohttp_worker.http1.head_flags import (
    CLOSE,
    CODING,
    COOKIE,
    ESCAPED,
    EXPECT,
    HOST,
    HTTP_1_0,
    KEEP_ALIVE,
    LENGTH,
    MALFORMED,
    METHODS,
    ODD,
    TYPE,
)

from .scanners import load_plain, new_scanner, new_table, scan

# A form each; uncompiled they are the same.
SCANNERS = [new_scanner(), new_scanner(load_plain())]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TOP = b"GET / HTTP/1.1\r\n"


def scan_both(data: bytes, start: int = 0) -> tuple[int, int, dict[str, object]]:
    first, second = (scan(scanner, data, start) for scanner in SCANNERS)
    if not (first[1] | second[1]) & MALFORMED:
        assert first == second, data
    else:  # what is in the table then does not count
        assert first[1] & MALFORMED == second[1] & MALFORMED, data
        assert first[0] == second[0]
    return first


def flags_of(*lines: bytes, top: bytes = TOP) -> int:
    return scan_both(top + b"".join([line + b"\r\n" for line in lines]) + b"\r\n")[1]


def test_an_ordinary_head() -> None:
    data = b"POST /a%41/b?c=%41?d HTTP/1.0\r\nHost: a:81\r\nA:\t b \t\r\nCookie: c\r\nCookie:d\r\nA:\xe9\r\nB:\r\n\r\nrest"
    end, flags, table = scan_both(data)
    assert data[end:] == b"rest"
    assert flags == METHODS.index("POST") | HTTP_1_0 | ESCAPED | HOST | COOKIE
    target = "/a%41/b?c=%41?d"
    line = {":method": "POST", ":protocol": "HTTP/1.0", ":path": "/a%41/b", ":query": "c=%41?d", ":target": target}
    assert table == {**line, "host": "a:81", "a": "b,\xe9", "cookie": "c; d", "b": ""}


def test_what_most_send_is_presumed() -> None:
    end, flags, table = scan_both(b"xx" + GET + GET, 2)
    assert (end, flags) == (2 + len(GET), HOST)
    assert table == {**new_table(), ":path": "/", ":target": "/", "host": "a"}


@pytest.mark.parametrize("number", range(len(GET)))
def test_a_head_that_does_not_end(number: int) -> None:
    assert scan_both(GET[:number])[0] == -1
    assert scan_both(GET, number)[0] == (len(GET) if number <= len(GET) - 4 else -1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_common_methods(method: str, version: bytes) -> None:
    _, flags, table = scan_both(b"%b / HTTP/%b\r\n\r\n" % (method.encode(), version))
    assert flags == METHODS.index(method) | (HTTP_1_0 if version == b"1.0" else 0)
    assert (table[":method"], table[":protocol"]) == (method, "HTTP/" + version.decode())


@pytest.mark.parametrize(
    "line",
    [
        b"FROB / HTTP/1.1",
        b"get / HTTP/1.1",
        b"GETS / HTTP/1.1",
        b" / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET /  HTTP/1.1",
    ],
)
def test_rare_lines_are_left_to_the_grammar(line: bytes) -> None:
    assert flags_of(b"Host: a", top=line + b"\r\n") & ODD


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.2",
        b"GET * HTTP/1.1",
        b"OPTIONS * HTTP/1.0",
        b"GET http://a/ HTTP/1.1",
        b"GET ?a HTTP/1.1",
        b"GET",
        b"",
        b"PUT",
        b"GET /",
    ],
)
def test_rare_targets_and_versions_too(line: bytes) -> None:
    assert flags_of(b"Host: a", top=line + b"\r\n") & ODD


@pytest.mark.parametrize(
    ("lines", "flags"),
    [
        ([b"Content-Length: 5"], LENGTH),
        ([b"Content-Length:5 ", b"Content-Type: a"], LENGTH | TYPE),
        ([b"Transfer-Encoding: chunked"], CODING),
        ([b"Expect: 100-continue"], EXPECT),
        ([b"Connection: close"], CLOSE),
        ([b"connection:\tClose\t"], CLOSE),
        ([b"Connection: keep-alive"], KEEP_ALIVE),
        ([b"Connection: Keep-Alive", b"Connection: close"], KEEP_ALIVE | CLOSE),
        ([b"Cookie: a", b"Cookie: b"], COOKIE),
    ],
)
def test_fields_that_are_well_formed(lines: list[bytes], flags: int) -> None:
    assert flags_of(*lines) == flags


@pytest.mark.parametrize(
    "lines",
    [
        [b"Host: a", b"Host: a"],
        [b"Host: "],
        [b"Host: [::1]"],
        [b"Host: a:123456"],
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: +5"],
        [b"Content-Length: \xb2"],
        [b"Content-Length: 1234567890123456789"],
        [b"Content-Length:"],
        [b"Content-Type: a", b"content-type: a"],
        [b"Transfer-Encoding: Chunked"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Expect: x"],
        [b"Connection: te, close"],
        [b"Connection: "],
    ],
)
def test_fields_that_are_left_to_the_grammar(lines: list[bytes]) -> None:
    assert flags_of(*lines) & ODD


def test_content_length_is_told() -> None:
    for scanner in SCANNERS:
        scan(scanner, TOP + b"Content-Length: 00123456789012345\r\n\r\n")
        assert scanner.content_length == 123456789012345


@pytest.mark.parametrize(
    ("line", "fields", "size", "refused"),
    [(14, 2, 8, False), (13, 2, 8, True), (0, 2, 8, False), (0, 1, 8, True), (0, 2, 7, True)],
)
def test_limits(line: int, fields: int, size: int, refused: bool) -> None:
    data = TOP + b"A: bcd\r\nB: c\r\n\r\n"
    for module in (None, load_plain()):
        scanner = new_scanner(line=line, fields=fields, size=size) if module is None else new_scanner(module, line, fields, size)
        assert bool(scan(scanner, data)[1] & (ODD | MALFORMED)) == refused


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_in_every_place(byte: int) -> None:
    """As the grammar has it, alone and with others before and behind: vectors must not overlook one."""
    one = bytes([byte])
    text = one.decode("latin-1")
    for before, behind in ((b"", b""), (b"ab", b"c"), (b"a" * 37, b"b" * 21)):
        value = before + one + behind
        flags = flags_of(b"A:" + value)
        assert bool(flags & MALFORMED) == (FIELD.fullmatch(b"A:" + value) is None), value
        name = before + one + behind
        flags = flags_of(name + b":b")
        assert bool(flags & MALFORMED) == (FIELD.fullmatch(name + b":b") is None), name
        assert byte == 58 or bool(flags & MALFORMED) == (TOKEN.fullmatch(name.decode("latin-1")) is None), name
        flags = flags_of(top=b"GET /" + before + one + behind + b" HTTP/1.1\r\n")
        assert bool(flags & (ODD | MALFORMED)) == (re.fullmatch(rb"[!-\"$-~]", one) is None), value
        assert byte != 37 or flags & ESCAPED
        host = before.decode() + text + behind.decode()
        flags = flags_of(b"Host:" + before + one + behind)
        if not flags & (ODD | MALFORMED):
            assert HOST_PATTERN.fullmatch(host.strip(" \t"))
        flags = flags_of(b"Content-Length: 1" + one)
        assert (flags & (LENGTH | MALFORMED) == LENGTH) == (CONTENT_LENGTH.fullmatch(("1" + text).strip(" \t")) is not None)


@pytest.mark.parametrize(
    "fields",
    [
        b"A: b\rc\r\n",
        b"A: b\nc\r\n",
        b"A: b\r\r\n",
        b"A\r\n: b\r\n",
        b" A: b\r\n",
        b"A : b\r\n",
        b": b\r\n",
        b"A\r\n",
        b"A: b\r\n c\r\n",
        b"A: b\r\n\tc\r\n",
        b"\nA: b\r\n",
        b"A: b\r\n\nB: c\r\n",
        b"A: \x00\r\n",
        b"A: \x7f\r\n",
    ],
)
def test_malformed_fields(fields: bytes) -> None:
    assert scan_both(TOP + b"Host: a\r\n" + fields + b"\r\n")[1] & MALFORMED


@pytest.mark.parametrize("size", [*range(1, 70), 1000, 9000])
def test_names_of_every_size(size: int) -> None:
    """Twice, since a name that is known takes another way."""
    for letter in ("a", "b", "a"):
        name = letter * size
        fits = size + 5 <= 8190
        _, flags, table = scan_both(TOP + name.encode() + b":" + b"c" * 3 + b"\r\n\r\n")
        assert bool(flags & MALFORMED) != fits
        if fits:
            assert table[name] == "ccc"
