"""Each pattern of the grammar, with texts that match and texts that do not."""

import re

import pytest

from aiohttp_worker.http1 import grammar

CASES: dict[str, tuple[list[str], list[str]]] = {
    "TOKEN": (
        ["GET", "a", "!#$%&'*+-.^_`|~09AZaz"],
        ["", "a b", "a:", "a\n", "a\r", "\x00", "é", "ａ", "a\x7f", "(", "a,b", '"a"', "a/b", "a@b", "[a]", "{a}", "a\\b", "a=b"],
    ),
    "FIELD_VALUE": (
        ["", "a", " a b ", "\t", "\x80\xff", '!"#~'],
        ["a\r", "a\n", "a\r\nb", "\x00", "\x0b", "\x1f", "\x7f", "\u0100", "ａ"],
    ),
    "STATUS": (
        ["200 OK", "200", "404 Not Found", "999 ", "200 \xe9\t!"],
        [
            "",
            "20 OK",
            "2000 OK",
            "200OK",
            "099 Low",
            "200  OK\n",
            "200 O\rK",
            "200\tOK",
            "²00 OK",
            "٢٠٠ OK",
            " 200 OK",
            "200 \u0100",
        ],
    ),
    "CONTENT_LENGTH": (
        ["0", "5", "005", "123456789012345678"],
        ["", "+5", "-5", " 5", "5 ", "5_0", "0x5", "5.0", "5e0", "5\n", "²", "٥", "５", "1" * 40, "5,5"],
    ),
    "HOST": (
        ["a", "a:80", "a:", "127.0.0.1", "[::1]", "[::1]:80", "[v1.a:b]", "a_b", "a.", "a%41", "a!$&'()*+,;=b", "xn--e1a.x"],
        [
            "",
            ":",
            ":80",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a:b",
            "a:80:80",
            "a:+8",
            "a:²",
            "[::1",
            "::1",
            "[]",
            "[zz]",
            "[::1]a",
            "a%4",
            "a%zz",
            "a\n",
            "a\r",
            "a\x00",
            "é",
            '"a"',
            "<a>",
            "a\\b",
            "{a}",
            "a|b",
            "a^b",
            "a`b",
        ],
    ),
    "VERSION": (
        ["HTTP/1.1", "HTTP/0.0", "HTTP/2.0"],
        ["", "HTTP/1", "HTTP/1.10", "HTTP/1.1 ", "HTTP/1.1\r", "http/1.1", "HTTP/1.\xb9", "HTTP/11", "HTTP/1,1"],
    ),
    "ABSOLUTE_TARGET": (
        ["http://a", "http://a/b?c", "HTTP://a?b", "a+b-c.d1://x/", "http://"],
        ["", "/a", "://a", "1a://b", "http:/a", "http:a", "*"],
    ),
}

BYTES_CASES: dict[str, tuple[list[bytes], list[bytes]]] = {
    "TOKEN_BYTES": ([b"GET", b"a-b"], [b"", b"a b", b"\xe9", b"a\n"]),
    "CHUNK_LINE": (
        [
            b"5\r\n",
            b"0\r\n",
            b"fF\r\n",
            b"0005\r\n",
            b"fffffffffffffff\r\n",
            b"5;a\r\n",
            b"5;a=b\r\n",
            b'5;a="b \\" c"\r\n',
            b"5 ; a = b\t;c\r\n",
            b"0" * 5000 + b"5\r\n",
            b"5;" + b"a" * 5000 + b"\r\n",
        ],
        [
            b"\r\n",
            b"5",
            b"5\n",
            b"5\r",
            b"5 \r\n",
            b" 5\r\n",
            b"+5\r\n",
            b"0x5\r\n",
            b"5_0\r\n",
            b"g\r\n",
            b"1" + b"0" * 15 + b"\r\n",
            b"5;\r\n",
            b"5;;a\r\n",
            b"5;=a\r\n",
            b"5;a=\r\n",
            b'5;a="b\r\n',
            b"5;a\rb\r\n",
            b"5;a\nb\r\n",
            b"5;a b\r\n",
            b"5;a \r\n",
            b"5,a\r\n",
            b"5;a=b=c\r\n",
            b'5;a="\x00"\r\n',
            b'5;a="\r\n"\r\n',
            b"5;\xe9\r\n",
            b"\xb2\r\n",
        ],
    ),
    "FIELD": (
        [b"A: b", b"A:", b"A:b:c", b"A: \xe9\t"],
        [b"A b", b": b", b"A : b", b" A: b", b"A: b\n", b"A: b\rc", b"A: b\r\n", b"A: \x00", b"A: \x7f", b"\xe9: b", b"A"],
    ),
    "FIELD_LINE": (
        [b"A: b\r\n", b"A:\r\n", b"A:b:c\r\n", b"A: \xe9\t\r\n"],
        [
            b"A b\r\n",
            b": b\r\n",
            b"A : b\r\n",
            b" A: b\r\n",
            b"A: b\n",
            b"A: b\rc\r\n",
            b"A: b\x00\r\n",
            b"A: b",
            b"\xe9: b\r\n",
            b"\r\n",
        ],
    ),
}

ALL = [(name, text, True) for name, (good, _) in CASES.items() for text in good]
ALL += [(name, text, False) for name, (_, bad) in CASES.items() for text in bad]
ALL_BYTES = [(name, text, True) for name, (good, _) in BYTES_CASES.items() for text in good]
ALL_BYTES += [(name, text, False) for name, (_, bad) in BYTES_CASES.items() for text in bad]


@pytest.mark.parametrize(("name", "text", "taken"), [*ALL, *ALL_BYTES])
def test_pattern(name: str, text: str | bytes, taken: bool) -> None:
    pattern = getattr(grammar, name)
    if isinstance(pattern.pattern, str) and isinstance(text, bytes):
        text = text.decode("latin-1")
    assert (pattern.fullmatch(text) is not None) is taken


def test_every_pattern_is_tested() -> None:
    patterns = {name for name, value in vars(grammar).items() if isinstance(value, re.Pattern)}
    assert patterns == {*CASES, *BYTES_CASES}


def test_parts() -> None:
    host = grammar.HOST.fullmatch("[::1]:80")
    assert host is not None
    assert host.groups() == ("[::1]", "80")
    target = grammar.ABSOLUTE_TARGET.fullmatch("http://a:1/b?c")
    assert target is not None
    assert target.groups() == ("http", "a:1", "/b?c")
    version = grammar.VERSION.fullmatch("HTTP/1.0")
    assert version is not None
    assert version.groups() == ("1", "0")
    chunk = grammar.CHUNK_LINE.fullmatch(b"000a;b=c\r\n")
    assert chunk is not None
    assert chunk.groups() == (b"000a", b";b=c")


@pytest.mark.parametrize(
    "line",
    [
        b"5" + b" " * 8000,
        b"5;" + b"a" * 8000,
        b"5" + b";a" * 4000 + b"!(",
        b'5;a="' + b"\\a" * 4000,
        b"0" * 8000,
        b"5" + b" ; a = b" * 1000 + b"(",
    ],
)
def test_long_chunk_line_takes_linear_time(line: bytes) -> None:
    """No pattern goes back over what it has read: the work for a hopeless line is that for a good one."""
    pattern = grammar.CHUNK_LINE
    assert pattern.match(line) is None
    assert pattern.match(line + b"(\r\n") is None


@pytest.mark.parametrize("text", ["/", "*", "/a?b", '/|{}^`[]\\"<>%20', "http://a/b"])
def test_targets(text: str) -> None:
    assert grammar.is_target(text)


def test_malformed_targets() -> None:
    assert not grammar.is_target("")
    allowed = {character for number in range(0x180) if grammar.is_target("/" + (character := chr(number)))}
    assert allowed == {chr(number) for number in range(0x21, 0x7F)} - {"#"}


def test_plain_text_is_a_field_value() -> None:
    plain = {character for number in range(0x180) if grammar.is_plain_text(character := chr(number))}
    assert plain == {chr(number) for number in range(0x20, 0x7F)}
    assert all(grammar.FIELD_VALUE.fullmatch(character) for character in plain)
