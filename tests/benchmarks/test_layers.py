"""The program that measures the pure layers calls what there is."""

from __future__ import annotations

import importlib.util
import sys
from itertools import cycle, islice
from types import ModuleType

import pytest

from benchmarks.environment import APPS
from benchmarks.layers import choose_counter, parse_instructions

CASES = [
    f"{kind}: {part}"
    for kind in ("hello", "browser", "hello-varying", "browser-varying", "post")
    for part in ("head", "head, environ", "head, environ, answer")
]


@pytest.fixture(scope="module")
def layers() -> ModuleType:
    """The program, loaded beside the application that it imports."""
    sys.path.insert(0, str(APPS))
    try:
        spec = importlib.util.spec_from_file_location("benchmarked_layers", APPS / "layers.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(APPS))
        sys.modules.pop("wsgi", None)


def test_cases(layers: ModuleType) -> None:
    assert list(layers.cases()) == CASES


@pytest.mark.parametrize("case", CASES)
def test_case(layers: ModuleType, case: str) -> None:
    """Each runs a few requests, and a whole answer is one."""
    function, requests = layers.cases()[case]
    assert layers.run(function, islice(cycle(requests), 5)) >= 0
    if case.endswith("answer"):
        assert function(requests[0]).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12345,,instructions:u,1000,100.00,,\n", 12345),
        ("==1== I   refs:      1,234,567\n", 1234567),
        ("<not supported>,,instructions:u,0,100.00,,\n", None),
    ],
)
def test_parse_instructions(text: str, expected: int | None) -> None:
    assert parse_instructions(text) == expected


@pytest.mark.slow
def test_choose_counter() -> None:
    assert choose_counter()[:1] in ((), ("perf",), ("valgrind",))
