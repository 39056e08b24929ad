"""A lean pool of threads in which the work of one request stays on one thread."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable

Job = Callable[[], None]


class PoolThread:
    """One thread of a :class:`ThreadPool`, with work that only it may do.

    :ivar occupant: whose job it does, if somebody is to know.
    :ivar since: when it began that, on the monotonic clock.
    """

    __slots__ = ("_pool", "at_own", "mailbox", "occupant", "own", "since", "thread")

    def __init__(self, pool: ThreadPool, name: str) -> None:
        self._pool = pool
        self.own: deque[Job] = deque()
        self.at_own = False
        self.occupant: object = None
        self.since = 0.0
        self.mailbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        pool = self._pool
        pool._here.thread = self
        while True:
            job = pool._next(self)
            if job is None:
                return
            job()
            job = None  # it refers to a request, which must not live on while this thread has nothing to do
            self.at_own = False


class ThreadPool:
    """Runs jobs in a fixed number of threads.

    ``concurrent.futures`` makes a future, a work item and several locked
    hand-overs for each job, which costs more than the server itself; and it
    cannot bring a request back to the thread that began it.

    :param size: number of threads.
    """

    def __init__(self, size: int) -> None:
        self._waiting: deque[Job] = deque()
        self._idle: deque[PoolThread] = deque()
        self._here = threading.local()
        self._stopped = False
        self.size = size
        self.threads = [PoolThread(self, f"wsgi-{number}") for number in range(1, size + 1)]

    def start(self) -> None:
        """Start the threads."""
        for member in self.threads:
            member.thread.start()

    def submit(self, job: Job) -> None:
        """Have *job* run by whichever thread is free first; from one thread only."""
        try:
            member = self._idle.pop()
        except IndexError:
            self._waiting.append(job)
            # A thread may have found nothing just before, and gone idle since.
            try:
                member = self._idle.pop()
            except IndexError:
                return
            try:
                job = self._waiting.popleft()
            except IndexError:
                self._idle.append(member)
                return
        member.mailbox.put(job)

    def submit_to(self, member: PoolThread, job: Job) -> None:
        """Have *job* run by *member*, before anything new."""
        member.own.append(job)
        try:
            self._idle.remove(member)
        except ValueError:
            return  # it is busy, and looks at its own work first when it is done
        member.mailbox.put(_nothing)

    def current(self) -> PoolThread:
        """Return the thread that runs the caller's job."""
        member: PoolThread = self._here.thread
        return member

    @property
    def backlog(self) -> int:
        """Jobs that no thread has begun."""
        return len(self._waiting)

    def take_waiting(self) -> list[Job]:
        """Take back the jobs that no thread has begun."""
        jobs = []
        while True:
            try:
                jobs.append(self._waiting.popleft())
            except IndexError:  # threads take them too
                return jobs

    @property
    def owes(self) -> bool:
        """True if a thread has work that only it may do, or does it."""
        return any(member.own or member.at_own for member in self.threads)

    def stop(self) -> None:
        """Let the threads end when they are done; they are not waited for."""
        self._stopped = True
        for _ in range(self.size):
            try:
                self._idle.pop().mailbox.put(None)
            except IndexError:
                return

    def _next(self, member: PoolThread) -> Job | None:
        """Return the next job for *member*, waiting for one if need be."""
        while True:
            member.at_own = True  # before it can be seen that there is nothing left
            try:
                return member.own.popleft()
            except IndexError:
                member.at_own = False
            try:
                return self._waiting.popleft()
            except IndexError:
                pass
            if self._stopped:
                return None
            self._idle.append(member)
            if member.own or self._waiting:
                # Work came in between. Whoever removes the entry from the idle
                # ones owns the thread: us, or a submitter with a job for it.
                try:
                    self._idle.remove(member)
                except ValueError:
                    return member.mailbox.get()
                continue
            return member.mailbox.get()


def _nothing() -> None:
    """Wake a thread, which then finds its own work."""
