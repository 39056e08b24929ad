"""Options without a setting of Gunicorn: attributes of the classes, and environment variables over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiohttp_worker.integration.settings import OPTIONS, read_options
from aiohttp_worker.worker import AsyncGunicornWorker

ROOT = Path(__file__).resolve().parents[2]


class Subclass(AsyncGunicornWorker):
    head_timeout = 7


def test_defaults_are_those_of_the_class() -> None:
    assert read_options(AsyncGunicornWorker, {}) == {option.name: option.default for option in OPTIONS}


def test_a_subclass_and_the_environment() -> None:
    assert read_options(Subclass, {})["head_timeout"] == 7
    assert read_options(Subclass, {"AIOHTTP_WORKER_HEAD_TIMEOUT": "3.5"})["head_timeout"] == 3.5


@pytest.mark.parametrize("value", ["", "x", "-1", "nan", "inf", "1,5", "0x10"])
def test_values_that_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=f"AIOHTTP_WORKER_BODY_TIMEOUT must be a number of seconds, 0 or more: '{value}'"):
        read_options(AsyncGunicornWorker, {"AIOHTTP_WORKER_BODY_TIMEOUT": value})


@pytest.mark.parametrize("value", [True, None, [], -5, float("nan")])
def test_attributes_that_are_refused(value: object) -> None:
    kind = type("Wrong", (AsyncGunicornWorker,), {"write_timeout": value})
    with pytest.raises(ValueError, match=r"Wrong\.write_timeout must be a number"):
        read_options(kind, {})


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_documented(option: object) -> None:
    page = (ROOT / "docs" / "settings.rst").read_text(encoding="utf-8")
    assert option.variable in page  # type: ignore[attr-defined]
    assert f"``{option.name}``" in page  # type: ignore[attr-defined]
