"""URLs without any network."""

from __future__ import annotations

import pytest

from aiohttp.url import Origin, form_urlencode, join, shown, split


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
        "http://a..b/",  # no resolver can be asked for these: an empty label, one of more than 63 octets (RFC 1035 section 2.3.4)
        "http://a../",
        f"http://{'a' * 64}.example/",
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


@pytest.mark.parametrize(
    ("url", "host", "text"),
    [
        ("http://[fe80::1%25eth0]/", "fe80::1%eth0", "http://[fe80::1%25eth0]/"),
        ("http://[fe80::1%eth0]:8/x", "fe80::1%eth0", "http://[fe80::1%25eth0]:8/x"),
        ("http://[FE80::1%Eth0.5]/", "fe80::1%Eth0.5", "http://[fe80::1%25Eth0.5]/"),
        ("http://[fe80::1%252]/", "fe80::1%2", "http://[fe80::1%252]/"),
        ("http://[fe80::1%2]/", "fe80::1%2", "http://[fe80::1%252]/"),
        ("http://[fe80::1%25]/", "fe80::1%25", "http://[fe80::1%2525]/"),
        ("http://[fe80::1%25wlan%401]/", "fe80::1%wlan@1", "http://[fe80::1%25wlan%401]/"),
    ],
)
def test_zones(url: str, host: str, text: str) -> None:
    """As RFC 6874 and as people write them; nobody else hears of them, and the URL can be asked for again."""
    found = split(url)
    assert (found.origin.host, found.text) == (host, text)
    assert split(found.text).origin == found.origin
    for sent in (found.host_field, found.absolute_form, found.origin.tls_name, found.origin.address):
        assert "%" not in sent


@pytest.mark.parametrize("zone", ["%", "%25%20", "%25a%2Fb", "%a b", "%25\u00fc"])
def test_bad_zones(zone: str) -> None:
    with pytest.raises(ValueError, match="bad zone of an IPv6 address"):
        split(f"http://[fe80::1{zone}]/")


def test_a_trailing_dot_is_not_in_a_certificate() -> None:
    found = split("https://example.org./")
    assert (found.origin.host, found.host_field, found.origin.tls_name) == ("example.org.", "example.org.", "example.org")


PASSWORDS = [
    "http://user:secret@h:99999/", "http://user:secret@h:x/", "http://user:secret@a b/", "http://user:secret@[::1/",
    "http://user:secret@[::zz]/", "http://user:secret@[::1%25/]/", "ftp://user:secret@h/", "http://user:se/secret@h/",
    "http://us@er:secret@h:0/", "http://user:secret@/x", "http://user:secret@h/\0", "http://user:secret@h\u2100/",
    "http://user:secret", "user:secret@h", "http:user:secret@h", "http://user:se#secret@h:x", "http://user:se\nsecret@h/",
    "//user:secret@h", "http://user:12345678/secret@h",
]  # fmt: skip


@pytest.mark.parametrize("url", PASSWORDS)
def test_no_password_is_shown(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        split(url)
    assert "secret" not in str(caught.value)
    assert "12345678" not in str(caught.value)
    assert "secret" not in shown(url)


def test_what_is_shown() -> None:
    assert shown("http://h:1/a?b") == "'http://h:1/a?b'"
    assert shown("http://u:p@h:1/a") == "'http://***@h:1/a'"
    assert shown("http://[::1]:8/") == "'http://[::1]:8/'"
    assert shown("/only/a/path:x") == "'/only/a/path:x'"
    assert shown("h:pass") == "'h:***'"


@pytest.mark.parametrize(("userinfo", "auth"), [("a%FC:b%C3%BC", ("a\udcfc", "bü")), ("%E2%82%AC:", ("€", ""))])
def test_octets_of_user_and_password(userinfo: str, auth: tuple[str, str]) -> None:
    assert split(f"http://{userinfo}@h/").auth == auth


def test_form() -> None:
    assert form_urlencode({"a": [1, "b c"], "d": b"\xff", "e": ""}) == "a=1&a=b+c&d=%FF&e="
    with pytest.raises(TypeError):
        form_urlencode(["ab"])
    with pytest.raises(TypeError):
        form_urlencode([("a", "b", "c")])
