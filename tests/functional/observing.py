"""Requests and conditions that several tests of real servers share."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .client import Address, Cut, RawClient, Response
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
    except ConnectionResetError:
        pass  # the listening socket was closed before the connection was accepted
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


class Load:
    """Clients that never stop asking, one request per connection or many.

    A connection that was open already may end at any time, if nothing of an answer came (RFC 9112 section 9.3.1); with
    `strict` this is a failure too. With a body every other request is a POST.
    """

    def __init__(
        self, address: Address, *, count: int = 4, path: str = "/hello", body: bytes | None = None, strict: bool = False
    ) -> None:
        self._address = address
        self._path = path
        self._body = body
        self._strict = strict
        self._stopping = threading.Event()
        self.answers = 0
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(count)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.answers >= 10 or self.failures)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int = 50) -> None:
        """Wait for so many more answers."""
        aim = self.answers + count
        wait_until(lambda: self.answers >= aim or self.failures, 30)

    def _ask(self, keep: bool) -> None:
        client: RawClient | None = None
        number = 0
        while not self._stopping.is_set():
            fresh = client is None
            try:
                client = client or RawClient(self._address)
                number += 1
                if self._body is not None and number % 2:
                    answer = client.post(self._path, self._body)
                else:
                    answer = client.get(self._path)
            except (OSError, Cut) as error:
                if client is not None:
                    client.close()
                client = None
                if self._strict or fresh or (isinstance(error, Cut) and error.data):
                    self.failures.append(repr(error))
                    return
                continue
            if answer.status_code != 200 or not answer.complete:
                self.failures.append(repr(answer))
                return
            self.answers += 1
            if not keep or answer.says_close:
                client.close()
                client = None
        if client is not None:
            client.close()


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
