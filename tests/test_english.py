"""Docstrings: a first line that a search finds, a noun phrase or an imperative, in one dialect."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("aiohttp_worker", "aiohttp", "tests", "benchmarks", "fuzz", "docs", "requirements")

# A first line that begins with one of these names nothing: what the pronoun stands for, or the answer, is behind it.
NAMELESS = re.compile(
    r"(Who|Whom|Whose|What|Whatever|Whoever|Where|When|Whether|Why|How|Which|It|Its|They|Their|This|These|That|Those)\b"
)
# Private words of this project for verbs of the field, such as handle, receive, mark.
PRIVATE = re.compile(r"(Take up|Have (?!been)\w+ )\b")
OTHER_DIALECTS = re.compile(
    r"^\s*(Args|Arguments|Parameters|Returns|Return value|Raises|Yields):\s*$|@param\b|:type \w+:|:returns:", re.MULTILINE
)


def modules() -> list[str]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in [*found, ROOT / "setup.py"])


MODULES = modules()
PRODUCT = [name for name in MODULES if name.startswith(("aiohttp_worker/", "aiohttp/"))]


def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def docstrings(name: str) -> Iterator[tuple[str, str]]:
    """Name and docstring of everything in a module that has one, the module itself first."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "module"), text


@pytest.mark.parametrize("name", [name for name in MODULES if (ROOT / name).stat().st_size])
def test_first_line_of_a_module(name: str) -> None:
    text = ast.get_docstring(tree(name))
    assert text, "the module has no docstring"
    first = text.partition("\n")[0]
    assert first.endswith((".", "::")), first
    assert not NAMELESS.match(first), first


@pytest.mark.parametrize("name", PRODUCT)
def test_first_lines_in_a_module(name: str) -> None:
    found = [f"{what}: {text.partition(chr(10))[0]}" for what, text in docstrings(name)]
    wrong = [line for line in found if NAMELESS.match(line.partition(": ")[2]) or PRIVATE.match(line.partition(": ")[2])]
    assert wrong == []


@pytest.mark.parametrize("name", MODULES)
def test_one_dialect(name: str) -> None:
    """``:param x:``, ``:return:`` and ``:raises X:``."""
    wrong = [f"{what}: {found[0].strip()}" for what, text in docstrings(name) if (found := OTHER_DIALECTS.search(text))]
    assert wrong == []
