"""Choice of a connection's protocol, by ALPN or by its first bytes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from aiohttp_worker.http2.settings import HTTP2Settings
from aiohttp_worker.server.http1_connection import HTTP1Connection
from aiohttp_worker.server.http2_connection import HTTP2Connection
from aiohttp_worker.server.protocol_choice import HTTP2Protocols, ProtocolChoice
from aiohttp_worker.server.proxy_protocol import ProxyProtocol
from aiohttp_worker.server.settings import Cleartext, OverloadLimits
from aiohttp_worker.transport.tls_handshake import TLSHandshake
from aiohttp_worker.wsgi.forwarded import AddressList, ForwardingPolicy
from tests.http2 import frames as f
from tests.http2.frames import GET, headers
from tests.http2.serving import OPENING

from .fakes import FakeServer, FakeTransport

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PEER = ("192.0.2.1", 1234)
EVERYONE = ForwardingPolicy(allowed=AddressList.parse(["*"]))


class Transport(FakeTransport):
    """One whose protocol is changed."""

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


class Accepted:
    """A connection that was accepted, and what its client sends.

    :ivar protocol: the one that the transport has now.
    """

    def __init__(self, cleartext: Cleartext = Cleartext.BOTH, forwarding: ForwardingPolicy = EVERYONE, **settings: Any) -> None:
        self.server = FakeServer(http2=HTTP2Settings(), http2_cleartext=cleartext, forwarding=forwarding, **settings)
        self.server.state.connections.clear()
        protocols = HTTP2Protocols(self.server.state, HTTP2Settings())
        self.transport = Transport()
        make = protocols.maker(None, None, PEER, ("192.0.2.2", 80))  # type: ignore[arg-type]
        self.transport.protocol = make()
        self.protocol.connection_made(self.transport)

    @property
    def protocol(self) -> Any:
        return self.transport.protocol

    def receive(self, data: bytes) -> None:
        with self.server.loop.running():
            self.protocol.data_received(data)
        self.server.loop.run_ready()


@pytest.mark.parametrize("apart", [False, True], ids=["whole", "octets"])
@pytest.mark.parametrize(
    ("sent", "kind", "answer"),
    [
        (OPENING + headers(GET), HTTP2Connection, b"\0\0"),
        (REQUEST, HTTP1Connection, b"HTTP/1.1 200"),
        (b"PRI * HTTP/1.1\r\n\r\n", HTTP1Connection, b"HTTP/1.1 400"),
    ],
    ids=["http2", "http1", "nearly"],
)
def test_by_the_preface(apart: bool, sent: bytes, kind: type, answer: bytes) -> None:
    accepted = Accepted()
    assert isinstance(accepted.protocol, ProtocolChoice)
    for piece in [sent[at : at + 1] for at in range(len(sent))] if apart else [sent]:
        accepted.receive(piece)
    assert type(accepted.protocol) is kind
    assert accepted.server.state.connections == {accepted.protocol}
    assert accepted.transport.sent.startswith(answer)


def test_the_preface_is_required_where_nothing_else_is_allowed() -> None:
    """As with Gunicorn's own workers: such a peer is expected to speak HTTP/2."""
    accepted = Accepted(Cleartext.PRIOR_KNOWLEDGE)
    accepted.receive(REQUEST)
    assert accepted.transport.sent.startswith(b"HTTP/1.1 400")
    assert b"http2_cleartext" in accepted.transport.sent
    assert "Invalid request" in accepted.server.logged[0]


@pytest.mark.parametrize(
    ("cleartext", "forwarding"),
    [(Cleartext.OFF, EVERYONE), (Cleartext.UPGRADE, EVERYONE), (Cleartext.PRIOR_KNOWLEDGE, ForwardingPolicy())],
)
def test_others_speak_http1(cleartext: Cleartext, forwarding: ForwardingPolicy) -> None:
    """The setting is off, or the peer is nobody's front end: the preface is a malformed request, as ever."""
    accepted = Accepted(cleartext, forwarding)
    assert type(accepted.protocol) is HTTP1Connection
    accepted.receive(OPENING)
    assert accepted.transport.sent.startswith(b"HTTP/1.1 505")


@pytest.mark.parametrize("apart", [False, True], ids=["whole", "octets"])
def test_behind_a_proxy_header(apart: bool) -> None:
    accepted = Accepted(proxy_protocol=ProxyProtocol.AUTO, proxy_allowed=AddressList.parse(["*"]))
    sent = b"PROXY TCP4 198.51.100.7 192.0.2.2 4711 80\r\n" + OPENING + headers(GET)
    for piece in [sent[at : at + 1] for at in range(len(sent))] if apart else [sent]:
        accepted.receive(piece)
    assert isinstance(accepted.protocol, HTTP2Connection)
    assert accepted.protocol.peer == "198.51.100.7"
    assert any(one.type == f.HEADERS for one in f.parse(accepted.transport.sent))


def test_a_broken_proxy_header() -> None:
    accepted = Accepted(proxy_protocol=ProxyProtocol.V1, proxy_allowed=AddressList.parse(["*"]))
    accepted.receive(b"PROXY nonsense\r\n")
    assert accepted.transport.sent.startswith(b"HTTP/1.1 400")


def test_who_says_nothing() -> None:
    accepted = Accepted()
    choice = accepted.protocol
    now = time.monotonic()
    assert 19 < choice.deadline - now <= 20
    assert (choice.watched, choice.exchanges) == (False, [])
    assert choice.idle_for(now + 5) >= 4
    assert choice.outstays(OverloadLimits(), now + 5) > 0
    choice.drain(now)
    choice.forsake()
    choice.check_time(now + 10)
    assert not accepted.transport.aborted
    choice.check_time(now + 21)
    assert accepted.transport.aborted


def test_who_leaves() -> None:
    accepted = Accepted()
    closed: list[int] = []
    accepted.server.state.on_connection_closed = lambda: closed.append(1)
    accepted.receive(b"PRI")
    assert not accepted.protocol.eof_received()
    accepted.protocol.connection_lost(None)
    assert accepted.server.state.connections == set()
    assert closed == [1]


@pytest.mark.parametrize("end", ["cut", "make_room"])
def test_who_is_ended(end: str) -> None:
    accepted = Accepted()
    accepted.protocol.pause_writing()
    accepted.protocol.resume_writing()
    getattr(accepted.protocol, end)()
    assert accepted.transport.aborted


@pytest.mark.parametrize(("agreed", "kind"), [("h2", HTTP2Connection), ("http/1.1", HTTP1Connection), (None, HTTP1Connection)])
def test_by_alpn(agreed: str | None, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Handshake(TLSHandshake):
        def __init__(self, acceptor: Any, sock: Any, peername: Any, make_protocol: Any) -> None:
            made.append(make_protocol)

        @property
        def alpn_protocol(self) -> str | None:
            return agreed

    monkeypatch.setattr("aiohttp_worker.server.protocol_choice.TLSHandshake", Handshake)
    protocols = HTTP2Protocols(FakeServer(http2=HTTP2Settings()).state, HTTP2Settings())
    make = protocols.maker(object(), None, PEER, ("192.0.2.2", 443))  # type: ignore[arg-type]
    assert isinstance(make(), Handshake)
    assert type(made[0]()) is kind
