"""Writer of the field lines of responses: what it encodes, what it leaves alone, and that both of its forms do the same."""

from typing import Any

import pytest

from aiohttp_worker.http1 import field_writer
from aiohttp_worker.http1.errors import LocalProtocolError
from aiohttp_worker.http1.head_flags import DATE, LENGTH, SERVER
from aiohttp_worker.http1.response_encoder import HeadEncoder

from .scanners import load_plain

FORMS = [field_writer.write_fields, load_plain("field_writer").write_fields]


def write(headers: list[Any]) -> tuple[bytes, int, int] | None:
    """What both forms say, which is what the encoder says field by field."""
    first, second = (form(list(headers)) for form in FORMS)
    assert first == second
    if first is not None:
        block = HeadEncoder("x")._encode_odd(headers)
        assert (block.data, -1 if block.length is None else block.length, block.closes) == (*first[:2], False)
        assert (block.has_server, block.has_date) == (first[2] & SERVER != 0, first[2] & DATE != 0)
        assert block.pairs == headers
    return first  # type: ignore[no-any-return]


def test_fields() -> None:
    assert write([("Content-Type", "a"), ("content-length", "007"), ("X", "")]) == (
        b"Content-Type: a\r\ncontent-length: 007\r\nX: \r\n",
        7,
        LENGTH,
    )
    assert write([]) == (b"", -1, 0)
    assert write([("DATE", "a b"), ("sErver", "c")]) == (b"DATE: a b\r\nsErver: c\r\n", -1, DATE | SERVER)
    assert write([("Dat", "a"), ("Served", "c"), ("Content-Lengths", "x")]) == (
        b"Dat: a\r\nServed: c\r\nContent-Lengths: x\r\n",
        -1,
        0,
    )


class Text(str):
    __slots__ = ()


class Pair(tuple[str, str]):
    __slots__ = ()


@pytest.mark.parametrize(
    "header",
    [
        ["A", "b"],
        ("A",),
        ("A", "b", "c"),
        Pair(("A", "b")),
        ("A", 5),
        (b"A", "b"),
        (Text("A"), "b"),
        ("A", Text("b")),
        None,
        ("", "b"),
        ("A b", "c"),
        ("A", " b"),
        ("A", "b "),
        ("A", "\xe9"),
        ("A", "\u20ac"),
        ("\xe9", "b"),
        ("A", "b\r\nC: d"),
        ("A", "b\0"),
        ("Content-Length", ""),
        ("Content-Length", "x"),
        ("Content-Length", "1" * 19),
        *[
            (name, "x")
            for name in ("Connection", "Keep-Alive", "Proxy-Connection", "TE", "trailer", "Transfer-Encoding", "UPGRADE")
        ],
    ],
    ids=repr,
)
def test_rest_is_left_to_the_encoder(header: Any) -> None:
    assert write([("B", "c"), header]) is None
    assert write([header, ("B", "c")]) is None


def test_length_twice_is_left_to_the_encoder() -> None:
    assert write([("Content-Length", "5"), ("Content-Length", "5")]) is None


@pytest.mark.parametrize("code", range(256))
def test_every_character_in_every_place(code: int) -> None:
    """Nothing is encoded that field by field is refused."""
    for before, behind in (("", ""), ("ab", "c"), ("a" * 37, "b" * 21)):
        text = before + chr(code) + behind
        for headers in ([("A", text)], [(text, "b")]):
            if write(headers) is None:
                try:
                    HeadEncoder("x")._encode_odd(headers)
                except LocalProtocolError:
                    continue
                assert code in (9, 32) or code >= 128, "it could have been encoded"


@pytest.mark.parametrize("size", range(1, 70))
def test_sizes(size: int) -> None:
    assert write([("N" * size, "v" * (70 - size))] * 3) == (b"%b: %b\r\n" % (b"N" * size, b"v" * (70 - size)) * 3, -1, 0)
