"""Heads of requests: parts that are read from the bytes when they are asked for, and the limits."""

import dataclasses

import pytest

from aiohttp_worker.http1.messages import Limits, RequestHead


def test_parts() -> None:
    one = RequestHead(b"POST /a?b=c?d HTTP/1.1\r\nHost: a\r\nA:\t b : \xe9 \r\nB:\r\n\r\n", {}, 0)
    assert (one.target, one.path, one.query) == ("/a?b=c?d", "/a", "b=c?d")
    assert one.headers == [("Host", "a"), ("A", "b : \xe9"), ("B", "")]
    assert one.headers is one.headers


def test_no_fields() -> None:
    assert RequestHead(b"GET / HTTP/1.0\r\n\r\n", {}, 0).headers == []


def test_parts_that_do_not_stand_in_the_bytes() -> None:
    """Of a target in absolute form, or of another protocol."""
    one = RequestHead(b"", {}, 0)
    one.set_target("http://a/b%20c?d", "/b%20c", "d")
    one.set_fields([("host", "a")])
    assert (one.target, one.path, one.query, one.headers) == ("http://a/b%20c?d", "/b%20c", "d", [("host", "a")])


@pytest.mark.parametrize(("version", "minor"), [((0, 9), False), ((1, 0), False), ((1, 1), True), ((1, 2), True), ((2, 0), True)])
def test_version(version: tuple[int, int], minor: bool) -> None:
    one = RequestHead(b"", {}, 0)
    assert (one.version, one.minor) == ((1, 1), True)
    one.set_version(*version)
    assert (one.version, one.minor) == (version, minor)


def test_limits_are_gunicorns() -> None:
    limits = Limits()
    assert (limits.request_line, limits.fields, limits.field_size) == (4094, 100, 8190)
    flags = [field.name for field in dataclasses.fields(Limits) if isinstance(getattr(limits, field.name), bool)]
    assert len(flags) == 5
    assert not any(getattr(limits, name) for name in flags)


def test_limits_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().fields = 5  # type: ignore[misc]
