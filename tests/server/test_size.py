"""Number of attributes, and of flags among them, that one request in flight consists of."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import aiohttp_worker

FILES = {
    "HTTP1Connection": "server/http1_connection.py",
    "Connection": "server/connection.py",
    "HTTP1Stream": "server/http1_stream.py",
    "Lifetime": "server/lifetime.py",
    "Exchange": "server/exchange.py",
    "Delivery": "server/channels.py",
    "StartResponse": "wsgi/start_response.py",
    "RequestBody": "server/request_body.py",
    "ServerConnection": "http1/server_connection.py",
    "ResponseSide": "http1/response_side.py",
    "RequestReader": "http1/request_reader.py",
    "WriteQueue": "transport/write_queue.py",
}


def class_body(name: str) -> ast.ClassDef:
    source = (Path(inspect.getfile(aiohttp_worker)).parent / FILES[name]).read_text(encoding="utf-8")
    (found,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name]
    return found


def slots(name: str) -> list[str]:
    for node in class_body(name).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__":
            return [one for one in ast.literal_eval(node.value) if one != "__weakref__"]
    raise AssertionError(f"{name} has no __slots__")


def flags(name: str) -> Iterator[str]:
    """Attributes that begin as True or False."""
    for function in class_body(name).body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
                    yield from (target.attr for target in node.targets if isinstance(target, ast.Attribute))
