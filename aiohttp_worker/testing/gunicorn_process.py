"""Gunicorn in a process of its own, with one of the workers, on a port that the kernel chose."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

WORKER: Final = "aiohttp_worker.AsyncGunicornWorker"

# The application's module by its name, or by its file where that name is none that can be imported, as of many test modules.
_LOADER: Final = """\
import importlib, importlib.util, sys

name, file, attribute = {place!r}
try:
    module = importlib.import_module(name)
except ModuleNotFoundError as error:
    if file is None or not name.startswith(str(error.name)):
        raise
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
application = module
for part in attribute.split("."):
    application = getattr(application, part)
"""
# The first worker that has loaded the application says so; the end of the pipe says that none will.
_HOOK: Final = """
def post_worker_init(worker):
    import json, os

    try:
        os.write({pipe}, json.dumps(worker.sockets[0].sock.getsockname()).encode() + b"\\n")
    except OSError:
        pass  # it is another worker, and nobody waits for it
"""


def find_application(application: Any) -> tuple[str, str | None, str]:
    """Find an application so that another process can import it: its module, the file of that, and its name there.

    :param application: the object, or ``"module:name"``.
    :raises ValueError: it has no name of a module's.
    """
    if isinstance(application, str):
        name, colon, attribute = application.partition(":")
        if not name or (colon and not attribute):
            raise ValueError(f"an application is named as 'module:name', not {application!r}")
        return name, None, attribute or "application"
    own = sys.modules.get(getattr(application, "__module__", None) or "")
    for module in (own, *list(sys.modules.values())):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is application and module is not None:
                return module.__name__, getattr(module, "__file__", None), attribute
    raise ValueError(f"{application!r} is no global of a module, so that no other process can import it: name it 'module:name'")


class GunicornProcess:
    """Gunicorn that serves an application until it is stopped.

    :param application: a global of some module, or ``"module:name"``.
    :param worker_class: one of the two.
    :param settings: further ones of Gunicorn's, by their names.
    :ivar url: address without a slash at the end.
    :ivar host: its host.
    :ivar port: its port.
    """

    def __init__(self, application: Any, *, worker_class: str = WORKER, timeout: float = 30.0, **settings: Any) -> None:
        self._place = find_application(application)
        self._timeout = timeout
        self._settings = {"bind": "127.0.0.1:0", "worker_class": worker_class, "control_socket_disable": True, **settings}
        self._lines: list[str] = []
        self._arrived = threading.Condition()
        self._ended = False
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.host = ""
        self.port = 0

    @property
    def log(self) -> str:
        """Everything that Gunicorn and the application have printed so far."""
        with self._arrived:
            return "".join(self._lines)

    def start(self) -> Self:
        """Start it, and wait until a worker has loaded the application.

        :raises RuntimeError: it does not start; the message has its log.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="aiohttp-worker-testing-")
        folder = Path(self._folder.name)
        (folder / "served_application.py").write_text(_LOADER.format(place=self._place), encoding="utf-8")
        settings = "".join(f"{name} = {value!r}\n" for name, value in self._settings.items())
        ready, pipe = os.pipe()
        (folder / "gunicorn.conf.py").write_text(settings + _HOOK.format(pipe=pipe), encoding="utf-8")
        path = [str(folder), *(one or os.getcwd() for one in sys.path)]
        self._process = subprocess.Popen(  # noqa: S603  the interpreter that runs the tests
            [sys.executable, "-m", "gunicorn", "-c", str(folder / "gunicorn.conf.py"), "served_application"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", "GUNICORN_CMD_ARGS": ""},
            start_new_session=True,
            pass_fds=(pipe,),
        )
        os.close(pipe)
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        try:
            readable, _, _ = select.select([ready], [], [], self._timeout)
            said = os.read(ready, 4096) if readable else b""
        finally:
            os.close(ready)
        if not said:
            self.stop()
            raise RuntimeError(f"Gunicorn does not serve {':'.join((self._place[0], self._place[2]))}:\n{self.log}")
        address = json.loads(said)
        if isinstance(address, str):
            self.url = f"unix:{address}"
        else:
            self.host, self.port = address[:2]
            shown = f"[{self.host}]" if ":" in self.host else self.host
            self.url = f"{'https' if self._settings.get('certfile') else 'http'}://{shown}:{self.port}"
        return self

    def wait_for_log(self, text: str, timeout: float = 10.0) -> None:
        """Wait until something has been printed.

        :raises TimeoutError: it has not; the message has the log.
        """
        with self._arrived:
            self._arrived.wait_for(lambda: self._ended or text in "".join(self._lines), timeout)
            if text not in "".join(self._lines):
                raise TimeoutError(f"{text!r} is not in the log:\n{''.join(self._lines)}")

    def stop(self) -> None:
        """Stop it gracefully; what then still runs after ``timeout`` seconds is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdout is not None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._reader.join(self._timeout)
        process.stdout.close()
        self._folder.cleanup()

    def _collect(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            with self._arrived:
                self._lines.append(line.decode("utf-8", "replace"))
                self._arrived.notify_all()
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<GunicornProcess {self.url!r}>"
