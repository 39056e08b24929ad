"""Checks of the settings before a master reloads, and with ``--check-config``; the master is one that never ran."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import gunicorn
import pytest
from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.errors import ConfigError

from aiohttp_worker.integration import master


class Master(Arbiter):  # type: ignore[misc]
    """An arbiter with an application's settings, and nothing started."""

    START_CTX: ClassVar[dict[Any, Any]] = {}

    def __init__(self, app: Any) -> None:
        self.app = app
        self.log = logging.getLogger("test.master")


class WorkerClass:
    """A worker class that may refuse the settings."""

    refusal: Exception | None = None

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        if cls.refusal is not None:
            raise cls.refusal


class App:
    """What a master reads its settings from: each reading gives the next of these."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.cfg = settings("first")

    def reload(self) -> None:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        self.cfg = outcome


def settings(name: str, **env: str) -> Any:
    return SimpleNamespace(
        name=name,
        env=env,
        env_orig={key: os.environ[key] for key in env if key in os.environ},
        chdir=os.getcwd(),
        worker_class=WorkerClass,
    )


@pytest.fixture
def reloaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the settings with which masters of Gunicorn reload."""
    names: list[str] = []

    def reload(arbiter: Any) -> None:
        arbiter.app.reload()
        names.append(arbiter.app.cfg.name)

    monkeypatch.setattr(Arbiter, "reload", reload)
    monkeypatch.setattr(Master, "reload", reload)
    monkeypatch.setattr(WorkerClass, "refusal", None)
    return names


@pytest.fixture
def arbiter(monkeypatch: pytest.MonkeyPatch, reloaded: list[str]) -> Any:
    """A master whose HUP handler is the one of this process."""
    monkeypatch.setattr(Master, "START_CTX", {"args": ["python", "app"]})
    one = Master(App())
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, one.handle_hup)
    yield one
    signal.signal(signal.SIGHUP, before)


def test_settings_that_hold(arbiter: Any, reloaded: list[str]) -> None:
    """They are read once."""
    master.check_before_reload()
    master.check_before_reload()
    arbiter.app.outcomes = [settings("second")]
    arbiter.reload()
    assert reloaded == ["second"]
    assert "reload" not in vars(arbiter.app)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (ConfigError("workers = many"), "Nothing is reloaded: workers = many"),
        (SystemExit(3), "Nothing is reloaded: the configuration ended with code 3"),
        (ValueError("odd"), "Nothing is reloaded"),
    ],
)
def test_settings_that_cannot_be_read(
    arbiter: Any,
    reloaded: list[str],
    outcome: BaseException,
    text: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing changes, variables of raw_env included."""
    monkeypatch.setenv("OURS", "of the shell")
    before = arbiter.app.cfg = settings("first", OURS="of the settings", ADDED="too")
    monkeypatch.setenv("OURS", "of the settings")
    monkeypatch.setenv("ADDED", "too")
    arbiter.app.outcomes = [outcome]
    master.check_before_reload()
    arbiter.reload()
    assert reloaded == []
    assert arbiter.app.cfg is before
    assert (os.environ["OURS"], os.environ["ADDED"]) == ("of the settings", "too")
    assert text in caplog.text
    assert ("Traceback" in caplog.text) is isinstance(outcome, ValueError)


def test_settings_that_the_worker_class_refuses(arbiter: Any, reloaded: list[str], caplog: pytest.LogCaptureFixture) -> None:
    WorkerClass.refusal = RuntimeError("no such thing")
    arbiter.app.outcomes = [settings("second")]
    master.check_before_reload()
    arbiter.reload()
    assert reloaded == []
    assert "Nothing is reloaded: no such thing" in caplog.text


def test_a_master_of_another_kind(monkeypatch: pytest.MonkeyPatch, reloaded: list[str]) -> None:
    """One that reloads in its own way is left alone, and so is a process without a master."""

    class Other(Master):
        def reload(self) -> None:
            raise AssertionError

    one = Other(App())
    before = signal.signal(signal.SIGHUP, one.handle_hup)
    try:
        master.check_before_reload()
        assert "reload" not in vars(one)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        master.check_before_reload()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_start_again(arbiter: Any) -> None:
    """USR2 starts ``python -m gunicorn`` as such."""
    arbiter.START_CTX["args"] = ["python", str(Path(gunicorn.__file__).parent / "__main__.py"), "app"]
    master.check_before_reload()
    assert arbiter.START_CTX["args"] == ["python", "-m", "gunicorn", "app"]


@pytest.mark.parametrize("refusal", [None, RuntimeError("no such thing")])
@pytest.mark.parametrize("asked", [True, False])
def test_check_config(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refusal: Any, asked: bool) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(Application, "run", ran.append)
    monkeypatch.setattr(WorkerClass, "refusal", refusal)
    master.check_with_option()
    run = Application.run
    master.check_with_option()
    assert Application.run is run  # wrapped once
    app = SimpleNamespace(cfg=SimpleNamespace(check_config=asked, worker_class=WorkerClass))
    if refusal is None or not asked:
        run(app)
        assert ran == [app]
        return
    with pytest.raises(SystemExit) as ended:
        run(app)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "\nError: no such thing\n\n"
    assert ran == []


def test_a_worker_class_without_checks() -> None:
    master.check_worker_class(SimpleNamespace(worker_class=object), None)
