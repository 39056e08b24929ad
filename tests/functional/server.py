"""A real Gunicorn in a process of its own, on a port that the kernel chose.

    with Server("probe:application", worker_class=STREAM, directory=tmp_path) as server:
        with server.connect() as client:
            response = client.get("/hello")
        server.wait_for_log("something")

Nothing here sleeps: what the server prints arrives through pipes, and whoever waits for a line is
woken by it.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from .client import Address, RawClient, Response

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).parents[2]

STREAM = "aiohttp.worker.AsyncGunicornWorker"
NO_STREAM = "aiohttp.worker.AsyncNoStreamGunicornWorker"

#: How long a test waits for something that should have happened at once, in seconds.
PATIENCE = 10.0

_LISTENING = re.compile(r"Listening at: (\S+?),? ")
#: What an event loop or the garbage collector says when somebody forgot something.
# Not Gunicorn's heartbeat file: a master that kills a worker at the end of the graceful time may leave it to the interpreter.
_NEGLIGENCE = re.compile(
    r"never awaited|never retrieved|was destroyed but|unclosed(?! file <_io\.FileIO name=\d+ mode='rb\+')"
    r"|Exception ignored in|Exception in callback|Unhandled error in"
)


class Output:
    """The lines that a process writes to one pipe.

    Whoever asks for them gets all that was written before, however late the thread is that waits for more.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._fd = pipe.fileno()
        os.set_blocking(self._fd, False)
        self._lines: list[str] = []
        self._rest = b""
        self._arrived = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while not self._ended:
            poll.poll()
            with self._arrived:
                self._read()
                self._arrived.notify_all()

    def _read(self) -> None:
        """Read what is in the pipe; the lock is held."""
        while not self._ended:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            if not data:
                self._ended = True
                lines = [self._rest] if self._rest else []
            self._lines += [line.decode("utf-8", "replace") for line in lines]

    @property
    def length(self) -> int:
        """Number of lines so far: a mark to read from later."""
        return len(self.lines())

    def lines(self, since: int = 0) -> list[str]:
        with self._arrived:
            self._read()
            return self._lines[since:]

    def text(self, since: int = 0) -> str:
        return "\n".join(self.lines(since))

    def wait_for(self, pattern: str, *, since: int = 0, count: int = 1, timeout: float = PATIENCE) -> list[str]:
        """Wait until `count` lines match the regular expression, and return these lines."""
        expression = re.compile(pattern)
        found: list[str] = []

        def arrived() -> bool:
            found[:] = [line for line in self._lines[since:] if expression.search(line)]
            return len(found) >= count or self._ended

        with self._arrived:
            self._arrived.wait_for(arrived, timeout)
            seen = "\n".join(self._lines[since:])
        if len(found) < count:
            raise AssertionError(f"{count} x {pattern!r} not among:\n{seen}")
        return found

    def join(self, timeout: float = PATIENCE) -> None:
        """Wait for the end of the pipe."""
        self._thread.join(timeout)
        self._pipe.close()


class Server:
    """Gunicorn with one worker class, one application and the settings given by name.

    `application` is MODULE:CALLABLE, found in `apps/`, in `directory` or on the path. `extra` is
    Python source that is appended to the configuration file, for hooks. `arguments` go to the
    command line. `forgives` is a regular expression for what the application may leave to the
    garbage collector.
    """

    def __init__(
        self,
        application: str,
        *,
        worker_class: str,
        directory: Path,
        loop: str = "asyncio",
        extra: str = "",
        arguments: tuple[str, ...] = (),
        environ: dict[str, str] | None = None,
        forgives: str | None = None,
        **settings: Any,
    ) -> None:
        self.worker_class = worker_class
        self._forgives = forgives
        self.loop = loop
        self.threads: int = settings.get("threads", 1)
        self.settings: dict[str, Any] = {
            "bind": "127.0.0.1:0",
            "workers": 1,
            "worker_class": worker_class,
            "asgi_loop": loop,
            "accesslog": "-",
            "errorlog": "-",
            "control_socket_disable": True,
            "graceful_timeout": 5,
            "keepalive": 30,
            "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
            **settings,
        }
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "gunicorn.conf.py"
        lines = [f"{name} = {value!r}" for name, value in self.settings.items()]
        config.write_text("\n".join([*lines, extra, ""]))
        self._command = [
            *(sys.executable, "-W", "default", "-m", "gunicorn", "-c", str(config)),
            *arguments,
            application,
        ]
        self._directory = directory
        self._environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(APPS), str(directory)]),
            "PYTHONUNBUFFERED": "1",
            **(environ or {}),
        }
        self._clients: list[RawClient] = []
        self.exit_code: int | None = None
        self._stopping = False

    def start(self) -> Server:
        """Start the master and wait until it listens."""
        self.spawn()
        self.log.wait_for("Listening at: ")
        match = _LISTENING.search(self.log.text())
        assert match is not None
        self.url = match[1]
        self.address = _address(self.url)
        return self

    def spawn(self) -> None:
        """Start the master without waiting for anything."""
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._directory,
            env=self._environ,
            start_new_session=True,
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self.access = Output(self.process.stdout)
        self.log = Output(self.process.stderr)

    def connect(self, **arguments: Any) -> RawClient:
        """A new connection; it is closed with the server at the latest."""
        client = RawClient(self.address, **arguments)
        self._clients.append(client)
        return client

    def get(self, target: str, **arguments: Any) -> Response:
        """One GET on a connection of its own."""
        with self.connect() as client:
            return client.get(target, **arguments)

    def wait_for_log(self, pattern: str, **arguments: Any) -> list[str]:
        return self.log.wait_for(pattern, **arguments)

    def worker_pids(self, count: int = 1) -> list[int]:
        """The workers that were started so far, the newest last; waits for `count` of them."""
        lines = self.log.wait_for(r"Booting worker with pid: \d+", count=count)
        return [int(line.rsplit(" ", 1)[1]) for line in lines]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait_until_refused(self, timeout: float = PATIENCE) -> None:
        """Wait until master and workers have closed their listening sockets."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                self.connect().close()
            except OSError:
                return
        raise AssertionError("connections are still accepted")

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the end of the master and return its exit code."""
        self.exit_code = self.process.wait(timeout)
        self.log.join()
        self.access.join()
        return self.exit_code

    def begin_to_stop(self) -> None:
        """Send TERM, and leave the waiting to `stop`."""
        self._stopping = True
        for client in self._clients:
            client.close()
        if self.exit_code is None and self.process.poll() is None:
            self.signal(signal.SIGTERM)

    def stop(self, *, check: bool = True) -> None:
        """End the server with TERM; what then still runs of its session is killed."""
        if not self._stopping:
            self.begin_to_stop()
        if self.exit_code is None:
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.wait()
                raise AssertionError(f"TERM did not end the server:\n{self.log.text()}") from None
        if check:
            assert self.exit_code == 0, self.log.text()
            forgotten = [
                line
                for line in self.log.lines()
                if _NEGLIGENCE.search(line) and not (self._forgives and re.search(self._forgives, line))
            ]
            assert not forgotten, "\n".join(forgotten)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop(check=error is None)


class Gate:
    """A place where an application waits until the test lets it go on.

    The application connects to `port` and reads one byte: `gate.wait(environ)` and
    `await gate.pass_through(environ)` of `apps/gate.py`. No time-out decides anything.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.settimeout(PATIENCE)
        self._arrived: list[socket.socket] = []

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def arrived(self) -> None:
        """Wait until the application stands at the gate."""
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE)
        self._arrived.append(connection)

    def somebody_waits(self, timeout: float) -> bool:
        """Whether the application comes to the gate within the time."""
        self._listener.settimeout(timeout)
        try:
            self.arrived()
        except TimeoutError:
            return False
        finally:
            self._listener.settimeout(PATIENCE)
        return True

    def open(self) -> None:
        """Let the one that arrived first go on."""
        with self._arrived.pop(0) as connection:
            connection.sendall(b".")

    def let_through(self) -> None:
        self.arrived()
        self.open()

    def left(self) -> None:
        """Wait until the one that arrived first gave up waiting: its connection ends."""
        with self._arrived.pop(0) as connection:
            assert connection.recv(1) == b""

    def close(self) -> None:
        for connection in self._arrived:
            connection.close()
        self._listener.close()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _address(url: str) -> Address:
    if url.startswith("unix:"):
        return url[len("unix:") :]
    host, _, port = url.split("://", 1)[1].rpartition(":")
    return host.strip("[]"), int(port)
