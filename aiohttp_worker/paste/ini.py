"""Sections of a Paste ini that configure an application and its server, and errors that name a mistake in them.

PasteDeploy itself resolves the sections (``use``, ``set``, ``get``, variables), so an ini means the same here as under
``pserve``, ``paster serve`` and ``gunicorn --paste``. What those let pass in silence is an error here.

Nothing in this file imports the application.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from typing import Any

from gunicorn.app import pasterapp
from paste.deploy import loadwsgi

# PasteDeploy's own keys of a section, which are no settings of a server.
_PASTE_KEYS = frozenset({"use", "require", "paste.server_runner", "paste.server_factory"})


class IniError(Exception):
    """Error in an ini; the text names the file, the section, the key and its value, and the correction."""


class Ini:
    """A Paste ini file, with the variables of the command line.

    Variables of the command line override those of ``[DEFAULT]``.

    :param path: path of the file.
    :param variables: values for ``%(name)s`` in the file; also given to the application in its global configuration.
    :raises IniError: there is no such file, or it is not an ini.
    """

    def __init__(self, path: str, variables: Mapping[str, str]) -> None:
        self.path = os.path.abspath(path)
        self.variables = dict(variables)
        if not os.path.isfile(self.path):
            raise IniError(f"{self.path}: there is no such file.")
        try:
            self._loader = loadwsgi.ConfigLoader(self.path)
            # A second reading for what is written in the file itself: which section a key stands in, values as typed.
            self._written = configparser.RawConfigParser(default_section="")
            self._written.optionxform = str  # type: ignore[assignment, method-assign]
            with open(self.path, encoding="utf-8") as file:
                self._written.read_file(file)
        except (configparser.Error, UnicodeDecodeError) as error:
            raise IniError(f"{self.path}: {' '.join(str(error).split())}") from error
        self._loader.update_defaults({name: value.replace("%", "%%") for name, value in self.variables.items()})

    @property
    def has_logging(self) -> bool:
        """True if the file configures logging, in the sections that `logging.config.fileConfig` reads."""
        return self._written.has_section("loggers")

    def check_logging(self) -> None:
        """Check the logging sections, before Gunicorn gives them to `logging.config.fileConfig`.

        :raises IniError: a section or key is missing, or a variable that only Paste's own sections know is used.
        """
        parser = configparser.ConfigParser({"here": os.path.dirname(self.path), "__file__": self.path})
        parser.read(self.path, encoding="utf-8")
        for plural in ("loggers", "handlers", "formatters"):
            if not parser.has_option(plural, "keys"):
                raise IniError(f"{self.path}: [loggers] is there, so [{plural}] is needed too, with a line `keys =`.")
            for key in parser.get(plural, "keys").split(","):
                section = f"{plural.removesuffix('s')}_{key.strip()}"
                if key.strip() and not parser.has_section(section):
                    raise self.error(plural, "keys", f"there is no section [{section}]")
        for section in parser.sections():
            if section.startswith(("logger_", "handler_")):  # formats are read without variables
                try:
                    parser.items(section)
                except configparser.InterpolationError as error:
                    reason = "of variables, logging sections know %(here)s and %(__file__)s alone; a plain % is written %%"
                    raise self.error(section, error.option, reason) from error

    def server_settings(self, name: str) -> tuple[str, dict[str, str | list[str]]]:
        """Return the name of the section ``[server:name]`` as it is written, and its settings for Gunicorn.

        Names of settings are in lower case, their values are text; ``bind``, made of host and port, may be a list.

        :raises IniError: the section is missing, is not for Gunicorn, or has a key that would not do what it says.
        """
        section = self._find(loadwsgi.SERVER, "server", name)
        context = self._resolve(loadwsgi.SERVER, section, name)
        if context.object is not pasterapp.serve:
            raise self.error(section, "use", "this starts Gunicorn alone; write `use = egg:gunicorn#main`")
        self._refuse_hidden_keys(section)
        settings: dict[str, str] = {}
        for key, value in context.local_conf.items():
            if key.lower() in settings:
                raise self.error(section, key, "this setting is given twice, in different case; keep one")
            settings[key.lower()] = value
        return section, self._with_bind(section, settings)

    def check_application(self, name: str) -> None:
        """Check that there is an application ``name`` and that its variables have values, without loading it.

        :raises IniError: there is no such application, or a variable is missing.
        """
        section = self._find(loadwsgi.APP, "app", name)
        with self._naming_variables():
            for key in self._loader.parser.options(section):
                self._loader.parser.get(section, key)

    def load_application(self, name: str) -> Any:
        """Import and build the application ``name``, a WSGI callable.

        :raises IniError: the section does not lead to an application.
        :raises Exception: an error of the application's own code.
        """
        section = self._find(loadwsgi.APP, "app", name)
        return self._resolve(loadwsgi.APP, section, name).create()

    def has_server(self, name: str) -> bool:
        """Return True if there is a section ``[server:name]``."""
        return any(_split(section) == ("server", name) for section in self._written.sections())

    def error(self, section: str, key: str, reason: str, value: str | None = None) -> IniError:
        """Return an error about ``key`` in ``section``.

        :param reason: the mistake, and the correction.
        :param value: by default the value that is written there.
        """
        if value is None and self._written.has_option(section, key):
            value = self._written.get(section, key)
        shown = "" if value is None else f" = {' '.join(value.split())}"
        return IniError(f"{self.path}, [{section}] {key}{shown}: {reason}.")

    def _find(self, kind: Any, prefix: str, name: str) -> str:
        try:
            return str(self._loader.find_config_section(kind, name=name))
        except LookupError as error:
            if "Ambiguous" in str(error):
                raise IniError(f"{self.path}: more than one section is named {name!r}: {error}.") from error
            there = ", ".join(f"[{section}]" for section in self._written.sections()) or "none"
            raise IniError(f"{self.path}: there is no section [{prefix}:{name}]. Sections there: {there}.") from error

    def _resolve(self, kind: Any, section: str, name: str) -> Any:
        try:
            with self._naming_variables():
                return self._loader.get_context(kind, name, dict(self.variables))
        except PackageNotFoundError as error:
            raise self.error(section, "use", f"{str(error).rstrip('.')}; is it installed in this environment") from error
        except LookupError as error:
            if type(error) is not LookupError:
                raise  # a KeyError or IndexError is a fault of the code that was imported: its traceback is wanted
            hint = "; add `use = egg:gunicorn#main`" if kind is loadwsgi.SERVER else ""
            raise IniError(f"{self.path}, [{section}]: {str(error).rstrip('.')}{hint}.") from error

    @contextmanager
    def _naming_variables(self) -> Iterator[None]:
        try:
            yield
        except configparser.InterpolationMissingOptionError as error:
            # Paste's parser changes the arguments of the error, not its fields.
            raise self.error(error.section, error.option, _missing_variable(error.option, error.reference)) from error
        except configparser.InterpolationError as error:
            reason = "a lone % starts a variable in an ini; write %% for the character itself"
            raise self.error(error.section, error.option, reason) from error

    def _refuse_hidden_keys(self, section: str) -> None:
        """Refuse keys that PasteDeploy drops from a section in silence: those that are defaults or variables as well."""
        for key in self._written.options(section):
            if key in _PASTE_KEYS:
                continue
            if key in self.variables:
                reason = (
                    f"Paste drops a key that is also a variable of the command line; give the variable another name, "
                    f"{key} = %(http_{key})s here and http_{key}={self.variables[key]} there"
                )
                raise self.error(section, key, reason)
            if self._written.has_option("DEFAULT", key):
                raise self.error(section, key, "Paste drops a key that [DEFAULT] has too; rename the one in [DEFAULT]")

    def _with_bind(self, section: str, settings: dict[str, str]) -> dict[str, str | list[str]]:
        host, port, bind = (settings.get(key) for key in ("host", "port", "bind"))
        if bind is not None and (host is not None or port is not None):
            key = "host" if host is not None else "port"
            raise self.error(section, key, f"`bind = {bind}` says the address too; keep host and port, or bind")
        if port is not None:
            settings["bind"] = self._address(section, host, port)
        elif bind is not None and "," in bind:
            raise self.error(section, "bind", f"Gunicorn takes this for one address; for several write `host = {bind}`")
        rest: dict[str, str | list[str]] = {key: value for key, value in settings.items() if key not in ("host", "port")}
        if host and port is None:
            rest["bind"] = host.split(",")
        return rest

    def _address(self, section: str, host: str | None, port: str) -> str:
        if not host:
            reason = (
                f"Gunicorn ignores a port without a host; add `host = 127.0.0.1` (this machine alone) or `host = 0.0.0.0` "
                f"(every network), or write `bind = 127.0.0.1:{port}`"
            )
            raise self.error(section, "port", reason)
        if not (port.isascii() and port.isdigit() and int(port) < 65536):
            raise self.error(section, "port", "not a port number from 0 to 65535; a comment needs a line of its own")
        if "," in host or host.startswith("unix:"):
            raise self.error(section, "host", "this is not one host; give each its own port here, or a path, and no `port =`")
        if ":" in host and not host.startswith("["):
            fixed = f"an IPv6 address is written in brackets: `host = [{host}]`"
            raise self.error(section, "host", fixed if host.count(":") > 1 else "the port stands here too; remove `port =`")
        return f"{host}:{port}"


def _split(section: str) -> tuple[str, str]:
    prefix, _, name = section.partition(":")
    return prefix, name.strip() or "main"


def _missing_variable(key: str, reference: str) -> str:
    if key.lower() == "access_log_format":
        return f"an ini takes %({reference})s for a variable of its own; double the sign for Gunicorn's: %%({reference})s"
    return f"%({reference})s has no value; give it on the command line, {reference}=VALUE, or in [DEFAULT], or write %% for a %"
