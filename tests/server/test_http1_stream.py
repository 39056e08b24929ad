"""Stream of an HTTP/1 connection: the body of the request, and pausing while a file waits for the client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .fakes import GET, POST, FakeServer
from .test_connection import wait_for_ever

EXPECT = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n"


def test_without_a_body() -> None:
    server = FakeServer(wait_for_ever)
    server.receive(GET % b"a")
    stream = server.connection.stream
    assert (stream.body, stream.body_read, stream.awaits_body, stream.can_skip_body) == (None, 0, False, False)
    assert not stream.leaves_body()


@pytest.mark.parametrize(
    ("request_", "leaves", "can_skip"),
    [(POST % (b"a", 6) + b"abc", False, True), (POST % (b"a", 10_000_000) + b"abc", True, False), (EXPECT, True, False)],
)
def test_a_body_that_nobody_reads(request_: bytes, leaves: bool, can_skip: bool) -> None:
    server = FakeServer(wait_for_ever)
    server.receive(request_)
    stream = server.connection.stream
    assert (stream.leaves_body(), stream.can_skip_body) == (leaves, can_skip)


def test_a_body_that_is_read() -> None:
    async def application(environ: dict[str, Any], start_response: Any) -> Any:
        await environ["wsgi.input"].readexactly(2)
        await asyncio.get_running_loop().create_future()

    server = FakeServer(application)
    server.receive(POST % (b"a", 10_000_000) + b"abc")
    stream = server.connection.stream
    assert stream.body_read == 2
    assert not stream.leaves_body()  # more of it may still be asked for


def test_a_client_that_leaves_is_seen_in_environ() -> None:
    environs: list[dict[str, Any]] = []

    async def application(environ: dict[str, Any], start_response: Any) -> Any:
        environs.append(environ)
        await asyncio.get_running_loop().create_future()

    server = FakeServer(application)
    server.receive(GET % b"a")
    assert not environs[0]["aiohttp_worker.client_disconnected"]()
    server.lose()
    assert environs[0]["aiohttp_worker.client_disconnected"]()


def test_files_pause_and_resume_the_connection() -> None:
    server = FakeServer(wait_for_ever)
    server.receive(GET % b"a")
    stream = server.connection.stream
    stream.pause_writing()
    assert stream.write_queue.paused
    stream.resume_writing()
    assert not stream.write_queue.paused
