"""wsgiref.validate and webtest.lint, which check both sides of PEP 3333, find nothing on ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loops import LOOPS

from .conftest import Serve
from .server import NO_STREAM, STREAM, Server

pytest.importorskip("webtest")

BODY = b"line one\nline two\nrest"
CASES = {
    "stream": (STREAM, 1),
    "nostream": (NO_STREAM, 1),
    "stream-threads": (STREAM, 2),
    "nostream-threads": (NO_STREAM, 2),
}


@pytest.fixture(scope="module", params=[f"{name}/{case}" for name in ("validated", "linted") for case in CASES])
def server(request: pytest.FixtureRequest, shared_server: Serve) -> Server:
    application, _, case = request.param.partition("/")
    worker_class, threads = CASES[case]
    return shared_server(f"linted:{application}", worker_class=worker_class, loop=LOOPS[-1], threads=threads)


@pytest.mark.parametrize(
    ("target", "status_code", "body"),
    [
        ("/hello", 200, b"Hello, world!\n"),
        ("/hello?query=%20", 200, b"Hello, world!\n"),
        ("/written", 200, b"one two three"),
        ("/replaced", 503, b"replaced"),
        ("/empty", 204, b""),
        ("/errors", 200, b"Hello, world!\n"),
        ("/file", 200, (Path(__file__).parent / "apps" / "linted.py").read_bytes()),
    ],
)
def test_responses(server: Server, target: str, status_code: int, body: bytes) -> None:
    mark = server.log.length
    with server.connect() as client:
        for version in ("1.1", "1.1", "1.0"):
            response = client.get(target, version=version)
            assert (response.status_code, response.body, response.complete) == (status_code, body, True)
    assert complaints(server, mark) == []


@pytest.mark.parametrize("target", ["/read", "/readline", "/readlines", "/iterated"])
def test_requests(server: Server, target: str) -> None:
    mark = server.log.length
    with server.connect() as client:
        assert client.get(target).body == b""
        assert client.post(target, BODY, headers=[("Content-Type", "text/plain")]).body == BODY
        client.request("POST", target, chunks=[BODY[:4], BODY[4:]])
        assert client.receive().body == BODY
        client.request("HEAD", target)
        assert client.receive().status_code == 200
    assert complaints(server, mark) == []


def complaints(server: Server, mark: int) -> list[str]:
    """What the two say goes through `assert` and `warnings`."""
    words = ("AssertionError", "WSGIWarning", "LintWarning", "wsgiref/validate.py", "webtest/lint.py")
    return [line for line in server.log.lines(mark) if any(word in line for word in words)]
