"""PROXY protocol and forwarded fields on real servers: whom they believe, and what the application sees."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority

from .client import RawClient
from .conftest import Serve
from .observing import ask, environ_of
from .server import NO_STREAM, STREAM, Server

ASK = b"GET /environ-as-json HTTP/1.1\r\nHost: a.example:81\r\n\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, addresses: bytes = b"") -> bytes:
    return SIGNATURE + bytes((0x20 | command, family)) + len(addresses).to_bytes(2) + addresses


def packed(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return addresses + source_port.to_bytes(2) + destination_port.to_bytes(2)


HEADERS = {
    "v1-tcp4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n", ("192.0.2.7", "4711", "198.51.100.1", "443", "TCP4")),
    "v1-tcp6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", ("2001:db8::7", "4711", "2001:db8::1", "443", "TCP6")),
    "v2-tcp4": (
        v2(1, 0x11, packed("192.0.2.7", "198.51.100.1", 4711, 443)),
        ("192.0.2.7", "4711", "198.51.100.1", "443", "TCP4"),
    ),
    "v2-tcp6": (
        v2(1, 0x21, packed("2001:db8::7", "2001:db8::1", 4711, 443) + b"\x04\x00\x03abc"),
        ("2001:db8::7", "4711", "2001:db8::1", "443", "TCP6"),
    ),
}
#: Headers that name nobody: the connection's own addresses stay.
ANONYMOUS = {
    "v1-unknown": (b"PROXY UNKNOWN\r\n", "UNKNOWN"),
    "v2-local": (v2(0, 0x00), "LOCAL"),
    "v2-local-with-addresses": (v2(0, 0x11, packed("192.0.2.7", "198.51.100.1", 4711, 443)), "LOCAL"),
    "v2-unspec": (v2(1, 0x00), "UNSPEC"),
}


def addresses(told: dict[str, Any]) -> tuple[Any, ...]:
    names = ("REMOTE_ADDR", "REMOTE_PORT", "PROXY_ADDR", "PROXY_PORT", "PROXY_PROTOCOL")
    return tuple(told.get(name) for name in names)


@pytest.fixture(params=["inline", "threads", "nostream"])
def server(request: pytest.FixtureRequest, shared_server: Serve, loop: str) -> Server:
    return shared_server(
        "facts:application",
        worker_class=NO_STREAM if request.param == "nostream" else STREAM,
        threads=2 if request.param == "threads" else 1,
        loop=loop,
        proxy_protocol="auto",
    )


@pytest.mark.parametrize("name", HEADERS)
def test_addresses(server: Server, name: str) -> None:
    header, expected = HEADERS[name]
    assert addresses(environ_of(ask(server, header + ASK))) == expected


@pytest.mark.parametrize("name", ANONYMOUS)
def test_headers_that_name_nobody(server: Server, name: str) -> None:
    header, protocol = ANONYMOUS[name]
    with server.connect() as client:
        client.send(header + ASK)
        told = environ_of(client.receive())
        port = str(client.socket.getsockname()[1])
    assert addresses(told) == ("127.0.0.1", port, None, None, protocol)


def test_a_connection_without_header(server: Server) -> None:
    with server.connect() as client:
        client.send(ASK)
        told = environ_of(client.receive())
        port = str(client.socket.getsockname()[1])
    assert addresses(told) == ("127.0.0.1", port, None, None, None)


def test_all_requests_of_the_connection(server: Server) -> None:
    header, expected = HEADERS["v1-tcp4"]
    with server.connect() as client:
        client.send(header + ASK + ASK)
        for _ in range(2):
            assert addresses(environ_of(client.receive())) == expected
        client.send(ASK)
        assert addresses(environ_of(client.receive())) == expected
        client.send(header + ASK)  # only the first bytes of a connection can be a header
        assert client.receive().status_code == 400


@pytest.mark.parametrize("name", ["v1-tcp4", "v2-tcp6"])
def test_in_many_pieces(server: Server, name: str) -> None:
    header, expected = HEADERS[name]
    data = header + ASK
    with server.connect() as client:
        for at in range(len(data)):
            client.send(data[at : at + 1])
        assert addresses(environ_of(client.receive())) == expected


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
        b"PROXY TCP4 nobody 198.51.100.1 4711 443\r\n",
        b"PROXY " + b"x" * 200,
        v2(1, 0x11, b"short"),
        v2(1, 0x12, packed("192.0.2.7", "198.51.100.1", 4711, 443)),
        v2(5, 0x11, packed("192.0.2.7", "198.51.100.1", 4711, 443)),
    ],
)
def test_malformed(server: Server, header: bytes) -> None:
    with server.connect() as client:
        client.send(header + ASK)
        answer = client.receive()
        assert answer.status_code == 400
        assert answer.says_close
        client.assert_closed()


def test_who_may_send_one(shared_server: Serve, loop: str) -> None:
    server = shared_server(
        "facts:application", worker_class=STREAM, loop=loop, proxy_protocol="v2", proxy_allow_ips="192.0.2.0/24"
    )
    header, _ = HEADERS["v2-tcp4"]
    with server.connect() as client:
        client.send(header + ASK)
        answer = client.receive()
        assert answer.status_code == 403
        client.assert_closed()
    assert environ_of(ask(server, ASK))["REMOTE_ADDR"] == "127.0.0.1"


def test_the_peer_of_a_unix_socket_may(serve: Serve, loop: str, tmp_path: Path) -> None:
    settings = {"proxy_protocol": "v1", "proxy_allow_ips": "192.0.2.1", "bind": f"unix:{tmp_path}/socket"}
    server = serve("facts:application", worker_class=STREAM, loop=loop, **settings)
    header, expected = HEADERS["v1-tcp4"]
    assert addresses(environ_of(ask(server, header + ASK))) == expected
    told = environ_of(ask(server, ASK))
    assert told["REMOTE_ADDR"] == ""


def test_with_the_other_version(shared_server: Serve, loop: str) -> None:
    server = shared_server("facts:application", worker_class=STREAM, loop=loop, proxy_protocol="v2")
    assert ask(server, HEADERS["v1-tcp4"][0] + ASK).status_code == 400
    assert ask(server, HEADERS["v2-tcp4"][0] + ASK).status_code == 200


def test_the_access_log_names_the_client(serve: Serve, loop: str) -> None:
    server = serve("facts:application", worker_class=STREAM, loop=loop, proxy_protocol="auto", access_log_format="%(h)s %(s)s")
    ask(server, HEADERS["v1-tcp6"][0] + ASK)
    server.access.wait_for("^2001:db8::7 200$")


def test_the_header_does_not_decide_who_is_trusted(serve: Serve, loop: str) -> None:
    """Fields are believed of the peer of the socket, whatever it says of itself or its client."""
    server = serve("facts:application", worker_class=STREAM, loop=loop, proxy_protocol="auto", forwarded_allow_ips="192.0.2.7")
    request = ASK.replace(b"\r\n\r\n", b"\r\nX-Forwarded-Proto: https\r\n\r\n")
    assert environ_of(ask(server, HEADERS["v1-tcp4"][0] + request))["wsgi.url_scheme"] == "http"


def test_before_tls(serve: Serve, loop: str, tmp_path: Path) -> None:
    """The header comes before the handshake: a server that decrypts sees neither, and says so by ending the connection."""
    authority = Authority(tmp_path)
    certificate = authority.issue("server", "/CN=localhost")
    files = {"certfile": str(certificate.certfile), "keyfile": str(certificate.keyfile)}
    server = serve("facts:application", worker_class=STREAM, loop=loop, proxy_protocol="auto", **files)
    with server.connect() as client:
        client.send(HEADERS["v1-tcp4"][0])
        client.receive_until_close()
    # Inside TLS it is read.
    with server.connect(tls=authority.client_context(), server_hostname="localhost") as client:
        client.send(HEADERS["v1-tcp4"][0] + ASK)
        assert addresses(environ_of(client.receive())) == HEADERS["v1-tcp4"][1]


# Forwarded fields


def told_with(server: Server, *fields: tuple[str, str], target: str = "/environ-as-json") -> Any:
    return environ_of(server.get(target, headers=fields))


@pytest.fixture(params=["tcp", "unix"])
def trusting(request: pytest.FixtureRequest, shared_server: Serve, loop: str, tmp_path_factory: pytest.TempPathFactory) -> Server:
    settings: dict[str, Any] = {}
    if request.param == "unix":
        settings["bind"] = f"unix:{tmp_path_factory.getbasetemp()}/forwarding-{loop}.sock"
        settings["forwarded_allow_ips"] = "192.0.2.1"
    return shared_server("facts:application", worker_class=STREAM, loop=loop, **settings)


@pytest.fixture
def doubting(shared_server: Serve, loop: str) -> Server:
    return shared_server("facts:application", worker_class=STREAM, loop=loop, forwarded_allow_ips="192.0.2.1,10.0.0.0/8")


SCHEMES = [
    ((), "http"),
    ((("X-Forwarded-Proto", "https"),), "https"),
    ((("X-Forwarded-Proto", "http"),), "http"),
    ((("x-forwarded-ssl", "on"),), "https"),
    ((("X-Forwarded-Protocol", "ssl"), ("X-Forwarded-Proto", "https")), "https"),
]


@pytest.mark.parametrize(("fields", "scheme"), SCHEMES)
def test_scheme(trusting: Server, doubting: Server, fields: tuple[tuple[str, str], ...], scheme: str) -> None:
    assert told_with(trusting, *fields)["wsgi.url_scheme"] == scheme
    told = told_with(doubting, *fields)
    assert told["wsgi.url_scheme"] == "http"
    assert all(told["HTTP_" + name.upper().replace("-", "_")] == value for name, value in fields)


def test_contradicting_schemes(trusting: Server, doubting: Server) -> None:
    fields = [("X-Forwarded-Ssl", "on"), ("X-Forwarded-Proto", "http")]
    assert trusting.get("/hello", headers=fields).status_code == 400
    assert doubting.get("/hello", headers=fields).status_code == 200


def test_script_name(trusting: Server, doubting: Server) -> None:
    field = ("SCRIPT_NAME", "/environ-as-json")
    told = told_with(trusting, field, target="/environ-as-json/environ-as-json?a")
    assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("/environ-as-json", "/environ-as-json")
    told = told_with(doubting, field, target="/environ-as-json/below")
    assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("", "/environ-as-json/below")
    assert "HTTP_SCRIPT_NAME" not in told
    # Not the same field.
    told = told_with(trusting, ("Script-Name", "/environ-as-json"), target="/environ-as-json/below")
    assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("", "/environ-as-json/below")


def test_a_path_beside_the_mount_point(trusting: Server) -> None:
    answer = trusting.get("/elsewhere", headers=[("SCRIPT_NAME", "/environ-as-json")])
    assert answer.status_code == 500


def test_script_name_of_the_process(serve: Serve, loop: str) -> None:
    server = serve("facts:application", worker_class=STREAM, loop=loop, raw_env=["SCRIPT_NAME=/mounted"])
    told = environ_of(server.get("/mounted/environ-as-json"))
    assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("/mounted", "/environ-as-json")
    assert server.get("/environ-as-json").status_code == 500
    with server.connect() as client:  # the answers that are remembered for a target do not hide it
        assert client.get("/environ-as-json").status_code == 500


def test_the_same_request_of_two_peers(serve: Serve, loop: str) -> None:
    """What was read for a trusted peer is not remembered for another one."""
    server = serve("facts:application", worker_class=STREAM, loop=loop, bind="[::]:0", forwarded_allow_ips="::1")
    port = server.address[1]
    for _ in range(2):
        for host, scheme in [("::1", "https"), ("127.0.0.1", "http")]:
            with RawClient((host, int(port))) as client:
                told = environ_of(client.get("/environ-as-json", headers=[("X-Forwarded-Proto", "https"), ("SCRIPT_NAME", "/")]))
            assert told["wsgi.url_scheme"] == scheme
            assert told["SCRIPT_NAME"] == ("/" if scheme == "https" else "")


@pytest.mark.parametrize("header_map", ["drop", "refuse", "dangerous"])
def test_fields_with_underscores(shared_server: Serve, loop: str, header_map: str) -> None:
    server = shared_server("facts:application", worker_class=STREAM, loop=loop, header_map=header_map)
    fields = [("X-Real-IP", "true"), ("X_Real_IP", "false")]
    answer = server.get("/environ-as-json", headers=fields)
    if header_map == "refuse":
        assert answer.status_code == 400
    else:
        assert environ_of(answer)["HTTP_X_REAL_IP"] == {"drop": "true", "dangerous": "true,false"}[header_map]


def test_remote_addr_is_the_peers(trusting: Server) -> None:
    """X-Forwarded-For is for the application to judge, as under Gunicorn."""
    told = told_with(trusting, ("X-Forwarded-For", "203.0.113.9"))
    assert told["REMOTE_ADDR"] in ("127.0.0.1", "")
    assert told["HTTP_X_FORWARDED_FOR"] == "203.0.113.9"
