"""Text of a body by its charset, its byte order mark, or a guess."""

from __future__ import annotations

import sys

import pytest

from aiohttp.charset import decode_text

TEXT = "Grüße aus Köln, wo die Straßen schön sind und die Züge pünktlich"


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        (b"\xfc", "latin-1", "ü"),
        (b"\xfc", "utf-8", "\ufffd"),
        ("ü".encode(), "of nobody", "ü"),
        (b"a", "rot13", "a"),
        ("ü".encode("utf-8-sig"), None, "ü"),
        ("ü".encode("utf-16"), None, "ü"),
        ("ü".encode("utf-32"), None, "ü"),
        ("ü".encode(), None, "ü"),
        (b"", None, ""),
    ],
)
def test_decode(body: bytes, charset: str | None, text: str) -> None:
    assert decode_text(body, charset) == text


def test_a_guess() -> None:
    pytest.importorskip("charset_normalizer")
    assert "pünktlich" in decode_text((TEXT * 5).encode("latin-1"), None)


def test_without_the_package_that_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    assert decode_text(b"a\xfc", None) == "a\ufffd"
