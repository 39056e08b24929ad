"""Number of attributes, and of flags among them, that one request in flight consists of."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import aiohttp_worker

FILES = {
    "HTTP1Connection": "server/http1_connection.py",
    "Connection": "server/connection.py",
    "HTTP1Stream": "server/http1_stream.py",
    "Lifetime": "server/lifetime.py",
    "Exchange": "server/exchange.py",
    "Answer": "server/answer.py",
    "InlineChannel": "server/channels.py",
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


def is_flag(value: ast.expr) -> bool:
    return isinstance(value, ast.Compare) or (isinstance(value, ast.Constant) and isinstance(value.value, bool))


def flags(name: str) -> Iterator[str]:
    """Return the attributes that begin as True or False."""
    for function in class_body(name).body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and is_flag(node.value):
                    yield from (target.attr for target in node.targets if isinstance(target, ast.Attribute))


def test_attributes_of_one_request() -> None:
    """A ceiling, to be lowered: whoever adds one takes another away."""
    assert sum(len(slots(name)) for name in FILES) <= 96


def test_flags_of_one_request() -> None:
    assert len([flag for name in FILES for flag in flags(name)]) <= 9


@pytest.mark.parametrize("name", ["Connection", "HTTP1Connection", "Exchange", "Lifetime"])
def test_states_are_no_flags(name: str) -> None:
    """Phases and states are members of enumerations, which cannot contradict each other."""
    assert list(flags(name)) == []


def test_reasons_to_close_are_given_in_one_way() -> None:
    """Keep-alive has one writer, which keeps the reason."""
    package = Path(inspect.getfile(aiohttp_worker)).parent
    writers = [
        (path.name, node.attr)
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr == "close_reason"
    ]
    assert set(writers) == {("response_side.py", "close_reason")}
