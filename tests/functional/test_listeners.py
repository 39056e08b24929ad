"""Listening addresses: several at once, IPv6, unix sockets, inherited and activated ones."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .client import Address, RawClient
from .conftest import Serve
from .observing import environ_of, facts, free_port, is_alive, lenient_about_gunicorn, wait_until
from .server import APPS, ROOT, STREAM, Server


def get(address: Address, target: str = "/environ-as-json") -> Any:
    with RawClient(address) as client:
        return environ_of(client.get(target))


def listening(server: Server) -> list[str]:
    """What the master says that it listens at."""
    line = server.log.wait_for("Listening at: ")[-1]
    match = re.search(r"Listening at: (\S+) \(", line)
    assert match, line
    return match[1].split(",")


def address_of(url: str) -> Address:
    if url.startswith("unix:"):
        return url[5:]
    host, _, port = url.split("://", 1)[1].rpartition(":")
    return host.strip("[]"), int(port)


def test_several_at_once(serve: Serve, loop: str, tmp_path: Path) -> None:
    bind = [f"unix:{tmp_path}/one", "[::1]:0", f"unix:{tmp_path}/two", "127.0.0.1:0", "127.0.0.1:0"]
    server = serve("facts:application", worker_class=STREAM, loop=loop, bind=bind, workers=2)
    urls = listening(server)
    assert len(urls) == 5
    for url in urls:
        for _ in range(3):
            told = get(address_of(url))
            if url.startswith("unix:"):
                assert told["REMOTE_ADDR"] == ""
                assert (told["SERVER_NAME"], told["SERVER_PORT"]) == ("localhost", "80")
            else:
                host, port = address_of(url)
                assert (told["SERVER_NAME"], told["SERVER_PORT"]) == (host, str(port))
                assert told["REMOTE_ADDR"] == host


def test_ipv6(serve: Serve, loop: str) -> None:
    server = serve("facts:application", worker_class=STREAM, loop=loop, bind="[::1]:0")
    with server.connect() as client:
        told = environ_of(client.get("/environ-as-json"))
        assert (told["REMOTE_ADDR"], told["REMOTE_PORT"]) == ("::1", str(client.socket.getsockname()[1]))


def test_both_families_on_one_socket(serve: Serve, loop: str) -> None:
    server = serve("facts:application", worker_class=STREAM, loop=loop, bind="[::]:0")
    port = int(server.address[1])
    assert get(("::1", port))["REMOTE_ADDR"] == "::1"
    assert get(("127.0.0.1", port))["REMOTE_ADDR"] == "::ffff:127.0.0.1"


def test_every_address_of_the_machine(serve: Serve, loop: str) -> None:
    """The server's name is the address that this client came to."""
    server = serve("facts:application", worker_class=STREAM, loop=loop, bind="0.0.0.0:0")
    port = int(server.address[1])
    for host in ("127.0.0.1", "127.0.0.2"):
        told = get((host, port))
        assert (told["SERVER_NAME"], told["SERVER_PORT"]) == (host, str(port))


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o777), (0o77, 0o700), (0o117, 0o660)])
def test_unix_socket_with_umask(serve: Serve, tmp_path: Path, umask: int, mode: int) -> None:
    path = tmp_path / "socket"
    server = serve("facts:application", worker_class=STREAM, bind=f"unix:{path}", umask=umask)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert server.get("/hello").status_code == 200
    server.stop()
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    server = serve("facts:application", worker_class=STREAM, bind=f"unix:{path}")
    assert server.get("/hello").status_code == 200


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("backlog", [1, 33, 2048])
def test_backlog(serve: Serve, loop: str, backlog: int, threads: int) -> None:
    """What listen() was given at the start stays."""
    server = serve("facts:application", worker_class=STREAM, loop=loop, backlog=backlog, threads=threads)
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    for _ in range(2):
        assert [one["backlog"] for one in facts(server)["listeners"]] == [min(backlog, most)]


# Sockets that somebody else opened


class Inherited(Server):
    """Gunicorn with descriptors from its parent."""

    def __init__(self, *arguments: Any, descriptors: tuple[int, ...], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._descriptors = descriptors

    def spawn(self) -> None:
        spawn = subprocess.Popen

        class WithDescriptors(spawn):  # type: ignore[misc, type-arg, valid-type]
            def __init__(this, *arguments: Any, **options: Any) -> None:  # noqa: N805
                super().__init__(*arguments, pass_fds=self._descriptors, **options)

        subprocess.Popen = WithDescriptors  # type: ignore[misc]
        try:
            super().spawn()
        finally:
            subprocess.Popen = spawn  # type: ignore[misc]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=17) as opened:
        yield opened


def test_fd(tmp_path: Path, loop: str, listener: socket.socket) -> None:
    """fd://N is an open socket of the parent's; it is used as it is."""
    number = listener.fileno()
    server = Inherited(
        "facts:application",
        worker_class=STREAM,
        loop=loop,
        directory=tmp_path,
        bind=f"fd://{number}",
        descriptors=(number,),
    )
    with lenient_about_gunicorn(server):
        assert server.address == listener.getsockname()
        told = facts(server)
        assert [tuple(one["name"]) for one in told["listeners"]] == [listener.getsockname()]
        assert [one["backlog"] for one in told["listeners"]] == [17]


@pytest.fixture
def activate() -> str:
    path = shutil.which("systemd-socket-activate")
    if path is None:
        pytest.skip("systemd-socket-activate is not installed")
    return path


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    processes = []

    def start(*command: str, **variables: str) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(APPS)]), **variables}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.terminate()
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()


def test_systemd_activation(activate: str, started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """The first client, who comes before Gunicorn, is answered."""
    port = free_port()
    path = tmp_path / "socket"
    started(
        activate,
        *("-l", f"127.0.0.1:{port}", "-l", str(path), "-E", "PYTHONPATH", "-E", "PATH"),
        *(sys.executable, "-m", "gunicorn", "-k", STREAM, "--no-control-socket", "facts:application"),
    )

    def first() -> Any:
        try:
            return get(("127.0.0.1", port))
        except ConnectionRefusedError:
            return None

    assert wait_until(first)["SERVER_PORT"] == str(port)
    assert get(str(path))["REMOTE_ADDR"] == ""
    assert path.exists()


def test_systemd_is_told(started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """READY=1, for services of Type=notify."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(path))
        notified.settimeout(20)
        started(
            *(sys.executable, "-m", "gunicorn", "-k", STREAM, "-b", "127.0.0.1:0", "--no-control-socket", "facts:application"),
            NOTIFY_SOCKET=str(path),
        )
        assert b"READY=1" in notified.recv(4096)


def test_reuse_port_spreads_connections(tmp_path: Path, loop: str) -> None:
    """Each worker listens for itself; both are asked."""
    port = free_port()
    server = Server(
        "facts:application",
        worker_class=STREAM,
        loop=loop,
        directory=tmp_path,
        bind=f"127.0.0.1:{port}",
        reuse_port=True,
        workers=2,
        backlog=44,
    )
    server.spawn()
    try:
        server.address = ("127.0.0.1", port)
        pids = set(server.worker_pids(2))
        seen: dict[int, Any] = {}

        def both_answered() -> bool:
            try:
                told = facts(server)
            except ConnectionError:
                return False
            seen[told["pid"]] = told["listeners"]
            return set(seen) == pids

        wait_until(both_answered, 30)
        assert all([one["backlog"] for one in told] == [44] for told in seen.values())
        # One goes, the other goes on.
        gone = min(pids)
        os.kill(gone, signal.SIGTERM)
        wait_until(lambda: not is_alive(gone))
        server.worker_pids(3)
        wait_until(lambda: facts(server)["pid"] != gone)
    finally:
        server.stop()


def test_an_address_in_use_is_named(tmp_path: Path, listener: socket.socket) -> None:
    address = "{}:{}".format(*listener.getsockname())
    server = Server("facts:application", worker_class=STREAM, directory=tmp_path, bind=address)
    server.spawn()
    try:
        server.log.wait_for("Connection in use")
    finally:
        server.process.kill()
        server.wait()


def test_worker_connections_are_per_worker_and_all_listeners(serve: Serve, loop: str) -> None:
    server = serve("facts:application", worker_class=STREAM, loop=loop, bind=["127.0.0.1:0", "127.0.0.1:0"], worker_connections=2)
    first, second = map(address_of, listening(server))
    with RawClient(first) as one, RawClient(second) as two:
        assert one.get("/hello").status_code == 200
        assert two.get("/hello").status_code == 200
        with RawClient(first) as three:
            three.request("GET", "/hello")
            assert three.is_quiet(0.3)
            two.close()
            assert three.receive().status_code == 200
    server.wait_for_log("worker_connections")


def test_a_listener_in_the_way_of_others(serve: Serve, loop: str) -> None:
    """A flood at one address leaves the other open."""
    server = serve("facts:application", worker_class=STREAM, loop=loop, bind=["127.0.0.1:0", "127.0.0.1:0"])
    first, second = map(address_of, listening(server))
    clients = [RawClient(first) for _ in range(200)]
    try:
        assert get(second)["REMOTE_ADDR"] == "127.0.0.1"
    finally:
        for client in clients:
            client.close()
