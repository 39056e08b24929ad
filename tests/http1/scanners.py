"""The scanner as it is imported, and the plain one: compiled, one is the oracle of the other."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import aiohttp_worker.http1
from aiohttp_worker.http1 import head_scanner
from aiohttp_worker.http1.request_parser import LINE_KEYS, learn_name

COMPILED = not str(head_scanner.__file__).endswith(".py")


def load_plain(module_name: str = "head_scanner") -> Any:
    """The module as plain Python, whether it is compiled or not."""
    name = f"aiohttp_worker.http1.plain_{module_name}"
    spec = importlib.util.spec_from_file_location(name, Path(aiohttp_worker.http1.__file__).with_name(f"{module_name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def new_scanner(module: Any = head_scanner, line: int = 4094, fields: int = 100, size: int = 8190) -> Any:
    return module.HeadScanner(learn_name, LINE_KEYS, line, fields, size)


def new_table() -> dict[str, object]:
    return {":method": "GET", ":protocol": "HTTP/1.1", ":query": ""}


def scan(scanner: Any, data: bytes, start: int = 0) -> tuple[int, int, dict[str, object]]:
    """Where the head ends, -1 if it does not, its flags, and its table."""
    from aiohttp_worker.http1.head_flags import ALL, BITS

    table = new_table()
    found = scanner.read(data, start, table)
    return (-1, 0, table) if found < 0 else (found >> BITS, found & ALL, table)
