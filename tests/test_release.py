"""Facts of a release that stand in several places, the same in all of them."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp_worker

ROOT = Path(__file__).resolve().parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def versions(text: str) -> list[int]:
    """The minor numbers of all Pythons that a text names."""
    return [int(minor) for minor in re.findall(r"\b3\.(\d+)\b", text)]


SETUP = read("setup.py")
CLASSIFIED = [int(minor) for minor in re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', SETUP)]


def test_changes_begin_with_this_version() -> None:
    """Or with a later one that is not released."""
    heading, state = re.findall(r"^(\d+\.\d+\.\d+)\n-+\n\n(\S+)", read("CHANGES.rst"), re.MULTILINE)[0]
    here = [int(part) for part in aiohttp_worker.__version__.split(".")]
    there = [int(part) for part in heading.split(".")]
    if state == "unreleased":
        assert there > here
    else:
        assert there == here
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", state)


def test_classifiers_name_each_python_without_a_gap() -> None:
    assert list(range(min(CLASSIFIED), max(CLASSIFIED) + 1)) == CLASSIFIED


def test_the_oldest_python_is_the_same_everywhere() -> None:
    oldest = min(CLASSIFIED)
    assert f'python_requires=">=3.{oldest}"' in SETUP
    assert f'python_version = "3.{oldest}"' in read("pyproject.toml")
    assert f'target-version = "py3{oldest}"' in read("pyproject.toml")
    assert f"oldest={oldest}\n" in read(".ci/find-python")
    assert f"Python 3.{oldest} or newer" in read("README.rst")


def test_the_matrix_and_the_search_have_each_python() -> None:
    (matrix,) = re.findall(r"^VERSIONS \?= (.*)$", read("Makefile"), re.MULTILINE)
    assert versions(matrix) == CLASSIFIED
    (searched,) = re.findall(r"for minor in ([\d ]+);", read(".ci/find-python"))
    assert sorted(map(int, searched.split())) == CLASSIFIED
    (wheels,) = re.findall(r'"--versions", default="(.*)"', read(".ci/wheels"))
    assert versions(wheels) == CLASSIFIED


def test_fetched_pythons_are_classified() -> None:
    (fetched,) = re.findall(r"versions=\(([\d. ]+)\)", read(".ci/pythons"))
    assert set(versions(fetched)) <= set(CLASSIFIED)
