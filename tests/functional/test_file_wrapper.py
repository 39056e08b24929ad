"""Files of every kind from the frameworks: what read() gives is what comes, whoever sends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.loops import LOOPS

from .client import RawClient
from .server import NO_STREAM, STREAM, Server

LINES = b"".join(b"line %06d\n" % number for number in range(60_000))
KINDS = [
    *("plain", "moved", "gzip", "bz2", "lzma", "zip", "bytesio", "spooled", "spooled-in-memory", "temporary"),
    *("shouting", "django", "django-gzip", "django-content", "proc"),
]
#: Those that the kernel sends, and so have a length where nobody gave one.
PLAIN = {"plain", "moved", "temporary", "django"}


class Site:
    """A server, and how to connect to it."""

    def __init__(self, server: Server, authority: Authority | None) -> None:
        self.server = server
        self._authority = authority

    def connect(self) -> RawClient:
        if self._authority is None:
            return self.server.connect()
        return self.server.connect(tls=self._authority.client_context(), server_hostname="localhost")


@pytest.fixture(
    scope="module",
    params=[
        (STREAM, LOOPS[-1], 1, False),
        (STREAM, "asyncio", 4, False),
        (NO_STREAM, "asyncio", 1, True),
        (NO_STREAM, LOOPS[-1], 4, True),
    ],
    ids=["stream", "stream-threads", "tls", "tls-threads"],
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    worker_class, loop, threads, tls = request.param
    directory: Path = tmp_path_factory.mktemp("files")
    authority, settings = None, {}
    if tls:
        authority = Authority(directory)
        certificate = authority.issue("files", "/CN=localhost")
        settings = {"certfile": str(certificate.certfile), "keyfile": str(certificate.keyfile)}
    # What HEAD does not ask for, and what an archive is read from, frameworks leave to the garbage collector.
    with Server(
        "files:application",
        worker_class=worker_class,
        directory=directory,
        loop=loop,
        threads=threads,
        forgives="unclosed file|Implicitly cleaning up",
        **settings,
    ) as server:
        yield Site(server, authority)


def content(kind: str) -> bytes:
    special = {
        "moved": LINES[100_000:],
        "shouting": LINES.upper(),
        "proc": Path("/proc/version").read_bytes() if Path("/proc/version").exists() else b"",
    }
    return special.get(kind, LINES)


def test_what_read_gives_comes(site: Site) -> None:
    with site.connect() as client:
        for by in ("hand", "flask", "django", "werkzeug"):
            for kind in KINDS:
                if (by, kind) == ("django", "proc"):
                    continue  # Django seeks its end, which it has not
                response = client.get(f"/{by}/{kind}")
                assert (response.status_code, response.complete) == (200, True), (by, kind)
                assert response.body == content(kind), (by, kind)
                if by in ("hand", "werkzeug"):
                    assert (response.framing == "length") is (kind in PLAIN), (by, kind)


def test_lengths_blocks_and_head(site: Site) -> None:
    with site.connect() as client:
        for kind in ("plain", "gzip", "bytesio", "shouting"):
            whole = content(kind)
            for size in (1, 1000, len(whole)):
                assert client.get(f"/hand/{kind}?length={size}&block=1000").body == whole[:size]
            client.request("HEAD", f"/hand/{kind}?length={len(whole)}")
            response = client.receive()
            assert (response.value("Content-Length"), response.body) == (str(len(whole)), b"")
            for block in (0, -1, 7777):
                assert client.get(f"/hand/{kind}?block={block}").body == whole
            assert client.get(f"/hand/{kind}?write=before").body == b"before" + whole
    for kind in ("plain", "gzip"):
        with site.connect() as client:
            response = client.get(f"/hand/{kind}?length={len(LINES) + 1}")
            assert (response.body, response.complete) == (LINES, False)
            client.assert_closed()


def test_ranges(site: Site) -> None:
    with site.connect() as client:
        for by, kind in (("flask", "plain"), ("flask", "bytesio"), ("flask", "gzip"), ("django", "plain"), ("django", "bytesio")):
            response = client.get(f"/{by}/{kind}", headers=[("Range", "bytes=1000-100999")])
            expected = LINES[1000:101_000] if response.status_code == 206 else LINES
            assert (response.body, response.complete) == (expected, True), (by, kind)
        assert client.get("/flask/bytesio", headers=[("Range", "bytes=1000-1001")]).status_code == 206


def test_a_wrapper_that_middleware_extends(site: Site) -> None:
    with site.connect() as client:
        for kind in ("plain", "gzip"):
            assert client.get(f"/middleware/{kind}").body == LINES.replace(b"line", b"LINE")


def test_text_is_refused(site: Site) -> None:
    mark = site.server.log.length
    with site.connect() as client:
        assert client.get("/text/").status_code == 500
    site.server.wait_for_log("TypeError: wsgi.file_wrapper takes .* this one gives text; open it in mode 'rb'", since=mark)
