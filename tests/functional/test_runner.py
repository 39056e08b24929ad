"""``python -m aiohttp_worker x.ini``: one process each, real signals, real exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.inis import APP, APPLICATION, LOGGING, SERVER, UNBOUND, write

from .command import Command, started
from .server import PATIENCE, ROOT

RUNNER = (sys.executable, "-m", "aiohttp_worker")

Serve = Callable[..., AbstractContextManager[Command]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "probe_app.py").write_text(APPLICATION)
    write(tmp_path)
    return tmp_path


@pytest.fixture
def serve(directory: Path) -> Serve:
    def serving(*arguments: str, environ: dict[str, str] | None = None) -> AbstractContextManager[Command]:
        return started(*RUNNER, "x.ini", *arguments, directory=directory, environ=environ)

    return serving


def run(directory: Path, *arguments: str, environ: dict[str, str] | None = None) -> tuple[int, str]:
    """Run it to its end, and return the exit code and what it said."""
    command = Command(*RUNNER, *arguments, directory=directory, environ=environ)
    try:
        code = command.wait()
    except subprocess.TimeoutExpired:
        command.stop()
        raise
    return code, command.log.text() + command.output.text()


def test_serves_both_sections_and_ends_with_0(serve: Serve) -> None:
    with serve() as command:
        assert command.get("/greeting") == "hello"
        assert command.get("/file").endswith("/x.ini")
        assert command.stop() == 0


def test_loads_the_application_in_the_worker(serve: Serve) -> None:
    with serve() as command:
        assert command.get("/in-worker") == "True"


def test_preload_app_loads_it_before_the_fork(serve: Serve, directory: Path) -> None:
    write(directory, SERVER + "preload_app = true\n")
    with serve() as command:
        assert command.get("/in-worker") == "False"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_that_end_it(serve: Serve, number: int) -> None:
    with serve() as command:
        command.get()
        command.signal(number)
        assert command.wait() == 0


def test_variables(serve: Serve, directory: Path) -> None:
    write(directory, UNBOUND + "bind = 127.0.0.1:%(http_port)s\n", APP.replace("hello", "%(variable)s"))
    with serve("http_port=0", "variable=5%(x)s") as command:
        assert command.get("/greeting") == "5%(x)s"
        assert command.get("/variable") == "5%(x)s"


def test_names_of_sections(directory: Path) -> None:
    other = APP.replace(":main]", ":other]").replace("hello", "other")
    second = SERVER.replace(":main]", ":second]") + "proc_name = second\n"
    same = SERVER.replace(":main]", ":other]") + "proc_name = same\n"
    write(directory, SERVER + second + same, APP + other)
    with started(*RUNNER, "x.ini#other", directory=directory) as command:
        assert command.get("/greeting") == "other"


def test_chdir_and_pythonpath_come_before_hooks(directory: Path, serve: Serve) -> None:
    (directory / "inner" / "lib").mkdir(parents=True)
    (directory / "inner" / "near_hooks.py").write_text("def post_fork(arbiter, worker):\n    arbiter.log.info('near hook')\n")
    (directory / "inner" / "lib" / "far_hooks.py").write_text("def when_ready(arbiter):\n    arbiter.log.info('far hook')\n")
    hooks = "when_ready = far_hooks.when_ready\npost_fork = near_hooks.post_fork\nchdir = inner\npythonpath = lib\n"
    write(directory, SERVER + hooks)
    with serve(environ={"PYTHONPATH": f"{ROOT}{os.pathsep}{directory}"}) as command:
        assert command.get("/directory") == str(directory / "inner")
        command.log.wait_for("near hook")
        command.log.wait_for("far hook")
        mark = command.log.length
        command.signal(signal.SIGHUP)  # a relative chdir does not add up
        command.log.wait_for("near hook", since=mark)
        assert command.get("/directory") == str(directory / "inner")


def test_loggers_of_the_ini(serve: Serve, directory: Path) -> None:
    write(directory, SERVER + LOGGING)
    with serve() as command:
        command.log.wait_for("^mine INFO Booting worker")
    (directory / "gunicorn.conf.py").write_text("logconfig = None\n")
    with serve() as command:
        command.log.wait_for("INFO. Booting worker")
        assert "mine" not in command.log.text()


# Reading it again.


def test_hup_reads_settings_application_and_code_again(serve: Serve, directory: Path) -> None:
    with serve() as command:
        assert (command.get("/greeting"), command.get("/text")) == ("hello", "first")
        (directory / "probe_app.py").write_text(APPLICATION.replace('"first"', '"second code"'))
        write(directory, SERVER + "workers = 2\nraw_env = PROBE=set\n", APP.replace("hello", "again"))
        mark = command.log.length
        command.signal(signal.SIGHUP)
        command.log.wait_for("Booting worker", since=mark, count=2)
        command.log.wait_for("Worker exiting", since=mark)
        shown = command.get("/greeting"), command.get("/text"), command.get("/environment")
        assert shown == ("again", "second code", "set")

        write(directory)  # what is gone from the ini is gone from the environment
        mark = command.log.length
        command.signal(signal.SIGHUP)
        command.log.wait_for("Worker exiting", since=mark, count=2)
        assert command.get("/environment") == "None"
        assert command.stop() == 0


def test_hup_changes_the_address(serve: Serve, directory: Path) -> None:
    with serve() as command:
        before = command.url()
        mark = command.log.length
        write(directory, SERVER.replace("127.0.0.1", "127.0.0.2"))
        command.signal(signal.SIGHUP)
        assert command.url(mark).startswith("http://127.0.0.2:")
        assert before.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("server", "app", "reason"),
    [
        (SERVER + "keep-alive = 5\n", APP, "keepalive"),
        (SERVER + "workers = many\n", APP, "workers = many"),
        (SERVER + "worker_class = nowhere.Worker\n", APP, "line.*worker_class"),
        (SERVER, APP.replace("hello", "%(name)s"), "greeting"),
        ("", APP, "no section .server:main"),
        (SERVER + "config = broken.py\n", APP, "ended with code 1"),
    ],
)
def test_hup_with_a_mistake_changes_nothing(serve: Serve, directory: Path, server: str, app: str, reason: str) -> None:
    (directory / "broken.py").write_text("this is no Python\n")
    with serve() as command:
        assert command.get("/greeting") == "hello"
        write(directory, server, app)
        command.signal(signal.SIGHUP)
        command.log.wait_for(f"Nothing is reloaded.*{reason}")
        assert command.get("/greeting") == "hello"
        write(directory, SERVER, APP.replace("hello", "mended"))
        mark = command.log.length
        command.signal(signal.SIGHUP)
        command.log.wait_for("Worker exiting", since=mark)
        assert command.get("/greeting") == "mended"


def test_hup_with_preload_app_builds_the_application_again(serve: Serve, directory: Path) -> None:
    server = SERVER + "preload_app = true\n"
    write(directory, server)
    with serve() as command:
        assert command.get("/greeting") == "hello"
        write(directory, server, APP.replace("greeting = hello", "use = egg:nowhere"))
        command.signal(signal.SIGHUP)
        command.log.wait_for("Nothing is reloaded")
        write(directory, server, APP.replace("hello", "again"))
        mark = command.log.length
        command.signal(signal.SIGHUP)
        command.log.wait_for("Worker exiting", since=mark)
        assert command.get("/greeting") == "again"


def test_reload_watches_code_and_ini(serve: Serve, directory: Path) -> None:
    server = SERVER + "reload = true\nreload_engine = poll\n"
    write(directory, server)
    with serve() as command:
        assert command.get("/text") == "first"
        mark = command.log.length
        path = directory / "probe_app.py"
        path.write_text(APPLICATION.replace('"first"', '"second code"'))
        touch_until(path, lambda: command.log.text(mark).count("Booting worker") == 1)
        assert command.get("/text") == "second code"
        mark = command.log.length
        path = write(directory, server, APP.replace("hello", "again"))
        touch_until(path, lambda: command.log.text(mark).count("Booting worker") == 1)
        assert command.get("/greeting") == "again"


def touch_until(path: Path, condition: Callable[[], bool]) -> None:
    """Make a file newer until the reloader, which first has to see it once, noticed."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        os.utime(path)
        time.sleep(0.05)


def test_usr2_starts_the_same_command(serve: Serve, directory: Path) -> None:
    (directory / "inner").mkdir()
    write(directory, SERVER + "pidfile = %(here)s/pid\nchdir = inner\npythonpath = ..\n", APP.replace("hello", "%(variable)s"))
    with serve("variable=kept") as command:
        assert command.get("/greeting") == "kept"
        mark = command.log.length
        command.signal(signal.SIGUSR2)
        command.log.wait_for("Booting worker", since=mark)
        successor = int((directory / "pid.2").read_text())
        command.signal(signal.SIGTERM)
        command.log.wait_for("Master has been promoted")
        assert command.get("/greeting") == "kept"
        os.kill(successor, signal.SIGTERM)
        assert command.wait() == 0


# What ends it.


def test_an_application_that_cannot_boot_ends_the_master(directory: Path) -> None:
    (directory / "probe_app.py").write_text("raise ValueError('not today')\n")
    code, said = run(directory, "x.ini")
    assert code == 3
    assert "ValueError: not today" in said
    assert "Reason: Worker failed to boot." in said
    assert said.count("Booting worker") == 1


def test_an_ini_that_leads_nowhere_ends_the_master(directory: Path) -> None:
    write(directory, SERVER, "[app:main]\nuse = egg:nowhere\n")
    code, said = run(directory, "x.ini")
    assert code == 4
    assert "[app:main] use = egg:nowhere: No package metadata was found for nowhere" in said
    assert "Traceback" not in said
    assert said.count("Booting worker") == 1


def test_check_config(directory: Path) -> None:
    assert run(directory, "x.ini", "--check-config") == (0, "")
    (directory / "probe_app.py").write_text("raise ValueError('not today')\n")
    code, said = run(directory, "x.ini", "--check-config")
    assert code == 1
    assert "not today" in said


@pytest.mark.slow  # Gunicorn tries for five seconds
def test_an_address_in_use(serve: Serve, directory: Path) -> None:
    with serve() as command:
        code, said = run(directory, "x.ini", "-b", command.url().removeprefix("http://"))
    assert code == 1
    assert "in use" in said


def test_the_other_aiohttp_beside_ours(directory: Path) -> None:
    metadata = directory / "aiohttp-3.9.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: aiohttp\nVersion: 3.9.0\n")
    code, said = run(directory, "x.ini")
    assert code == 1
    assert "PyPI's package aiohttp (3.9.0) is installed beside aiohttp-worker" in said
    assert "pip uninstall aiohttp" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "name the ini to serve"),
        (("x.ini", "word"), "'word': after the ini come variables"),
        (("x.ini", "=value"), "'=value': after the ini come variables"),
        (("x.ini", "--nothing"), "unrecognized arguments: --nothing"),
    ],
)
def test_wrong_command_line(directory: Path, arguments: tuple[str, ...], reason: str) -> None:
    code, said = run(directory, *arguments)
    assert code == 2
    assert said.startswith("usage: python -m aiohttp_worker development.ini")
    assert reason in said


def test_wrong_gunicorn_cmd_args(directory: Path) -> None:
    code, said = run(directory, "x.ini", environ={"GUNICORN_CMD_ARGS": "--nothing"})
    assert code == 2
    assert "GUNICORN_CMD_ARGS: error: unrecognized arguments: --nothing" in said


def test_no_such_file(directory: Path) -> None:
    assert run(directory, "y.ini") == (1, f"\nError: {directory}/y.ini: there is no such file.")
