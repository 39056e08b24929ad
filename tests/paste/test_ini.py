"""Sections of a Paste ini: settings, variables, and the application that they name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiohttp_worker.paste.ini import Ini, IniError
from tests.inis import APP, APPLICATION, SERVER, write


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "probe_app.py").write_text(APPLICATION)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("probe_app", None)


def ini(folder: Path, server: str = SERVER, app: str = APP, **variables: str) -> Ini:
    write(folder, server, app)
    return Ini(str(folder / "x.ini"), variables)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(IniError, match="there is no such file"):
        Ini(str(tmp_path / "x.ini"), {})


def test_settings_of_the_server(folder: Path) -> None:
    section, settings = ini(folder, SERVER + "proc_name = %(name)s\n", name="100%").server_settings("main")
    assert section == "server:main"
    assert settings["proc_name"] == "100%"
    assert settings["bind"] == "127.0.0.1:0"


def test_application(folder: Path) -> None:
    one = ini(folder)
    one.check_application("main")
    application = one.load_application("main")
    assert callable(application)


def test_an_application_that_is_not_there(folder: Path) -> None:
    with pytest.raises(IniError, match=r"\[app:main\] use = .*is it installed"):
        ini(folder, app="[app:main]\nuse = egg:nowhere\n").load_application("main")


def test_an_error_of_the_application_stays_its_own(folder: Path) -> None:
    """A KeyError is a LookupError, too, but no mistake in the ini."""
    (folder / "failing_app.py").write_text("{}['lost']\n")
    with pytest.raises(KeyError, match="lost"):
        ini(folder, app="[app:main]\npaste.app_factory = failing_app:main\n").load_application("main")


def test_a_variable_that_is_not_given(folder: Path) -> None:
    with pytest.raises(IniError, match=r"\[app:main\] other = %\(name\)s: .*name=VALUE"):
        ini(folder, app=APP + "other = %(name)s\n").check_application("main")


def test_sections_of_servers(folder: Path) -> None:
    one = ini(folder, SERVER + SERVER.replace(":main]", ": second ]"))
    assert [one.has_server(name) for name in ("main", "second", "third")] == [True, True, False]
    assert not one.has_logging
