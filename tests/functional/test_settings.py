"""Every setting of Gunicorn, once, with what it does to a real server with our worker.

Each test is decorated with the settings that it is about and their class:

- A: Gunicorn does it, whatever the worker.
- W: the worker has to do it; AW: each does a part.
- N: it has no meaning here: nothing changes, and where somebody could rely on it, one line at the start says so.

The tests of the tables at the end of this file hold that no setting is forgotten, that none appears twice, and that
docs/settings.rst says the same.
"""

from __future__ import annotations

import grp
import itertools
import json
import os
import pwd
import re
import signal
import ssl
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import KNOWN_SETTINGS

from aiohttp.worker import AsyncGunicornWorker
from aiohttp_worker.integration.settings import OPTIONS, Option, read_options
from tests.certificates import Authority

from .client import RawClient
from .conftest import Serve
from .observing import (
    Bare,
    Datagrams,
    ask,
    command,
    environ_of,
    facts,
    free_port,
    lenient_about_gunicorn,
    refuses_connections,
    wait_until,
)
from .server import APPS, NO_STREAM, ROOT, STREAM, Gate, Server

A, W, AW, N = "A", "W", "A+W", "N"
TABLE: dict[str, str] = {}

Test = Callable[..., None]


def setting(kind: str, *names: str) -> Callable[[Test], Test]:
    """Say which settings a test is about."""
    for name in names:
        assert name not in TABLE, f"{name} has two tests"
        TABLE[name] = kind
    return lambda test: test


@pytest.fixture
def datagrams() -> Iterator[Datagrams]:
    receiver = Datagrams()
    yield receiver
    receiver.socket.close()


# Servers that several tests share

MANY: dict[str, Any] = {
    "workers": 2,
    "backlog": 77,
    "raw_env": ["MARK=raw"],
    "pidfile": "gunicorn.pid",
    "loglevel": "debug",
    "access_log_format": "%(m)s %(s)s %({x-mark}i)s",
    "umask": 0o27,
    "worker_tmp_dir": "/dev/shm",
    "limit_request_line": 300,
    "limit_request_fields": 10,
    "limit_request_field_size": 200,
    "keepalive": 1,
}


@pytest.fixture
def many(shared_server: Serve) -> Server:
    """Many settings at once, none of which changes what the others do."""
    return shared_server("facts:application", worker_class=STREAM, **MANY)


@pytest.fixture
def plain(shared_server: Serve) -> Server:
    """Gunicorn's defaults."""
    return shared_server("facts:application", worker_class=STREAM)


@pytest.fixture
def lenient(shared_server: Serve) -> Server:
    """Everything allowed that can be."""
    return shared_server(
        "facts:application",
        worker_class=STREAM,
        permit_obsolete_folding=True,
        strip_header_spaces=True,
        permit_unconventional_http_method=True,
        permit_unconventional_http_version=True,
        header_map="dangerous",
        forwarded_allow_ips="192.0.2.1",
        proxy_protocol="auto",
        proxy_allow_ips="127.0.0.0/8",
        keepalive=0,
        limit_request_line=0,
        limit_request_fields=0,
        limit_request_field_size=0,
    )


# Config file, sockets, processes


@setting(A, "config", "raw_env")
def test_config(many: Server) -> None:
    """The server's settings come from a file that `-c` names."""
    assert facts(many)["variables"]["MARK"] == "raw"


@setting(A, "wsgi_app")
def test_wsgi_app(tmp_path: Path) -> None:
    with Bare("", worker_class=STREAM, directory=tmp_path, wsgi_app="facts:application") as server:
        assert server.get("/hello").status_code == 200


@setting(A, "bind")
def test_bind(serve: Serve, tmp_path: Path) -> None:
    bind = [f"unix:{tmp_path}/socket", "127.0.0.1:0"]  # the harness reads the last one
    server = serve("facts:application", worker_class=STREAM, bind=bind)
    line = server.log.wait_for("Listening at: ")[0]
    port = re.search(r"http://127\.0\.0\.1:(\d+)", line)
    assert port
    for address in [("127.0.0.1", int(port[1])), f"{tmp_path}/socket"]:
        with RawClient(address) as client:
            assert client.get("/hello").status_code == 200


@setting(AW, "backlog")
def test_backlog(many: Server) -> None:
    """Nobody calls listen() again with another number."""
    assert [one["backlog"] for one in facts(many)["listeners"]] == [77]


@setting(AW, "workers")
def test_workers(many: Server, plain: Server) -> None:
    assert len(set(many.worker_pids(2))) == 2
    assert environ_of(many.get("/environ-as-json"))["wsgi.multiprocess"] is True
    assert environ_of(plain.get("/environ-as-json"))["wsgi.multiprocess"] is False


@setting(A, "worker_class")
@pytest.mark.parametrize("name", [STREAM, NO_STREAM])
def test_worker_class(shared_server: Serve, name: str) -> None:
    server = shared_server("facts:application", worker_class=name)
    server.wait_for_log(f"Using worker: {re.escape(name)}$")
    assert server.get("/hello").status_code == 200


@setting(W, "threads")
def test_threads(shared_server: Serve, plain: Server, gate: Gate) -> None:
    server = shared_server("facts:application", worker_class=STREAM, threads=2)
    with server.connect() as held, server.connect() as free:
        held.request("GET", f"/at-gate?gate={gate.port}")
        gate.arrived()
        assert environ_of(free.get("/environ-as-json"))["wsgi.multithread"] is True
        gate.open()
        assert held.receive().body == b"through"
    assert environ_of(plain.get("/environ-as-json"))["wsgi.multithread"] is False


@setting(W, "worker_connections")
def test_worker_connections(serve: Serve) -> None:
    """A connection too many waits in the backlog until another ends."""
    server = serve("facts:application", worker_class=STREAM, worker_connections=2)
    with server.connect() as first, server.connect() as second, server.connect() as third:
        assert first.get("/hello").status_code == 200
        assert second.get("/hello").status_code == 200
        third.request("GET", "/hello")
        assert third.is_quiet(0.3)
        first.close()
        assert third.receive().status_code == 200


@setting(AW, "max_requests", "max_requests_jitter")
def test_max_requests(serve: Serve) -> None:
    server = serve("facts:application", worker_class=STREAM, max_requests=3, max_requests_jitter=2)
    pids = []
    while len(set(pids)) < 4:
        assert len(pids) < 40
        pids.append(int(server.get("/pid").text))
    counts = [pids.count(pid) for pid in dict.fromkeys(pids[:-1])][:3]
    assert all(3 <= count <= 5 for count in counts), counts


@setting(AW, "timeout")
def test_timeout(serve: Serve, gate: Gate) -> None:
    """A worker whose loop stands still is replaced, one that waits for threads is not."""
    server = serve("facts:application", worker_class=STREAM, timeout=1)
    with server.connect() as client:
        client.request("GET", f"/at-gate?gate={gate.port}")
        gate.arrived()
        server.wait_for_log("WORKER TIMEOUT")
        assert client.receive().status_code == 500
        client.assert_closed()
    server.worker_pids(2)
    assert server.get("/hello").status_code == 200


@setting(W, "graceful_timeout")
def test_graceful_timeout(serve: Serve, gate: Gate, second_gate: Gate) -> None:
    """What is being answered is answered within it, and cut after it."""
    server = serve("facts:application", worker_class=STREAM, graceful_timeout=2, threads=2)
    with server.connect() as quick, server.connect() as slow:
        quick.request("GET", f"/at-gate?gate={gate.port}")
        slow.request("GET", f"/at-gate?gate={second_gate.port}")
        gate.arrived()
        second_gate.arrived()
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        wait_until(lambda: refuses_connections(server))
        gate.open()
        answer = quick.receive()
        assert answer.body == b"through"
        assert answer.says_close
        slow.assert_closed()
        assert 1 < time.monotonic() - began < 5
    server.wait()


@setting(W, "keepalive")
def test_keepalive(many: Server, lenient: Server) -> None:
    with many.connect() as client:
        began = time.monotonic()
        answer = client.get("/hello")
        assert not answer.says_close
        client.assert_closed()
        assert 0.5 < time.monotonic() - began < 4
    with lenient.connect() as client:
        assert client.get("/hello").says_close
        client.assert_closed()


@setting(W, "asgi_loop")
@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_asgi_loop(shared_server: Serve, name: str) -> None:
    if name == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    server = shared_server("facts:on_the_loop", worker_class=STREAM, loop=name)
    assert server.get("/").text.startswith(name)


@setting(W, "asgi_disconnect_grace_period")
def test_asgi_disconnect_grace_period(serve: Serve) -> None:
    """How long a coroutine goes on after its client left."""
    server = serve("facts:waiting", worker_class=STREAM, asgi_disconnect_grace_period=1)
    with server.connect() as client:
        client.request("GET", "/")
        server.wait_for_log("^waiting$")
        began = time.monotonic()
    server.wait_for_log("^cancelled$")
    assert 0.5 < time.monotonic() - began < 5


@setting(N, "http_parser")
@pytest.mark.parametrize("name", ["python", "fast"])
def test_http_parser(shared_server: Serve, name: str) -> None:
    """There is one parser, and who asks for another hears of it."""
    server = shared_server("facts:application", worker_class=STREAM, http_parser=name)
    server.wait_for_log(r"WARNING.*http_parser")
    assert server.get("/hello").status_code == 200


SILENT = {
    "asgi_lifespan": "off",
    "websocket_max_message_size": 1,
    "uwsgi_allow_ips": "*",
    "do_handshake_on_connect": True,
    "ssl_version": 5,
}


@setting(N, *SILENT)
def test_settings_without_meaning(serve: Serve) -> None:
    """Of protocols that are not spoken here: nothing to say, nothing to do."""
    server = serve("facts:application", worker_class=STREAM, **SILENT)
    assert server.get("/hello").status_code == 200
    mentioned = [line for line in server.log.lines() if any(name in line for name in SILENT)]
    assert [line for line in mentioned if "ssl_version" not in line] == []  # Gunicorn's own, of its deprecation


@setting(N, "root_path")
def test_settings_that_are_not_honoured_say_so(serve: Serve) -> None:
    """Once, not once per worker. One of them needs another."""
    settings = {"root_path": "/app", "http2_cleartext": "prior-knowledge", "workers": 2}
    server = serve("facts:application", worker_class=STREAM, **settings)
    server.worker_pids(2)
    for name in ("root_path", "http2_cleartext"):
        assert len(server.wait_for_log(rf"WARNING.*\b{name}\b")) == 1
    assert environ_of(server.get("/environ-as-json"))["SCRIPT_NAME"] == ""


@setting(N, "suppress_ragged_eofs")
def test_suppress_ragged_eofs(serve: Serve, authority: Authority) -> None:
    certificate = authority.issue("ragged", "/CN=localhost")
    files = {"certfile": str(certificate.certfile), "keyfile": str(certificate.keyfile)}
    server = serve("facts:application", worker_class=STREAM, suppress_ragged_eofs=False, **files)
    server.wait_for_log(r"WARNING.*suppress_ragged_eofs")
    # Stopped before its worker has started, Gunicorn's master leaves that one's heartbeat file open.
    with server.connect(tls=authority.client_context(), server_hostname="localhost") as client:
        assert client.get("/hello").status_code == 200


@setting(W, "http_protocols")
def test_http_protocols(serve: Serve, authority: Authority) -> None:
    """Offered by ALPN in the order of the setting; who offers HTTP/1.1 alone speaks that."""
    pytest.importorskip("h2", reason="without it Gunicorn itself refuses the setting")
    pytest.importorskip("ngh2", reason="without it HTTP/2 is not spoken")
    certificate = authority.issue("protocols", "/CN=localhost")
    files = {"certfile": str(certificate.certfile), "keyfile": str(certificate.keyfile)}
    server = serve("facts:application", worker_class=STREAM, http_protocols="h2,h1", **files)
    for offered, agreed in ((["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1")):
        context = authority.client_context()
        context.set_alpn_protocols(offered)
        with server.connect(tls=context, server_hostname="localhost") as client:
            assert isinstance(client.socket, ssl.SSLSocket)
            assert client.socket.selected_alpn_protocol() == agreed
    with server.connect(tls=authority.client_context(), server_hostname="localhost") as client:
        assert client.get("/hello").status_code == 200
    assert "http_protocols" not in server.log.text()


HTTP2_VALUES = {
    "http2_max_concurrent_streams": 7,
    "http2_initial_window_size": 70000,
    "http2_max_frame_size": 20000,
    "http2_max_header_list_size": 7000,
}


@setting(W, "http2_cleartext", *HTTP2_VALUES)
def test_http2_cleartext(serve: Serve) -> None:
    """The settings are announced in the first frame (RFC 9113 section 3.4)."""
    pytest.importorskip("h2", reason="without it Gunicorn itself refuses the setting")
    pytest.importorskip("ngh2", reason="without it HTTP/2 is not spoken")
    settings = {"http_protocols": "h2", "http2_cleartext": "prior-knowledge", **HTTP2_VALUES}
    server = serve("facts:application", worker_class=STREAM, **settings)
    with server.connect() as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        head = b""
        while len(head) < 9:
            head += client.socket.recv(9 - len(head))
        payload = b""
        while len(payload) < int.from_bytes(head[:3], "big"):
            payload += client.socket.recv(int.from_bytes(head[:3], "big") - len(payload))
    announced = dict(struct.iter_unpack(">HI", payload))
    assert [announced[number] for number in (3, 4, 5, 6)] == list(HTTP2_VALUES.values())
    # A trusted peer that speaks HTTP/1.1 is one that was set up wrongly.
    assert server.get("/hello").status_code == 400


@setting(N, "protocol")
def test_protocol(tmp_path: Path) -> None:
    """uwsgi is not spoken: nothing starts that would answer it with HTTP."""
    done = command(
        "-k", STREAM, "-b", "127.0.0.1:0", "--no-control-socket", "--protocol", "uwsgi", "facts:application", cwd=tmp_path
    )
    assert done.returncode != 0
    assert re.search(r"protocol.*uwsgi", done.stderr)
    assert "Booting worker" not in done.stderr


# Security


@setting(W, "limit_request_line")
def test_limit_request_line(many: Server, lenient: Server) -> None:
    assert many.get("/hello?" + "x" * 250).status_code == 200
    assert many.get("/hello?" + "x" * 300).status_code == 414
    assert lenient.get("/hello?" + "x" * 20_000).status_code == 200


@setting(W, "limit_request_fields")
def test_limit_request_fields(many: Server, lenient: Server) -> None:
    fields = [(f"X-{number}", "x") for number in range(10)]
    assert many.get("/hello", headers=fields[:9]).status_code == 200  # Host is one of them
    assert many.get("/hello", headers=fields).status_code == 431
    assert lenient.get("/hello", headers=fields * 50).status_code == 200


@setting(W, "limit_request_field_size")
def test_limit_request_field_size(many: Server, lenient: Server) -> None:
    assert many.get("/hello", headers=[("X-A", "x" * 190)]).status_code == 200
    assert many.get("/hello", headers=[("X-A", "x" * 200)]).status_code == 431
    assert lenient.get("/hello", headers=[("X-A", "x" * 8000)]).status_code == 200
    assert lenient.get("/hello", headers=[("X-A", "x" * 8200)]).status_code == 431


# Debugging


@setting(AW, "reload")
@setting(A, "reload_engine", "reload_extra_files")
def test_reload(serve: Serve, tmp_path: Path) -> None:
    extra = tmp_path / "template.html"
    extra.write_text("one")
    server = serve("facts:application", worker_class=STREAM, reload=True, reload_engine="poll", reload_extra_files=[str(extra)])
    old = server.worker_pids(1)[0]
    assert server.get("/pid").text == str(old)
    # The reloader's first look, from a thread of its own, only learns the files' times: whoever changes a file before
    # that has changed nothing. So it is changed until it is seen.
    times = itertools.count(4_000_000_000)

    def is_seen() -> bool:
        os.utime(extra, (newer := next(times), newer))
        return "template.html modified" in server.log.text()

    wait_until(is_seen)
    new = server.worker_pids(2)[1]
    assert server.get("/pid").text == str(new) != str(old)


@setting(A, "spew")
def test_spew(serve: Serve, tmp_path: Path) -> None:
    """Prints each line that runs. A bare application and no reading of the rest."""
    (tmp_path / "bare.py").write_text(
        "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'spewed']\n"
    )
    environ = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    # At the interpreter's end Gunicorn's trace function is called when its modules are gone.
    server = serve(
        "bare:application", worker_class=STREAM, spew=True, environ=environ, forgives="Exception ignored in.*_removeHandlerRef"
    )
    with server.connect(timeout=60) as client:
        assert client.get("/").body == b"spewed"
    server.access.wait_for(r"bare:2: ", timeout=60)


@setting(A, "check_config")
def test_check_config(tmp_path: Path) -> None:
    good = command("--check-config", "-k", STREAM, "facts:application", cwd=tmp_path)
    assert (good.returncode, good.stdout) == (0, "")
    bad = command("--check-config", "-k", STREAM, "facts:nothing", cwd=tmp_path)
    assert bad.returncode == 1
    assert "nothing" in bad.stderr


@setting(A, "print_config")
@pytest.mark.parametrize("arguments", [(), ("-w", "3", "--threads", "4", "--keep-alive", "7")])
def test_print_config(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The worker changes no setting: what is printed is what `-k sync` prints."""
    ours = command("--print-config", "-k", STREAM, *arguments, "facts:application", cwd=tmp_path)
    theirs = command("--print-config", "-k", "sync", *arguments, "facts:application", cwd=tmp_path)
    assert (ours.returncode, ours.stderr) == (0, "")

    def lines(text: str) -> list[str]:
        return [re.sub(r" at 0x\w+", "", line) for line in text.splitlines() if not line.startswith("worker_class ")]

    assert len(lines(ours.stdout)) == len(KNOWN_SETTINGS) - 1
    assert lines(ours.stdout) == lines(theirs.stdout)


# Server mechanics


@setting(A, "preload_app")
def test_preload_app(shared_server: Serve, plain: Server) -> None:
    server = shared_server("facts:application", worker_class=STREAM, preload_app=True)
    told = facts(server)
    assert told["imported_by"] == server.process.pid == told["ppid"]
    told = facts(plain)
    assert told["imported_by"] == told["pid"]


@setting(W, "sendfile")
@pytest.mark.parametrize(("settings", "sendfile"), [({}, True), ({"sendfile": False}, False), ({"sendfile": True}, False)])
def test_sendfile(shared_server: Serve, tmp_path: Path, settings: dict[str, Any], sendfile: bool) -> None:
    """Only --no-sendfile exists: whatever is set, Gunicorn reads it as no."""
    (tmp_path / "file").write_bytes(b"0123456789" * 50_000)
    server = shared_server("facts:application", worker_class=STREAM, **settings)
    with server.connect() as client:
        response = client.get(f"/sent-file?path={tmp_path}/file")
        assert response.body == b"0123456789" * 50_000
        # The kernel is told a length, and so is the client; reading ends where it ends.
        assert response.framing == ("length" if sendfile else "chunked")


@setting(A, "reuse_port")
def test_reuse_port(tmp_path: Path) -> None:
    """Each worker has a listener of its own, and uses that."""
    port = free_port()
    server = Server(
        "facts:application", worker_class=STREAM, directory=tmp_path, bind=f"127.0.0.1:{port}", reuse_port=True, workers=2
    )
    server.spawn()
    try:
        server.address = ("127.0.0.1", port)
        pids = set(server.worker_pids(2))
        server.wait_for_log("Booting worker", count=2)
        seen: dict[int, Any] = {}

        def both_answered() -> bool:
            try:
                told = facts(server)
            except ConnectionError:
                return False
            seen[told["pid"]] = told["listeners"]
            return set(seen) == pids

        wait_until(both_answered, 30)
        assert all(one["reuse_port"] for listeners in seen.values() for one in listeners)
    finally:
        server.stop()


@setting(A, "chdir", "pythonpath")
def test_chdir(serve: Serve, tmp_path: Path) -> None:
    server = serve("facts:application", worker_class=STREAM, chdir=str(tmp_path), pythonpath=str(tmp_path / "more"))
    told = facts(server)
    assert told["cwd"] == str(tmp_path)
    assert str(tmp_path) in told["path"]
    assert str(tmp_path / "more") in told["path"]


@setting(A, "daemon", "pidfile", "enable_stdio_inheritance")
def test_daemon(tmp_path: Path) -> None:
    """It detaches, and with `enable_stdio_inheritance` still writes where it was started."""
    port = free_port()
    arguments = ["-k", STREAM, "-b", f"127.0.0.1:{port}", "--no-control-socket", "--daemon", "--pid", "gunicorn.pid"]
    output = tmp_path / "output"
    with output.open("wb") as file:
        subprocess.run(
            [sys.executable, "-m", "gunicorn", *arguments, "-R", "--log-file", "error.log", "facts:application"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(APPS)])},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            timeout=60,
            check=True,
        )
    pidfile = tmp_path / "gunicorn.pid"
    try:
        pid = int(wait_until(lambda: pidfile.exists() and pidfile.read_text()))
        wait_until(lambda: "Booting worker" in (tmp_path / "error.log").read_text())
        assert os.getsid(pid) != os.getsid(0)
        with RawClient(("127.0.0.1", port)) as client:
            client.get("/printed?key=detached")
        assert "printed detached" in output.read_text()
    finally:
        os.kill(int(pidfile.read_text()), signal.SIGTERM)
        wait_until(lambda: not pidfile.exists())


@setting(AW, "worker_tmp_dir")
def test_worker_tmp_dir(many: Server) -> None:
    """The heartbeat's file is there, and it beats."""
    told = facts(many)
    assert any(name.startswith("/dev/shm/wgunicorn-") for name in told["files"])


@setting(A, "user", "group", "initgroups")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_user(serve: Serve) -> None:
    """Workers are somebody else after the fork. Loaded before it, since nobody may be unable to read where the tests are."""
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrgid(nobody.pw_gid).gr_name
    settings = {"user": "nobody", "group": group, "preload_app": True}
    told = facts(serve("facts:application", worker_class=STREAM, **settings))
    assert (told["user"], told["group"]) == ("nobody", group)
    # Gunicorn sets either the one group or all of the user's.
    told = facts(serve("facts:application", worker_class=STREAM, initgroups=True, **settings))
    assert told["user"] == "nobody"
    assert told["groups"] == os.getgrouplist("nobody", nobody.pw_gid)


@setting(A, "umask")
def test_umask(many: Server, serve: Serve, tmp_path: Path) -> None:
    serve("facts:application", worker_class=STREAM, umask=0o77, bind=f"unix:{tmp_path}/socket")
    assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == 0o700
    assert facts(many)["umask"] == facts_of_sync_umask()


def facts_of_sync_umask() -> int:
    """Gunicorn sets the mask around what it creates, and puts it back."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@setting(W, "tmp_upload_dir")
@pytest.mark.parametrize("worker_class", [STREAM, NO_STREAM])
def test_tmp_upload_dir(shared_server: Serve, tmp_path_factory: pytest.TempPathFactory, worker_class: str) -> None:
    """Where the body of a large request waits for the application."""
    uploads = tmp_path_factory.getbasetemp() / "uploads"
    uploads.mkdir(exist_ok=True)
    settings = {"tmp_upload_dir": str(uploads), "raw_env": [f"UPLOADS={uploads}"]}
    server = shared_server("facts:application", worker_class=worker_class, **settings)
    with server.connect() as client:
        assert json.loads(client.post("/spooled", b"x" * 3_000_000).body) == {"held": 1, "size": 3_000_000}
        assert json.loads(client.post("/spooled", b"x" * 1000).body) == {"held": 0, "size": 1000}
    assert list(uploads.iterdir()) == []


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file or directory"), ("file", "Not a directory")])
def test_a_tmp_upload_dir_that_is_none_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    path = str(tmp_path / name)
    server = Server("facts:application", worker_class=STREAM, directory=tmp_path / "server", tmp_upload_dir=path)
    server.spawn()
    assert server.wait() == 1
    assert f"tmp_upload_dir = '{path}': workers cannot store bodies of requests there: {reason}" in server.log.text()
    assert "Traceback" not in server.log.text()
    assert "Booting worker" not in server.log.text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_storage_of_another_user(tmp_path: Path, serve: Serve) -> None:
    """What root can write and the workers' user cannot: refused where a setting names it, said where none does."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    settings = {"user": "nobody", "group": 65534, "worker_tmp_dir": None, "environ": {"TMPDIR": str(private)}}
    refused = Server(
        "facts:application", worker_class=STREAM, directory=tmp_path / "server", tmp_upload_dir=str(private), **settings
    )
    refused.spawn()
    assert refused.wait() == 1
    assert "workers cannot store bodies of requests there: Permission denied (for the user 65534" in refused.log.text()
    server = serve("facts:application", worker_class=STREAM, **settings)
    (line,) = server.log.wait_for("large bodies cannot be stored")
    assert "[ERROR]" in line
    assert f"in {private}; tmp_upload_dir can name another directory" in line
    with server.connect() as client:
        assert client.post("/hello", b"x" * 1000).status_code == 200
    with server.connect() as client:
        assert client.post("/hello", b"x" * 1_500_000).status_code == 507
    server.log.wait_for(r"\[ERROR\] 127.0.0.1: the body of a request cannot be stored: .*tmp_upload_dir")


@setting(W, "secure_scheme_headers")
def test_secure_scheme_headers(plain: Server, shared_server: Serve) -> None:
    own = shared_server("facts:application", worker_class=STREAM, secure_scheme_headers={"X-MY-SCHEME": "tls"})
    assert environ_of(own.get("/environ-as-json", headers=[("X-My-Scheme", "tls")]))["wsgi.url_scheme"] == "https"
    assert environ_of(own.get("/environ-as-json", headers=[("X-Forwarded-Proto", "https")]))["wsgi.url_scheme"] == "http"
    assert environ_of(plain.get("/environ-as-json", headers=[("X-Forwarded-Ssl", "on")]))["wsgi.url_scheme"] == "https"
    assert plain.get("/hello", headers=[("X-Forwarded-Ssl", "on"), ("X-Forwarded-Proto", "http")]).status_code == 400


@setting(W, "forwarded_allow_ips")
def test_forwarded_allow_ips(plain: Server, lenient: Server, shared_server: Serve) -> None:
    network = shared_server("facts:application", worker_class=STREAM, forwarded_allow_ips="10.0.0.0/8,127.0.0.0/8")
    for server, scheme in [(plain, "https"), (lenient, "http"), (network, "https")]:
        answer = server.get("/environ-as-json", headers=[("X-Forwarded-Proto", "https")])
        assert environ_of(answer)["wsgi.url_scheme"] == scheme


@setting(W, "forwarder_headers")
def test_forwarder_headers(plain: Server, shared_server: Serve) -> None:
    headers = [("SCRIPT_NAME", "/environ-as-json"), ("REMOTE_USER", "alice")]
    told = environ_of(plain.get("/environ-as-json/environ-as-json", headers=headers))
    assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("/environ-as-json", "/environ-as-json")
    assert "HTTP_REMOTE_USER" not in told
    server = shared_server("facts:application", worker_class=STREAM, forwarder_headers="REMOTE_USER")
    told = environ_of(server.get("/environ-as-json", headers=headers))
    assert told["SCRIPT_NAME"] == ""
    assert told["HTTP_REMOTE_USER"] == "alice"


@setting(W, "header_map")
def test_header_map(plain: Server, lenient: Server, shared_server: Serve) -> None:
    headers = [("X-Foo", "1"), ("X_Foo", "2")]
    assert environ_of(plain.get("/environ-as-json", headers=headers))["HTTP_X_FOO"] == "1"
    assert environ_of(lenient.get("/environ-as-json", headers=headers))["HTTP_X_FOO"] == "1,2"
    refusing = shared_server("facts:application", worker_class=STREAM, header_map="refuse")
    assert refusing.get("/hello", headers=headers).status_code == 400
    assert refusing.get("/hello", headers=headers[:1]).status_code == 200


@setting(A, "paste", "raw_paste_global_conf")
def test_paste(tmp_path: Path) -> None:
    pytest.importorskip("paste.deploy", reason="PasteDeploy is not installed")
    ini = tmp_path / "application.ini"
    ini.write_text("[app:main]\npaste.app_factory = facts:paste_factory\nshade = %(color)s\n")
    arguments = ("--paste", str(ini), "--paste-global", "color=green")
    with Bare("", worker_class=STREAM, directory=tmp_path, arguments=arguments) as server:
        told = json.loads(server.get("/").body)
    assert told["local"]["shade"] == "green"
    assert told["global"]["color"] == "green"


PROXY_LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
ASK = b"GET /environ-as-json HTTP/1.1\r\nHost: a\r\n\r\n"


@setting(W, "proxy_protocol")
def test_proxy_protocol(lenient: Server, plain: Server) -> None:
    told = environ_of(ask(lenient, PROXY_LINE + ASK))
    assert (told["REMOTE_ADDR"], told["REMOTE_PORT"]) == ("192.0.2.7", "4711")
    assert (told["PROXY_ADDR"], told["PROXY_PORT"], told["PROXY_PROTOCOL"]) == ("198.51.100.1", "443", "TCP4")
    assert ask(plain, PROXY_LINE + ASK).status_code == 400


@setting(W, "proxy_allow_ips")
def test_proxy_allow_ips(shared_server: Serve) -> None:
    server = shared_server("facts:application", worker_class=STREAM, proxy_protocol="v1", proxy_allow_ips="192.0.2.1")
    assert ask(server, PROXY_LINE + ASK).status_code == 403
    assert environ_of(ask(server, ASK))["REMOTE_ADDR"] == "127.0.0.1"


@setting(W, "permit_obsolete_folding")
def test_permit_obsolete_folding(plain: Server, lenient: Server) -> None:
    request = "GET /environ-as-json HTTP/1.1\r\nHost: a\r\nX-Folded: one\r\n  two\r\n\r\n"
    assert ask(plain, request).status_code == 400
    assert environ_of(ask(lenient, request))["HTTP_X_FOLDED"] == "one two"


@setting(W, "strip_header_spaces")
def test_strip_header_spaces(plain: Server, lenient: Server) -> None:
    request = "GET /environ-as-json HTTP/1.1\r\nHost: a\r\nX-Spaced : one\r\n\r\n"
    assert ask(plain, request).status_code == 400
    assert environ_of(ask(lenient, request))["HTTP_X_SPACED"] == "one"


@setting(W, "permit_unconventional_http_method")
def test_permit_unconventional_http_method(plain: Server, lenient: Server) -> None:
    for method in ("get", "X", "M#"):
        request = f"{method} /environ-as-json HTTP/1.1\r\nHost: a\r\n\r\n"
        assert ask(plain, request).status_code == 400
        assert environ_of(ask(lenient, request))["REQUEST_METHOD"] == method


@setting(W, "permit_unconventional_http_version")
def test_permit_unconventional_http_version(plain: Server, lenient: Server) -> None:
    request = "GET /environ-as-json HTTP/2.5\r\nHost: a\r\n\r\n"
    assert ask(plain, request).status_code in (400, 505)
    assert environ_of(ask(lenient, request))["SERVER_PROTOCOL"] == "HTTP/2.5"


@setting(W, "casefold_http_method")
def test_casefold_http_method(shared_server: Serve) -> None:
    settings = {"casefold_http_method": True, "permit_unconventional_http_method": True}
    server = shared_server("facts:application", worker_class=STREAM, **settings)
    request = "get /environ-as-json HTTP/1.1\r\nHost: a\r\n\r\n"
    assert environ_of(ask(server, request))["REQUEST_METHOD"] == "GET"


# Logging


@setting(W, "access_log_format")
def test_access_log_format(many: Server) -> None:
    many.get("/hello", headers=[("X-Mark", "format")])
    many.access.wait_for("^GET 200 format$")


@setting(W, "accesslog")
@setting(AW, "errorlog")
def test_log_files(serve: Serve, tmp_path: Path) -> None:
    server = serve("facts:application", worker_class=STREAM, accesslog=str(tmp_path / "access"), bind=f"unix:{tmp_path}/socket")
    server.get("/hello?filed")
    wait_until(lambda: '"GET /hello?filed HTTP/1.1" 200' in (tmp_path / "access").read_text())

    # Whoever waits for the master's lines would wait for ever: this one logs to a file.
    silent = Server(
        "facts:application",
        worker_class=STREAM,
        directory=tmp_path / "other",
        bind=f"unix:{tmp_path}/other.sock",
        errorlog=str(tmp_path / "error"),
        accesslog=None,
    )
    silent.spawn()
    try:
        wait_until(lambda: (tmp_path / "error").exists() and "Booting worker" in (tmp_path / "error").read_text())
        silent.address = f"{tmp_path}/other.sock"
        silent.get("/errors")
        wait_until(lambda: "written to wsgi.errors\nline one\n" in (tmp_path / "error").read_text())
        assert silent.access.text() == ""
    finally:
        silent.stop()


@setting(A, "loglevel")
def test_loglevel(many: Server, plain: Server) -> None:
    for server, levels in [(many, ["debug", "info", "error"]), (plain, ["info", "error"])]:
        server.get("/logged?key=level")
        server.wait_for_log("error of level")
        assert re.findall(r"(\w+) of level", server.log.text()) == levels


@setting(A, "capture_output")
def test_capture_output(tmp_path: Path) -> None:
    server = Server(
        "facts:application",
        worker_class=STREAM,
        directory=tmp_path,
        bind=f"unix:{tmp_path}/socket",
        errorlog=str(tmp_path / "error"),
        capture_output=True,
        accesslog=None,
    )
    server.spawn()
    try:
        wait_until(lambda: (tmp_path / "error").exists() and "Booting worker" in (tmp_path / "error").read_text())
        server.address = f"{tmp_path}/socket"
        server.get("/printed?key=captured")
        wait_until(lambda: {"printed captured", "complained captured"} <= set((tmp_path / "error").read_text().splitlines()))
    finally:
        server.stop()


@setting(AW, "logger_class")
def test_logger_class(serve: Serve) -> None:
    """Its `access` is called with all that Gunicorn's has, though no access log is set."""
    extra = """
from gunicorn.glogging import Logger
class OwnLogger(Logger):
    def access(self, resp, req, environ, request_time):
        atoms = self.atoms(resp, req, environ, request_time)
        self.info("own %s %s %s %s", atoms["r"], atoms["s"], atoms["B"], type(request_time).__name__)
logger_class = OwnLogger
"""
    server = serve("facts:application", worker_class=STREAM, accesslog=None, extra=extra)
    server.get("/hello")
    server.wait_for_log(r"own GET /hello HTTP/1.1 200 14 timedelta")


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"marked": {"format": "marked %(name)s %(message)s"}},
    "handlers": {"marked": {"class": "logging.StreamHandler", "formatter": "marked", "stream": "ext://sys.stderr"}},
    "root": {"level": "WARNING", "handlers": ["marked"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["marked"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": ["marked"], "propagate": False},
    },
}
LOGGING_INI = """
[loggers]
keys = root, gunicorn.error, gunicorn.access
[handlers]
keys = marked
[formatters]
keys = marked
[logger_root]
level = WARNING
handlers = marked
[logger_gunicorn.error]
qualname = gunicorn.error
level = INFO
handlers = marked
propagate = 0
[logger_gunicorn.access]
qualname = gunicorn.access
level = INFO
handlers = marked
propagate = 0
[handler_marked]
class = StreamHandler
args = (sys.stderr,)
formatter = marked
[formatter_marked]
format = marked %(name)s %(message)s
"""


@setting(A, "logconfig", "logconfig_dict", "logconfig_json")
@pytest.mark.parametrize("name", ["logconfig", "logconfig_dict", "logconfig_json"])
def test_logconfig(tmp_path: Path, name: str) -> None:
    (tmp_path / "logging.ini").write_text(LOGGING_INI)
    (tmp_path / "logging.json").write_text(json.dumps(LOGGING))
    values = {
        "logconfig": str(tmp_path / "logging.ini"),
        "logconfig_dict": LOGGING,
        "logconfig_json": str(tmp_path / "logging.json"),
    }
    settings: dict[str, Any] = {"accesslog": None, name: values[name]}
    with lenient_about_gunicorn(Server("facts:application", worker_class=STREAM, directory=tmp_path, **settings)) as server:
        server.wait_for_log("^marked gunicorn.error Booting worker")
        server.get("/hello")
        server.wait_for_log('^marked gunicorn.access 127.0.0.1 .*"GET /hello HTTP/1.1" 200 14')


@setting(A, "syslog", "syslog_addr", "syslog_prefix", "syslog_facility", "proc_name", "default_proc_name")
def test_syslog(serve: Serve, datagrams: Datagrams) -> None:
    settings = {"syslog": True, "syslog_addr": f"udp://{datagrams.address}", "syslog_facility": "local3", "accesslog": None}
    server = serve("facts:application", worker_class=STREAM, syslog_prefix="mark", **settings)
    server.get("/hello")
    line = datagrams.wait_for(r"gunicorn\.mark\.access.*GET /hello")
    assert line.startswith(f"<{19 * 8 + 6}>")  # local3, info
    datagrams.wait_for(r"gunicorn\.mark\.error.*Booting worker")
    serve("facts:application", worker_class=STREAM, proc_name="called", **settings)
    datagrams.wait_for(r"gunicorn\.called\.error.*Booting worker")
    serve("facts:application", worker_class=STREAM, **settings)
    datagrams.wait_for(r"gunicorn\.facts\.application\.error.*Booting worker")


@setting(A, "disable_redirect_access_to_syslog")
def test_disable_redirect_access_to_syslog(serve: Serve, datagrams: Datagrams) -> None:
    server = serve(
        "facts:application",
        worker_class=STREAM,
        syslog=True,
        syslog_addr=f"udp://{datagrams.address}",
        disable_redirect_access_to_syslog=True,
        accesslog=None,
    )
    server.get("/hello")
    server.get("/logged?key=after")
    datagrams.wait_for("error of after")
    assert not [text for text in datagrams.seen if "GET /hello" in text]


@setting(AW, "statsd_host", "enable_backlog_metric")
@setting(A, "statsd_prefix", "dogstatsd_tags")
def test_statsd(tmp_path: Path, datagrams: Datagrams) -> None:
    settings: dict[str, Any] = {
        "accesslog": None,
        "statsd_host": datagrams.address,
        "statsd_prefix": "mark",
        "dogstatsd_tags": "zone:north",
        "enable_backlog_metric": True,
    }
    with lenient_about_gunicorn(Server("facts:application", worker_class=STREAM, directory=tmp_path, **settings)) as server:
        server.get("/hello")
        assert re.fullmatch(
            r"mark\.gunicorn\.request\.duration:[\d.e-]+\|ms\|#zone:north", datagrams.wait_for("request.duration")
        )
        assert datagrams.wait_for(r"gunicorn\.requests") == "mark.gunicorn.requests:1|c|@1.0|#zone:north"
        assert datagrams.wait_for(r"request\.status") == "mark.gunicorn.request.status.200:1|c|@1.0|#zone:north"
        assert re.fullmatch(r"mark\.gunicorn\.backlog:\d+\|h\|#zone:north", datagrams.wait_for("gunicorn.backlog"))
        ask(server, "GET / HTTP/1.1\r\nbroken\r\n\r\n")
        datagrams.wait_for(r"request\.status\.400")


# Hooks: that each is called, and with what. test_hooks.py has their order and their errors.

HOOKS = """
import os
def note(name, *things):
    os.write(2, ("hook %s %s\\n" % (name, " ".join(type(thing).__name__ for thing in things))).encode())
def on_starting(server): note("on_starting", server)
def on_reload(server): note("on_reload", server)
def when_ready(server): note("when_ready", server)
def pre_fork(server, worker): note("pre_fork", server, worker)
def post_fork(server, worker): note("post_fork", server, worker)
def post_worker_init(worker): note("post_worker_init", worker)
def worker_int(worker): note("worker_int", worker)
def worker_abort(worker): note("worker_abort", worker)
def pre_exec(server): note("pre_exec", server)
def pre_request(worker, req): note("pre_request", worker); os.write(2, ("asked %s %s\\n" % (req.method, req.uri)).encode())
def post_request(worker, req, environ, resp):
    note("post_request", worker, environ); os.write(2, ("answered %s\\n" % resp.status).encode())
def child_exit(server, worker): note("child_exit", server, worker)
def worker_exit(server, worker): note("worker_exit", server, worker)
def nworkers_changed(server, new_value, old_value): note("nworkers_changed", server, new_value, old_value)
def on_exit(server): note("on_exit", server)
def on_dirty_starting(arbiter): note("on_dirty_starting", arbiter)
def dirty_post_fork(arbiter, worker): note("dirty_post_fork", arbiter, worker)
def dirty_worker_init(worker): note("dirty_worker_init", worker)
def dirty_worker_exit(arbiter, worker): note("dirty_worker_exit", arbiter, worker)
"""
WORKER_NAME = STREAM.rpartition(".")[2]


@pytest.fixture
def hooked(shared_server: Serve) -> Server:
    server = shared_server("facts:application", worker_class=STREAM, extra=HOOKS)
    server.wait_for_log("^hook post_worker_init")
    return server


@setting(A, "on_starting", "when_ready", "pre_fork", "post_fork", "post_worker_init")
def test_hooks_at_the_start(hooked: Server) -> None:
    for line in (
        "on_starting Arbiter",
        "when_ready Arbiter",
        f"pre_fork Arbiter {WORKER_NAME}",
        f"post_fork Arbiter {WORKER_NAME}",
        f"post_worker_init {WORKER_NAME}",
    ):
        hooked.wait_for_log(f"^hook {line}$")


@setting(W, "pre_request", "post_request")
def test_hooks_of_a_request(hooked: Server) -> None:
    hooked.get("/hello?hooked")
    hooked.wait_for_log(f"^hook pre_request {WORKER_NAME}$")
    hooked.wait_for_log(r"^asked GET /hello\?hooked$")
    hooked.wait_for_log(f"^hook post_request {WORKER_NAME} dict$")
    hooked.wait_for_log("^answered 200 OK$")


@setting(A, "nworkers_changed", "child_exit")
@setting(W, "worker_exit")
def test_hooks_of_a_change_of_workers(hooked: Server) -> None:
    hooked.signal(signal.SIGTTIN)
    hooked.wait_for_log("^hook nworkers_changed Arbiter int int$")
    booted = hooked.log.length
    hooked.signal(signal.SIGTTOU)
    hooked.wait_for_log(f"^hook worker_exit Arbiter {WORKER_NAME}$")
    hooked.wait_for_log(f"^hook child_exit Arbiter {WORKER_NAME}$", since=min(booted, hooked.log.length))


@setting(A, "on_reload", "on_exit")
def test_hooks_of_reload_and_exit(serve: Serve) -> None:
    server = serve("facts:application", worker_class=STREAM, extra=HOOKS)
    server.worker_pids(1)
    server.signal(signal.SIGHUP)
    server.wait_for_log("^hook on_reload Arbiter$")
    server.worker_pids(2)
    server.stop()
    server.wait_for_log("^hook on_exit Arbiter$")


@setting(A, "pre_exec")
def test_pre_exec(serve: Serve) -> None:
    """USR2 starts a second master; it ends with the session."""
    server = serve("facts:application", worker_class=STREAM, extra=HOOKS, pidfile="gunicorn.pid")
    server.worker_pids(1)
    server.signal(signal.SIGUSR2)
    server.wait_for_log("^hook pre_exec Arbiter$")
    started = server.wait_for_log(r"Booting worker", count=2)
    master = server.wait_for_log(r"Listening at: .*\(\d+\)", count=2)[1]
    assert started
    pid = re.search(r"\((\d+)\)", master)
    assert pid
    os.kill(int(pid[1]), signal.SIGTERM)
    server.wait_for_log("Shutting down: Master")
    assert server.get("/hello").status_code == 200


@setting(W, "worker_int", "worker_abort")
def test_hooks_of_signals(hooked: Server) -> None:
    for number, name in [(signal.SIGINT, "worker_int"), (signal.SIGABRT, "worker_abort")]:
        since = hooked.log.length
        os.kill(int(hooked.get("/pid").text), number)
        hooked.wait_for_log(f"^hook {name} {WORKER_NAME}$", since=since)
        hooked.wait_for_log("^hook post_worker_init", since=since)


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(shared_server: Serve, authority: Authority) -> Server:
    certificate = authority.issue("server", "/CN=localhost")
    return shared_server(
        "facts:application",
        worker_class=STREAM,
        certfile=str(certificate.certfile),
        keyfile=str(certificate.keyfile),
        ca_certs=str(authority.certfile),
        cert_reqs=1,
        ciphers="ECDHE+AESGCM",
    )


def secure_client(server: Server, authority: Authority, **arguments: Any) -> RawClient:
    context = authority.client_context(**arguments)
    return server.connect(tls=context, server_hostname="localhost")


@setting(W, "certfile", "keyfile")
def test_certfile(secure: Server, authority: Authority) -> None:
    with secure_client(secure, authority) as client:
        told = environ_of(client.get("/environ-as-json"))
    assert told["wsgi.url_scheme"] == "https"
    assert told["SSL_PROTOCOL"] == "TLSv1.3"


@setting(W, "cert_reqs", "ca_certs")
def test_client_certificates(secure: Server, authority: Authority) -> None:
    alice = authority.issue("alice", "/CN=Alice")
    with secure_client(secure, authority, certificate=alice) as client:
        told = environ_of(client.get("/environ-as-json"))
        assert (told["SSL_CLIENT_VERIFY"], told["SSL_CLIENT_S_DN_CN"]) == ("SUCCESS", "Alice")
        assert json.loads(client.get("/certificate").body)["certificate"]["subject"] == [[["commonName", "Alice"]]]
    with secure_client(secure, authority) as client:
        assert environ_of(client.get("/environ-as-json"))["SSL_CLIENT_VERIFY"] == "NONE"


@setting(W, "ciphers")
def test_ciphers(secure: Server, authority: Authority) -> None:
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with secure.connect(tls=context, server_hostname="localhost") as client:
        assert environ_of(client.get("/environ-as-json"))["SSL_CIPHER"].startswith("ECDHE-ECDSA-AES")
    context.set_ciphers("ECDHE+CHACHA20")
    with pytest.raises(ssl.SSLError):
        secure.connect(tls=context, server_hostname="localhost")


@setting(W, "ssl_context")
def test_ssl_context(serve: Serve, authority: Authority) -> None:
    """The hook's context is the one in use, with Gunicorn's own as its start, or alone."""
    certificate = authority.issue("hooked", "/CN=localhost")

    extra = """
def ssl_context(conf, default_ssl_context_factory):
    import ssl
    context = default_ssl_context_factory()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context
"""
    files = {"certfile": str(certificate.certfile), "keyfile": str(certificate.keyfile)}
    server = serve("facts:application", worker_class=STREAM, extra=extra, **files)
    with secure_client(server, authority) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.version() == "TLSv1.2"
        assert client.get("/hello").status_code == 200


# The others


@setting(A, "dirty_apps", "dirty_workers", "dirty_timeout", "dirty_threads", "dirty_graceful_timeout")
@setting(A, "on_dirty_starting", "dirty_post_fork", "dirty_worker_init", "dirty_worker_exit")
def test_dirty(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "threads": 2,
        "dirty_apps": ["dirty_app:Doubler"],
        "dirty_workers": 1,
        "dirty_timeout": 20,
        "dirty_threads": 2,
        "dirty_graceful_timeout": 3,
        "extra": HOOKS,
    }
    with lenient_about_gunicorn(Server("facts:application", worker_class=STREAM, directory=tmp_path, **settings)) as server:
        server.wait_for_log("doubler ready")
        server.wait_for_log("^hook dirty_worker_init ")
        assert server.get("/dirty?number=21").text == "42"
    for name in ("on_dirty_starting", "dirty_post_fork", "dirty_worker_init", "dirty_worker_exit"):
        server.wait_for_log(f"^hook {name} ")


@setting(A, "control_socket", "control_socket_mode", "control_socket_disable")
def test_control_socket(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "control"
    settings = {"control_socket": str(path), "control_socket_mode": 0o640}
    serve("facts:application", worker_class=STREAM, control_socket_disable=False, **settings)
    wait_until(path.exists)
    wait_until(lambda: stat.S_IMODE(path.stat().st_mode) == 0o640)
    other = tmp_path / "other"
    server = serve("facts:application", worker_class=STREAM, control_socket=str(other), control_socket_disable=True)
    assert server.get("/hello").status_code == 200
    assert not other.exists()


# What Gunicorn has no setting for


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", ""])
def test_an_option_with_a_bad_value_is_named(option: Option, value: str) -> None:
    with pytest.raises(ValueError, match=option.variable):
        read_options(AsyncGunicornWorker, {option.variable: value})


def test_a_bad_option_stops_the_start(tmp_path: Path) -> None:
    arguments = ("-k", STREAM, "-b", "127.0.0.1:0", "--no-control-socket", "facts:application")
    done = command(*arguments, cwd=tmp_path, AIOHTTP_WORKER_HEAD_TIMEOUT="soon")
    assert done.returncode != 0
    assert re.search(r"AIOHTTP_WORKER_HEAD_TIMEOUT.*seconds.*'soon'", done.stderr)
    assert "Booting worker" not in done.stderr


def test_options_of_a_subclass(serve: Serve, tmp_path: Path) -> None:
    """The environment goes before it."""
    (tmp_path / "ours.py").write_text(
        "from aiohttp.worker import AsyncGunicornWorker\n"
        "class Worker(AsyncGunicornWorker):\n    max_body_size = 1000\n    head_timeout = 1\n"
    )
    path = os.pathsep.join([str(ROOT), str(APPS), str(tmp_path)])
    server = serve("facts:application", worker_class="ours.Worker", environ={"PYTHONPATH": path})
    with server.connect() as client, server.connect() as slow:
        slow.send("GET / HT")
        assert client.post("/echo", b"x" * 1000).status_code == 200
        assert client.post("/echo", b"x" * 1001).status_code == 413
        began = time.monotonic()
        assert slow.receive().status_code == 408
        assert time.monotonic() - began < 4
    variables = {"PYTHONPATH": path, "AIOHTTP_WORKER_MAX_BODY_SIZE": "2000"}
    server = serve("facts:application", worker_class="ours.Worker", environ=variables)
    with server.connect() as client:
        assert client.post("/echo", b"x" * 2000).status_code == 200
        assert client.post("/echo", b"x" * 2001).status_code == 413


# The tables


def test_every_setting_has_its_test() -> None:
    """A new Gunicorn with a new setting ends here: say what the worker does with it."""
    assert sorted(TABLE) == sorted(known.name for known in KNOWN_SETTINGS)


def test_the_document_says_the_same() -> None:
    rows = re.findall(r"^   \* - ``(\w+)``\n     - (A|W|A\+W|N)\n", (ROOT / "docs" / "settings.rst").read_text(), re.MULTILINE)
    names = [name for name, _ in rows]
    assert len(names) == len(set(names))
    assert dict(rows) == TABLE


def test_the_document_has_gunicorns_sections() -> None:
    text = (ROOT / "docs" / "settings.rst").read_text()
    order = [known.name for known in sorted(KNOWN_SETTINGS, key=lambda known: known.order)]
    sections = {known.name: known.section for known in KNOWN_SETTINGS}
    found: dict[str, str] = {}
    current = ""
    for line, underline in zip(text.splitlines(), [*text.splitlines()[1:], ""], strict=True):
        if underline and set(underline) == {"-"} and len(underline) == len(line):
            current = line
        if (match := re.match(r"   \* - ``(\w+)``", line)) and not current.startswith("Beyond"):
            found[match[1]] = current
    assert found == {name: sections[name] for name in order}


def test_the_document_has_the_options() -> None:
    """And the classes have them as attributes, with the defaults that the document says."""
    text = (ROOT / "docs" / "settings.rst").read_text()
    for option in OPTIONS:
        default = f"{option.default:.0f}" if option.default >= 1 else f"{option.default:g}"
        assert (
            f"   * - ``{option.name}``\n     - ``{option.variable}``\n     - {default} {option.unit}\n     - {option.text}\n"
            in text
        )
        assert getattr(AsyncGunicornWorker, option.name) == option.default
    assert text.count("AIOHTTP_WORKER_") == len(OPTIONS)
