"""The plain form of what is compiled with pointers; test_head_scanner.py compares the two."""

import pytest

from aiohttp_worker.http1.octets import head_end, is_plain_host, read_length


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("a", True),
        ("a.b-c:80", True),
        ("a:", True),
        ("", False),
        (":80", False),
        ("a:123456", False),
        ("a:8b", False),
        ("a_b", False),
        ("\xe9", False),
    ],
)
def test_plain_hosts(value: str, plain: bool) -> None:
    assert is_plain_host(value) is plain


@pytest.mark.parametrize(
    ("value", "length"),
    [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1), ("", -1), ("1" * 19, -1), ("+1", -1), ("1_0", -1), (" 1", -1), ("\xb2", -1)],
)
def test_lengths(value: str, length: int) -> None:
    assert read_length(value) == length


def test_head_end() -> None:
    data = b"a\r\n\r\nb\r\n\r\n"
    assert [head_end(data, start) for start in range(len(data) + 1)] == [1, 1, *[6] * 5, -1, -1, -1, -1]
