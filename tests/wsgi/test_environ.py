"""environ from heads and addresses, where equal ones come from a cache."""

import pytest

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.messages import Limits, RequestHead
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.request_reader import RequestReader
from aiohttp_worker.wsgi.environ import LINE_KEYS, Environ, EnvironBuilder
from aiohttp_worker.wsgi.forwarded import ForwardingPolicy, HeaderMap

TCP: Environ = {
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "80",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "5",
    "wsgi.url_scheme": "http",
}
UNIX: Environ = {"REMOTE_ADDR": "", "wsgi.url_scheme": "http"}
REQUEST = (
    b"GET /a%41?b=c HTTP/1.1\r\nHost: a.example:81\r\nX-Forwarded-Proto: https\r\nScript-Name: /no\r\n"
    b"Cookie: a=b\r\nCookie: c=d\r\nAccept: e\r\nAccept: f\r\n\r\n"
)


def new_reader(builder: EnvironBuilder, of_connection: Environ) -> RequestReader:
    return RequestReader(HeadParser(Limits(), builder.learn_name, LINE_KEYS), builder.base() | of_connection)


def new_head(reader: RequestReader, request: bytes = REQUEST) -> RequestHead:
    reader.feed(request)
    head = reader.next_event()
    assert isinstance(head, RequestHead)
    return head


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("of_connection", [TCP, UNIX], ids=["tcp", "unix"])
def test_each_request_has_an_environ_of_its_own(of_connection: Environ, trusted: bool) -> None:
    builder = EnvironBuilder(ForwardingPolicy(), trusted, {"wsgi.version": (1, 0)})
    reader = new_reader(builder, of_connection)
    first = builder.build(new_head(reader))
    facts = dict(first)
    assert facts["PATH_INFO"] == "/aA"
    assert facts["HTTP_COOKIE"] == "a=b; c=d"
    assert facts["HTTP_ACCEPT"] == "e,f"
    assert facts["wsgi.url_scheme"] == ("https" if trusted else "http")
    assert facts["SERVER_NAME"] == ("127.0.0.1" if of_connection is TCP else "a.example")
    seen = [first]
    for _ in range(6):
        head = new_head(reader)
        environ = builder.build(head)
        assert environ == facts
        assert all(environ is not other for other in seen)
        seen.append(environ)
        # What an application does with its own.
        environ["PATH_INFO"] = environ["HTTP_COOKIE"] = "spoilt"
        environ["beaker.session"] = object()
        del environ["HTTP_ACCEPT"]
    assert head.memo is not None, "the last ones were to be copies"


@pytest.mark.parametrize(("scheme", "port"), [("http", "80"), ("https", "443")])
@pytest.mark.parametrize("peer", ["", "/run/peer"])
def test_a_unix_socket_without_host_has_a_name_and_a_port(scheme: str, port: str, peer: str) -> None:
    """PEP 3333: SERVER_NAME and SERVER_PORT can never be empty strings, and a URL can be made of them."""
    builder = EnvironBuilder(ForwardingPolicy(), False, {})
    reader = new_reader(builder, {"REMOTE_ADDR": peer, "wsgi.url_scheme": scheme})
    for _ in range(4):  # the last ones are copies
        environ = builder.build(new_head(reader, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", port)
        assert "REMOTE_PORT" not in environ


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [("a", "a", "80"), ("a:81", "a", "81"), ("a:", "a", "80"), ("[::1]", "[::1]", "80"), ("[::1]:8", "[::1]", "8")],
)
def test_a_unix_socket_has_its_name_from_host(host: str, name: str, port: str) -> None:
    builder = EnvironBuilder(ForwardingPolicy(), False, {})
    environ = builder.build(new_head(new_reader(builder, UNIX), f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


def test_another_connection_has_its_own_addresses() -> None:
    builder = EnvironBuilder(ForwardingPolicy(), False, {})
    parser = HeadParser(Limits(), builder.learn_name, LINE_KEYS)
    for port in ("5", "6"):
        reader = RequestReader(parser, builder.base() | {**TCP, "REMOTE_PORT": port})
        for _ in range(5):
            environ = builder.build(new_head(reader))
            assert environ["REMOTE_PORT"] == port


def test_cache_with_another_request_in_between() -> None:
    builder = EnvironBuilder(ForwardingPolicy(), False, {})
    reader = new_reader(builder, TCP)
    for target in ("/a", "/a", "/a", "/a", "/b", "/b", "/b", "/b", "/a", "/b", "/a"):
        request = f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        assert builder.build(new_head(reader, request))["PATH_INFO"] == target


def test_a_dropped_name_may_still_say_the_scheme() -> None:
    """Gunicorn looks at all fields as received, before ``header_map`` drops any."""
    policy = ForwardingPolicy(secure_scheme_headers={"X_SSL": "on"})
    for trusted, scheme in ((True, "https"), (False, "http")):
        builder = EnvironBuilder(policy, trusted, {})
        reader = new_reader(builder, TCP)
        for _ in range(4):
            environ = builder.build(new_head(reader, b"GET / HTTP/1.1\r\nHost: a\r\nX_SSL: on\r\n\r\n"))
            assert environ["wsgi.url_scheme"] == scheme
            assert "HTTP_X_SSL" not in environ


def test_script_name_of_a_trusted_front_end_only() -> None:
    for trusted, mount_point in ((True, "/a"), (False, "")):
        builder = EnvironBuilder(ForwardingPolicy(), trusted, {})
        reader = new_reader(builder, TCP)
        for name in ("Script_Name", "SCRIPT_NAME", "Script-Name"):
            for _ in range(4):
                environ = builder.build(new_head(reader, f"GET /a/b HTTP/1.1\r\nHost: a\r\n{name}: /a\r\n\r\n".encode()))
                assert environ["SCRIPT_NAME"] == ("" if name == "Script-Name" else mount_point)


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("policy", [ForwardingPolicy(), ForwardingPolicy(header_map=HeaderMap.DANGEROUS, script_name="/a")])
def test_fields_of_another_protocol_have_the_same_rules(policy: ForwardingPolicy, trusted: bool) -> None:
    """As if they had come in HTTP/1: names with underscores, values that are joined, scheme and mount point."""
    builder = EnvironBuilder(policy, trusted, {})
    expected = builder.build(
        new_head(new_reader(builder, TCP), REQUEST.replace(b"Script-Name", b"Script_Name").replace(b": /no", b": /a"))
    )
    head = RequestHead(b"", builder.base() | TCP, 0)
    head.set_target("/a%41?b=c", "/a%41", "b=c")
    fields = [
        ("host", "a.example:81"),
        ("x-forwarded-proto", "https"),
        ("script_name", "/a"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
    ]
    head.set_fields([*fields, ("accept", "e"), ("accept", "f")])
    builder.add_target(head)
    builder.add_fields(head)
    assert builder.build(head) == expected


def test_a_name_that_is_refused() -> None:
    builder = EnvironBuilder(ForwardingPolicy(header_map=HeaderMap.REFUSE), False, {})
    with pytest.raises(RemoteProtocolError, match="'A_B' has no unambiguous place"):
        builder.build(new_head(new_reader(builder, TCP), b"GET / HTTP/1.1\r\nHost: a\r\nA_B: c\r\nD_E: f\r\n\r\n"))
