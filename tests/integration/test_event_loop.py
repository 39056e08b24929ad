"""The event loop of a worker, by the setting ``asgi_loop``."""

from __future__ import annotations

import asyncio
import sys

import pytest

from aiohttp_worker.integration.event_loop import has_uvloop, new_loop


def module_of(choice: str) -> str:
    loop = new_loop(choice)
    loop.close()
    return type(loop).__module__.partition(".")[0]


def test_asyncio() -> None:
    assert module_of("asyncio") == "asyncio"


@pytest.mark.parametrize("choice", ["auto", "uvloop"])
def test_uvloop(choice: str) -> None:
    pytest.importorskip("uvloop")
    assert has_uvloop()
    assert module_of(choice) == "uvloop"


@pytest.mark.parametrize("choice", ["auto", "uvloop"])
def test_without_uvloop(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert not has_uvloop()
    assert module_of(choice) == "asyncio"


def test_the_current_loop_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that asks for the current loop must not find the worker's."""
    seen: list[object] = []
    monkeypatch.setattr(asyncio, "set_event_loop", seen.append)
    module_of("auto")
    assert seen == []
