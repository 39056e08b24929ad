"""Asynchronous bodies through frameworks and middleware: the right body always, as it comes where they let it."""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import zlib
from collections.abc import Callable

import pytest

from tests.loops import LOOPS

from .client import Response
from .conftest import Serve
from .server import NO_STREAM, STREAM, Gate, Server

TEXT = b"one two three"
# Each two of a worker class, a number of threads and a loop come together in one of these.
CASES = {
    f"{name}-{threads}-{loop}": (worker, threads, loop)
    for name, worker, threads, loop in (
        ("stream", STREAM, 1, LOOPS[-1]),
        ("stream", STREAM, 4, LOOPS[0]),
        ("nostream", NO_STREAM, 1, LOOPS[0]),
        ("nostream", NO_STREAM, 4, LOOPS[-1]),
    )
}
#: What hands on what comes, item by item.
STREAMING = [
    *(
        "nothing",
        "by_for",
        "by_yield_from",
        "returned",
        "by_class",
        "closing",
        "chain",
        "true_items",
        "copied",
        "debugged",
        "linted",
    ),
    *("dispatched", "proxied", "traced", "watched", "watched/by_for/traced/debugged", "counts_first"),
]
#: What takes the items apart as they come, and what it takes to put them together again.
STEPPING: dict[str, Callable[[bytes], bytes]] = {
    "long_items": bytes,
    "upper": bytes.lower,
    "texts": bytes.lower,
    "views": bytes,
    "reads_ahead": bytes,
    "writes": bytes,
    "gzip_streamed": gzip.decompress,
    "validated": bytes,
    "traced/upper/watched": bytes.lower,
    "deflated/traced": zlib.decompress,
}
#: What waits for the end.
JOINING: dict[str, Callable[[bytes], bytes]] = {
    "join": bytes,
    "measured": bytes,
    "as_list": bytes,
    "as_tuple": bytes,
    "looks_ahead": bytes,
    "gzip_joined": gzip.decompress,
    "gzip_lazy": gzip.decompress,
    "brotli_streamed": lambda data: bytes(__import__("brotli").decompress(data)),
    "zipped_by_paste": gzip.decompress,
    "profiled": bytes,
    "buffered": bytes,
    "by_for/join/traced": bytes,
}
NEEDS = {
    "traced": "opentelemetry.instrumentation.wsgi",
    "proxied": "wrapt",
    "watched": "sentry_sdk",
    "zipped_by_paste": "paste",
    "brotli_streamed": "brotli",
    **dict.fromkeys(("debugged", "linted", "dispatched", "profiled", "buffered"), "werkzeug"),
    **{name: name for name in ("bottle", "django", "falcon", "flask", "pyramid")},
}
FRAMEWORKS = {
    "bottle": [""],
    "django": ["", "carried", "own"],
    "falcon": [""],
    "flask": ["", "frozen", "sequence", "streams-with-context", "data", "tagged"],
    "pyramid": ["", "body"],
    "webob": ["", "body", "tagged"],
}
_keys = itertools.count()


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Site:
    """A server, and the paths of its application."""

    def __init__(self, serve: Serve, case: str, application: str = "application") -> None:
        self.worker_class, self.threads, loop = CASES[case]
        self.server: Server = serve(
            f"bodies:{application}",
            worker_class=self.worker_class,
            threads=self.threads,
            loop=loop,
            asgi_disconnect_grace_period=0,
        )

    def get(self, path: str, **query: object) -> Response:
        with self.server.connect() as client:
            client.request("GET", self.target(path, **query))
            response = client.receive()
            if response.complete and not response.says_close:
                assert client.get("/nothing/plain").body == TEXT
            return response

    @staticmethod
    def target(path: str, **query: object) -> str:
        for name in path.split("/"):
            if name in NEEDS:
                require(NEEDS[name])
        return f"/{path}?" + "&".join(f"{name}={value}" for name, value in query.items())


def require(module: str) -> None:
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        pytest.skip(f"{module} is not installed")


@pytest.fixture(scope="module")
def site(shared_server: Serve, case: str) -> Site:
    return Site(shared_server, case)


@pytest.fixture
def key() -> str:
    return f"key{next(_keys)}."


@pytest.mark.parametrize("middleware", [*STREAMING, *STEPPING, *JOINING])
def test_middleware(site: Site, middleware: str, key: str) -> None:
    mark = site.server.log.length
    for name in ("plain", "two_bodies"):
        response = site.get(f"{middleware}/{name}", key=key)
        assert response.status_code == 200
        back = {**STEPPING, **JOINING}.get(middleware, bytes)
        assert back(response.body) == TEXT, name
    site.server.wait_for_log(f"body ended {key}", since=mark)
    assert "Traceback" not in site.server.log.text(mark)


@pytest.mark.parametrize(("framework", "view"), [(name, view) for name, views in FRAMEWORKS.items() for view in views])
def test_framework(site: Site, framework: str, view: str, key: str) -> None:
    for middleware in ("nothing", "by_for", "watched", "traced", "debugged", "join", "upper", "closing", "proxied"):
        response = site.get(f"{middleware}/{framework}", key=key, view=view)
        assert response.status_code == 200
        assert response.body.lower() == TEXT, middleware


@pytest.mark.parametrize(
    "name",
    ["interleaved", "twice", "coroutine", "coroutine_that_joins", "asynchronous_generator", "awaitable_item"],
)
def test_other_ways(site: Site, name: str, key: str) -> None:
    assert site.get(f"nothing/{name}", key=key).body == TEXT


def test_whole_response_of_werkzeug(site: Site, key: str) -> None:
    response = site.get("buffered/plain", how="whole", key=key)
    assert response.body == TEXT


def test_webob_encodes(site: Site, key: str) -> None:
    response = site.get("nothing/webob", view="encoded", key=key)
    assert response.value("Content-Encoding") == "gzip"
    assert gzip.decompress(response.body) == TEXT


@pytest.mark.parametrize(
    "path", ["nothing/plain", *(f"{name}/plain" for name in STREAMING[1:]), "by_for/flask", "traced/bottle", "watched/django"]
)
def test_it_is_sent_as_it_comes(site: Site, path: str, gate: Gate, key: str) -> None:
    """The first piece arrives while the second does not exist, and nobody waits meanwhile."""
    mark = site.server.log.length
    clients = [site.server.connect() for _ in range(6)]  # more than there are threads
    for client in clients:
        client.request("GET", site.target(path, gate=gate.port, key=key))
        assert client.receive_head().status_code == 200
        assert client.receive_chunk() == b"one "
        gate.arrived()
    assert site.get("nothing/plain").body == TEXT
    for client in clients:
        gate.open()
        assert client.receive_chunk() == b"two "
        assert client.receive_chunk() == b"three"
        assert client.receive_chunk() == b""
        client.close()
    assert "synchronously" not in site.server.log.text(mark)


@pytest.mark.parametrize("path", ["upper/plain", "upper/flask", "reads_ahead/plain", "writes/plain", "validated/plain"])
def test_what_is_stepped_through_is_sent_as_it_comes(site: Site, path: str, gate: Gate, key: str) -> None:
    with site.server.connect() as client:
        client.request("GET", site.target(path, gate=gate.port, key=key))
        assert client.receive_head().status_code == 200
        assert client.receive_chunk().lower() == b"one "
        gate.arrived()
        if site.threads > 1:
            assert site.get("nothing/plain").body == TEXT
        gate.open()
        assert client.receive_chunk().lower() == b"two "


@pytest.mark.parametrize("function", ["generator_function", "driven"])
def test_generator_function_around_it(shared_server: Serve, case: str, function: str, key: str) -> None:
    site = Site(shared_server, case, function)
    for path in (
        "nothing/plain",
        "nothing/flask",
        "nothing/bottle",
        "nothing/django",
        "traced/plain",
        "join/plain",
        "upper/two_bodies",
    ):
        assert site.get(path, key=key).body.lower() == TEXT, path


# What operators see


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("upper/traced/plain", r"opentelemetry"),
        ("join/plain", r"bodies\.middleware \("),
        ("gzip_joined/flask", r"bodies\.middleware \("),
        ("long_items/plain", r"bodies\.<genexpr> \("),
        ("nothing/flask?view=data", r"bodies\.change \("),
        ("gzip_streamed/traced/plain", r"bodies\.middleware \("),
    ],
)
def test_warning_names_the_place_once(shared_server: Serve, path: str, place: str) -> None:
    path, _, view = path.partition("?view=")
    for name in path.split("/"):
        if name in NEEDS:
            require(NEEDS[name])
    # Of its own, because no other test may have come by these places.
    server = shared_server("bodies:application", worker_class=STREAM, proc_name="places")
    mark = server.log.length
    for _ in range(3):
        assert server.get(f"/{path}?view={view}").status_code == 200
    (line,) = server.log.wait_for("An asynchronous body is joined", since=mark)
    assert len([one for one in server.log.lines(mark) if "synchronously" in one]) == 1
    server.log.wait_for(rf"\[WARNING\] .* through .*{place}.*nothing else is served meanwhile", since=mark)
    assert "WARNING" in line


# What is lost


def test_lost_marker(site: Site, key: str) -> None:
    mark = site.server.log.length
    assert site.get("takes_first/plain", key=key).status_code == 500
    site.server.wait_for_log(r"An asynchronous body is lost: its marker was taken by bodies\.middleware \(", since=mark)
    assert f"body ended {key}" not in site.server.log.text(mark)


def test_lost_marker_after_the_head(site: Site, key: str) -> None:
    mark = site.server.log.length
    response = site.get("takes_first_after_a_heading/plain", key=key)
    assert (response.status_code, response.body, response.complete) == (200, b"heading ", False)
    site.server.wait_for_log(r"An asynchronous body is lost: its marker was taken by bodies\.middleware \(", since=mark)


def test_lost_marker_behind_a_list(site: Site, key: str) -> None:
    mark = site.server.log.length
    site.get("takes_first_and_lists/plain", key=key)
    site.server.wait_for_log(r"\[ERROR\] An asynchronous body is lost: its marker was taken by bodies\.", since=mark)


def test_replaced_on_purpose(site: Site, key: str) -> None:
    mark = site.server.log.length
    assert site.get("replaces/plain", key=key, status="200%20OK").body == b"a page of its own"
    assert site.get("replaces/plain", key=key, status="303%20See%20Other").status_code == 303
    assert site.get("replaces/plain", key=key, status="204%20No%20Content").status_code == 204
    assert "lost" not in site.server.log.text(mark)


# Failures


@pytest.mark.parametrize(
    "path", ["nothing/plain", "by_for/plain", "nothing/flask", "nothing/bottle", "nothing/django", "join/plain", "upper/flask"]
)
def test_failure_before_the_first_piece(site: Site, path: str, key: str) -> None:
    mark = site.server.log.length
    assert site.get(path, key=key, fail=0).status_code == 500
    site.server.wait_for_log(f"planned failure {key}", since=mark)
    site.server.wait_for_log(f"body ended {key}", since=mark)


@pytest.mark.parametrize(
    "path", ["nothing/plain", "by_for/plain", "nothing/flask", "nothing/bottle", "nothing/django", "upper/flask"]
)
def test_failure_after_the_first_piece(site: Site, path: str, key: str) -> None:
    mark = site.server.log.length
    response = site.get(path, key=key, fail=1)
    assert (response.status_code, response.body.lower(), response.complete) == (200, b"one ", False)
    site.server.wait_for_log(f"RuntimeError: planned failure {key}", since=mark)


def test_failure_is_seen_where_it_is_iterated(site: Site, key: str) -> None:
    """As under every other server: instrumentation reports it, and who answers in its place may."""
    assert site.get("swallows/plain", key=key, fail=0).body == f"instead of planned failure {key}".encode()
    assert site.get("swallows/by_for/flask", key=key, fail=1).body == f"one instead of planned failure {key}".encode()
    require("sentry_sdk")
    mark = site.server.log.length
    assert site.get("watched/plain", key=key, fail=0).status_code == 500
    site.server.wait_for_log(f"reported planned failure {key}", since=mark)


# Requests without a body in the answer, and clients that leave


@pytest.mark.parametrize(
    "path", ["nothing/plain", "by_for/plain", "nothing/flask", "nothing/bottle", "nothing/django", "join/plain", "upper/flask"]
)
def test_head(site: Site, path: str, key: str) -> None:
    mark = site.server.log.length
    with site.server.connect() as client:
        client.request("HEAD", site.target(path, key=key))
        response = client.receive()
        assert (response.status_code, response.body) == (200, b"")
        assert response.value("Content-Length") in (None, str(len(TEXT)))
        assert client.get("/nothing/plain").body == TEXT
    assert "Traceback" not in site.server.log.text(mark)


@pytest.mark.parametrize(
    "path", ["nothing/plain", "by_for/flask", "traced/bottle", "watched/django", "upper/plain", "writes/plain", "join/plain"]
)
def test_client_leaves(site: Site, path: str, key: str) -> None:
    """The body ends where it stands. What is joined inline is not asked before its end, and has none."""
    if site.threads == 1 and path == "join/plain":
        pytest.skip("it holds the worker")
    mark = site.server.log.length
    client = site.server.connect()
    client.request("GET", site.target(path, endless=1, key=key))
    site.server.wait_for_log(f"goes on {key}", since=mark)
    client.close()
    site.server.wait_for_log(f"body ended {key}", since=mark)
    assert site.get("nothing/plain").body == TEXT
    assert "Traceback" not in site.server.log.text(mark)


def test_client_leaves_before_it_is_joined(site: Site, gate: Gate, key: str) -> None:
    """Nobody reads what the thread begins to wait for then: each thread is let go, and each body that has begun ends."""
    if site.threads == 1:
        pytest.skip("it holds the worker")
    mark = site.server.log.length
    keys = [f"{key}{number}." for number in range(site.threads)]
    for one in keys:
        client = site.server.connect()
        client.request("GET", site.target("join_later/plain", endless=1, later=gate.port, key=one))
        gate.arrived()
        client.close()
        gate.open()
    assert site.get("join/plain").body == TEXT
    for one in keys:
        if f"goes on {one}" in site.server.log.text(mark):
            site.server.wait_for_log(f"body ended {one}", since=mark)
    assert "Traceback" not in site.server.log.text(mark)


@pytest.mark.parametrize("path", ["nothing/plain", "by_for/flask", "upper/plain", "join/plain", "writes/plain"])
def test_large_body_for_a_slow_client(site: Site, path: str, key: str) -> None:
    with site.server.connect(receive_buffer=4096) as client:
        client.request("GET", site.target(path, megabytes=5, key=key))
        response = client.receive()
        assert response.complete
        assert len(response.body) == len(TEXT) + 5 * 1024 * 1024


@pytest.mark.parametrize("path", ["nothing/plain", "by_for/flask", "counts_first/plain", "upper/plain", "join/plain"])
def test_http_1_0(site: Site, path: str, key: str) -> None:
    with site.server.connect() as client:
        client.request("GET", site.target(path, key=key), version="1.0")
        response = client.receive()
        assert response.body.lower() == TEXT
    with site.server.connect() as client:
        client.request("GET", site.target(path, key=key, fail=1), version="1.0")
        response = client.receive()
        assert response.status_code == 500 or client.was_reset


# Django's


@pytest.mark.parametrize("middleware", ["nothing", "watched", "traced", "by_for"])
@pytest.mark.parametrize("view", ["own", "carried"])
def test_django_compresses(site: Site, middleware: str, view: str, key: str) -> None:
    require("django")
    with site.server.connect() as client:
        response = client.get(site.target(f"{middleware}/django", view=view, key=key), headers=[("Accept-Encoding", "gzip")])
    assert response.value("Content-Encoding") == "gzip"
    assert gzip.decompress(response.body) == TEXT


@pytest.mark.parametrize("middleware", ["nothing", "watched"])
def test_django_compresses_as_it_comes(site: Site, middleware: str, gate: Gate, key: str) -> None:
    require("django")
    with site.server.connect() as client:
        client.request(
            "GET", site.target(f"{middleware}/django", view="own", gate=gate.port, key=key), headers=[("Accept-Encoding", "gzip")]
        )
        client.receive_head()
        received, stream = b"", zlib.decompressobj(wbits=31)
        while received != b"one ":
            received += stream.decompress(client.receive_chunk())
        gate.arrived()
        assert site.get("nothing/plain").body == TEXT
        gate.open()


def test_django_encodes_texts(site: Site, key: str) -> None:
    require("django")
    for middleware in ("nothing", "watched"):
        assert site.get(f"{middleware}/django", view="own-texts", key=key).body == TEXT.decode().encode("utf-16-le")


@pytest.mark.parametrize("view", ["own", "carried"])
def test_django_middleware_that_knows_ordinary_iterables_only(site: Site, view: str, key: str) -> None:
    require("django")
    assert site.get("nothing/django", view=view, key=key, upper=1).body == TEXT.upper()
