"""Command that serves the application of a Paste ini with Gunicorn::

    python -m aiohttp_worker development.ini[#name] [--server-name NAME] [variable=value ...] [options of gunicorn]

``gunicorn --paste development.ini`` reads ``[app:main]`` and ignores ``[server:main]``. ``pserve`` and ``paster serve`` read
both, but build the application before Gunicorn forks, so that nothing is ever read again, and swallow exit codes. This runner
reads both, and leaves the rest to Gunicorn:

- ``#name`` chooses ``[app:name]``, and ``[server:name]`` where there is one, else ``[server:main]``; ``--server-name`` the latter
  alone. A variable replaces ``%(variable)s`` in the ini and is part of the application's global configuration.
- Settings come from these places, a later one wins: Gunicorn's defaults (but the worker class is
  ``aiohttp_worker.AsyncGunicornWorker``); the ini as ``logconfig``, if it has ``[loggers]``; the configuration file (named by
  ``-c`` of the command line, else by ``-c`` of ``GUNICORN_CMD_ARGS``, else by ``config`` of the section, else
  ``gunicorn.conf.py`` of the current directory); the keys of the section; ``GUNICORN_CMD_ARGS``; the command line's options.
- ``chdir`` and ``pythonpath`` take effect before dotted names of hooks are looked up.
- The application is loaded in each worker, in the master only with ``preload_app``.
- HUP reads everything again and starts new workers with it. When something in it is wrong, that is logged and all stays as it
  was. With ``reload = true`` the ini is one of the watched files; its server section still waits for a HUP.
- USR2 starts the same command again.
- The exit code is 0 after TERM, INT and QUIT, 1 for a wrong configuration or an address in use, 2 for a wrong command line,
  3 when a worker could not boot, 4 when the ini does not lead to an application.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from typing import Any

from gunicorn import util
from gunicorn.app.base import Application, BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import get_default_config_file
from gunicorn.debug import spew
from gunicorn.errors import AppImportError, ConfigError

from aiohttp_worker.integration.distributions import refuse_damage
from aiohttp_worker.integration.master import check_worker_class, log_refusal
from aiohttp_worker.paste.ini import Ini, IniError

PROGRAM = "python -m aiohttp_worker"
USAGE = f"{PROGRAM} development.ini[#name] [--server-name NAME] [variable=value ...] [OPTIONS]"
WORKER_CLASS = "aiohttp_worker.AsyncGunicornWorker"

# Settings that name an application in other ways than by an ini, each with what to write instead.
_OTHER_WAYS = {
    "paste": f"the ini is the first argument: {PROGRAM} development.ini",
    "raw_paste_global_conf": f"variables follow the ini: {PROGRAM} development.ini variable=value",
    "wsgi_app": "the application is the one of [app:main]",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal ends it; then leave with ``SystemExit``, whose code is explained at the top of this file.

    :param arguments: those of the command line, without the program; by default those of this process.
    """
    PasteApplication(sys.argv[1:] if arguments is None else arguments).run()


class PasteArbiter(Arbiter):  # type: ignore[misc]
    """Gunicorn's master, which survives a HUP that finds a mistake, and starts this runner again at USR2."""

    def __init__(self, app: PasteApplication) -> None:
        super().__init__(app)
        # Gunicorn would take ``sys.argv``, in which ``-m aiohttp_worker`` has become the path of a file, and run it in ``chdir``,
        # where the ini is not.
        self.START_CTX["args"] = [sys.executable, *sys.orig_argv[1:]]
        self.START_CTX["cwd"] = app.start_directory

    def reload(self) -> None:
        """Take over the settings as they are written now; a mistake in them is logged and nothing changes."""
        try:
            self.app.read_again(self.log)
        except (Exception, SystemExit) as error:
            log_refusal(self.log, error, (ConfigError, IniError))
        else:
            super().reload()


class ArbiterChoice(BaseApplication):  # type: ignore[misc]
    """The last step of `gunicorn.app.base.Application.run`, with our arbiter in the place of Gunicorn's."""

    def run(self) -> None:
        """Serve; leaves with ``SystemExit``."""
        try:
            PasteArbiter(self).run()
        except RuntimeError as error:
            sys.stderr.write(f"\nError: {error}\n\n")
            sys.exit(1)


class PasteApplication(Application, ArbiterChoice):  # type: ignore[misc]
    """The application and the server of one ini, as Gunicorn's ``Arbiter`` wants them."""

    cfg: Any
    callable: Any

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self.start_directory = util.getcwd()
        self.ini: Ini | None = None
        self.application_name = "main"
        super().__init__(USAGE, prog=PROGRAM)

    def load_config(self) -> None:
        """Collect the settings from all their places; see the top of this file for the order.

        :raises ConfigError: what is wrong, in one line.
        :raises IniError: what is wrong, in one line.
        :raises OverlayError: what is wrong, in one line.
        :raises SystemExit: the command line is wrong, or the configuration file is no Python.
        """
        refuse_damage()
        os.chdir(self.start_directory)  # a relative ``chdir`` means the same at each reading
        words, server_name, of_command_line = self._read_command_line()
        path, _, name = words[0].partition("#")
        application_name = name or "main"
        of_environment = self._read_environment()

        ini = Ini(path, dict(word.split("=", 1) for word in words[1:]))
        section, settings = ini.server_settings(server_name or (application_name if ini.has_server(application_name) else "main"))
        ini.check_application(application_name)

        self.cfg.set("default_proc_name", ini.path)
        self.cfg.set("worker_class", WORKER_CLASS)
        if ini.has_logging:
            self.cfg.set("logconfig", ini.path)
        options = of_environment | of_command_line
        for key in ("chdir", "pythonpath"):  # where the modules of hooks and of the configuration file are looked for
            if key in settings:
                self._set_from_section(ini, section, key, settings[key])
            if key in options:
                self.cfg.set(key, options[key])
        self._extend_path()

        file: Any = options.get("config") or settings.get("config") or get_default_config_file()
        if file:
            self._check_file(ini, section, file)
            self.load_config_from_file(file)
            self._extend_path()
        for key, value in settings.items():
            self._set_from_section(ini, section, key, value)
        self._set_options(options)
        if self.cfg.logconfig == ini.path:
            ini.check_logging()
        self._check_combined()
        if self.cfg.reload:
            self.cfg.set("reload_extra_files", [*self.cfg.reload_extra_files, ini.path])
        self._extend_path()
        os.chdir(self.cfg.chdir)
        self.ini, self.application_name = ini, application_name

    def load(self) -> Any:
        """Import and build the application.

        :raises AppImportError: the ini does not lead to one; Gunicorn's master stops with code 4.
        :raises Exception: whatever the application's own code raises; the master stops with code 3.
        """
        assert self.ini is not None
        try:
            # Read anew: a worker that is started later serves what the file says then, as with any code on the disk.
            return Ini(self.ini.path, self.ini.variables).load_application(self.application_name)
        except IniError as error:
            raise AppImportError(str(error)) from error

    def read_again(self, log: Any) -> None:
        """Take the settings as they are written now, or leave everything as it was.

        :param log: for what the worker class has to say of them.
        :raises Exception: what is wrong with them, or, with ``preload_app``, with the application.
        :raises SystemExit: what is wrong with them, or, with ``preload_app``, with the application.
        """
        before = self.cfg, self.ini, self.application_name, self.callable
        try:
            self.load_default_config()
            # The environment of the start: the present one has the old ``raw_env`` in it, which may be gone now.
            self.cfg.env_orig = before[0].env_orig
            self.load_config()
            self.cfg.validate()
            check_worker_class(self.cfg, log)
            self.callable = self.load() if self.cfg.preload_app else None
        except BaseException:
            self.cfg, self.ini, self.application_name, self.callable = before
            os.chdir(self.cfg.chdir)
            raise

    def reload(self) -> None:
        """Gunicorn calls this at HUP to read the settings; `PasteArbiter` has done so already."""
        if self.cfg.spew:
            spew()

    def _read_command_line(self) -> tuple[list[str], str | None, dict[str, Any]]:
        """Return the ini and its variables, the name of the server's section, and the settings given as options."""
        parser = self.cfg.parser()
        parser.add_argument("--server-name", metavar="NAME", help="serve with [server:NAME] of the ini")
        options = parser.parse_intermixed_args(self.arguments)
        if not options.args:
            parser.error("name the ini to serve")
        for word in options.args[1:]:
            if not word.partition("=")[0].strip() or "=" not in word:
                parser.error(f"{word!r}: after the ini come variables with their values, variable=value")
        return options.args, options.server_name, _settings_in(options)

    def _read_environment(self) -> dict[str, Any]:
        parser = self.cfg.parser()
        parser.prog = "GUNICORN_CMD_ARGS"
        return _settings_in(parser.parse_args(self.cfg.get_cmd_args_from_env()))

    def _check_file(self, ini: Ini, section: str, file: str) -> None:
        if file.startswith("python:") or os.path.exists(file.removeprefix("file:")):
            return
        reason = f"there is no such file in {self.start_directory}; `%(here)s/{file}` names it beside the ini"
        raise ini.error(section, "config", reason, file)

    def _set_from_section(self, ini: Ini, section: str, key: str, value: str | list[str]) -> None:
        if key in _OTHER_WAYS:
            raise ini.error(section, key, _OTHER_WAYS[key], str(value))
        if key not in self.cfg.settings:
            raise ini.error(section, key, self._explain_unknown(key), str(value))
        try:
            self.cfg.set(key, value)
        except Exception as error:
            raise ini.error(section, key, self._explain_value(key, str(value), error), str(value)) from error

    def _set_options(self, options: dict[str, Any]) -> None:
        for key, value in options.items():
            if key in _OTHER_WAYS:
                raise ConfigError(f"{' or '.join(self.cfg.settings[key].cli)} has no use here: {_OTHER_WAYS[key]}")
            self.cfg.set(key, value)

    def _explain_unknown(self, key: str) -> str:
        names = {name: name for name in self.cfg.settings}
        for name, setting in self.cfg.settings.items():
            names.update({option.lstrip("-").replace("-", "_"): name for option in setting.cli or () if option.startswith("--")})
        found = difflib.get_close_matches(key.replace("-", "_"), names, n=1, cutoff=0.8)
        if found:
            return f"Gunicorn's setting is written `{names[found[0]]}`"
        return "Gunicorn has no setting of this name; remove the line, or rename the key if it was meant for another server"

    def _explain_value(self, key: str, value: str, error: Exception) -> str:
        reason = " ".join(str(error).split()).rstrip(".")
        if " ;" in value or " #" in value:
            return f"{reason}; a comment needs a line of its own"
        default = self.cfg.settings[key].default
        return f"{reason}; without this line it is {default}" if isinstance(default, (int, float, str)) else reason

    def _extend_path(self) -> None:
        folders = [self.cfg.chdir]
        if self.cfg.pythonpath:
            folders += [os.path.join(self.cfg.chdir, folder) for folder in self.cfg.pythonpath.split(",")]
        for folder in folders:
            if folder not in sys.path:
                sys.path.insert(0, folder)

    def _check_combined(self) -> None:
        """Look at what Gunicorn itself reads only after it has begun to start, or to reload."""
        for name in ("address", "env", "logger_class"):
            try:
                getattr(self.cfg, name)
            except Exception as error:
                key = {"address": "bind", "env": "raw_env"}.get(name, name)
                raise ConfigError(f"{key} = {self.cfg.settings[key].value}: {_last_line(error)}") from error
        uri = self.cfg.settings["worker_class"].value
        try:
            util.load_class(uri)
        except Exception as error:  # an AttributeError would leave ``cfg.worker_class`` as a message about something else
            raise ConfigError(f"worker_class = {uri}: {_last_line(error)}") from error


def _settings_in(options: argparse.Namespace) -> dict[str, Any]:
    """Return what was given of Gunicorn's settings, by their names."""
    return {key: value for key, value in vars(options).items() if value is not None and key not in ("args", "server_name")}


def _last_line(error: Exception) -> str:
    """Return the sentence of an error whose text may hold a traceback, as that of Gunicorn's class loading does."""
    lines = [line.strip() for line in str(error).rstrip("]\n ").splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
