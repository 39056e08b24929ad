"""The access log, cheap enough to leave on.

Gunicorn's logger collects every atom, header field and environ variable of a
request into a dict, to format a handful of them. Here the format is compiled
once: what a line shows is looked up, the rest is not. How the line then leaves
is decided by who listens, in :func:`plan_delivery`:

- one handler that writes bare messages to a stream, which is what Gunicorn
  itself sets up: the line is written to that stream;
- other handlers of the standard library: a log record with the ready line;
- anything that could look deeper into the record (a subclass of the logger, a
  filter, a formatter or handler of somebody's own): the logger's own
  ``access``, with the arguments it knows.

The lines are the same in all three. Where the first was chosen and somebody
changes the handler or the logger while the server runs, the third takes over.
"""

from __future__ import annotations

import base64
import binascii
import enum
import logging
import logging.handlers
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Protocol

Headers = Sequence[tuple[str, str]]
Environ = Mapping[str, Any]

#: ``write(status, sent, response_headers, request_headers, environ, seconds)``:
#: writes the line of one finished (or failed, or cut) response.
#: ``status`` is PEP 3333's, as in ``"200 OK"``; ``sent`` the bytes of the
#: response's body that went out; ``seconds`` the time since the request began.
AccessLogWriter = Callable[[str, int, Headers, Headers, Environ, float], None]

#: Makes one atom of the same arguments. Strings come out escaped.
Atom = Callable[[str, int, Headers, Headers, Environ, float], object]


class AccessLogger(Protocol):
    """What is used of Gunicorn's logger."""

    access_log: logging.Logger
    atoms_wrapper_class: type

    @property
    def access_log_enabled(self) -> bool:
        """Whether the settings ask for an access log."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        """Write a line, or measure, or both."""


@dataclass(frozen=True, slots=True)
class LoggedResponse:
    """A response, as far as an access log may ask."""

    status: str
    sent: int
    headers: Headers
    headers_sent = True

    @property
    def status_code(self) -> int:
        """The number at the beginning of the status."""
        return int(self.status.split(None, 1)[0])

    @property
    def response_length(self) -> int | None:
        """What ``Content-Length`` says, ``None`` without."""
        for name, value in self.headers:
            if name.lower() == "content-length":
                return int(value)
        return None


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request, as far as an access log may ask. Names of fields are upper-case, as Gunicorn's are."""

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
        """Of HTTP, as in ``(1, 1)``."""
        _, _, version = self.environ.get("SERVER_PROTOCOL", "").partition("/")
        return tuple(map(int, version.split("."))) if version else ()

    @property
    def remote_addr(self) -> object:
        """Address and port of the client, or the address alone."""
        address = self.environ.get("REMOTE_ADDR", "")
        port = self.environ.get("REMOTE_PORT")
        return address if port is None else (address, int(port))

    peer_addr = remote_addr

    @property
    def body(self) -> object:
        """What the application got as ``wsgi.input``."""
        return self.environ.get("wsgi.input")


def _escaped(value: object) -> object:
    # A quote would end the field of the line that the value stands in.
    return value.replace('"', '\\"') if isinstance(value, str) else value


def _remote_user(authorization: str) -> str:
    """The user of Basic credentials (RFC 7617 section 2), or ``-``."""
    scheme, _, credentials = authorization.partition(" ")
    if not scheme.lower().startswith("basic"):
        return "-"
    try:
        pair = base64.b64decode(credentials.strip().encode("utf-8"))
        return pair.split(b":", 1)[0].decode("utf-8") or "-"
    except (binascii.Error, UnicodeDecodeError):
        return "-"


class _Clock:
    """The time of day in Apache's form, made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def atom(self, *_: object) -> str:
        now = int(time.time())
        if now != self._second:
            self._text = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(now))
            self._second = now
        return self._text


def _environ_atom(key: str, default: object) -> Atom:
    def atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
        value = env.get(key, default)
        return value.replace('"', '\\"') if value.__class__ is str else _escaped(value)

    return atom


def _environ_variable_atom(name: str) -> Atom:
    """``%({name}e)s``: the case of the name does not matter."""
    upper = name.upper()

    def atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
        if upper in env:
            return _escaped(env[upper])
        if name in env:
            return _escaped(env[name])
        for key in reversed(list(env)):
            if key.lower() == name:
                return _escaped(env[key])
        return "-"

    return atom


def _last_field(headers: Headers, name: str) -> str:
    length = len(name)
    for field_name, field_value in reversed(headers):
        if len(field_name) == length and field_name.lower() == name:
            return field_value.replace('"', '\\"')
    return "-"


def _request_field_atom(name: str) -> Atom:
    def atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
        return _last_field(req, name)

    return atom


def _response_field_atom(name: str) -> Atom:
    def atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
        return _last_field(out, name)

    return atom


def _user_atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
    authorization = env.get("HTTP_AUTHORIZATION")
    return _escaped(_remote_user(authorization)) if authorization else "-"


def _request_line_atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
    line = f"{env['REQUEST_METHOD']} {env['RAW_URI']} {env['SERVER_PROTOCOL']}"
    return line.replace('"', '\\"')


def _status_atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
    return status[:3] if status[3:4] == " " else status.split(None, 1)[0]


def _sent_atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
    return sent


def _sent_text_atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
    return str(sent)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _seconds_atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
    return _microseconds(s) // 1_000_000


def _milliseconds_atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
    return _microseconds(s) // 1000


def _microseconds_atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
    return _microseconds(s)


def _decimal_seconds_atom(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> object:
    seconds, microseconds = divmod(_microseconds(s), 1_000_000)
    return f"{seconds}.{microseconds:06d}"


_ATOMS: Mapping[str, Atom] = {
    "h": _environ_atom("REMOTE_ADDR", "-"),
    "u": _user_atom,
    "r": _request_line_atom,
    "s": _status_atom,
    "m": _environ_atom("REQUEST_METHOD", None),
    "U": _environ_atom("PATH_INFO", None),
    "q": _environ_atom("QUERY_STRING", None),
    "H": _environ_atom("SERVER_PROTOCOL", None),
    "b": _sent_text_atom,
    "B": _sent_atom,
    "f": _environ_atom("HTTP_REFERER", "-"),
    "a": _environ_atom("HTTP_USER_AGENT", "-"),
    "T": _seconds_atom,
    "D": _microseconds_atom,
    "M": _milliseconds_atom,
    "L": _decimal_seconds_atom,
}

_NAMED: Mapping[str, Callable[[str], Atom]] = {
    "}i": _request_field_atom,
    "}o": _response_field_atom,
    "}e": _environ_variable_atom,
}

# One conversion of a %-format that takes its value from a mapping, or "%%".
_CONVERSION = re.compile(r"%(?:%|\((?P<key>[^()]*)\)(?P<spec>[-#0 +]*\d*(?:\.\d+)?[hlL]?[a-zA-Z]))")


def _atom(key: str, clock: _Clock) -> Atom | None:
    """The atom of that name; ``None`` stands for the constant ``-``."""
    if key.startswith("{"):
        key = key.lower()
        make = _NAMED.get(key[-2:])
        return make(key[1:-2]) if make else None
    if key == "t":
        return clock.atom
    return _ATOMS.get(key)


def compile_format(
    access_log_format: str,
) -> Callable[[str, int, Headers, Headers, Environ, float], str] | None:
    """Turn an ``access_log_format`` into a function that makes the line.

    The process's number (``p``) is taken now: compile after the fork.

    :return: ``None`` for a format that is more than names and conversions;
        the logging package is left to make of it what it can.
    """
    atoms: list[Atom] = []
    template: list[str] = []
    clock = _Clock()
    end = 0
    for match in _CONVERSION.finditer(access_log_format):
        literal = access_log_format[end : match.start()]
        if "%" in literal:
            return None
        template.append(literal)
        end = match.end()
        key = match["key"]
        if key is None:
            template.append("%%")
            continue
        conversion = "%" + match["spec"]
        atom = _atom(key, clock)
        if atom is not None:
            template.append(conversion)
            atoms.append(atom)
            continue
        constant = f"<{os.getpid()}>" if key == "p" else "-"
        try:
            template.append((conversion % constant).replace("%", "%%"))
        except (TypeError, ValueError):
            return None
    rest = access_log_format[end:]
    if "%" in rest:
        return None
    template.append(rest)
    form = "".join(template)
    getters = tuple(atoms)

    def line(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> str:
        return form % tuple([atom(status, sent, out, req, env, s) for atom in getters])

    return line


class Delivery(enum.Enum):
    """How a line reaches those who listen."""

    NOBODY = "nobody"
    STREAM = "stream"
    RECORD = "record"
    LOGGER = "logger"


#: Write what their formatter makes of a record, and look at nothing else.
_PLAIN_HANDLERS = frozenset(
    (
        logging.StreamHandler,
        logging.FileHandler,
        logging.NullHandler,
        logging.handlers.WatchedFileHandler,
        logging.handlers.RotatingFileHandler,
        logging.handlers.TimedRotatingFileHandler,
        logging.handlers.SysLogHandler,
    )
)

# Attributes of a record that are the same whoever made it. Not among them:
# msg and args, which hold the unformatted line, and the place in the source.
_PLAIN_FORMAT = re.compile(
    r"(?:[^%]|%%|%\((?:asctime|created|levelname|levelno|message|msecs|name|process"
    r"|processName|relativeCreated|thread|threadName)\)[-#0 +]*\d*(?:\.\d+)?[sdfi])*"
)


def _listeners(logger: logging.Logger) -> list[logging.Handler]:
    handlers: list[logging.Handler] = []
    at: logging.Logger | None = logger
    while at is not None:
        handlers.extend(at.handlers)
        at = at.parent if at.propagate else None
    return [handler for handler in handlers if handler.level <= logging.INFO and type(handler) is not logging.NullHandler]


def _format_of(handler: logging.Handler) -> str | None:
    """What the handler makes of a record, if that is a plain ``%`` format."""
    formatter = handler.formatter
    if formatter is None:
        return "%(message)s"
    if type(formatter) is not logging.Formatter:
        return None
    if type(formatter._style) is not logging.PercentStyle:
        return None
    if getattr(formatter._style, "_defaults", None):
        return None
    return formatter._style._fmt


def plan_delivery(logger: logging.Logger) -> Delivery:
    """Decide how a ready line gets to the handlers of ``logger``.

    :param logger: Gunicorn's ``access_log``.
    """
    if not logger.isEnabledFor(logging.INFO):
        return Delivery.NOBODY
    if logger.disabled:
        return Delivery.NOBODY
    listeners = _listeners(logger)
    if not listeners:
        return Delivery.NOBODY
    if type(logger) is not logging.Logger or logger.filters or logging.getLogRecordFactory() is not logging.LogRecord:
        return Delivery.LOGGER
    for handler in listeners:
        if type(handler) not in _PLAIN_HANDLERS or handler.filters:
            return Delivery.LOGGER
        form = _format_of(handler)
        if form is None or not _PLAIN_FORMAT.fullmatch(form):
            return Delivery.LOGGER
    if len(listeners) == 1 and listeners == logger.handlers and not logger.propagate:
        handler = listeners[0]
        if type(handler) in (logging.StreamHandler, logging.FileHandler) and _format_of(handler) == "%(message)s":
            return Delivery.STREAM
    return Delivery.RECORD


def _is_stock(log: AccessLogger, stock: type) -> bool:
    """Whether a line of ``log`` is what Gunicorn's own logger would write."""
    return all(
        getattr(type(log), name) is getattr(stock, name) and name not in vars(log)
        for name in ("access", "atoms", "now", "_get_user", "atoms_wrapper_class")
    )


def _logger_writer(log: AccessLogger) -> AccessLogWriter:
    def write(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> None:
        request = LoggedRequest(
            headers=[(name.upper(), value) for name, value in req],
            method=env.get("REQUEST_METHOD", ""),
            uri=env.get("RAW_URI", ""),
            path=env.get("PATH_INFO", ""),
            query=env.get("QUERY_STRING", ""),
            scheme=env.get("wsgi.url_scheme", "http"),
            environ=env,
        )
        log.access(LoggedResponse(status, sent, out), request, env, timedelta(seconds=s))

    return write


def access_log_writer(log: AccessLogger, access_log_format: str, stock: type) -> AccessLogWriter | None:
    """The function that logs a response, or ``None`` when nobody would read it.

    Ask after the fork and after the application is loaded, which is when
    logging is set up; then once, since the answer is meant to be kept.

    :param log: the worker's ``log``.
    :param access_log_format: Gunicorn's setting.
    :param stock: Gunicorn's own logger class, ``gunicorn.glogging.Logger``.
        Where ``log`` overrides what that class does for an access line
        (statsd does, and many a ``logger_class``), it is called for every
        response, and never replaced.
    """
    logger_writer = _logger_writer(log)
    if not _is_stock(log, stock):
        return logger_writer
    logger = log.access_log
    delivery = plan_delivery(logger)
    if not log.access_log_enabled or delivery is Delivery.NOBODY:
        return None
    make_line = compile_format(access_log_format)
    if make_line is None or delivery is Delivery.LOGGER:
        return logger_writer
    if delivery is Delivery.STREAM:
        return _stream_writer(logger, make_line, logger_writer)
    return _record_writer(logger, make_line, logger_writer)


def _record(logger: logging.Logger, line: str) -> logging.LogRecord:
    return logging.LogRecord(logger.name, logging.INFO, "", 0, line, None, None)


def _record_writer(
    logger: logging.Logger,
    make_line: Callable[[str, int, Headers, Headers, Environ, float], str],
    logger_writer: AccessLogWriter,
) -> AccessLogWriter:
    def write(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        try:
            line = make_line(status, sent, out, req, env, s)
        except (TypeError, ValueError, LookupError):
            logger_writer(status, sent, out, req, env, s)
            return
        logger.handle(_record(logger, line))

    return write


def _stream_writer(
    logger: logging.Logger,
    make_line: Callable[[str, int, Headers, Headers, Environ, float], str],
    logger_writer: AccessLogWriter,
) -> AccessLogWriter:
    handlers = logger.handlers
    handler = handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    formatter = handler.formatter
    cache = logger._cache  # type: ignore[attr-defined]

    def write(status: str, sent: int, out: Headers, req: Headers, env: Environ, s: float) -> None:
        # The conditions of STREAM once more: whoever adds a filter, a handler
        # or a level while the server runs must be heard from then on.
        stream = handler.stream
        if (
            len(handlers) != 1
            or handlers[0] is not handler
            or logger.handlers is not handlers
            or logger.filters
            or handler.filters
            or handler.level > logging.INFO
            or handler.formatter is not formatter
            or logger.propagate
            or logger.disabled
            or not cache.get(logging.INFO)
            or stream is None
        ):
            if logger.isEnabledFor(logging.INFO):
                logger_writer(status, sent, out, req, env, s)
            return
        try:
            line = make_line(status, sent, out, req, env, s)
        except (TypeError, ValueError, LookupError):
            logger_writer(status, sent, out, req, env, s)
            return
        with handler.lock:  # type: ignore[union-attr]
            try:
                stream.write(line + handler.terminator)
                stream.flush()
            except Exception:
                handler.handleError(_record(logger, line))

    return write
