"""Plugin of pytest: the fixture ``wsgi_server``, which serves applications by real workers.

It is loaded in every run of pytest in its environment, so that it imports nothing that a test has not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .gunicorn_process import GunicornProcess

_servers = pytest.StashKey["list[GunicornProcess]"]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show the log of each server where a test has failed."""
    report = yield
    if report.failed:
        for server in item.stash.get(_servers, []):
            report.sections.append((f"log of {server.url}", server.log))
    return report


@pytest.fixture
def wsgi_server(request: pytest.FixtureRequest) -> Iterator[Callable[..., GunicornProcess]]:
    """Serve an application by a real worker: ``wsgi_server(application, threads=4).url``.

    The parameters are those of ``GunicornProcess``. Every server is stopped after the test, and its log is shown if that fails.
    """
    from .gunicorn_process import GunicornProcess

    servers = request.node.stash.setdefault(_servers, [])
    with ExitStack() as stack:

        def serve(application: Any, **settings: Any) -> GunicornProcess:
            server = GunicornProcess(application, **settings)
            stack.callback(server.stop)
            servers.append(server.start())
            return server

        yield serve
