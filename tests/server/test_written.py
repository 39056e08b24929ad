"""Result of ``write()``, awaited and delegated to."""

from __future__ import annotations

from typing import Any

import pytest

from aiohttp_worker.server.channels import InlineChannel, TaskChannel
from aiohttp_worker.server.written import Written
from aiohttp_worker.transport.write_queue import WriteQueue

from .fakes import FakeServer, FakeTransport


class Site:
    def __init__(self) -> None:
        self.server = FakeServer()
        self.write_queue = WriteQueue(FakeTransport(), None)  # type: ignore[arg-type]
        self.inline = InlineChannel(self.server.state, self.write_queue)
        self.task = TaskChannel(self.server.state, self.write_queue, self.inline)


@pytest.fixture
def site() -> Site:
    return Site()


def run(site: Site, written: Written) -> Any:
    async def wait() -> str:
        await written
        return "went on"

    task = site.server.loop.create_task(wait())
    site.server.loop.run_ready()
    return task


def test_where_the_loop_is_hidden_it_is_yielded_only_if_it_must_wait(site: Site) -> None:
    written = Written(site.inline, site.write_queue)
    assert list(written) == []
    site.write_queue.paused = True
    assert list(written) == [written]
    assert written.gives_no_piece


def test_awaited_it_waits_for_the_client(site: Site) -> None:
    for channel in (site.task, site.inline):
        site.write_queue.paused = True
        task = run(site, Written(channel, site.write_queue))
        assert not task.done()
        site.write_queue.resume()
        site.server.loop.run_ready()
        assert task.result() == "went on"


def test_in_a_task_delegating_is_awaiting(site: Site) -> None:
    written = Written(site.task, site.write_queue)
    assert list(written) == [None]  # one turn for others
    assert list(written) == []  # whose turn has begun
    site.write_queue.paused = True
    with site.server.loop.running():
        future = next(iter(written))
    assert not future.done()


def test_awaited_inline_while_nothing_waits(site: Site) -> None:
    assert run(site, Written(site.inline, site.write_queue)).result() == "went on"
