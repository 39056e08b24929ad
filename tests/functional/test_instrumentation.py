"""The table of docs/frameworks.rst of what the agents of observability tools see, with the real agents.

Each sends what it saw to a recorder that runs here, or prints it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loops import LOOPS

from .conftest import Serve
from .server import APPS, ROOT, STREAM, Output, Server
from .test_frameworks_page import FILES

PACKAGES = {
    "datadog": "ddtrace",
    "elastic": "elasticapm",
    "newrelic": "newrelic",
    "opentelemetry": "opentelemetry.instrumentation.wsgi",
    "sentry": "sentry_sdk",
}
#: What a finished transaction is found by, of the ordinary view and of the coroutine, in what is sent or printed.
SEEN = {
    "datadog": {"view": "GET /", "rows": "GET /rows", "coroutine": "/slow", "error": "no such row"},
    "elastic": {"view": "GET /", "rows": "GET /rows", "coroutine": "/slow", "error": "no such row"},
    "opentelemetry": {
        "view": '"http.target": "/"',
        "rows": '"http.target": "/rows"',
        "coroutine": "GET /slow",
        "error": '"http.status_code": 500',
    },
    "sentry": {
        "view": '"transaction":"hello"',
        "rows": '"transaction":"rows"',
        "coroutine": '"transaction":"/slow"',
        "error": "no such row",
    },
}
NEW_RELIC = """
[newrelic]
license_key = 0000000000000000000000000000000000000000
app_name = site
developer_mode = true
startup_timeout = 10.0
"""
# New Relic keeps what it saw, for its own servers; so the application tells by itself whether a transaction goes on.
NEW_RELIC_SITE = """
import newrelic.agent
import newrelic_site

def seen(name):
    transaction = newrelic.agent.current_transaction()
    newrelic.agent.set_transaction_name(name)
    return b"%s\\n" % str(transaction is not None).encode()

async def slow():
    return [seen("slow")]

newrelic_site.slow = slow
application = newrelic_site.application
"""


class Recording:
    """A recorder in a process of its own, which ends with the test module."""

    def __init__(self) -> None:
        names = sorted({name for seen in SEEN.values() for name in seen.values()})
        self.process = subprocess.Popen([sys.executable, str(APPS / "recorder.py"), *names], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.output = Output(self.process.stdout)
        self.port = int(self.output.wait_for(r"^\d+$")[0])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.output.join()


@pytest.fixture(scope="module")
def recording() -> Iterator[Recording]:
    pytest.importorskip("brotli")
    one = Recording()
    yield one
    one.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("instrumentation")
    for name, text in FILES.items():
        (path / name).write_text(f"{text}\n", encoding="utf-8")
    (path / "newrelic.ini").write_text(NEW_RELIC, encoding="utf-8")
    (path / "newrelic_check.py").write_text(NEW_RELIC_SITE, encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=[1, 4], ids=["loop", "threads"])
def threads(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module", params=PACKAGES)
def tool(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip("flask")
    pytest.importorskip(PACKAGES[name])
    return name


@pytest.fixture(scope="module")
def site(tool: str, threads: int, shared_server: Serve, folder: Path, recording: Recording) -> Server:
    address = f"http://127.0.0.1:{recording.port}"
    return shared_server(
        "newrelic_check:application" if tool == "newrelic" else f"{tool}_site:application",
        worker_class=STREAM,
        loop=LOOPS[-1],
        threads=threads,
        asgi_disconnect_grace_period=0,
        forgives="unclosed|unretrieved",  # of the agents' own
        environ={
            "PYTHONPATH": f"{ROOT}:{folder}",
            "SENTRY_DSN": f"http://key@127.0.0.1:{recording.port}/1",
            "ELASTIC_APM_SERVER_URL": address,
            "ELASTIC_APM_SERVICE_NAME": "site",
            "ELASTIC_APM_CLOUD_PROVIDER": "none",
            "ELASTIC_APM_CENTRAL_CONFIG": "false",
            "ELASTIC_APM_API_REQUEST_TIME": "100ms",
            "DD_TRACE_AGENT_URL": address,
            "DD_TRACE_WRITER_INTERVAL_SECONDS": "0.1",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "NEW_RELIC_CONFIG_FILE": str(folder / "newrelic.ini"),
        },
    )


def sees(tool: str, site: Server, recording: Recording, target: str, what: str) -> None:
    """Make a request, and wait until the tool has told of it."""
    output = site.access if tool == "opentelemetry" else recording.output
    since = output.length
    site.get(target)
    output.wait_for(SEEN[tool][what], since=since)


def test_an_ordinary_view(tool: str, site: Server, recording: Recording) -> None:
    assert site.get("/").body == b"hello\n"
    if tool != "newrelic":
        sees(tool, site, recording, "/", "view")


def test_an_iterable(tool: str, site: Server, recording: Recording) -> None:
    assert site.get("/rows").body == b"0\n1\n2\n"
    if tool != "newrelic":
        sees(tool, site, recording, "/rows", "rows")


def test_an_error(tool: str, site: Server, recording: Recording) -> None:
    assert site.get("/failing").status_code == 500
    if tool != "newrelic":
        sees(tool, site, recording, "/failing", "error")


def test_a_coroutine_endpoint(tool: str, site: Server, recording: Recording) -> None:
    response = site.get("/slow")
    if tool == "newrelic":
        assert response.body == b"True\n"
    else:
        assert response.body == b"slow\n"
        sees(tool, site, recording, "/slow", "coroutine")


def test_an_asynchronous_body(site: Server) -> None:
    """The first event comes while the body goes on, from two at the same time; nothing is an error."""
    with site.connect() as first, site.connect() as second:
        for client in (first, second):
            client.request("GET", "/events")
            assert client.receive_head().status_code == 200
            assert client.receive_chunk() == b": welcome\n\n"
    assert site.get("/").status_code == 200


def test_coroutines_that_wait_at_the_same_time(tool: str, site: Server) -> None:
    """Each has a span of its own: none is the child of another."""
    since = site.access.length
    clients = [site.connect() for _ in range(8)]
    for client in clients:
        client.request("GET", "/slow")
    for client in clients:
        assert client.receive().body in (b"slow\n", b"True\n")
    if tool == "opentelemetry":  # the one that prints parents
        site.access.wait_for("GET /slow", since=since, count=8)
        assert '"parent_id": "0x' not in site.access.text(since)
