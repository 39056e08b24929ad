"""Heads of requests: facts that follow from request line and fields together, and the limits."""

import dataclasses
from typing import Any

import pytest

from aiohttp_worker.http1.messages import FieldLine, FieldSection, Limits, RequestHead, RequestLine


def head(version: tuple[int, int] = (1, 1), keep_alive: bool = True, **facts: Any) -> RequestHead:
    fields = FieldSection([FieldLine("Host", "a", "host"), FieldLine("A", "b", "")])
    for name, value in facts.items():
        setattr(fields, name, value)
    return RequestHead(RequestLine("POST", "/a?b", None, "/a", "b", version), fields, keep_alive, known=False)


def test_parts() -> None:
    one = head(content_length=5)
    assert (one.method, one.target, one.path, one.query) == ("POST", "/a?b", "/a", "b")
    assert one.version == (1, 1)
    assert one.headers == [("Host", "a"), ("A", "b")]
    assert one.content_length == 5
    assert not one.chunked
    assert one.keep_alive


@pytest.mark.parametrize(
    ("facts", "has_body"),
    [({}, False), ({"content_length": 0}, False), ({"content_length": 1}, True), ({"chunked": True}, True)],
)
def test_has_body(facts: dict[str, Any], has_body: bool) -> None:
    assert head(**facts).has_body is has_body


@pytest.mark.parametrize(
    ("version", "length", "expected"),
    [((1, 1), 5, True), ((1, 2), 5, True), ((1, 0), 5, False), ((1, 1), 0, False), ((1, 1), None, False)],
)
def test_expect_continue(version: tuple[int, int], length: int | None, expected: bool) -> None:
    """Ignored in HTTP/1.0 (RFC 9110 section 10.1.1), and without anything to wait for."""
    assert head(version, expect_continue=True, content_length=length).expect_continue is expected


def test_limits_are_gunicorns() -> None:
    limits = Limits()
    assert (limits.request_line, limits.fields, limits.field_size) == (4094, 100, 8190)
    flags = [field.name for field in dataclasses.fields(Limits) if isinstance(getattr(limits, field.name), bool)]
    assert len(flags) == 5
    assert not any(getattr(limits, name) for name in flags)


def test_limits_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().fields = 5  # type: ignore[misc]
