"""Applications that take their connection from `gunicorn.socket` for WebSockets, each with a library that people use."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from typing import Any

import engineio
import simple_websocket
from flask import Flask
from flask_sock import Sock

flask = Flask("sockets")
sock = Sock(flask)
events = engineio.Server(async_mode="threading", cors_allowed_origins="*")
left = threading.Event()


@sock.route("/flask-sock")
def echo(ws: simple_websocket.Server) -> None:
    while True:
        ws.send(ws.receive())


@flask.route("/returns", websocket=True)
def returns() -> str:
    """As in the documentation of simple-websocket: the view answers, and nothing of that may be sent."""
    from flask import request

    ws = simple_websocket.Server.accept(request.environ, ping_interval=25)
    try:
        while True:
            ws.send(ws.receive())
    except simple_websocket.ConnectionClosed:
        return "this is not sent"


@events.on("message")
def message(sid: str, data: Any) -> None:
    events.send(sid, data)


def raw(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Speaks a protocol of its own: what the client sends is sent back, and `!` closes."""
    connection = environ["gunicorn.socket"]
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    try:
        while data := connection.recv(65536):
            connection.sendall(data)
            if data.endswith(b"!"):
                connection.close()
                break
    finally:
        environ["wsgi.errors"].write(f"disconnected: {environ['aiohttp_worker.client_disconnected']()}\n")
    return []


def leaves(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Writes much and returns at once."""
    environ["gunicorn.socket"].sendall(b"x" * 3_000_000 + b".")
    raise StopIteration


def fails(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    environ["gunicorn.socket"].sendall(b"one")
    raise LookupError("on purpose")


def times_out(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    connection = environ["gunicorn.socket"]
    connection.settimeout(0.05)
    try:
        connection.recv(10)
    except TimeoutError:
        connection.send(b"timeout")
    connection.shutdown(socket.SHUT_WR)
    return []


ROUTES = {"/raw": raw, "/leaves": leaves, "/fails": fails, "/times-out": times_out}
application_of_engine = engineio.WSGIApp(events, flask)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    route = ROUTES.get(environ["PATH_INFO"])
    if route is not None:
        return route(environ, start_response)
    return application_of_engine(environ, start_response)  # type: ignore[no-any-return]
