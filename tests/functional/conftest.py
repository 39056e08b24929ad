"""Real Gunicorn masters for the tests, shared where the tests allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.loops import LOOPS

from .server import NO_STREAM, STREAM, Gate, Server

Serve = Callable[..., Server]

WORKERS = {"stream": STREAM, "nostream": NO_STREAM}


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """serve(application, worker_class=..., ...): a server that later tests of the module with the same
    settings get again. Tests that share one must not leave anything behind in it.
    """
    servers: dict[str, Server] = {}

    def serve(application: str, **settings: Any) -> Server:
        key = repr((application, sorted(settings.items())))
        if key not in servers:
            directory = tmp_path_factory.mktemp("gunicorn")
            servers[key] = Server(application, directory=directory, **settings).start()
        return servers[key]

    yield serve
    errors = []
    for server in servers.values():
        server.begin_to_stop()  # all at once
    for server in servers.values():
        try:
            server.stop()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """serve(application, worker_class=..., ...): a server that ends with the test."""
    servers: list[Server] = []

    def start(application: str, **settings: Any) -> Server:
        directory = tmp_path_factory.mktemp("gunicorn")
        server = Server(application, directory=directory, **settings)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as one:
        yield one


@pytest.fixture
def second_gate() -> Iterator[Gate]:
    with Gate() as one:
        yield one


@pytest.fixture(scope="module", params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=WORKERS)
def worker_class(request: pytest.FixtureRequest) -> str:
    return WORKERS[request.param]
