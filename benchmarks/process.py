"""A running server: started on its cores, awaited, stopped, and nothing of it left behind."""

import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import proc
from .environment import APPS, Environment
from .servers import HOST, Deployment, Server

START_SECONDS = 20.0
STOP_SECONDS = 10.0


class ServerError(Exception):
    """A server did not start, or did not answer as it should."""


@dataclass
class Running:
    """A server that answers."""

    server: Server
    deployment: Deployment
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def session(self) -> int:
        """The session of its processes: the first of them led it."""
        return self.process.pid

    @property
    def url(self) -> str:
        scheme = "https" if self.deployment.tls else "http"
        return f"{scheme}://{HOST}:{self.deployment.port}/"

    def cpu_seconds(self) -> float:
        return proc.cpu_seconds(self.session)

    def memory(self) -> proc.Memory:
        return proc.memory(self.session)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started: the master where there is one."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def check_alive(self) -> None:
        """Notice that the server is gone.

        :raises ServerError: with the signal or status that ended it.
        """
        code = self.process.poll()
        if code is not None:
            how = signal.Signals(-code).name if code < 0 else f"status {code}"
            raise ServerError(f"{self.server.name} died under load: {how}")

    def tail(self) -> str:
        """Return the end of what it wrote."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def running(server: Server, deployment: Deployment, environment: Environment, cores: str) -> Iterator[Running]:
    """Start a server on the given cores, and end all its processes afterwards.

    :raises ServerError: if it does not answer within ``START_SECONDS``.
    """
    log = environment.folder / f"{server.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", cores, *server.command(deployment, environment)],
            cwd=APPS,
            env=environment.variables(server.form),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = Running(server, deployment, process, log)
    try:
        wait_until_up(started)
        yield started
    finally:
        stop(started)


def wait_until_up(started: Running) -> None:
    """Return as soon as the server accepts connections."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if started.process.poll() is not None:
            raise ServerError(f"{started.server.name} ended at once: {started.tail()}")
        with contextlib.suppress(OSError), socket.create_connection((HOST, started.deployment.port), timeout=1):
            return
        time.sleep(0.05)
    raise ServerError(f"{started.server.name} did not listen within {START_SECONDS:.0f} s: {started.tail()}")


def stop(started: Running) -> None:
    """Ask the server to end, and kill what is left of its session."""
    started.signal(signal.SIGTERM)
    try:
        started.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        started.process.kill()
        started.process.wait()
    kill_session(started.session)


def kill_session(session: int) -> None:
    for stat in proc.session_processes(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(stat.pid, signal.SIGKILL)


def check(started: Running, environment: Environment, body: int, size: int) -> None:
    """Ask once, as a client does, and compare the answer's size with what is expected.

    :param body: bytes of the request's body; with 0 it is a GET.
    :param size: bytes of the answer's body.
    :raises ServerError: if the answer is another one.
    """
    connection: http.client.HTTPConnection
    port = started.deployment.port
    if started.deployment.tls:
        context = ssl.create_default_context(cafile=str(environment.certificate))
        connection = http.client.HTTPSConnection(HOST, port, timeout=START_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(HOST, port, timeout=START_SECONDS)
    name = started.server.name
    try:
        connection.request("POST" if body else "GET", "/", b"x" * body if body else None)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"{name}: {str(error) or type(error).__name__}: {started.tail()}") from error
    finally:
        connection.close()
    if response.status != 200 or len(answer) != size:
        raise ServerError(f"{name}: status {response.status}, {len(answer)} bytes instead of {size}: {started.tail()}")
