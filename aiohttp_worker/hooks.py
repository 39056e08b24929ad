"""What Gunicorn's hooks and loggers are shown of an exchange."""

from __future__ import annotations

from typing import Any

from .exchange import Exchange


class HookRequest:
    """The ``req`` of ``pre_request``, ``post_request`` and ``Logger.access``."""

    def __init__(self, exchange: Exchange) -> None:
        line = exchange.head.line
        environ = exchange.environ
        self.method = line.method
        self.uri = line.target
        self.path = line.path
        self.query = line.query
        self.fragment = ""
        self.version = line.version
        self.headers = [(name.upper(), value) for name, value in exchange.head.headers]
        self.scheme = environ["wsgi.url_scheme"]
        address: Any = environ.get("REMOTE_ADDR", "")
        port: Any = environ.get("REMOTE_PORT")
        self.remote_addr = self.peer_addr = address if port is None else (address, int(port))
        self.body = environ.get("wsgi.input")


class HookResponse:
    """The ``resp`` of ``post_request`` and ``Logger.access``."""

    def __init__(self, exchange: Exchange) -> None:
        response = exchange.response
        self.status = response.status
        self.status_code = response.status_code
        self.headers = response.headers
        self.headers_sent = response.head_sent
        self.sent = response.sent
        self.response_length = response.announced
