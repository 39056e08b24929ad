"""Compare what reads heads of requests: python -m fuzz.heads --count 1000000.

Mutations of the corpus and of a browser's head go through

- the scanner as it is imported (compiled, where it is), and the plain one: the same flags and the same table;
- the parser, and the grammar alone: the same request, or the same status and reason;
- the parser and llhttp: what the parser accepts llhttp accepts, and reads the same fields of it.
"""

import argparse
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httptools

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.head_flags import ALL, MALFORMED, ODD
from aiohttp_worker.http1.messages import Limits, RequestHead
from aiohttp_worker.http1.request_parser import HeadParser
from tests.http1.scanners import COMPILED, load_plain, new_scanner, scan

from .material import CORPUS

BROWSER = (
    b"GET /items/7?page=7 HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nCache-Control: max-age=0\r\nConnection: keep-alive\r\n"
    b"Referer: https://shop.example/articles/2024/\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
    b"X-Request-Id: 7-7f3a\r\nX-Forwarded-For: 198.51.100.7\r\nCookie: session=75f2b7c9d1e3a; theme=dark\r\n\r\n"
)
OTHERS = (
    b"POST /a%41 HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    b"OPTIONS http://a/b?c HTTP/1.1\r\nHost: a:81\r\nCookie: a\r\nCookie: b\r\nA:\r\nA: \r\n\r\n",
    b"PUT /a?b?c HTTP/1.1\r\nHost: [::1]:8\r\nTransfer-Encoding: chunked\r\nContent-Type: a\r\nConnection: close\r\n\r\n",
)
SPLICES = [bytes([byte]) for byte in b'\x00\t\n\x0b\r !"#%+,-/01:;?@A[_a~\x7f\x80\xa0\xb0\xff']
SPLICES += [b"\r\n", b"\r\n ", b"\r\n\t", b" :", b"://", b"HTTP/1.1", b"HTTP/1.0", b"chunked", b"keep-alive", b"close", b"gzip, "]
LIMITS = (
    Limits(),
    Limits(request_line=60, fields=8, field_size=60),
    Limits(permit_obsolete_folding=True, strip_header_spaces=True),
    Limits(permit_unconventional_http_method=True, permit_unconventional_http_version=True, casefold_http_method=True),
)


def heads(count: int, seed: int) -> Iterator[bytes]:
    """What is to be compared: the material itself, then mutations of it; the same for the same seed."""
    choose = random.Random(seed)
    pool = [data for path in sorted(CORPUS.glob("*/*.http")) if len(data := path.read_bytes()) < 20_000]
    pool += [BROWSER, *OTHERS] * 40
    lines = sorted({line for data in pool for line in data.split(b"\r\n") if b":" in line and len(line) < 300})
    yield from pool[:count]
    for _ in range(count - len(pool)):
        data = choose.choice(pool)
        for _ in range(choose.choice((1, 1, 1, 2, 2, 3, 5))):
            data = mutate(data, choose, pool, lines)
        yield data


def mutate(data: bytes, choose: random.Random, pool: list[bytes], lines: list[bytes]) -> bytes:
    """Change a byte, put in or take out some, or add, double, drop, or exchange lines."""
    kind = choose.random()
    place = choose.randrange(len(data)) if data else 0
    if kind < 0.25:
        return data[:place] + bytes([choose.randrange(256)]) + data[place + 1 :]
    if kind < 0.4:
        return data[:place] + choose.choice(SPLICES) + data[place:]
    if kind < 0.5:
        return data[:place] + data[place + choose.choice((1, 1, 1, 2, 3, 8)) :]
    parts = data.split(b"\r\n")
    first, second = choose.randrange(len(parts)), choose.randrange(len(parts))
    if kind < 0.7:
        parts.insert(first, choose.choice(lines))
    elif kind < 0.8:
        parts.insert(first, parts[second])
    elif kind < 0.87:
        del parts[first]
    elif kind < 0.94:
        parts[first], parts[second] = parts[second], parts[first]
    else:
        parts = parts[:1] + choose.choice(pool).split(b"\r\n")[1:]
    return b"\r\n".join(parts)


class Comparison:
    """What the compared keep between heads: names that they have learned, above all."""

    def __init__(self) -> None:
        plain = load_plain()
        self.scanners = [
            [new_scanner(line=one.request_line, fields=one.fields, size=one.field_size) for one in LIMITS],
            [new_scanner(plain, one.request_line, one.fields, one.field_size) for one in LIMITS],
        ]
        self.parsers = [HeadParser(limits) for limits in LIMITS]
        self.seen: Counter[str] = Counter()

    def check(self, data: bytes, number: int) -> None:
        """Compare all for one head.

        :raises AssertionError: they differ.
        """
        for which in (0, number % len(LIMITS)):
            first, second = (scan(scanners[which], data) for scanners in self.scanners)
            assert first[0] == second[0], data
            assert first[1] & MALFORMED == second[1] & MALFORMED, (data, first, second)
            assert first[1] & MALFORMED or first == second, (data, first, second)
            if first[0] < 0:
                self.seen["incomplete"] += 1
                continue
            raw = data[: first[0]]
            parsed = outcome(self.parsers[which], raw, 0)
            assert parsed == outcome(self.parsers[which], raw, ODD), raw
            self.seen["refused" if isinstance(parsed[0], int) else "accepted"] += 1
            if which == 0 and not isinstance(parsed[0], int):
                assert received_by_llhttp(raw) == parsed[1], raw


def outcome(parser: HeadParser, raw: bytes, more: int) -> tuple[Any, ...]:
    """Return what a request is, or the status and the reason of its refusal; by the grammar alone if *more* is ODD."""
    table = parser.base.copy()
    flags = parser.scan(raw, 0, table) & ALL
    try:
        head = parser.parse(raw, table, flags | more)
    except RemoteProtocolError as error:
        return error.status_code, str(error)
    return facts(head), head.headers, head.table


def facts(head: RequestHead) -> tuple[Any, ...]:
    line = (head.method, head.target, head.path, head.query, head.version)
    return *line, head.content_length, head.chunked, head.has_body, head.keep_alive, head.expect_continue


def received_by_llhttp(raw: bytes) -> list[tuple[str, str]]:
    """Return the fields that llhttp reads, with a request line that it knows."""
    received: list[tuple[str, str]] = []

    class Events:
        def on_header(self, name: bytes, value: bytes) -> None:
            received.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    parser = httptools.HttpRequestParser(Events())
    fields = raw.partition(b"\r\n")[2]
    # It takes spaces off the names of codings, and tabs not.
    fields = b"\r\n".join([line.rstrip(b" \t") for line in fields.split(b"\r\n")])
    try:
        parser.feed_data(b"GET / HTTP/1.1\r\n" + fields)
    except httptools.HttpParserUpgrade:
        pass
    return received


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare what reads heads of requests.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    comparison = Comparison()
    for number, data in enumerate(heads(arguments.count, arguments.seed)):
        comparison.check(data, number)
    form = "compiled" if COMPILED else "plain"
    print(f"{arguments.count} heads, scanner {form}: no difference; {dict(comparison.seen)}")


if __name__ == "__main__":
    main()
