"""The objects ``req`` and ``resp`` that Gunicorn's request hooks are given.

They have the attributes of those of Gunicorn's own workers, but for those that read or write the connection. An attribute is
computed when it is read, and a hook may set any. What ``pre_request`` changes, the application sees, because Gunicorn makes
``environ`` after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from aiohttp_worker.http1.response_side import CloseReason
from aiohttp_worker.server.exchange import Exchange
from aiohttp_worker.wsgi.environ import decoded_path
from aiohttp_worker.wsgi.forwarded import kept_headers, path_below

# Attributes that a hook may have changed, and the variables of environ that follow.
_CHANGEABLE: Final = (
    ("method", ("REQUEST_METHOD",)),
    ("uri", ("RAW_URI", "REQUEST_URI")),
    ("query", ("QUERY_STRING",)),
    ("scheme", ("wsgi.url_scheme",)),
)


class HookRequest:
    """The ``req`` of ``pre_request`` and of ``post_request``: one object for both.

    :param cfg: Gunicorn's settings.
    """

    fragment = ""
    trailers: tuple[()] = ()  # they are checked and thrown away

    def __init__(self, exchange: Exchange, cfg: Any) -> None:
        self._exchange = exchange
        self.cfg = cfg
        self.must_close = False

    @cached_property
    def method(self) -> str:
        """Request method."""
        return self._exchange.head.method

    @cached_property
    def uri(self) -> str:
        """Request target, as received."""
        return self._exchange.head.target

    @cached_property
    def path(self) -> str:
        """Path, still percent-encoded."""
        return self._exchange.head.path

    @cached_property
    def query(self) -> str:
        """Query without its question mark."""
        return self._exchange.head.query

    @cached_property
    def version(self) -> tuple[int, int]:
        """HTTP version, as in ``(1, 1)``."""
        return self._exchange.head.version

    @cached_property
    def headers(self) -> list[tuple[str, str]]:
        """Header fields that ``header_map`` lets through, with names in upper case."""
        return self._received()

    def _received(self) -> list[tuple[str, str]]:
        exchange = self._exchange
        headers = [(name.upper(), value) for name, value in exchange.head.headers]
        return kept_headers(exchange.state.settings.forwarding, headers, exchange.stream.trusted)

    @cached_property
    def scheme(self) -> Any:
        """``http`` or ``https``, as the connection or a trusted front end says."""
        return self._exchange.environ["wsgi.url_scheme"]

    @cached_property
    def peer_addr(self) -> Any:
        """Address of the peer, as ``accept()`` gives it."""
        environ: dict[str, Any] = self._exchange.environ
        try:
            return environ["gunicorn.socket"].getpeername()
        except OSError:  # uvloop does not know it any more
            address = environ.get("REMOTE_ADDR", "")
            port = environ.get("REMOTE_PORT")
            return address if port is None else (address, int(port))

    @cached_property
    def remote_addr(self) -> Any:
        """Address of the peer, under Gunicorn's other name."""
        return self.peer_addr

    @cached_property
    def proxy_protocol_info(self) -> dict[str, Any] | None:
        """Addresses in the PROXY header of the connection, ``None`` without one."""
        environ: dict[str, Any] = self._exchange.environ
        protocol = environ.get("PROXY_PROTOCOL")
        if protocol is None:
            return None
        told = environ.get("PROXY_PORT")
        return {
            "proxy_protocol": protocol,
            "client_addr": None if told is None else environ["REMOTE_ADDR"],
            "client_port": None if told is None else int(environ["REMOTE_PORT"]),
            "proxy_addr": environ.get("PROXY_ADDR"),
            "proxy_port": None if told is None else int(told),
        }

    @property
    def body(self) -> Any:
        """``wsgi.input`` of the application."""
        return self._exchange.environ.get("wsgi.input")

    @cached_property
    def req_number(self) -> int:
        """Number of the request on its connection, from 1."""
        return self._exchange.stream.requests

    @property
    def limit_request_line(self) -> int:
        """Size limit of a request line, in bytes."""
        return self._exchange.state.settings.limits.request_line

    @property
    def limit_request_fields(self) -> int:
        """Limit of the number of fields."""
        return self._exchange.state.settings.limits.fields

    @property
    def limit_request_field_size(self) -> int:
        """Size limit of a field, in bytes."""
        return self._exchange.state.settings.limits.field_size

    @property
    def max_buffer_headers(self) -> int:
        """Size limit of all fields together, in bytes."""
        return self.limit_request_fields * (self.limit_request_field_size + 2) + 4

    def force_close(self) -> None:
        """Close the connection after this request."""
        self.must_close = True
        self._exchange.response.close_after(CloseReason.HOOK)

    def should_close(self) -> bool:
        """Return True if the request, or a hook, asks for the connection to be closed."""
        return self.must_close or not self._exchange.head.keep_alive

    def apply(self) -> None:
        """Copy attributes that a hook has set into environ."""
        touched = vars(self)
        environ: dict[str, Any] = self._exchange.environ
        for name, keys in _CHANGEABLE:
            if name in touched:
                environ.update(dict.fromkeys(keys, touched[name]))
        if "path" in touched and self.path != self._exchange.head.path:
            environ["PATH_INFO"] = decoded_path(path_below(self.path, environ["SCRIPT_NAME"]))
        if "headers" in touched:
            before, after = _variables(self._received()), _variables(self.headers)
            for key in before.keys() | after.keys():
                if key not in after:
                    environ.pop(key, None)
                elif before.get(key) != after[key]:
                    environ[key] = after[key]


class HookResponse:
    """Object ``resp`` of ``post_request``."""

    upgrade = False

    def __init__(self, exchange: Exchange, req: HookRequest) -> None:
        self._response = response = exchange.response
        self.req = req
        self.cfg = req.cfg
        self.sock = exchange.environ.get("gunicorn.socket")
        self.version = exchange.state.settings.server
        self.status = exchange.status
        self.status_code = exchange.status_code
        self.headers = exchange.headers
        self.headers_sent = response.head_sent
        self.sent = response.sent
        self.response_length = response.announced
        self.chunked = response.chunked

    @property
    def must_close(self) -> bool:
        """True if the connection is closed after the response."""
        return not self._response.keep_alive

    def force_close(self) -> None:
        """Close the connection after the response."""
        self._response.close_after(CloseReason.HOOK)

    def should_close(self) -> bool:
        """Return True if the connection is closed after the response."""
        return not self._response.keep_alive

    def is_chunked(self) -> bool:
        """Return True if the body was sent in chunks (RFC 9112 section 7.1)."""
        return self.chunked


def _variables(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the variables of environ for header fields."""
    values: dict[str, str] = {}
    for name, value in headers:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        separator = "; " if key == "HTTP_COOKIE" else ","
        values[key] = f"{values[key]}{separator}{value}" if key in values else value
    return values
