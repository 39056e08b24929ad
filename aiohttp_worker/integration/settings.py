"""Settings of a worker: Gunicorn's, and the options for which Gunicorn has no setting.

Each option is a class attribute of the workers, set in a subclass or by an environment variable ``AIOHTTP_WORKER_NAME``, which
is read once, at start.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import gunicorn
from gunicorn.http.wsgi import WSGIErrorsWrapper

from aiohttp_worker import __version__
from aiohttp_worker.http1.messages import Limits
from aiohttp_worker.http2.settings import HTTP2Settings
from aiohttp_worker.server.proxy_protocol import ProxyProtocol
from aiohttp_worker.server.settings import Cleartext, ServerSettings, TimeLimits
from aiohttp_worker.wsgi.file_wrapper import FileWrapper
from aiohttp_worker.wsgi.forwarded import AddressList, ForwardingPolicy, HeaderMap

from .names import nearest_name

# Gunicorn's own parser takes these for what is out of range.
_MOST_FIELDS: Final = 32768
_DEFAULT_FIELD_SIZE: Final = 8190
_MOST_REQUEST_LINE: Final = 8190

_PREFIX: Final = "AIOHTTP_WORKER_"
_NOT_OPTIONS: Final = frozenset((f"{_PREFIX}COMPILE",))  # what setup.py asks for


@dataclass(frozen=True)
class Option:
    """An option of the workers.

    :param name: name of the class attribute.
    :param default: value in the two worker classes.
    :param unit: unit of the number; 0 switches a limit off.
    :param text: its effect, for people.
    """

    name: str
    default: float
    unit: str
    text: str

    @property
    def variable(self) -> str:
        """Name of the environment variable that overrides the class attribute."""
        return _PREFIX + self.name.upper()


OPTIONS: Final = (
    Option("head_timeout", 20, "seconds", "for the head of a request, from its first byte"),
    Option("body_timeout", 30, "seconds", "between two pieces of a request's body"),
    Option("body_min_rate", 500, "bytes per second", "that a request's body has to come with"),
    Option("write_timeout", 60, "seconds", "without the client reading anything of a response"),
    Option("linger_timeout", 2, "seconds", "for a client to take notice of a last answer"),
    Option("handshake_timeout", 20, "seconds", "for a TLS handshake"),
    Option("max_body_size", 0, "bytes", "of a request's body; more is answered with 413"),
    Option(
        "body_memory_size",
        1024 * 1024,
        "bytes",
        "of a collected body that are kept in memory; a larger one goes to a file",
    ),
    Option("slow_call", 0.1, "seconds", "after which code that keeps the event loop is logged"),
)


def read_options(cls: type, variables: Mapping[str, str]) -> dict[str, float]:
    """Return the values of the options, by name.

    :param cls: the worker class.
    :param variables: the environment.
    :raises ValueError: a value is no number, negative or not finite, or a name is probably mistyped; the message names it.
    """
    _refuse_mistyped_names(cls, variables)
    values: dict[str, float] = {}
    for option in OPTIONS:
        value: object = getattr(cls, option.name)
        source = f"{cls.__name__}.{option.name}"
        if option.variable in variables:
            value = variables[option.variable]
            source = option.variable
        values[option.name] = _number(value, source, option.unit)
    return values


def _number(value: object, source: str, unit: str) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
    except ValueError:
        number = -1.0
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{source} must be a number of {unit}, 0 or more: {value!r}")
    return number


def _refuse_mistyped_names(cls: type, variables: Mapping[str, str]) -> None:
    """Refuse an environment variable with our prefix, or a number in a subclass, whose name is nearly that of an option.

    :raises ValueError: the message has the nearest name.
    """
    known = {option.variable for option in OPTIONS}
    for variable in sorted(variables):
        if variable.upper().startswith(_PREFIX) and variable not in known and variable not in _NOT_OPTIONS:
            nearest = nearest_name(variable, known)
            hint = f"did you mean {nearest}?" if nearest else f"there are {', '.join(sorted(known))}"
            raise ValueError(f"there is no environment variable {variable}: {hint}")
    names = {option.name for option in OPTIONS}
    for owner in cls.__mro__:
        if names <= vars(owner).keys():
            return  # what is above has options of its own
        for name, value in vars(owner).items():
            nearest = "" if name.startswith("_") or name in names else nearest_name(name, names)
            if nearest and isinstance(value, int | float | str) and not any(name in vars(above) for above in owner.__mro__[1:]):
                raise ValueError(f"{owner.__name__} has no option {name}: did you mean {nearest}?")


def server_settings(cfg: Any, options: Mapping[str, float], *, stream: bool) -> ServerSettings:
    """Return the settings of the server.

    :param cfg: Gunicorn's settings.
    :param options: the result of :func:`read_options`.
    :param stream: True if ``wsgi.input`` may be a stream.
    """
    return ServerSettings(
        limits=_head_limits(cfg),
        times=TimeLimits(
            head=options["head_timeout"],
            body=options["body_timeout"],
            write=options["write_timeout"],
            keep_alive=cfg.keepalive,
            linger=options["linger_timeout"],
            disconnect_grace=cfg.asgi_disconnect_grace_period,
            body_rate=int(options["body_min_rate"]),
        ),
        forwarding=ForwardingPolicy(
            allowed=AddressList.parse(cfg.forwarded_allow_ips),
            secure_scheme_headers=cfg.secure_scheme_headers,
            forwarder_headers=frozenset(cfg.forwarder_headers),
            header_map=HeaderMap(cfg.header_map),
            script_name=os.environ.get("SCRIPT_NAME", ""),
        ),
        proxy_protocol=None if cfg.proxy_protocol == "off" else ProxyProtocol(cfg.proxy_protocol),
        proxy_allowed=AddressList.parse(cfg.proxy_allow_ips),
        stream=stream,
        threads=cfg.threads,
        body_memory_size=int(options["body_memory_size"]),
        body_directory=cfg.tmp_upload_dir,
        max_body_size=int(options["max_body_size"]),
        slow_call=options["slow_call"],
        sendfile=cfg.sendfile is not False,
        server="aiohttp-worker",
        http2=_http2_settings(cfg),
        http2_cleartext=Cleartext("off" if cfg.is_ssl else cfg.http2_cleartext),
    )


def speaks_http2(cfg: Any) -> bool:
    """Return whether HTTP/2 is set, and the package for it installed."""
    return "h2" in cfg.http_protocols and find_spec("ngh2") is not None


def _http2_settings(cfg: Any) -> HTTP2Settings | None:
    if not speaks_http2(cfg):
        return None
    return HTTP2Settings(
        max_concurrent_streams=cfg.http2_max_concurrent_streams,
        initial_window_size=cfg.http2_initial_window_size,
        max_frame_size=cfg.http2_max_frame_size,
        max_header_list_size=cfg.http2_max_header_list_size,
    )


def _head_limits(cfg: Any) -> Limits:
    request_line = cfg.limit_request_line
    fields = cfg.limit_request_fields
    return Limits(
        request_line=request_line if 0 <= request_line <= _MOST_REQUEST_LINE else _MOST_REQUEST_LINE,
        fields=fields if 0 < fields <= _MOST_FIELDS else _MOST_FIELDS,
        field_size=cfg.limit_request_field_size if cfg.limit_request_field_size > 0 else _DEFAULT_FIELD_SIZE,
        permit_obsolete_folding=cfg.permit_obsolete_folding,
        strip_header_spaces=cfg.strip_header_spaces,
        permit_unconventional_http_method=cfg.permit_unconventional_http_method,
        permit_unconventional_http_version=cfg.permit_unconventional_http_version,
        casefold_http_method=cfg.casefold_http_method,
    )


def base_environ(cfg: Any) -> dict[str, object]:
    """Return the variables of environ that are the same for every request (PEP 3333, "environ Variables").

    :param cfg: Gunicorn's settings.
    """
    return {
        "wsgi.version": (1, 0),
        "wsgi.errors": WSGIErrorsWrapper(cfg),
        "wsgi.multithread": cfg.threads > 1,
        "wsgi.multiprocess": cfg.workers > 1,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
        # Programs look for the server that they know at its beginning.
        "SERVER_SOFTWARE": f"{gunicorn.SERVER_SOFTWARE} aiohttp-worker/{__version__}",
    }
