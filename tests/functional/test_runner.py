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

from aiohttp_worker.runner import PasteApplication

from .command import Command, started
from .server import PATIENCE, ROOT

RUNNER = (sys.executable, "-m", "aiohttp_worker")

# An application that shows its settings, and what the process knows.
APPLICATION = """\
import os
import sys

LOADED_IN = os.getpid()
TEXT = "first"


def main(global_conf, **settings):
    def application(environ, start_response):
        shown = {
            "/greeting": settings.get("greeting"),
            "/text": TEXT,
            "/variable": global_conf.get("variable"),
            "/file": global_conf["__file__"],
            "/in-worker": str(LOADED_IN == os.getpid()),
            "/directory": os.getcwd(),
            "/environment": os.environ.get("PROBE"),
            "/software": environ["SERVER_SOFTWARE"],
        }
        body = str(shown.get(environ["PATH_INFO"])).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    return application
"""
APP = """\
[app:main]
paste.app_factory = probe_app:main
greeting = hello
"""
SERVER = """\
[server:main]
use = egg:gunicorn#main
host = 127.0.0.1
port = 0
worker_class = sync
control_socket_disable = true
graceful_timeout = 5
"""
# For tests about the address.
UNBOUND = SERVER.replace("host = 127.0.0.1\nport = 0\n", "")

# Lines of ours in the place of Gunicorn's.
LOGGING = """\
[loggers]
keys = root, error

[handlers]
keys = console

[formatters]
keys = mine

[logger_root]
level = INFO
handlers = console

[logger_error]
level = INFO
handlers = console
qualname = gunicorn.error
propagate = 0

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = mine

[formatter_mine]
format = mine %(levelname)s %(message)s
"""

Serve = Callable[..., AbstractContextManager[Command]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "probe_app.py").write_text(APPLICATION)
    write(tmp_path)
    return tmp_path


def write(directory: Path, server: str = SERVER, app: str = APP) -> Path:
    """Write x.ini as a whole: a reader sees the old one or the new one."""
    path = directory / "x.ini"
    path.with_suffix(".new").write_text(f"{app}\n{server}\n")
    path.with_suffix(".new").rename(path)
    return path


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


def settings(directory: Path, *arguments: str, environ: dict[str, str] | None = None) -> dict[str, str]:
    """What Gunicorn was told, as its --print-config shows it."""
    code, said = run(directory, "x.ini", *arguments, "--print-config", environ=environ)
    assert code == 0, said
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in said.splitlines())}


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


def test_a_variable_wins_over_the_default_section(directory: Path) -> None:
    write(directory, SERVER + "proc_name = %(name)s\n", "[DEFAULT]\nname = inside\n" + APP)
    assert settings(directory)["proc_name"] == "inside"
    assert settings(directory, "name=outside")["proc_name"] == "outside"


def test_options_may_stand_anywhere(directory: Path) -> None:
    write(directory, SERVER + "proc_name = %(name)s\n")
    told = settings(directory, "--workers", "3", "name=a", "--threads=2")
    assert (told["workers"], told["proc_name"], told["threads"]) == ("3", "a", "2")


def test_names_of_sections(directory: Path) -> None:
    other = APP.replace(":main]", ":other]").replace("hello", "other")
    second = SERVER.replace(":main]", ":second]") + "proc_name = second\n"
    same = SERVER.replace(":main]", ":other]") + "proc_name = same\n"
    write(directory, SERVER + "proc_name = first\n" + second, APP + other)

    def proc_name(*arguments: str) -> str:
        code, said = run(directory, *arguments, "--print-config")
        assert code == 0, said
        return next(line.split()[-1] for line in said.splitlines() if line.startswith("proc_name"))

    assert proc_name("x.ini") == "first"
    assert proc_name("x.ini#other") == "first"
    assert proc_name("x.ini#other", "--server-name", "second") == "second"
    write(directory, SERVER + second + same, APP + other)
    assert proc_name("x.ini#other") == "same"
    with started(*RUNNER, "x.ini#other", directory=directory) as command:
        assert command.get("/greeting") == "other"


def test_worker_class_is_ours_unless_the_section_says_otherwise(directory: Path) -> None:
    assert settings(directory)["worker_class"] == "sync"
    write(directory, SERVER.replace("worker_class = sync\n", ""))
    assert settings(directory)["worker_class"] == "aiohttp.worker.AsyncGunicornWorker"


def test_order_of_the_places(directory: Path) -> None:
    (directory / "gunicorn.conf.py").write_text("workers = 2\nthreads = 2\nbacklog = 2\ntimeout = 2\n")
    write(directory, SERVER + "threads = 3\nbacklog = 3\ntimeout = 3\n")
    environ = {"GUNICORN_CMD_ARGS": "--backlog 4 --timeout 4"}
    told = settings(directory, "--timeout", "5", environ=environ)
    assert [told[name] for name in ("workers", "threads", "backlog", "timeout")] == ["2", "3", "4", "5"]


def test_which_configuration_file(directory: Path) -> None:
    for name in ("gunicorn.conf", "section", "environment", "option"):
        (directory / f"{name}.py").write_text(f"proc_name = {name!r}\n")
    environ = {"GUNICORN_CMD_ARGS": "-c environment.py"}
    assert settings(directory)["proc_name"] == "gunicorn.conf"
    write(directory, SERVER + "config = %(here)s/section.py\n")
    assert settings(directory)["proc_name"] == "section"
    assert settings(directory, environ=environ)["proc_name"] == "environment"
    assert settings(directory, "-c", "option.py", environ=environ)["proc_name"] == "option"


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


def test_upper_case_keys(directory: Path) -> None:
    write(directory, SERVER + "WORKERS = 3\n")
    assert settings(directory)["workers"] == "3"


def test_host_without_port(directory: Path) -> None:
    write(directory, UNBOUND + "host = 127.0.0.1:0,[::1]:0\n")
    assert settings(directory)["bind"] == "['127.0.0.1:0', '[::1]:0']"


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


@pytest.mark.parametrize(
    ("server", "app", "arguments", "parts"),
    [
        # addresses
        (UNBOUND + "port = 8080\n", APP, (), ["port = 8080", "add `host = 127.0.0.1`", "`bind = 127.0.0.1:8080`"]),
        (SERVER + "bind = 127.0.0.1:1\n", APP, (), ["host = 127.0.0.1", "keep host and port, or bind"]),
        (UNBOUND + "port = 1\nbind = 127.0.0.1:1\n", APP, (), ["port = 1", "keep host and port, or bind"]),
        (UNBOUND + "host = ::1\nport = 1\n", APP, (), ["host = ::1", "`host = [::1]`"]),
        (UNBOUND + "host = a:1\nport = 1\n", APP, (), ["host = a:1", "remove `port =`"]),
        (UNBOUND + "host = a:1,b:2\nport = 1\n", APP, (), ["host = a:1,b:2", "not one host"]),
        (UNBOUND + "host = unix:/x\nport = 1\n", APP, (), ["host = unix:/x", "not one host"]),
        (UNBOUND + "bind = a:1,b:2\n", APP, (), ["bind = a:1,b:2", "`host = a:1,b:2`"]),
        (UNBOUND + "host = a\nport = 8080 ; here\n", APP, (), ["port = 8080 ; here", "comment needs a line of its own"]),
        (UNBOUND + "host = a\nport = 65536\n", APP, (), ["port = 65536", "0 to 65535"]),
        (UNBOUND + "bind = 127.0.0.1:x\n", APP, (), ["bind = ['127.0.0.1:x']", "not a valid port"]),
        # keys
        (SERVER + "keep-alive = 5\n", APP, (), ["keep-alive = 5", "written `keepalive`"]),
        (SERVER + "access-logfile = -\n", APP, (), ["access-logfile = -", "written `accesslog`"]),
        (SERVER + "url_scheme = https\n", APP, (), ["url_scheme = https", "no setting of this name"]),
        (SERVER + "WORKER_CLASS = sync\n", APP, (), ["WORKER_CLASS = sync", "given twice"]),
        (SERVER + "worker_class = sync\n", APP, (), ["'worker_class'", "already exists"]),
        (SERVER + "wsgi_app = a:b\n", APP, (), ["wsgi_app = a:b", "[app:main]"]),
        (SERVER + "paste = x.ini\n", APP, (), ["paste = x.ini", "the ini is the first argument"]),
        (SERVER, APP, ("--paste", "x.ini"), ["--paste", "the ini is the first argument"]),
        # values
        (SERVER + "workers = many\n", APP, (), ["workers = many", "invalid literal", "without this line it is 1"]),
        (SERVER + "threads = 2 ; two\n", APP, (), ["threads = 2 ; two", "comment needs a line of its own"]),
        (SERVER + "reload = perhaps\n", APP, (), ["reload = perhaps", "Invalid boolean"]),
        (SERVER + "raw_env = WORD\n", APP, (), ["raw_env", "'WORD' invalid"]),
        (SERVER + "post_fork = nowhere.hook\n", APP, (), ["post_fork = nowhere.hook", "No module named 'nowhere'"]),
        (SERVER + "config = nowhere.py\n", APP, (), ["config = nowhere.py", "no such file", "%(here)s/nowhere.py"]),
        (SERVER.replace("= sync", "= aiohttp_worker.Nothing"), APP, (), ["aiohttp_worker.Nothing", "no attribute 'Nothing'"]),
        # variables
        (SERVER + "access_log_format = %(h)s\n", APP, (), ["access_log_format = %(h)s", "%%(h)s"]),
        (SERVER + "proc_name = 100%\n", APP, (), ["proc_name = 100%", "write %%"]),
        (SERVER + "proc_name = %(name)s\n", APP, (), ["proc_name = %(name)s", "name=VALUE"]),
        (SERVER, APP + "other = %(name)s\n", (), ["[app:main] other = %(name)s", "name=VALUE"]),
        (SERVER, APP, ("port=1",), ["port = 0", "port = %(http_port)s"]),
        (SERVER + "workers = 2\n", "[DEFAULT]\nworkers = 1\n" + APP, (), ["workers = 2", "rename the one in [DEFAULT]"]),
        # logging
        (SERVER + "[loggers]\nkeys = root\n[logger_root]\nlevel = INFO\n", APP, (), ["[handlers] is needed too"]),
        (SERVER + LOGGING.replace("root, error", "root, lost"), APP, (), ["keys = root, lost", "no section [logger_lost]"]),
        (SERVER + LOGGING.replace("sys.stderr", "%(name)s"), APP, ("name=x",), ["args = (%(name)s,)", "%(here)s"]),
        # sections
        (SERVER, APP.replace(":main", ":other"), (), ["no section [app:main]", "[app:other], [server:main]"]),
        ("", APP, (), ["no section [server:main]"]),
        (SERVER, APP, ("--server-name", "other"), ["no section [server:other]"]),
        (SERVER.replace("use = egg:gunicorn#main", ""), APP, (), ["[server:main]", "add `use = egg:gunicorn#main`"]),
        (SERVER.replace("egg:gunicorn", "egg:waitress"), APP, (), ["use = egg:waitress#main"]),
        (SERVER.replace("egg:gunicorn", "egg:nowhere"), APP, (), ["use = egg:nowhere#main"]),
        ("port = 1\n", "", (), ["no section headers"]),
    ],
)
def test_mistakes_are_named_at_the_start(
    directory: Path,
    server: str,
    app: str,
    arguments: tuple[str, ...],
    parts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(directory, server, app)
    monkeypatch.chdir(directory)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as ended:
        PasteApplication(["x.ini", *arguments])
    said = capsys.readouterr().err
    assert ended.value.code == 1, said
    for part in parts:
        assert part in said
    assert said.startswith("\nError: ") and said.count("\n") == 2, said


def test_no_such_file(directory: Path) -> None:
    assert run(directory, "y.ini") == (1, f"\nError: {directory}/y.ini: there is no such file.")
