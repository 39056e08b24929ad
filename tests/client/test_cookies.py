"""Cookies without any network: where they are kept, where they go, and how they are read."""

from __future__ import annotations

import builtins
import time
from typing import Any

import pytest

from aiohttp.cookies import CookieJar, cookie_field, parse_date, parse_set_cookie, response_cookies, without_cookies
from aiohttp.url import split


def sent(jar: CookieJar, url: str) -> str:
    return "; ".join(f"{name}={value}" for name, value in jar.pairs(split(url)))


def jar_with(*fields: str, url: str = "http://www.example.org/a/b") -> CookieJar:
    jar = CookieJar()
    jar.receive(fields, split(url))
    return jar


@pytest.mark.parametrize(
    ("field", "url", "goes"),
    [
        ("n=v", "http://www.example.org/a/c", True),
        ("n=v", "http://www.example.org/other", False),
        ("n=v", "http://www.example.org/ab", False),
        ("n=v; Path=/", "http://www.example.org/other", True),
        ("n=v; Path=/x", "http://www.example.org/x/y?z", True),
        ("n=v; Path=/x", "http://www.example.org/xy", False),
        ("n=v; Path=relative", "http://www.example.org/a/c", True),
        ("n=v; Path=/", "http://example.org/", False),
        ("n=v; Path=/", "http://sub.www.example.org/", False),
        ("n=v; Path=/; Domain=other.org", "http://www.example.org/", False),
        ("n=v; Path=/; Domain=org", "http://evil.org/", False),
        ("n=v; Path=/; Secure", "http://www.example.org/", False),
        ("n=v; Path=/; Max-Age=100", "http://www.example.org/", True),
        ("n=v; Path=/; Max-Age=0", "http://www.example.org/", False),
        ("n=v; Path=/; Max-Age=-5", "http://www.example.org/", False),
        ("n=v; Path=/; Max-Age=x", "http://www.example.org/", True),
        ("n=v; Path=/; Expires=Wed, 09 Jun 2021 10:18:14 GMT", "http://www.example.org/", False),
        ("n=v; Path=/; Expires=Wed, 09-Jun-2099 10:18:14 GMT", "http://www.example.org/", True),
        ("n=v; Path=/; Max-Age=100; Expires=Wed, 09 Jun 2021 10:18:14 GMT", "http://www.example.org/", True),
        ("=v; Path=/", "http://www.example.org/", False),
        ("novalue; Path=/", "http://www.example.org/", False),
        ("n=v\x01; Path=/", "http://www.example.org/", False),
    ],
)
def test_scope(field: str, url: str, goes: bool) -> None:
    assert sent(jar_with(field), url) == ("n=v" if goes else "")


def test_secure_ones_come_and_go_by_https_alone() -> None:
    jar = jar_with("n=v; Path=/; Secure", url="https://www.example.org/")
    assert sent(jar, "https://www.example.org/") == "n=v"
    assert sent(jar, "http://www.example.org/") == ""


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ("__Secure-n=v; Path=/; Secure", True),
        ("__Secure-n=v; Path=/", False),
        ("__SECURE-n=v; Path=/", False),
        ("__Host-n=v; Path=/; Secure", True),
        ("__host-n=v; Path=/; secure", True),
        ("__Host-n=v; Path=/", False),
        ("__Host-n=v; Secure", False),
        ("__Host-n=v; Path=/a; Secure", False),
        ("__hOST-n=v; Path=/a; Secure", False),
        ("__Host-n=v; Path=/; Secure; Domain=www.example.org", False),
        ("__Host-n=v; Path=/; Secure; Domain=example.org", False),
        ("__Hostess=v; Path=/", True),
        ("__Secured=v; Path=/", True),
    ],
)
def test_promises_of_names(field: str, kept: bool) -> None:
    """RFC 6265bis section 4.1.3."""
    jar = jar_with(field, url="https://www.example.org/a/b")
    assert sent(jar, "https://www.example.org/a/b") == (field.partition(";")[0] if kept else "")
    assert sent(jar_with(field, url="http://www.example.org/a/b"), "https://www.example.org/a/b") == (
        field.partition(";")[0] if kept and "ecure" not in field.partition(";")[2] else ""
    )


@pytest.mark.parametrize(
    ("field", "url", "kept"),
    [
        ("n=bad; Path=/", "http://www.example.org/", False),
        ("n=bad; Path=/a", "http://www.example.org/", False),
        ("n=; Path=/; Max-Age=0", "http://www.example.org/", False),
        ("n=good; Path=/", "https://www.example.org/", True),
        ("other=good; Path=/", "http://www.example.org/", True),
        ("n=good; Path=/", "http://sub.www.example.org/", True),
    ],
)
def test_a_secure_cookie_is_not_replaced_by_one_without_tls(field: str, url: str, kept: bool) -> None:
    jar = jar_with("n=v; Path=/; Secure", url="https://www.example.org/")
    if "sub" in url:
        jar = jar_with("n=v; Path=/a; Secure", url="https://www.example.org/")
    jar.receive([field], split(url))
    assert (("good" in sent(jar, url)) is kept) and "bad" not in sent(jar, url)
    assert "n=" in sent(jar, "https://www.example.org/a")


def test_what_was_taken() -> None:
    jar = CookieJar()
    fields = ["a=1; Path=/", "b=2; Domain=other.org", "c=; Max-Age=0", "broken", "__Host-d=4"]
    assert jar.receive(fields, split("https://www.example.org/")) == [("a", False), ("c", True)]


@pytest.mark.parametrize(
    ("field", "names", "rest"),
    [("a=1; b=2;c=3", {"b"}, "a=1; c=3"), ("a=1", {"a"}, ""), ("a = 1;b", {"a"}, "b"), ("a=1; aa=2", {"a"}, "aa=2")],
)
def test_without(field: str, names: set[str], rest: str) -> None:
    assert without_cookies(field, names) == rest


def test_domains_need_the_list_of_public_suffixes(monkeypatch: pytest.MonkeyPatch) -> None:
    field = "n=v; Path=/; Domain=.example.org"
    try:
        import publicsuffixlist  # noqa: F401
    except ImportError:
        pass
    else:
        assert sent(jar_with(field), "http://other.example.org/") == "n=v"
        assert sent(jar_with(field), "http://notexample.org/") == ""
        assert sent(jar_with("n=v; Path=/; Domain=co.uk", url="http://a.co.uk/"), "http://b.co.uk/") == ""
        assert sent(jar_with("n=v; Path=/; Domain=co.uk", url="http://a.co.uk/"), "http://a.co.uk/") == "n=v"
    original = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name == "publicsuffixlist":
            raise ImportError(name)
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    jar = jar_with(field)
    assert sent(jar, "http://www.example.org/") == "n=v"
    assert sent(jar, "http://other.example.org/") == ""
    assert sent(jar_with("n=v; Path=/; Domain=www.example.org"), "http://sub.www.example.org/") == ""


def test_addresses_have_no_domains() -> None:
    assert sent(jar_with("n=v; Path=/; Domain=0.0.1", url="http://127.0.0.1/"), "http://127.0.0.1/") == ""
    assert sent(jar_with("n=v; Path=/; Domain=127.0.0.1", url="http://127.0.0.1/"), "http://127.0.0.1/") == "n=v"


def test_order_and_replacement() -> None:
    jar = jar_with("a=1; Path=/", "b=2; Path=/x", "a=3; Path=/", "c=4; Path=/")
    assert sent(jar, "http://www.example.org/x/") == "b=2; a=3; c=4"
    jar.receive(["a=; Path=/; Max-Age=0"], split("http://www.example.org/"))
    assert sent(jar, "http://www.example.org/x/") == "b=2; c=4"


def test_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    jar = jar_with("n=v; Path=/; Max-Age=100")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 200)
    assert sent(jar, "http://www.example.org/") == ""


def test_it_does_not_grow_without_end() -> None:
    jar = jar_with(*[f"n{number}=v; Path=/" for number in range(1000)])
    assert len(jar.pairs(split("http://www.example.org/"))) == 180
    for number in range(4000):
        jar.receive(["n=v"], split(f"http://host{number}.example/"))
    assert len(jar._domains) == 3000


def test_odd_names_and_values() -> None:
    cookies = response_cookies(["odd[x]=1", 'quoted="a b"; HttpOnly', "plain=2; Max-Age=5; SameSite=Lax", "broken", "a=b=c"])
    assert {name: morsel.value for name, morsel in cookies.items()} == {"odd[x]": "1", "quoted": "a b", "plain": "2", "a": "b=c"}
    assert cookies["quoted"].coded_value == '"a b"'
    assert cookies["quoted"]["httponly"]
    assert cookies["plain"]["max-age"] == "5"


def test_parse() -> None:
    assert parse_set_cookie("a = b ; PATH = /x; unknown=1; secure") == ("a", "b", {"path": "/x", "secure": ""})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Wed, 09 Jun 2021 10:18:14 GMT", 1623233894),
        ("Wed, 09-Jun-21 10:18:14 GMT", 1623233894),
        ("Wed Jun  9 10:18:14 2021", 1623233894),
        ("09 Jun 1970 00:00:00", 13737600),
        ("nonsense", None),
        ("32 Jun 2021 10:18:14", None),
        ("09 Jun 2021 25:18:14", None),
        ("09 Jun 2021", None),
    ],
)
def test_dates(text: str, seconds: float | None) -> None:
    assert parse_date(text) == seconds


def test_field() -> None:
    assert cookie_field([("a", "1"), ("b", "2")], [("b", "3")], "c=4; a=5") == "c=4; a=5; b=3"
