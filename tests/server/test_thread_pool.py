"""Threads: whatever is free first takes a new request, and what a request began on one thread ends there."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Iterator

import pytest

from aiohttp_worker.server.thread_pool import PoolThread, ThreadPool

PATIENCE = 10


class Job:
    """A piece of work that can be held up, and knows where it ran."""

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool
        self._may_end = threading.Event()
        self.began = threading.Event()
        self.ended = threading.Event()
        self.member: PoolThread | None = None

    def __call__(self) -> None:
        self.member = self._pool.current()
        assert self.member.thread is threading.current_thread()
        self.began.set()
        assert self._may_end.wait(PATIENCE)
        self.ended.set()

    def finish(self) -> None:
        self._may_end.set()
        assert self.ended.wait(PATIENCE)


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    one = ThreadPool(3)
    one.start()
    yield one
    one.stop()
    for member in one.threads:
        member.thread.join(PATIENCE)
        assert not member.thread.is_alive()


def test_as_many_at_once_as_there_are_threads(pool: ThreadPool) -> None:
    jobs = [Job(pool) for _ in range(5)]
    for job in jobs:
        pool.submit(job)
    for job in jobs[:3]:
        assert job.began.wait(PATIENCE)
    assert len({job.member for job in jobs[:3]}) == 3
    assert pool.backlog == 2
    assert not jobs[3].began.is_set()
    for job in jobs:
        job.finish()
    assert pool.backlog == 0


def test_waiting_jobs_come_in_order(pool: ThreadPool) -> None:
    holding = [Job(pool) for _ in range(3)]
    for job in holding:
        pool.submit(job)
    order: list[int] = []
    done = threading.Event()
    for number in range(20):
        pool.submit(lambda number=number: order.append(number))  # type: ignore[misc]
    pool.submit(done.set)
    holding[0].finish()  # one thread takes them all
    assert done.wait(PATIENCE)
    assert order == list(range(20))
    for job in holding[1:]:
        job.finish()


def test_more_work_of_a_request_goes_to_its_thread(pool: ThreadPool) -> None:
    first = Job(pool)
    pool.submit(first)
    first.finish()
    assert first.member is not None
    for _ in range(50):
        more = Job(pool)
        pool.submit_to(first.member, more)
        more.finish()
        assert more.member is first.member


def test_own_work_comes_before_anything_new(pool: ThreadPool) -> None:
    jobs = [Job(pool) for _ in range(3)]
    for job in jobs:
        pool.submit(job)
    for job in jobs:
        assert job.began.wait(PATIENCE)
    order: list[str] = []
    done = threading.Event()
    pool.submit(lambda: order.append("new"))
    pool.submit(done.set)
    assert jobs[0].member is not None
    pool.submit_to(jobs[0].member, lambda: order.append("own"))
    assert pool.owes
    jobs[0].finish()
    assert done.wait(PATIENCE)
    assert order == ["own", "new"]
    for job in jobs[1:]:
        job.finish()


def test_it_owes_nothing_when_all_is_done(pool: ThreadPool) -> None:
    assert not pool.owes or pool.backlog == 0
    job = Job(pool)
    pool.submit(job)
    job.finish()
    own = Job(pool)
    assert job.member is not None
    pool.submit_to(job.member, own)
    assert own.began.wait(PATIENCE)
    assert pool.owes  # it does it now
    own.finish()


def test_many_jobs_from_one_thread(pool: ThreadPool) -> None:
    """None is lost, and none done twice, however threads fall idle between."""
    counted: list[int] = []
    for number in range(5000):
        pool.submit(lambda number=number: counted.append(number))  # type: ignore[misc]
    last = [Job(pool) for _ in range(3)]
    for job in last:
        pool.submit(job)
    for job in last:
        assert job.began.wait(PATIENCE)
    assert sorted(counted) == list(range(5000))
    for job in last:
        job.finish()


def test_threads_have_names_of_their_own() -> None:
    pool = ThreadPool(2)
    assert [member.thread.name for member in pool.threads] == ["wsgi-1", "wsgi-2"]
    assert all(member.thread.daemon for member in pool.threads)
    assert pool.size == 2


def test_stop_lets_what_runs_end() -> None:
    pool = ThreadPool(2)
    pool.start()
    running = Job(pool)
    pool.submit(running)
    assert running.began.wait(PATIENCE)
    pool.stop()
    running.finish()
    for member in pool.threads:
        member.thread.join(PATIENCE)
        assert not member.thread.is_alive()


def test_finished_job_is_let_go() -> None:
    """Threads that wait for their next job keep nothing of the last one alive: it refers to a request."""

    class Request:
        pass

    def use(request: Request) -> None:
        pass

    pool = ThreadPool(1)
    pool.start()
    ended = threading.Event()
    request = Request()
    weakref.finalize(request, ended.set)
    pool.submit(functools.partial(use, request))
    del request
    assert ended.wait(PATIENCE)
    pool.stop()
    pool.threads[0].thread.join(PATIENCE)
