"""What several tests of real servers ask for and wait for."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .client import RawClient, Response
from .server import APPS, PATIENCE, ROOT, Server


def facts(server: Server, client: RawClient | None = None) -> Any:
    """What a worker says of its process."""
    return json.loads((client.get if client else server.get)("/process").body)


def environ_of(response: Response) -> Any:
    assert response.status_code == 200, response
    return json.loads(response.body)


def ask(server: Server, data: bytes | str) -> Response:
    """The answer to these bytes."""
    with server.connect() as client:
        client.send(data)
        return client.receive()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], timeout: float = PATIENCE) -> Any:
    """Ask until the answer is true; for what tells nobody that it has happened."""
    limit = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.01)
    return answer


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def command(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Gunicorn, for what it does without serving."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(APPS)]), **variables}
    return subprocess.run(
        [sys.executable, "-m", "gunicorn", *arguments],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refuses_connections(server: Server) -> bool:
    """Whether neither the master nor a worker listens any more."""
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@contextlib.contextmanager
def lenient_about_gunicorn(server: Server) -> Iterator[Server]:
    """A server whose master leaves files or sockets unclosed, which Python says at its end; not our worker's doing."""
    server.start()
    try:
        yield server
    finally:
        server.stop(check=False)
    assert server.exit_code == 0


class Datagrams:
    """A place where statsd or syslog would listen."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        self.address = "{}:{}".format(*self.socket.getsockname())
        self.seen: list[str] = []

    def wait_for(self, pattern: str) -> str:
        for text in self.seen:
            if re.search(pattern, text):
                return text
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except TimeoutError:
                raise AssertionError(f"{pattern!r} not among {self.seen}") from None
            self.seen.append(text)
            if re.search(pattern, text):
                return text


class Bare(Server):
    """Without an application on the command line."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._command.pop()
