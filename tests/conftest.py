"""Order of the tests: the fast ones come first."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Functional tests start real servers; whoever broke something pure hears of it before."""
    items.sort(key=lambda item: "functional" in item.path.parts)
