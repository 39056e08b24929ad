"""Trusted front ends: ``forwarded_allow_ips``, forwarded schemes, field names and SCRIPT_NAME."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from gunicorn.config import Config
from gunicorn.http import errors as gunicorn_errors
from gunicorn.http import message as gunicorn_message
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.wsgi.forwarded import (
    AddressList,
    FieldRule,
    ForwardingPolicy,
    HeaderMap,
    Peername,
    field_rule,
    kept_headers,
    path_below,
    peer_is_trusted,
    script_name,
    url_scheme,
)

POLICY = ForwardingPolicy()


@pytest.mark.parametrize(
    ("listed", "peername", "allowed"),
    [
        (["127.0.0.1", "::1"], ("127.0.0.1", 4000), True),
        (["127.0.0.1", "::1"], ("::1", 4000, 0, 0), True),
        (["127.0.0.1"], ("127.0.0.2", 4000), False),
        (["10.0.0.0/8"], ("10.200.3.4", 1), True),
        (["10.0.0.0/8"], ("11.0.0.1", 1), False),
        (["fd00::/8"], ("fd12::1", 1, 0, 0), True),
        (["fd00::/8"], ("10.0.0.1", 1), False),
        (["*"], ("203.0.113.9", 1), True),
        (["10.0.0.1", "*"], ("203.0.113.9", 1), True),
        (["*"], ("not an address", 1), True),
        (["0.0.0.0/0"], ("not an address", 1), False),
        # An address mapped into IPv6 is not the address itself.
        (["127.0.0.1"], ("::ffff:127.0.0.1", 1, 0, 0), False),
        ([], "", True),
        ([], "/run/front.sock", True),
        ([], b"", True),
        ([], b"\0abstract", True),
        (["127.0.0.1"], None, False),
        (["127.0.0.1"], (), False),
    ],
)
def test_address_list(listed: list[str], peername: Peername, allowed: bool) -> None:
    policy = ForwardingPolicy(allowed=AddressList.parse(listed))
    assert peer_is_trusted(policy, peername) is allowed


def test_cache_of_addresses_is_bounded() -> None:
    allowed = AddressList.parse(["10.0.0.0/16"])
    for _ in range(2):
        for number in range(3000):
            inside = number % 2 == 0
            host = f"10.{0 if inside else 1}.{number // 256}.{number % 256}"
            assert allowed.allows((host, number)) is inside
    assert len(allowed._verdicts) <= 1024
    assert allowed == AddressList.parse(["10.0.0.0/16"])


@pytest.mark.parametrize("address", ["localhost", "10.0.0.1/8", "", "1.2.3"])
def test_address_list_refuses_other_texts(address: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        AddressList.parse([address])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([], None),
        ([("HOST", "a")], None),
        ([("X-FORWARDED-PROTO", "https")], "https"),
        ([("X-FORWARDED-PROTO", "http")], "http"),
        ([("X-FORWARDED-PROTO", "HTTPS")], "http"),
        ([("X-FORWARDED-PROTO", "")], "http"),
        ([("X-FORWARDED-PROTOCOL", "ssl")], "https"),
        ([("X-FORWARDED-SSL", "on")], "https"),
        ([("X-FORWARDED-SSL", "on"), ("X-FORWARDED-PROTO", "https")], "https"),
        ([("X-FORWARDED-SSL", "off"), ("X-FORWARDED-PROTO", "http")], "http"),
        ([("X-FORWARDED-PROTO", "https"), ("X-FORWARDED-PROTO", "https")], "https"),
    ],
)
def test_url_scheme(headers: list[tuple[str, str]], told: str | None, scheme: str) -> None:
    assert url_scheme(POLICY, headers, True, scheme) == (told or scheme)
    assert url_scheme(POLICY, headers, False, scheme) == scheme


@pytest.mark.parametrize(
    "headers",
    [
        [("X-FORWARDED-SSL", "on"), ("X-FORWARDED-PROTO", "http")],
        [("X-FORWARDED-PROTO", "http"), ("X-FORWARDED-PROTO", "https")],
        [("X-FORWARDED-PROTO", "https"), ("X-FORWARDED-PROTOCOL", "")],
    ],
)
def test_contradicting_schemes(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        url_scheme(POLICY, headers, True, "http")
    assert caught.value.status_code == 400
    assert url_scheme(POLICY, headers, False, "http") == "http"


DROP, REFUSE, DANGEROUS = HeaderMap.DROP, HeaderMap.REFUSE, HeaderMap.DANGEROUS


@pytest.mark.parametrize(
    ("header_map", "field_name", "for_trusted", "for_others"),
    [
        (DROP, "X-FOO", FieldRule.KEEP, FieldRule.KEEP),
        (DROP, "X_FOO", FieldRule.DROP, FieldRule.DROP),
        (DROP, "SCRIPT_NAME", FieldRule.KEEP, FieldRule.DROP),
        (DROP, "PATH_INFO", FieldRule.KEEP, FieldRule.DROP),
        (REFUSE, "X-FOO", FieldRule.KEEP, FieldRule.KEEP),
        (REFUSE, "X_FOO", FieldRule.REFUSE, FieldRule.REFUSE),
        (REFUSE, "SCRIPT_NAME", FieldRule.KEEP, FieldRule.REFUSE),
        (DANGEROUS, "X_FOO", FieldRule.KEEP, FieldRule.KEEP),
        (DANGEROUS, "SCRIPT_NAME", FieldRule.KEEP, FieldRule.KEEP),
    ],
)
def test_field_rule(
    header_map: HeaderMap,
    field_name: str,
    for_trusted: FieldRule,
    for_others: FieldRule,
) -> None:
    policy = ForwardingPolicy(header_map=header_map)
    assert field_rule(policy, field_name, True) is for_trusted
    assert field_rule(policy, field_name, False) is for_others


def test_star_lets_a_trusted_peer_set_every_name() -> None:
    policy = ForwardingPolicy(forwarder_headers=frozenset("*"), header_map=HeaderMap.REFUSE)
    assert field_rule(policy, "REMOTE_USER", True) is FieldRule.KEEP
    assert field_rule(policy, "REMOTE_USER", False) is FieldRule.REFUSE


def test_kept_headers_keeps_the_order() -> None:
    headers = [
        ("B", "1"),
        ("X_Y", "2"),
        ("SCRIPT_NAME", "/app"),
        ("A", "3"),
        ("B", "4"),
    ]
    assert kept_headers(POLICY, headers, True) == [
        ("B", "1"),
        ("SCRIPT_NAME", "/app"),
        ("A", "3"),
        ("B", "4"),
    ]
    assert kept_headers(POLICY, headers, False) == [("B", "1"), ("A", "3"), ("B", "4")]


def test_kept_headers_refuses() -> None:
    policy = ForwardingPolicy(header_map=HeaderMap.REFUSE)
    with pytest.raises(RemoteProtocolError, match="X_Y") as caught:
        kept_headers(policy, [("A", "1"), ("X_Y", "2")], True)
    assert caught.value.status_code == 400


def test_script_name() -> None:
    assert script_name(POLICY, []) == ""
    assert script_name(POLICY, [("SCRIPT-NAME", "/no")]) == ""
    assert script_name(POLICY, [("SCRIPT_NAME", "/a"), ("SCRIPT_NAME", "/b")]) == "/b"
    mounted = ForwardingPolicy(script_name="/env")
    assert script_name(mounted, []) == "/env"
    assert script_name(mounted, [("SCRIPT_NAME", "/field")]) == "/field"
    assert script_name(mounted, [("SCRIPT_NAME", "")]) == ""


@pytest.mark.parametrize(
    ("path", "mount_point", "rest"),
    [
        ("/a/b", "", "/a/b"),
        ("/a/b", "/a", "/b"),
        ("/a", "/a", ""),
        ("/a%20b/c", "/a%20b", "/c"),
        ("/apple", "/a", "pple"),
        ("", "", ""),
    ],
)
def test_path_below(path: str, mount_point: str, rest: str) -> None:
    assert path_below(path, mount_point) == rest


@pytest.mark.parametrize("path", ["/b", "/", "", "*", "http://h/a"])
def test_path_not_below(path: str) -> None:
    with pytest.raises(RemoteProtocolError, match="SCRIPT_NAME") as caught:
        path_below(path, "/a")
    assert caught.value.status_code == 500


def test_the_policy_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        POLICY.script_name = "/x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        POLICY.secure_scheme_headers["A"] = "b"  # type: ignore[index]


NAMES = ("HOST", "X-FORWARDED-PROTO", "X-FORWARDED-SSL", "SCRIPT_NAME", "X_A", "X-A")
VALUES = ("", "on", "https", "http", "/a")


@pytest.mark.parametrize("header_map", list(HeaderMap))
@pytest.mark.parametrize("peername", [("127.0.0.1", 1), ("192.0.2.1", 1), ""])
@settings(max_examples=40, deadline=None)
@given(headers=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES))))
def test_like_gunicorn(header_map: HeaderMap, peername: Peername, headers: list[tuple[str, str]]) -> None:
    """Every verdict is the one of Gunicorn's own policy."""
    names = [name for name, _ in headers]
    assume(names.count("HOST") < 2)  # the reader's business, not the policy's
    cfg = Config()
    cfg.set("header_map", header_map.value)

    theirs = gunicorn_message.HeaderPolicy()
    theirs.cfg, theirs.peer_addr = cfg, peername
    theirs.scheme, theirs.version = "http", (1, 1)
    state, seen = [False], set[str]()
    expected: tuple[list[tuple[str, str]], str] | None
    try:
        trust = theirs._peer_trusted_for_forwarded()
        kept = [pair for name, value in headers if (pair := theirs._apply_header_policy(name, value, state, seen, *trust))]
        expected = (kept, theirs.scheme)
    except gunicorn_errors.ParseException:
        expected = None

    policy = ForwardingPolicy(header_map=header_map)
    trusted = peer_is_trusted(policy, peername)
    ours: tuple[list[tuple[str, str]], str] | None
    try:
        scheme = url_scheme(policy, headers, trusted, "http")
        ours = (kept_headers(policy, headers, trusted), scheme)
    except RemoteProtocolError:
        ours = None
    assert ours == expected
