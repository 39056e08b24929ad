"""Material of the fuzzers: the corpus, and the words of HTTP/1."""

from pathlib import Path
from typing import Final

from hypothesis import strategies as st

CORPUS: Final = Path(__file__).parent.parent / "tests" / "corpus"
LONGEST: Final = 1500  # bytes; what is longer tests limits, and those have rules of their own

REQUESTS: Final = [data for path in sorted(CORPUS.glob("*/*.http")) if len(data := path.read_bytes()) <= LONGEST]

RESPONSES: Final = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00",
    b"HTTP/1.1 200\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nab",
    b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nabX",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x01",
    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno",
]

WORDS: Final = [
    *(b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b": ", b";", b",", b'"', b"\\", b"=", b"#", b"@"),
    *(b"\x00", b"\x0b", b"\x7f", b"\x80", b"\xff", b"\r\n\r\n", b"\n\n", b"\r\n ", b"\r\n\t", b"\r\r\n"),
    *(b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b"HTTP/1.1 200 OK\r\n"),
    *(b"GET ", b"POST ", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"FROB "),
    *(b"/", b"*", b"?a=b", b"http://", b"example.com", b"Host: example.com\r\n"),
    *(b"Content-Length", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n"),
    *(b"Transfer-Encoding", b"Transfer-Encoding: chunked\r\n", b"chunked", b"gzip", b"identity"),
    *(b"Connection", b"Connection: close\r\n", b"keep-alive", b"Upgrade: h2c\r\n", b"Connection: Upgrade\r\n"),
    *(b"Expect: 100-continue\r\n", b"Trailer", b"A: b\r\n", b"A_B: c\r\n"),
    *(b"0", b"5", b"a", b"f", b"ffffffffffffffff", b"+5", b"0x5", b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\n"),
    *(b";a=b", b';a="b"', b"GET / HTTP/1.1\r\nHost: example.com\r\n", b"POST / HTTP/1.1\r\nHost: example.com\r\n"),
]

CUTS: Final = st.one_of(st.just(b"\x01"), st.binary(max_size=6), st.just(b"\x02"), st.just(b"\x03\x01"))


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed, or two, of which a few bytes were taken out, doubled, or replaced by words."""
    data = draw(st.sampled_from(seeds))
    if draw(st.booleans()):
        data += draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8))
        new = draw(st.one_of(st.sampled_from(WORDS), st.binary(max_size=3), st.just(data[place : place + length] * 2)))
        data = data[:place] + new + data[place + length :]
    return data


def built() -> st.SearchStrategy[bytes]:
    """Words in any order."""
    return st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=3)), max_size=25).map(b"".join)


LINES: Final = [
    *(b"A: b", b"A:b", b"A:\t b \t", b"A: \x80", b"A:", b"a-b: c", b"A_B: c", b"Cookie: a=b", b"Accept: */*, a/b"),
    *(b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade", b"connection: te, close", b"Upgrade: h2c"),
    *(b"Expect: 100-continue", b"TE: trailers", b"Trailer: A", b"Content-Type: text/plain", b"Keep-Alive: timeout=5"),
    *(
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"Content-Length:\t5 ",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
    ),
    *(b"A: b\r\n c", b"A : b", b" A: b", b"A: b\x00", b"A: b\rc", b"A: b\nc", b"A", b": b", b"Host: other.example"),
]
TARGETS: Final = [
    b"/",
    b"/a?b=c",
    b"*",
    b"http://example.com/a",
    b"http://other.example/",
    b"/%zz",
    b"//a",
    b"/a#b",
    b"a",
    b"/\xe9",
]


@st.composite
def composed(draw: st.DrawFn) -> bytes:
    """One to three requests, most of them well-formed, with a body that fits or nearly does."""
    data = b""
    for _ in range(draw(st.integers(1, 3))):
        method = draw(st.sampled_from([b"GET", b"GET", b"POST", b"POST", b"HEAD", b"OPTIONS", b"FROB", b"CONNECT", b"get"]))
        target = draw(st.sampled_from([b"/", b"/a?b", *TARGETS]))
        version = draw(st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0"]))
        lines = [
            method + b" " + target + b" " + version,
            b"Host: example.com",
            *draw(st.lists(st.sampled_from(LINES[:18]), max_size=4)),
        ]
        lines += draw(st.lists(st.sampled_from(LINES), max_size=1))
        framing = draw(st.sampled_from(["none", "none", "length", "chunked"]))
        body = draw(st.binary(max_size=12)) if framing != "none" else b""
        if framing == "length":
            lines.append(b"Content-Length: %d" % max(0, len(body) + draw(st.sampled_from([0, 0, 0, 0, 1, -1]))))
        elif framing == "chunked":
            lines.append(b"Transfer-Encoding: chunked")
            extension = draw(st.sampled_from([b"", b"", b";a", b";a=b", b' ; a = "b;c"', b";", b"\t"]))
            end = draw(st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\r", b""]))
            chunk = b"%x" % len(body) + extension + b"\r\n" + body + end if body else b""
            body = chunk + b"0\r\n" + draw(st.sampled_from([b"", b"", b"A: b\r\n", b"Host: a\r\n", b"A\r\n"])) + b"\r\n"
        data += b"\r\n".join(lines) + b"\r\n\r\n" + body
    return data


def requests() -> st.SearchStrategy[bytes]:
    """What a client might send."""
    return st.one_of(mutated(REQUESTS), composed(), composed(), built(), st.binary(max_size=60))


def responses() -> st.SearchStrategy[bytes]:
    """What a server might send."""
    return st.one_of(mutated(RESPONSES), built(), st.binary(max_size=60))
