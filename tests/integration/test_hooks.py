"""``req`` and ``resp`` as hooks are shown them, on a connection without a socket."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aiohttp_worker.integration.hooks import HookRequest, HookResponse
from aiohttp_worker.server.settings import Observers
from tests.server.fakes import FakeServer

HEAD = b"POST /a%%20b?c=d HTTP/1.1\r\nHost: here\r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-Length: 4\r\n%b\r\nbody"
CFG = SimpleNamespace(name="the settings")


class Hooked:
    """A request whose hooks call functions of the test, and the environ that the application was given."""

    def __init__(self, before: Any = None, after: Any = None, more: bytes = b"", headers: Any = ()) -> None:
        self.errors: list[BaseException] = []
        self.environ: dict[str, Any] = {}
        quiet = lambda *arguments, **named: None
        observers = Observers(quiet, quiet, quiet, lambda error, message: self.errors.append(error))
        if before is not None:

            def pre_request(exchange: Any) -> None:
                exchange.stream.requests += 1  # as RequestEvents does before
                request = HookRequest(exchange, CFG)
                before(request)
                request.apply()

            observers.pre_request = pre_request
        if after is not None:
            observers.post_request = lambda exchange: after(HookResponse(exchange, HookRequest(exchange, CFG)))

        def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            self.environ.update(environ)
            start_response("201 Created", [("Content-Type", "text/plain"), *headers])
            return [b"answer"]

        server = FakeServer(application, observers=observers)
        server.receive(HEAD % more)
        self.sent = server.take_sent()
        self.closed = server.transport.closed
        assert not self.errors, self.errors


def test_attributes_of_a_request() -> None:
    seen: dict[str, Any] = {}

    def look(req: Any) -> None:
        for name in ("method", "uri", "path", "query", "version", "scheme", "fragment", "trailers", "must_close", "cfg"):
            seen[name] = getattr(req, name)
        seen.update(headers=req.headers, number=req.req_number, proxy=req.proxy_protocol_info, body=req.body.read())
        seen["limits"] = (req.limit_request_line, req.limit_request_fields, req.limit_request_field_size, req.max_buffer_headers)
        seen["closes"] = req.should_close()

    Hooked(look)
    assert seen == {
        "method": "POST",
        "uri": "/a%20b?c=d",
        "path": "/a%20b",
        "query": "c=d",
        "version": (1, 1),
        "scheme": "http",
        "fragment": "",
        "trailers": (),
        "must_close": False,
        "cfg": CFG,
        "headers": [("HOST", "here"), ("X-TWICE", "1"), ("X-TWICE", "2"), ("CONTENT-LENGTH", "4")],
        "number": 1,
        "proxy": None,
        "body": b"body",
        "limits": (4094, 100, 8190, 819204),
        "closes": False,
    }


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, ("192.0.2.9", 99)),
        ({"gunicorn.socket": None, "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "5"}, ("192.0.2.1", 5)),
        ({"gunicorn.socket": None, "REMOTE_ADDR": ""}, ""),
    ],
)
def test_address_of_the_peer(environ: dict[str, Any], address: object) -> None:
    """The socket's; without it, as on uvloop, that in environ."""

    class Socket:
        def getpeername(self) -> object:
            if "gunicorn.socket" in environ:
                raise OSError("not connected")
            return ("192.0.2.9", 99)

    exchange: Any = SimpleNamespace(environ={**environ, "gunicorn.socket": Socket()})
    request = HookRequest(exchange, CFG)
    assert request.peer_addr == request.remote_addr == address


@pytest.mark.parametrize(
    ("environ", "info"),
    [
        ({}, None),
        ({"PROXY_PROTOCOL": "LOCAL"}, ("LOCAL", None, None, None, None)),
        (
            {
                "PROXY_PROTOCOL": "TCP4",
                "REMOTE_ADDR": "192.0.2.1",
                "REMOTE_PORT": "5",
                "PROXY_ADDR": "192.0.2.2",
                "PROXY_PORT": "443",
            },
            ("TCP4", "192.0.2.1", 5, "192.0.2.2", 443),
        ),
    ],
)
def test_proxy_protocol(environ: dict[str, Any], info: tuple[object, ...] | None) -> None:
    exchange: Any = SimpleNamespace(environ=environ)
    given = HookRequest(exchange, CFG).proxy_protocol_info
    assert (None if given is None else tuple(given.values())) == info


def test_changes_reach_the_application() -> None:
    def change(req: Any) -> None:
        req.method, req.uri, req.path, req.query, req.scheme = "PUT", "/other", "/c%20d", "e=f", "https"
        req.headers = [*(one for one in req.headers if one[0] != "HOST"), ("X-New", "3"), ("Cookie", "a=1"), ("Cookie", "b=2")]

    environ = Hooked(change).environ
    assert [environ[name] for name in ("REQUEST_METHOD", "RAW_URI", "PATH_INFO", "QUERY_STRING")] == [
        "PUT",
        "/other",
        "/c d",
        "e=f",
    ]
    assert environ["wsgi.url_scheme"] == "https"
    assert (environ["HTTP_X_NEW"], environ["HTTP_COOKIE"], environ["HTTP_X_TWICE"]) == ("3", "a=1; b=2", "1,2")
    assert "HTTP_HOST" not in environ
    assert environ["CONTENT_LENGTH"] == "4"


def test_attributes_of_a_hook_itself() -> None:
    """A hook may keep what it likes on the request."""
    environ = Hooked(lambda req: setattr(req, "began", 1)).environ
    assert environ["PATH_INFO"] == "/a b"


@pytest.mark.parametrize("by", ["request", "response"])
def test_force_close(by: str) -> None:
    hooked = Hooked(lambda req: req.force_close()) if by == "request" else Hooked(after=lambda resp: resp.force_close())
    assert hooked.closed
    if by == "request":
        assert b"Connection: close" in hooked.sent


def test_attributes_of_a_response() -> None:
    seen: dict[str, Any] = {}

    def look(resp: Any) -> None:
        for name in ("status", "status_code", "headers", "headers_sent", "sent", "response_length", "chunked", "upgrade"):
            seen[name] = getattr(resp, name)
        seen.update(
            path=resp.req.path, closes=(resp.must_close, resp.should_close()), chunks=resp.is_chunked(), version=resp.version
        )

    Hooked(after=look)
    assert seen == {
        "status": "201 Created",
        "status_code": 201,
        "headers": [("Content-Type", "text/plain")],
        "headers_sent": True,
        "sent": 6,
        "response_length": 6,
        "chunked": False,
        "upgrade": False,
        "path": "/a%20b",
        "closes": (False, False),
        "chunks": False,
        "version": "aiohttp-worker",
    }
