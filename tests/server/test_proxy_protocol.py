"""PROXY protocol headers, whole and cut at every place."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.server.proxy_protocol import ProxyHeader, ProxyHeaderReader, ProxyProtocol

V1, V2, AUTO = ProxyProtocol.V1, ProxyProtocol.V2, ProxyProtocol.AUTO
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def v2(command: int, family: int, addresses: bytes = b"", *, length: int | None = None) -> bytes:
    size = len(addresses) if length is None else length
    return SIGNATURE + bytes((command, family)) + size.to_bytes(2) + addresses


def packed(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    return (
        ipaddress.ip_address(source).packed
        + ipaddress.ip_address(destination).packed
        + source_port.to_bytes(2)
        + destination_port.to_bytes(2)
    )


INET = packed("192.0.2.1", "198.51.100.2", 56324, 443)
INET6 = packed("2001:db8::1", "::ffff:198.51.100.2", 1, 65535)
TLV = b"\x04\x00\x02ab"


def _feed_in_two(reader: ProxyHeaderReader, header: bytes, split: int) -> None:
    assert not reader.feed(header[:split])
    reader.feed(header[split:])


VALID = [
    (
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
        ProxyHeader("TCP4", ("192.0.2.1", 56324), ("198.51.100.2", 443)),
    ),
    (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", ProxyHeader("TCP4", ("0.0.0.0", 0), ("255.255.255.255", 65535))),
    (b"PROXY TCP6 2001:db8::1 ::1 4000 80\r\n", ProxyHeader("TCP6", ("2001:db8::1", 4000), ("::1", 80))),
    (
        b"PROXY TCP6 " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n",
        ProxyHeader("TCP6", ("ffff:" * 7 + "ffff", 65535), ("ffff:" * 7 + "ffff", 65535)),
    ),
    (b"PROXY UNKNOWN\r\n", ProxyHeader("UNKNOWN")),
    (b"PROXY UNKNOWN " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n", ProxyHeader("UNKNOWN")),
    (b"PROXY UNKNOWN what ever\r\n", ProxyHeader("UNKNOWN")),
    (v2(0x21, 0x11, INET), ProxyHeader("TCP4", ("192.0.2.1", 56324), ("198.51.100.2", 443))),
    (v2(0x21, 0x11, INET + TLV), ProxyHeader("TCP4", ("192.0.2.1", 56324), ("198.51.100.2", 443))),
    (v2(0x21, 0x21, INET6), ProxyHeader("TCP6", ("2001:db8::1", 1), ("::ffff:198.51.100.2", 65535))),
    (v2(0x21, 0x21, INET6 + TLV * 50), ProxyHeader("TCP6", ("2001:db8::1", 1), ("::ffff:198.51.100.2", 65535))),
    (v2(0x21, 0x31, bytes(216)), ProxyHeader("UNIX")),
    (v2(0x20, 0x00), ProxyHeader("LOCAL")),
    (v2(0x20, 0x11, INET), ProxyHeader("LOCAL")),
    (v2(0x20, 0xFF, b"x"), ProxyHeader("LOCAL")),
    (v2(0x21, 0x00), ProxyHeader("UNSPEC")),
    (v2(0x21, 0x01, TLV), ProxyHeader("UNSPEC")),
]


@pytest.mark.parametrize(("header", "expected"), VALID)
@pytest.mark.parametrize("rest", [b"", REQUEST])
def test_at_every_split_point(header: bytes, expected: ProxyHeader, rest: bytes) -> None:
    data = header + rest
    for split in range(len(data) + 1):
        reader = ProxyHeaderReader(AUTO, allowed=True)
        done = reader.feed(data[:split])
        assert done is (split >= len(header))
        if done:
            assert reader.header == expected
            assert reader.rest == data[len(header) : split]
        else:
            assert reader.feed(data[split:])
            assert reader.header == expected
            assert reader.rest == rest


@pytest.mark.parametrize(("header", "expected"), VALID)
def test_byte_by_byte(header: bytes, expected: ProxyHeader) -> None:
    reader = ProxyHeaderReader(V1 if header.startswith(b"PROXY") else V2, allowed=True)
    answers = [reader.feed(header[at : at + 1]) for at in range(len(header))]
    assert answers == [False] * (len(header) - 1) + [True]
    assert reader.header == expected
    assert reader.rest == b""


@pytest.mark.parametrize(
    ("versions", "data"),
    [
        (AUTO, REQUEST),
        (AUTO, b"PROX / HTTP/1.1\r\n"),
        (AUTO, b"PUT / HTTP/1.1\r\n"),
        (AUTO, b"\r\n" + REQUEST),
        (AUTO, b"\r\n\r\n" + REQUEST),
        (AUTO, b"proxy TCP4"),
        (V1, SIGNATURE + bytes(4)),
        (V2, b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"),
    ],
)
def test_an_ordinary_connection(versions: ProxyProtocol, data: bytes) -> None:
    for split in range(len(data) + 1):
        reader = ProxyHeaderReader(versions, allowed=False)
        received = data[split:] if reader.feed(data[:split]) else b""
        if not received and not reader.rest:
            assert reader.feed(data[split:])
        assert reader.header is None
        assert reader.rest + received == data


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n",
        b"PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n",
        b"PROXY unknown\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY UNKNOWN a\rb\r\n",
        b"PROXY UNKNOWN a\nb\r\n",
        b"PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n",
        b"PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
        b"PROXY TCP6 ::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP6 1::2::3 ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1 99999\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1 -2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n\r\n",
        b"PROXY / HTTP/1.1\r\n",
        b"PROXY TCP4 " + b"1" * 96,
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        v2(0x11, 0x11, INET),
        v2(0x31, 0x11, INET),
        v2(0x22, 0x11, INET),
        v2(0x2F, 0x11, INET),
        v2(0x21, 0x11, INET[:-1]),
        v2(0x21, 0x21, INET6[:-1]),
        v2(0x21, 0x21, INET),
        v2(0x21, 0x31, bytes(215)),
        v2(0x21, 0x11),
        v2(0x21, 0x12, INET),
        v2(0x21, 0x10, INET),
        v2(0x21, 0x02),
        v2(0x21, 0x41, INET),
    ],
)
def test_malformed(header: bytes) -> None:
    """Refused whole or in two parts, before a byte of the request is read as one."""
    for split in range(len(header) + 1):
        reader = ProxyHeaderReader(AUTO, allowed=True)
        with pytest.raises(RemoteProtocolError, match="PROXY protocol") as caught:
            _feed_in_two(reader, header, split)
        assert caught.value.status_code == 400
        assert "\n" not in str(caught.value)


def test_a_line_without_end_is_bounded() -> None:
    reader = ProxyHeaderReader(AUTO, allowed=True)
    assert not reader.feed(b"PROXY UNKNOWN ".ljust(106, b"x"))
    with pytest.raises(RemoteProtocolError, match="107"):
        reader.feed(b"x")


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(0x20, 0x00), b"PROXY ", SIGNATURE])
def test_not_allowed(header: bytes) -> None:
    """Known by its first bytes, so that nothing is kept of it."""
    reader = ProxyHeaderReader(AUTO, allowed=False)
    with pytest.raises(RemoteProtocolError) as caught:
        reader.feed(header)
    assert caught.value.status_code == 403


def test_environ() -> None:
    header = ProxyHeader("TCP4", ("192.0.2.1", 56324), ("198.51.100.2", 443))
    assert header.environ() == {
        "PROXY_PROTOCOL": "TCP4",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "56324",
        "PROXY_ADDR": "198.51.100.2",
        "PROXY_PORT": "443",
    }
    assert ProxyHeader("LOCAL").environ() == {"PROXY_PROTOCOL": "LOCAL"}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\x00\x0c"]), st.binary(max_size=200))
def test_anything_else_is_refused_or_passed_on(prefix: bytes, noise: bytes) -> None:
    reader = ProxyHeaderReader(AUTO, allowed=True)
    with contextlib.suppress(RemoteProtocolError):
        done = reader.feed(prefix + noise)
        assert not done or (prefix + noise).endswith(reader.rest)
