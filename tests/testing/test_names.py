"""Names of the package for tests, each loaded when it is asked for."""

from __future__ import annotations

import warnings

import pytest

from aiohttp_worker import testing


@pytest.mark.parametrize("name", testing.__all__)
def test_names(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # WebOb imports cgi where Python still has it
        if name == "TestApp":
            pytest.importorskip("webtest")
        assert getattr(testing, name).__name__ == name


def test_no_other_name() -> None:
    with pytest.raises(AttributeError, match=r"module 'aiohttp_worker\.testing' has no attribute 'TestClient'"):
        testing.TestClient  # noqa: B018
