"""The same small site in every framework, under both workers, inline and in threads."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.loops import LOOPS

from .client import RawClient
from .conftest import Serve
from .server import NO_STREAM, STREAM, Gate, Server

FRAMEWORKS = ["bottle", "django", "falcon", "flask", "pyramid", "webob"]
CASES = {
    "stream": (STREAM, 1),
    "nostream": (NO_STREAM, 1),
    "stream-threads": (STREAM, 4),
    "nostream-threads": (NO_STREAM, 4),
}
_keys = itertools.count()


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "download.bin"
    path.write_bytes(b"0123456789" * 50_000)
    return path


class Sites:
    """A site for each framework, started when a test needs it."""

    def __init__(self, serve: Serve, directory: Path, download: Path) -> None:
        self._serve = serve
        self._directory = directory
        self._download = download

    def __call__(self, framework: str, case: str, age: str = "0") -> Server:
        if framework != "webob":
            pytest.importorskip(framework)
        worker_class, threads = CASES[case]
        database = self._directory / f"{case}-{age}.sqlite3"
        return self._serve(
            f"frameworks.{framework}_app:application",
            worker_class=worker_class,
            loop=LOOPS[-1],
            threads=threads,
            asgi_disconnect_grace_period=0,
            # WebOb copies a large body to a temporary file, which nobody closes; the database's
            # connections that are kept for ever are never closed either.
            forgives="unclosed (file <_io.BufferedRandom|database)"
            if framework in ("pyramid", "webob") or age == "None"
            else None,
            raw_env=[f"DOWNLOAD={self._download}", f"DATABASE={database}", f"CONN_MAX_AGE={age}"],
        )


@pytest.fixture(scope="module")
def sites(shared_server: Serve, tmp_path_factory: pytest.TempPathFactory, download: Path) -> Sites:
    return Sites(shared_server, tmp_path_factory.mktemp("databases"), download)


@pytest.fixture(scope="module", params=[f"{one}-{case}" for one in FRAMEWORKS for case in CASES])
def site(request: pytest.FixtureRequest, sites: Sites) -> Server:
    framework, _, case = request.param.partition("-")
    return sites(framework, case)


@pytest.fixture
def framework(request: pytest.FixtureRequest) -> str:
    """The name of the framework that `site` is written with."""
    name: str = request.node.callspec.params["site"].partition("-")[0]
    return name


@pytest.fixture
def key() -> str:
    return f"key{next(_keys)}."


def multipart(fields: dict[str, str], files: dict[str, bytes]) -> bytes:
    """A body of multipart/form-data with the boundary BOUNDARY."""
    parts = [
        f'--BOUNDARY\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts += [
        f'--BOUNDARY\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files.items()
    ]
    return b"".join(parts) + b"--BOUNDARY--\r\n"


FORM = [("Content-Type", "application/x-www-form-urlencoded")]
JSON = [("Content-Type", "application/json")]
MULTIPART = [("Content-Type", "multipart/form-data; boundary=BOUNDARY")]


def answers(client: RawClient) -> None:
    assert client.get("/hello").status_code == 200


def test_ordinary_view(site: Server, framework: str) -> None:
    with site.connect() as client:
        for _ in range(3):
            response = client.get("/hello")
            assert response.status_code == 200
            assert response.text.lower() == f"hello, {framework}!"
            assert response.value("Content-Length") == str(len(response.body))
        client.request("HEAD", "/hello")
        assert client.receive().status_code in (200, 405)  # some have no HEAD for what has GET
        answers(client)


def test_missing(site: Server) -> None:
    with site.connect() as client:
        assert client.get("/missing").status_code == 404
        answers(client)


def test_error(site: Server) -> None:
    mark = site.log.length
    with site.connect() as client:
        assert client.get("/fail").status_code == 500
    site.wait_for_log("planned failure of a view", since=mark)
    assert site.get("/hello").status_code == 200


@pytest.mark.parametrize("size", [10, 300_000])
def test_form(site: Server, size: int) -> None:
    with site.connect() as client:
        fields = {"a": "1 & 2", "b": "x" * size}
        response = client.post("/form", urlencode(fields).encode(), headers=FORM)
        if response.status_code == 413:  # the framework's own limit
            assert size > 100_000
            return
        assert json.loads(response.body) == fields
        answers(client)


def test_json(site: Server) -> None:
    with site.connect() as client:
        document = {"name": "caf\xe9", "numbers": list(range(1000))}
        response = client.post("/json", json.dumps(document).encode(), headers=JSON)
        assert json.loads(response.body) == document
        answers(client)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_multipart(site: Server, size: int) -> None:
    body = multipart({"a": "one"}, {"file": b"\r\n--BOUND" * (size // 10)})
    with site.connect(timeout=30) as client:
        response = client.post("/multipart", body, headers=MULTIPART)
        assert json.loads(response.body) == {"a": "one", "file": size // 10 * 9}
        answers(client)


def test_chunked_uploads(site: Server, framework: str) -> None:
    """Some want to know a length, and get one where the body was collected before."""
    if site.worker_class == STREAM and site.threads > 1 and framework in ("bottle", "django", "falcon"):
        return
    body = multipart({"a": "one"}, {"file": b"x" * 100_000})
    with site.connect() as client:
        client.request("POST", "/form", headers=FORM, chunks=[b"a=1&", b"b=2"])
        assert json.loads(client.receive().body) == {"a": "1", "b": "2"}
        client.request("POST", "/json", headers=JSON, chunks=[b"[1,", b"2]"])
        assert json.loads(client.receive().body) == [1, 2]
        pieces = [body[start : start + 9999] for start in range(0, len(body), 9999)]
        client.request("POST", "/multipart", headers=MULTIPART, chunks=pieces)
        assert json.loads(client.receive().body) == {"a": "one", "file": 100_000}
        answers(client)


def test_download(site: Server, download: Path) -> None:
    with site.connect() as client:
        for _ in range(2):
            response = client.get("/download")
            assert response.value("Content-Type") == "application/x-test"
            assert response.body == download.read_bytes()
        client.request("HEAD", "/download")
        assert client.receive().status_code in (200, 405)
        answers(client)


def test_download_of_a_range(site: Server, framework: str, download: Path) -> None:
    with site.connect() as client:
        response = client.get("/download", headers=[("Range", "bytes=100000-300000")])
        content = download.read_bytes()
        if response.status_code == 206:
            assert response.body == content[100_000:300_001]
        else:
            assert response.body == content
        if framework == "bottle":
            assert response.status_code == 206
        answers(client)


def test_events(site: Server, gate: Gate, key: str) -> None:
    """The first event arrives while the second does not exist, and nobody waits meanwhile."""
    mark = site.log.length
    with site.connect() as client:
        client.request("GET", f"/events?gate={gate.port}&key={key}")
        response = client.receive_head()
        assert (response.value("Content-Type") or "").startswith("text/event-stream")
        assert client.receive_chunk() == b"data: first\n\n"
        gate.arrived()
        for _ in range(6):  # more than there are threads
            with site.connect() as other:
                answers(other)
        gate.open()
        assert client.receive_chunk() == b"data: second\n\n"
        assert client.receive_chunk() == b""
        client.receive_until(b"\r\n")
        answers(client)
    site.wait_for_log(f"events ended {key}", since=mark)


def test_more_events_than_threads(site: Server, gate: Gate, key: str) -> None:
    clients = [site.connect() for _ in range(12)]
    for client in clients:
        client.request("GET", f"/events?gate={gate.port}&key={key}")
        client.receive_head()
        assert client.receive_chunk() == b"data: first\n\n"
        gate.arrived()
    for _ in clients:
        gate.open()
    for client in clients:
        assert client.receive_chunk() == b"data: second\n\n"
        client.close()


def test_events_end_when_the_client_leaves(site: Server, gate: Gate, key: str) -> None:
    mark = site.log.length
    client = site.connect()
    client.request("GET", f"/events?gate={gate.port}&key={key}")
    client.receive_head()
    assert client.receive_chunk() == b"data: first\n\n"
    gate.arrived()
    client.close()
    site.wait_for_log(f"events ended {key}", since=mark)
    gate.left()
    assert site.get("/hello").status_code == 200
    assert "Traceback" not in site.log.text(mark)


# Flask


@pytest.mark.parametrize("case", CASES)
def test_flask(sites: Sites, case: str, key: str) -> None:
    site = sites("flask", case)
    with site.connect() as client:
        assert client.get("/with-context?word=abc").text == "abcabcabc"
        assert client.get("/async-view").text == "async view"
        response = client.get(f"/events-passed-through?key={key}")
        assert response.text == "data: first\n\ndata: second\n\n"
        answers(client)


# Django


@pytest.mark.parametrize("case", CASES)
def test_django_async_views(sites: Sites, case: str, gate: Gate, key: str) -> None:
    site = sites("django", case)
    with site.connect() as client:
        assert client.get("/async-view").text == "async view"
        client.request("GET", f"/events-from-async-view?gate={gate.port}&key={key}")
        client.receive_head()
        assert client.receive_chunk() == b"data: first\n\n"
        gate.let_through()
        assert client.receive_chunk() == b"data: second\n\n"
        assert client.receive_chunk() == b""
        client.receive_until(b"\r\n")
        answers(client)


@pytest.mark.parametrize("case", CASES)
def test_django_stream_over_an_ordinary_generator(sites: Sites, case: str) -> None:
    site = sites("django", case)
    with site.connect() as client:
        assert client.get("/streams").text == "0:0;1:0;2:0;"
        answers(client)


@pytest.mark.parametrize("age", ["0", "None"])
@pytest.mark.parametrize("case", CASES)
def test_django_orm_leaks_no_connections(sites: Sites, case: str, age: str, key: str) -> None:
    """With CONN_MAX_AGE=0 none stays open; kept for ever, there is one for each thread."""
    site = sites("django", case, age)
    clients = [site.connect() for _ in range(8)]
    for target, text in (
        ("/orm", "1 found"),
        ("/streams", "0:0;1:0;2:0;"),
        (f"/orm-and-events?key={key}", "0 data: first\n\ndata: second\n\n0"),
        ("/orm", "1 found"),
    ):
        for client in clients:
            client.request("GET", target)
        for client in clients:
            response = client.receive()
            assert (response.status_code, response.text) == (200, text)
    (client, *_) = clients
    assert client.get("/async-orm").text == "0 0 found"
    left_open = 0 if age == "0" else site.threads
    # The asynchronous calls of the ORM run in threads of asgiref's own: these keep theirs.
    assert int(client.get("/connections").text) <= left_open + 1
    for client in clients:
        client.close()
