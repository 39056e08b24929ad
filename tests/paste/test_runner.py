"""The runner of a Paste ini: its command line and environment, in this process and without a server."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError

from aiohttp_worker.paste.ini import IniError
from aiohttp_worker.paste.runner import PasteApplication, PasteArbiter, main
from tests.inis import APP, APPLICATION, LOGGING, SERVER, UNBOUND, write

Settings = Callable[..., dict[str, str]]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with an ini and its application. What reading it changes in the process is undone."""
    (tmp_path / "probe_app.py").write_text(APPLICATION)
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.delenv("GUNICORN_CMD_ARGS", raising=False)
    return tmp_path


@pytest.fixture
def settings(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """settings(*arguments): what Gunicorn is told, as its --print-config shows it."""

    def told(*arguments: str, ini: str = "x.ini", environ: dict[str, str] | None = None) -> dict[str, str]:
        monkeypatch.chdir(directory)
        with monkeypatch.context() as patch:
            for name, value in (environ or {}).items():
                patch.setenv(name, value)
            shown = str(PasteApplication([ini, *arguments]).cfg)
        return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in shown.splitlines())}

    return told


def test_a_variable_wins_over_the_default_section(directory: Path, settings: Settings) -> None:
    write(directory, SERVER + "proc_name = %(name)s\n", "[DEFAULT]\nname = inside\n" + APP)
    assert settings()["proc_name"] == "inside"
    assert settings("name=outside")["proc_name"] == "outside"


def test_options_may_stand_anywhere(directory: Path, settings: Settings) -> None:
    write(directory, SERVER + "proc_name = %(name)s\n")
    told = settings("--workers", "3", "name=a", "--threads=2")
    assert (told["workers"], told["proc_name"], told["threads"]) == ("3", "a", "2")


def test_worker_class_is_ours_unless_the_section_says_otherwise(directory: Path, settings: Settings) -> None:
    assert settings()["worker_class"] == "sync"
    write(directory, SERVER.replace("worker_class = sync\n", ""))
    assert settings()["worker_class"] == "aiohttp_worker.AsyncGunicornWorker"


def test_order_of_the_places(directory: Path, settings: Settings) -> None:
    (directory / "gunicorn.conf.py").write_text("workers = 2\nthreads = 2\nbacklog = 2\ntimeout = 2\n")
    write(directory, SERVER + "threads = 3\nbacklog = 3\ntimeout = 3\n")
    environ = {"GUNICORN_CMD_ARGS": "--backlog 4 --timeout 4"}
    told = settings("--timeout", "5", environ=environ)
    assert [told[name] for name in ("workers", "threads", "backlog", "timeout")] == ["2", "3", "4", "5"]


def test_which_configuration_file(directory: Path, settings: Settings) -> None:
    for name in ("gunicorn.conf", "section", "environment", "option"):
        (directory / f"{name}.py").write_text(f"proc_name = {name!r}\n")
    environ = {"GUNICORN_CMD_ARGS": "-c environment.py"}
    assert settings()["proc_name"] == "gunicorn.conf"
    write(directory, SERVER + "config = %(here)s/section.py\n")
    assert settings()["proc_name"] == "section"
    assert settings(environ=environ)["proc_name"] == "environment"
    assert settings("-c", "option.py", environ=environ)["proc_name"] == "option"


def test_upper_case_keys(directory: Path, settings: Settings) -> None:
    write(directory, SERVER + "WORKERS = 3\n")
    assert settings()["workers"] == "3"


def test_host_without_port(directory: Path, settings: Settings) -> None:
    write(directory, UNBOUND + "host = 127.0.0.1:0,[::1]:0\n")
    assert settings()["bind"] == "['127.0.0.1:0', '[::1]:0']"


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
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(directory, server, app)
    with pytest.raises(SystemExit) as ended:
        PasteApplication(["x.ini", *arguments])
    said = capsys.readouterr().err
    assert ended.value.code == 1, said
    for part in parts:
        assert part in said
    assert said.startswith("\nError: ") and said.count("\n") == 2, said


def test_names_of_sections(directory: Path, settings: Settings) -> None:
    other = APP.replace(":main]", ":other]").replace("hello", "other")
    second = SERVER.replace(":main]", ":second]") + "proc_name = second\n"
    same = SERVER.replace(":main]", ":other]") + "proc_name = same\n"
    write(directory, SERVER + "proc_name = first\n" + second, APP + other)
    assert settings()["proc_name"] == "first"
    assert settings(ini="x.ini#other")["proc_name"] == "first"
    assert settings("--server-name", "second", ini="x.ini#other")["proc_name"] == "second"
    write(directory, SERVER + second + same, APP + other)
    assert settings(ini="x.ini#other")["proc_name"] == "same"


def test_loads_the_application(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the ini says when a worker starts, not as it said at the master's start."""
    monkeypatch.syspath_prepend(str(directory))  # Gunicorn's default of chdir is the folder where its module was loaded
    application = PasteApplication(["x.ini"])
    assert callable(application.load())
    write(directory, SERVER, "[app:main]\nuse = egg:nowhere\n")
    with pytest.raises(AppImportError):
        application.load()
    sys.modules.pop("probe_app", None)


def test_settings_read_again(directory: Path) -> None:
    application = PasteApplication(["x.ini"])
    write(directory, SERVER + "workers = 3\n")
    application.read_again(None)
    assert application.cfg.workers == 3
    application.reload()  # Gunicorn's own call at HUP, when all is done


def test_mistakes_in_settings_read_again(directory: Path) -> None:
    """Everything stays as it was."""
    application = PasteApplication(["x.ini"])
    before = application.cfg, application.ini
    write(directory, SERVER + "workers = many\n")
    with pytest.raises(IniError, match="workers = many"):
        application.read_again(None)
    assert (application.cfg, application.ini) == before


def test_reload_of_the_master(directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    reloaded: list[object] = []

    def reload(arbiter: Arbiter) -> None:
        reloaded.append(arbiter)

    monkeypatch.setattr(Arbiter, "reload", reload)
    monkeypatch.setattr(Arbiter, "START_CTX", {})
    master = PasteArbiter(PasteApplication(["x.ini"]))
    master.log = logging.getLogger("test.master")
    assert master.START_CTX["cwd"] == str(directory)
    master.reload()
    assert reloaded == [master]
    write(directory, SERVER + "workers = many\n")
    master.reload()
    assert reloaded == [master]
    assert "Nothing is reloaded: " in caplog.text and "workers = many" in caplog.text


@pytest.mark.parametrize("error", [None, RuntimeError("no such thing")])
def test_main(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: RuntimeError | None
) -> None:
    ran: list[object] = []

    def run(self: PasteArbiter) -> None:
        ran.append(self)
        if error is not None:
            raise error

    monkeypatch.setattr(PasteArbiter, "run", run)
    monkeypatch.setattr(Arbiter, "START_CTX", {})
    if error is None:
        main(["x.ini"])
    else:
        with pytest.raises(SystemExit) as ended:
            main(["x.ini"])
        assert ended.value.code == 1
        assert capsys.readouterr().err == "\nError: no such thing\n\n"
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("arguments", "text"), [((), "name the ini to serve"), (("x.ini", "word"), "'word': after the ini come")]
)
def test_command_lines_that_are_refused(
    directory: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], text: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        PasteApplication(arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_reload_watches_the_ini(directory: Path) -> None:
    write(directory, SERVER + "reload = true\n")
    assert PasteApplication(["x.ini"]).cfg.reload_extra_files == [str(directory / "x.ini")]
