"""Odd arguments under real servers: everywhere the same, and where it is an answer, that of Gunicorn's own workers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.functional.apps import arguments
from tests.loops import LOOPS
from tests.server.outcomes import outcome
from tests.server.test_arguments import MYPYC, OUTCOMES

from .server import NO_STREAM, STREAM, Server

# What is done otherwise than by Gunicorn's workers, and better so.
BETTER = {
    "status/str and Enum": "says what its str() is",
    "status/a liar": "lets the status inject a field",
    "headers/name: a liar": "lets a name inject a field",
    "headers/value: a liar": "lets a value inject a field",
    "exc_info/*": "sends the fields of both attempts",
    "late exc_info/an exception": "wants a tuple",
    "late exc_info/a pair": "wants three",
    "write/bytes with a length of their own": "believes it",
    "item/bytes with a length of their own": "believes it",
    "second item/bytes with a length of their own": "believes it",
    "block/0": "reads nothing",
    "environ/cleared": "fails when it logs the request",
}

REFUSED = re.compile(r"[A-Z]\w+Error\b|500: |cut ")


@pytest.fixture(
    scope="module",
    params=[(STREAM, LOOPS[-1], {}), (NO_STREAM, "asyncio", {"threads": 4}), ("gthread", "asyncio", {"threads": 2})],
    ids=["inline", "threads", "gthread"],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    worker_class, loop, settings = request.param
    directory: Path = tmp_path_factory.mktemp("arguments")
    with Server("arguments:application", worker_class=worker_class, directory=directory, loop=loop, **settings) as server:
        yield server


def told(server: Server, name: str) -> str:
    """Ask for the case; say what came of it."""
    with server.connect() as client:
        client.request("GET", "/" + quote(name), headers=[("Connection", "close")])
        return outcome(client.receive_until_close())


def test_outcomes(server: Server) -> None:
    gthread = server.worker_class == "gthread"
    differ = []
    for name, expected in OUTCOMES.items():
        found = told(server, name)
        assert MYPYC.search(found) is None, name
        if gthread:
            reason = BETTER.get(name) or BETTER.get(name.split("/")[0] + "/*")
            if REFUSED.search(expected) or name.startswith("disconnected/"):
                continue  # what is refused is refused in other words, if at all
            same = (found == expected) is (reason is None)
        elif expected.isidentifier():
            same = found.startswith(f"{expected}: ")
        else:
            # What the server logged is in another place.
            same = found == re.sub(r"^(500|cut '.*?'|cut \".*?\"): .*", r"\1", expected)
        if not same:
            differ.append((name, expected, found))
    assert differ == []


def test_a_request_is_logged_whatever_became_of_environ(server: Server) -> None:
    if server.worker_class == "gthread":
        pytest.skip("it does not log what has no method")
    mark, logged = server.access.length, server.log.length
    with server.connect() as client:
        assert client.get("/environ/cleared").body == client.get("/environ/odd").body == b"data"
    server.access.wait_for(r'"GET /environ/cleared HTTP/1\.1" 200 4', since=mark)
    server.access.wait_for(r'"None None None" 200 4', since=mark)
    assert "Traceback" not in server.log.text(logged)


def test_the_errors_stream(server: Server) -> None:
    """It is Gunicorn's own."""
    mark = server.log.length
    assert told(server, "errors/str") == "200 OK 'data'"
    for line in ("to the errors", "<b>", "one", "two"):
        server.wait_for_log(f"^{line}$", since=mark)
    assert told(server, "errors/bytes") == "TypeError: write() argument must be str, not bytes"
    assert told(server, "errors/None") == "TypeError: write() argument must be str, not None"
    assert told(server, "errors/writelines of None") == "TypeError: 'NoneType' object is not iterable"


def test_every_exception_is_named() -> None:
    groups = {f"{name.split('/')[0]}/*" for name in OUTCOMES}
    assert set(BETTER) <= OUTCOMES.keys() | groups
    assert {name.split("/")[0] for name in arguments.CASES} >= {
        "status",
        "headers",
        "exc_info",
        "write",
        "item",
        "hints",
        "errors",
    }
