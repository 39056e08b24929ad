"""Access log lines: Gunicorn's atoms, computed only if a format or a listener asks for them.

Gunicorn's logger collects every atom, header field and environ variable of a request into a dict, to format a handful of them,
which takes longer than a small request. Here the log record has the same message and a dict of the same content, but an atom is
computed when it is looked up. So any handler, formatter and filter sees what it would see under Gunicorn's own workers, whenever
it was added.

A logger class that overrides what Gunicorn's does for an access line (statsd does, and many a ``logger_class``) is called as
Gunicorn calls it, for every response.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, ClassVar, Final, cast

from gunicorn.glogging import Logger, SafeAtoms

Headers = Sequence[tuple[str, str]]
Environ = Mapping[str, Any]

#: ``write(status, sent, response_headers, request_headers, environ, seconds)`` logs one response, complete, failed or cut.
#: ``status`` is PEP 3333's, as in ``"200 OK"``; ``sent`` counts the bytes of the body that were sent; ``seconds`` have passed
#: since the request began. It raises KeyError if the application has removed the request line from environ.
AccessLogWriter = Callable[[str, int, Headers, Headers, Environ, float], None]


@dataclass(frozen=True, slots=True)
class LoggedResponse:
    """``resp`` as a ``logger_class`` is shown it."""

    status: str
    sent: int
    headers: Headers
    headers_sent = True

    @property
    def status_code(self) -> int:
        """Status code, as a number."""
        return int(self.status.split(None, 1)[0])

    @property
    def response_length(self) -> int | None:
        """Value of ``Content-Length``, ``None`` without it."""
        for name, value in self.headers:
            if name.lower() == "content-length":
                return int(value)
        return None


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """``req`` as a ``logger_class`` is shown it. Field names are in upper case, as Gunicorn's are."""

    headers: Headers
    method: str
    uri: str
    path: str
    query: str
    scheme: str
    environ: Environ
    fragment = ""
    trailers: ClassVar[Headers] = ()

    @property
    def version(self) -> tuple[int, ...]:
        """HTTP version, as in ``(1, 1)``."""
        _, _, version = self.environ.get("SERVER_PROTOCOL", "").partition("/")
        return tuple(map(int, version.split("."))) if version else ()

    @property
    def remote_addr(self) -> object:
        """Address and port of the client; the address alone if the port is not known."""
        address = self.environ.get("REMOTE_ADDR", "")
        port = self.environ.get("REMOTE_PORT")
        return address if port is None else (address, int(port))

    peer_addr = remote_addr

    @property
    def body(self) -> object:
        """``wsgi.input`` of the application."""
        return self.environ.get("wsgi.input")


def _remote_user(authorization: str) -> str:
    """Return the user of Basic credentials (RFC 7617 section 2), or ``-``."""
    scheme, _, credentials = authorization.partition(" ")
    if not scheme.lower().startswith("basic"):
        return "-"
    try:
        pair = base64.b64decode(credentials.strip().encode("utf-8"))
        return pair.split(b":", 1)[0].decode("utf-8") or "-"
    except (binascii.Error, UnicodeDecodeError):
        return "-"


class _Clock:
    """Time of day in Apache's form, formatted once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._text = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(now))
            self._second = now
        return self._text


class Atoms(SafeAtoms):  # type: ignore[misc]
    """Atoms of one access log line, each computed when it is looked up; the ``args`` of the log record.

    Whatever asks for more than single atoms is given all of them, from Gunicorn's own ``atoms()``.

    :param log: Gunicorn's logger.
    :raises KeyError: environ lacks a part of the request line.
    """

    __slots__ = ("complete", "environ", "log", "request_headers", "request_line", "response_headers", "seconds", "sent", "status")

    def __init__(
        self,
        log: Any,
        status: str,
        sent: int,
        response_headers: Headers,
        request_headers: Headers,
        environ: Environ,
        seconds: float,
    ) -> None:
        self.log = log
        self.status = status
        self.sent = sent
        self.response_headers = response_headers
        self.request_headers = request_headers
        self.environ = environ
        self.seconds = seconds
        self.complete = False
        self.request_line = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"
        dict.__setitem__(self, "r", self.request_line)  # json's C code does not ask an empty dict for its items

    @property
    def microseconds(self) -> int:
        """Time since the request began."""
        return round(self.seconds * 1_000_000)

    def __getitem__(self, key: str) -> Any:
        value = _atom(key)(self)
        # A quote would end the field of the line that the value stands in.
        return value.replace('"', '\\"') if isinstance(value, str) else value

    def __bool__(self) -> bool:
        return True  # asked by logging.LogRecord; the length would take all atoms

    def __len__(self) -> int:
        return dict.__len__(self._complete())

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self._complete())

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self._complete(), key)

    def keys(self) -> Any:
        return dict.keys(self._complete())

    def values(self) -> Any:
        return dict.values(self._complete())

    def items(self) -> Any:
        return dict.items(self._complete())

    def get(self, key: str, default: Any = None) -> Any:
        return dict.get(self._complete(), key, default)

    def copy(self) -> dict[str, Any]:
        return dict(self.items())

    def _complete(self) -> dict[str, Any]:
        """Store all atoms, once."""
        if not self.complete:
            self.complete = True
            response = LoggedResponse(self.status, self.sent, self.response_headers)
            request = _request(self.request_headers, self.environ)
            super().__init__(self.log.atoms(response, request, self.environ, timedelta(seconds=self.seconds)))
        return self


Atom = Callable[[Atoms], object]


def _environ_atom(key: str, default: object) -> Atom:
    return lambda atoms: atoms.environ.get(key, default)


def _environ_variable_atom(name: str) -> Atom:
    """Return the atom ``%({name}e)s``, which is looked up without regard to case."""
    upper = name.upper()

    def atom(atoms: Atoms) -> object:
        environ = atoms.environ
        if upper in environ:
            return environ[upper]
        if name in environ:
            return environ[name]
        return next((environ[key] for key in reversed(list(environ)) if key.lower() == name), "-")

    return atom


def _last_field(headers: Headers, name: str) -> str:
    length = len(name)
    for field_name, field_value in reversed(headers):
        if len(field_name) == length and field_name.lower() == name:
            return field_value
    return "-"


def _request_field_atom(name: str) -> Atom:
    return lambda atoms: _last_field(atoms.request_headers, name)


def _response_field_atom(name: str) -> Atom:
    return lambda atoms: _last_field(atoms.response_headers, name)


def _user_atom(atoms: Atoms) -> object:
    authorization = atoms.environ.get("HTTP_AUTHORIZATION")
    return _remote_user(authorization) if authorization else "-"


def _status_atom(atoms: Atoms) -> object:
    status = atoms.status
    return status[:3] if status[3:4] == " " else status.split(None, 1)[0]


def _decimal_seconds_atom(atoms: Atoms) -> object:
    seconds, microseconds = divmod(atoms.microseconds, 1_000_000)
    return f"{seconds}.{microseconds:06d}"


def _no_atom(atoms: Atoms) -> object:
    return "-"


_clock: Final = _Clock()

_ATOMS: Final[Mapping[str, Atom]] = {
    "h": _environ_atom("REMOTE_ADDR", "-"),
    "u": _user_atom,
    "t": lambda atoms: _clock.now(),
    "r": lambda atoms: atoms.request_line,
    "s": _status_atom,
    "m": _environ_atom("REQUEST_METHOD", None),
    "U": _environ_atom("PATH_INFO", None),
    "q": _environ_atom("QUERY_STRING", None),
    "H": _environ_atom("SERVER_PROTOCOL", None),
    "b": lambda atoms: str(atoms.sent),
    "B": lambda atoms: atoms.sent,
    "f": _environ_atom("HTTP_REFERER", "-"),
    "a": _environ_atom("HTTP_USER_AGENT", "-"),
    "T": lambda atoms: atoms.microseconds // 1_000_000,
    "D": lambda atoms: atoms.microseconds,
    "M": lambda atoms: atoms.microseconds // 1000,
    "L": _decimal_seconds_atom,
    "p": lambda atoms: f"<{os.getpid()}>",
}

_NAMED: Final[Mapping[str, Callable[[str], Atom]]] = {
    "}i": _request_field_atom,
    "}o": _response_field_atom,
    "}e": _environ_variable_atom,
}


@lru_cache(maxsize=1000)
def _atom(key: str) -> Atom:
    if not key.startswith("{"):
        return _ATOMS.get(key, _no_atom)
    key = key.lower()
    make = _NAMED.get(key[-2:])
    return _no_atom if make is None else make(key[1:-2])


# The place that records name as their origin, so that it need not be looked for on the stack.
_CALLER: Final = (Logger.access.__code__.co_filename, Logger.access.__code__.co_firstlineno)


def _is_heard(logger: logging.Logger) -> bool:
    """Return True if a handler takes the records of an access log."""
    if logger.disabled or not logger.isEnabledFor(logging.INFO):
        return False
    at: logging.Logger | None = logger
    while at is not None:
        if any(handler.level <= logging.INFO and type(handler) is not logging.NullHandler for handler in at.handlers):
            return True
        at = at.parent if at.propagate else None
    return False


def _is_stock(log: Any) -> bool:
    """Return True if an access line of `log` is what Gunicorn's own logger class would write."""
    return all(
        getattr(type(log), name) is getattr(Logger, name) and name not in vars(log)
        for name in ("access", "atoms", "now", "_get_user", "atoms_wrapper_class")
    )


def _request(headers: Headers, environ: Environ) -> LoggedRequest:
    return LoggedRequest(
        headers=[(name.upper(), value) for name, value in headers],
        method=environ.get("REQUEST_METHOD", ""),
        uri=environ.get("RAW_URI", ""),
        path=environ.get("PATH_INFO", ""),
        query=environ.get("QUERY_STRING", ""),
        scheme=environ.get("wsgi.url_scheme", "http"),
        environ=environ,
    )


def access_log_writer(log: Any, access_log_format: str) -> AccessLogWriter | None:
    """Return the function that logs a response, or ``None`` if no handler would take its records.

    To be called after the fork and after the application is loaded, when logging is set up; the answer holds from then on.

    :param log: the worker's ``log``.
    :param access_log_format: Gunicorn's setting.
    """
    if not _is_stock(log):
        return _logger_writer(log)
    logger = cast(logging.Logger, log.access_log)
    if not log.access_log_enabled or not _is_heard(logger):
        return None

    def write(status: str, sent: int, out: Headers, req: Headers, env: Environ, seconds: float) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        atoms = Atoms(log, status, sent, out, req, env, seconds)
        try:
            logger.handle(logger.makeRecord(logger.name, logging.INFO, *_CALLER, access_log_format, (atoms,), None, "access"))
        except Exception:  # of a filter; Gunicorn's logger does the same
            log.error(traceback.format_exc())

    return write


def _logger_writer(log: Any) -> AccessLogWriter:
    def write(status: str, sent: int, out: Headers, req: Headers, env: Environ, seconds: float) -> None:
        log.access(LoggedResponse(status, sent, out), _request(req, env), env, timedelta(seconds=seconds))

    return write
