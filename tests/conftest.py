"""Order and guard of all tests: the fast ones come first, start no process and never sleep."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aiohttp_worker.wsgi.async_body import bodies_of_request, declare_server

# Audit events (https://docs.python.org/3/library/audit_events.html) of what belongs into slow and functional tests alone.
_FORBIDDEN = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}
_seen: list[str] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _FORBIDDEN and _seen is not None:
        _seen.append(f"{event}{arguments!r:.200}")


sys.addaudithook(_audit)


_sleep = time.sleep


def _audited_sleep(seconds: float) -> None:
    if _seen is not None:
        _seen.append(f"time.sleep({seconds!r})")
    _sleep(seconds)


time.sleep = _audited_sleep  # it has no audit event before Python 3.14


def _is_fast(item: pytest.Item) -> bool:
    return "functional" not in item.path.parts and item.get_closest_marker("slow") is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Watch what a fast test does, its fixtures included; not the last one, after which what slow ones share is stopped."""
    global _seen
    _seen = [] if _is_fast(item) and nextitem is not None else None
    try:
        return (yield)
    finally:
        _seen = None


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    if _seen:
        pytest.fail(f"a fast test starts no process and never sleeps; mark this one slow: {', '.join(_seen)}", pytrace=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Functional tests start real servers; whoever broke something pure hears of it before."""
    items.sort(key=lambda item: "functional" in item.path.parts)


@pytest.fixture(autouse=True, scope="module")
def _no_worker_left() -> Iterator[None]:
    """Forget a worker that a module's tests ran in this process, and bodies made there: what comes later would find them."""
    yield
    declare_server(None)
    bodies_of_request.set(None)
