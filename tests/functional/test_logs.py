"""The access log of real servers: a line for every answer, with every atom right."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve
from .observing import Datagrams, wait_until
from .server import NO_STREAM, STREAM, Gate, Server

#: Every atom, apart by bars.
ATOMS = "hlutrsmUqHbBfaTDMLp"
FORMAT = "|".join([f"%({atom})s" for atom in ATOMS] + ["%({x-mark}i)s", "%({content-type}o)s", "%({remote_port}e)s", "%(other)s"])
NAMES = [*ATOMS, "i", "o", "e", "other"]


@pytest.fixture
def datagrams() -> Iterator[Datagrams]:
    receiver = Datagrams()
    yield receiver
    receiver.socket.close()


@pytest.fixture(params=["inline", "threads", "nostream"])
def server(request: pytest.FixtureRequest, shared_server: Serve, loop: str) -> Server:
    return shared_server(
        "facts:application",
        worker_class=NO_STREAM if request.param == "nostream" else STREAM,
        loop=loop,
        threads=2 if request.param == "threads" else 1,
        access_log_format=FORMAT,
    )


def line_of(server: Server, mark: str, count: int = 1) -> dict[str, str]:
    """The atoms of the line that has the mark in its query string."""
    line = server.access.wait_for(rf"\|{re.escape(mark)}\|", count=count)[-1]
    return dict(zip(NAMES, line.split("|"), strict=True))


def test_every_atom(server: Server) -> None:
    credentials = base64.b64encode(b"alice:secret").decode()
    headers = [
        ("Authorization", f"Basic {credentials}"),
        ("Referer", "http://from/"),
        ("User-Agent", 'tests "1"'),
        ("X-Mark", "one"),
    ]
    before = time.time()
    with server.connect() as client:
        client.get("/hello%20?every", headers=headers)
        port = str(client.socket.getsockname()[1])
    atoms = line_of(server, "every")
    moment = time.mktime(time.strptime(atoms["t"][:-7], "[%d/%b/%Y:%H:%M:%S"))
    assert before - 2 <= moment <= time.time() + 1
    for name in "tTDMLp":
        del atoms[name]
    assert atoms == {
        "h": "127.0.0.1",
        "l": "-",
        "u": "alice",
        "r": "GET /hello%20?every HTTP/1.1",
        "s": "404",
        "m": "GET",
        "U": "/hello ",
        "q": "every",
        "H": "HTTP/1.1",
        "b": "12",
        "B": "12",
        "f": "http://from/",
        "a": 'tests \\"1\\"',
        "i": "one",
        "o": "text/plain",
        "e": port,
        "other": "-",
    }


def test_durations(server: Server, gate: Gate) -> None:
    with server.connect() as client:
        client.request("GET", f"/at-gate?gate={gate.port}")
        gate.arrived()
        assert client.is_quiet(0.1)
        gate.open()
        client.receive()
    atoms = line_of(server, f"gate={gate.port}")
    micro = int(atoms["D"])
    assert 100_000 <= micro < 10_000_000
    assert int(atoms["M"]) == micro // 1000
    assert int(atoms["T"]) == micro // 1_000_000
    assert atoms["L"] == f"{micro // 1_000_000}.{micro % 1_000_000:06d}"
    assert re.fullmatch(r"<\d+>", atoms["p"])


@pytest.mark.parametrize(
    ("target", "status", "sent"),
    [
        ("/hello", "200", 14),
        ("/empty-list", "200", 0),
        ("/many-items", "200", 13),
        ("/with-length", "200", 11),
        ("/generator", "200", 7),
        ("/written", "200", 13),
        ("/exc-info-before", "503", 6),
        ("/wrapped-memory", "200", 30000),
        ("/wrapped-temporary", "200", 29990),
    ],
)
def test_status_and_size(server: Server, target: str, status: str, sent: int) -> None:
    mark = f"{target[1:]}-size"
    server.get(f"{target}?{mark}")
    atoms = line_of(server, mark)
    assert (atoms["s"], int(atoms["B"])) == (status, sent)


def test_an_error_has_a_line(server: Server) -> None:
    """Of the answer that the client got."""
    answer = server.get("/failed?key=logged")
    atoms = line_of(server, "key=logged")
    assert (answer.status_code, atoms["s"], atoms["U"]) == (500, "500", "/failed")


def test_head_has_a_line(server: Server) -> None:
    with server.connect() as client:
        client.request("HEAD", "/hello?head")
        client.receive()
    atoms = line_of(server, "head")
    assert (atoms["m"], atoms["s"], atoms["B"]) == ("HEAD", "200", "0")


def test_a_refused_request_has_a_line(server: Server) -> None:
    since = server.access.length
    with server.connect() as client:
        client.send("GET /refused HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
        assert client.receive().status_code == 400
    line = server.access.wait_for(r"\|400\|", since=since)[0]
    atoms = dict(zip(NAMES, line.split("|"), strict=True))
    assert atoms["h"] == "127.0.0.1"


def test_an_aborted_response_has_a_line(server: Server) -> None:
    """With what was sent of it."""
    with server.connect(receive_buffer=4096) as client:
        client.request("GET", "/endless?key=aborted")
        client.receive_head()
        client.reset()
    atoms = line_of(server, "key=aborted")
    assert atoms["s"] == "200"
    assert int(atoms["B"]) > 0


def test_every_request_of_a_connection_has_a_line(server: Server) -> None:
    with server.connect() as client:
        client.send(b"GET /hello?pipelined HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        for _ in range(3):
            assert client.receive().status_code == 200
    line_of(server, "pipelined", count=3)


def test_a_coroutine_has_a_line(serve: Serve, loop: str, gate: Gate) -> None:
    """When it is over, not before."""
    server = serve("facts:gated", worker_class=STREAM, loop=loop, access_log_format=FORMAT)
    with server.connect() as client:
        client.request("GET", f"/?gate={gate.port}")
        gate.arrived()
        assert server.access.text() == ""
        gate.open()
        answer = client.receive()
    atoms = line_of(server, f"gate={gate.port}")
    assert (atoms["s"], int(atoms["B"])) == ("200", len(answer.body))


def test_lines_of_many_processes_are_whole(serve: Serve, tmp_path: Path) -> None:
    access = tmp_path / "access"
    server = serve("facts:application", worker_class=STREAM, workers=2, accesslog=str(access), access_log_format="%(q)s.")
    for number in range(20):
        with server.connect() as client:
            for _ in range(20):
                client.get(f"/hello?{number:050}")
    wait_until(lambda: access.read_text().count("\n") == 400)
    assert {len(line) for line in access.read_text().splitlines()} == {51}


def test_a_filter_is_asked(serve: Serve) -> None:
    """One that a configuration file adds sees the atoms, as always."""
    extra = """
import logging
class NoHealthChecks(logging.Filter):
    def filter(self, record):
        return record.args["U"] != "/health"
def post_fork(server, worker):
    logging.getLogger("gunicorn.access").addFilter(NoHealthChecks())
"""
    server = serve("facts:application", worker_class=STREAM, extra=extra)
    server.get("/health?first")
    server.get("/hello?second")
    server.access.wait_for(r"\?second")
    assert "/health" not in server.access.text()


def test_a_logger_that_fails_costs_no_answer(serve: Serve) -> None:
    """Neither this one, nor the next one of the connection."""
    extra = """
from gunicorn.glogging import Logger

class Failing(Logger):
    def access(self, *arguments):
        raise LookupError("the disk of the log is full")

logger_class = Failing
"""
    server = serve("probe:application", worker_class=STREAM, extra=extra)
    with server.connect() as client:
        for _ in range(2):
            assert client.get("/hello").status_code == 200
    server.wait_for_log("ERROR.*The access log failed for GET /hello", count=2)
    server.wait_for_log("LookupError: the disk of the log is full", count=2)


def test_a_formatter_for_json(serve: Serve) -> None:
    """One that looks into the record, as those for structured logs do."""
    extra = """
import json, logging
class Json(logging.Formatter):
    def format(self, record):
        return json.dumps({"path": record.args["U"], "status": record.args["s"], "micro": record.args["D"]})
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": Json}},
    "handlers": {"json": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
    "root": {"level": "WARNING", "handlers": []},
    "loggers": {"gunicorn.access": {"level": "INFO", "handlers": ["json"], "propagate": False}},
}
"""
    server = serve("facts:application", worker_class=STREAM, accesslog=None, extra=extra)
    server.get("/hello")
    told = json.loads(server.access.wait_for("{")[0])
    assert (told["path"], told["status"]) == ("/hello", "200")
    assert told["micro"] > 0


def test_nothing_is_computed_when_nobody_listens(serve: Serve) -> None:
    """An environ that objects to being looked at is not looked at."""
    extra = """
import os
from gunicorn.glogging import Logger
before = Logger.atoms
def atoms(self, *arguments):
    os.write(2, b"atoms\\n")
    return before(self, *arguments)
Logger.atoms = atoms
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "WARNING", "handlers": []},
    "handlers": {"error": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["error"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": False},
    },
}
"""
    server = serve("facts:application", worker_class=STREAM, accesslog=None, extra=extra)
    server.get("/hello")
    server.get("/failed?key=unlistened")
    server.wait_for_log("planned failure unlistened")
    assert "atoms" not in server.log.text()


def test_statsd_counts_failures_and_streams(tmp_path: Path, datagrams: Datagrams) -> None:
    settings: dict[str, Any] = {"accesslog": None, "statsd_host": datagrams.address}
    server = Server("facts:application", worker_class=STREAM, directory=tmp_path, **settings)
    server.start()
    try:
        server.get("/failed?key=counted")
        datagrams.wait_for(r"gunicorn\.request\.status\.500:1")
        server.get("/generator")
        datagrams.wait_for(r"gunicorn\.request\.status\.200:1")
        with server.connect(receive_buffer=4096) as client:
            client.request("GET", "/endless?key=counted")
            client.receive_head()
            client.reset()
        server.wait_for_log("closed counted")
        wait_until(lambda: len([text for text in _drained(datagrams) if "gunicorn.requests" in text]) == 3)
    finally:
        server.stop(check=False)  # Gunicorn leaves the socket open


def _drained(datagrams: Datagrams) -> list[str]:
    datagrams.socket.setblocking(False)
    try:
        while True:
            datagrams.seen.append(datagrams.socket.recv(65536).decode())
    except BlockingIOError:
        return datagrams.seen


def test_errors_of_the_application_have_their_traceback(server: Server) -> None:
    since = server.log.length
    server.get("/failed?key=traced")
    server.log.wait_for("planned failure traced", since=since)
    text = server.log.text(since)
    assert "Error handling request GET /failed?key=traced" in text
    assert "Traceback (most recent call last):" in text
    assert os.path.join("apps", "probe.py") in text


def test_a_target_with_percent_signs_is_logged_as_it_is(server: Server) -> None:
    since = server.log.length
    server.get("/failed%20?key=100%25s")
    server.get("/failed?key=100%25s")
    server.log.wait_for(r"Error handling request GET /failed\?key=100%25s$", since=since)
