"""The end of a process that an application forked, played in this one: nothing is forked and nothing ends."""

from __future__ import annotations

import concurrent.futures
import io
import os
import queue
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aiohttp_worker.errors import ClientDisconnectedError
from aiohttp_worker.server import forked
from aiohttp_worker.server.forked import ForkGuard, flush_streams, loop_descriptors
from tests.loops import LOOPS, new_loop

from .fakes import GET, FakeServer


class Left(BaseException):
    """Raised where the process would end; nothing of the application catches it."""


class Guarded:
    """A server whose process is guarded, as the child of a fork sees it."""

    def __init__(self, application: Any) -> None:
        self.codes: list[int] = []
        self.logged: list[str] = []
        self.detached: list[int] = []
        self.server = FakeServer(application)
        self.guard = ForkGuard(
            self.server.state, lambda: [-1, 77], lambda: [78], lambda error, text: self.logged.append(f"{text}: {error!r}")
        )

    def exit(self, code: int) -> None:
        self.codes.append(code)
        raise Left

    def run(self, call: Callable[[], object]) -> None:
        """Call something that ends this process."""
        self.guard.begin()
        try:
            with pytest.raises(Left):
                call()
        finally:
            sys.settrace(None)
            self.guard.end()

    def request(self) -> None:
        self.run(lambda: self.server.receive(GET % b"a"))


Make = Callable[[Any], Guarded]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    tracer = sys.gettrace()

    def make_guarded(application: Any = None) -> Guarded:
        one = Guarded(application)
        monkeypatch.setattr(os, "_exit", one.exit)
        monkeypatch.setattr(signal, "set_wakeup_fd", lambda fd: None)  # in the child, the thread that forked is the main one
        monkeypatch.setattr(forked, "detach", lambda sockets, epolls: one.detached.extend([*sockets, *epolls]))
        return one

    yield make_guarded
    sys.settrace(tracer)


def fork(name: str = "app") -> None:
    """Do what Python does in the child of a fork, called by the code of a module."""
    scope: dict[str, Any] = {"__name__": name, "call": forked._forks._in_child}
    exec("def forking(): call()", scope)
    scope["forking"]()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, ""),
        (SystemExit(), 0, ""),
        (SystemExit(7), 7, ""),
        (SystemExit(-1), 255, ""),
        (SystemExit("a sentence"), 1, "a sentence\n"),
        (ValueError("of the application"), 1, ""),
        (ClientDisconnectedError("gone"), 0, ""),
    ],
)
def test_exit_code(make: Make, error: BaseException | None, code: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = make(None)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    guarded.run(lambda: guarded.guard.leave(error))
    assert guarded.codes == [code]
    assert stream.getvalue() == said
    assert bool(guarded.logged) is isinstance(error, ValueError)


@pytest.mark.parametrize("fails", [False, True])
def test_an_ordinary_application(make: Make, fails: bool) -> None:
    """The process ends with the call that has forked; the connection is left to the parent."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        fork()
        if fails:
            raise ValueError("of the child")
        start_response("200 OK", [])
        return [b"from the child"]

    guarded = make(application)
    guarded.request()
    assert guarded.codes[0] == int(fails)  # a process ends once
    assert guarded.detached == [77, 78]
    assert guarded.server.take_sent() == b""


@pytest.mark.parametrize("fails", [False, True])
def test_a_coroutine(make: Make, fails: bool) -> None:
    """The loop runs on below it, so the outermost frame of the application is traced."""

    def run() -> None:
        fork()
        if fails:
            raise ValueError("of the child")

    code = compile("def outermost(call):\n    call()\n    return None\n", "app.py", "exec")
    scope: dict[str, Any] = {"__name__": "app"}
    exec(code, scope)
    guarded = make(None)
    guarded.run(lambda: scope["outermost"](run))
    assert guarded.codes == [int(fails)]
    assert len(guarded.logged) == fails


@pytest.mark.parametrize("name", ["subprocess", "multiprocessing.popen_fork"])
def test_processes_that_end_by_themselves(make: Make, name: str) -> None:
    guarded = make(None)
    guarded.guard.begin()
    try:
        fork(name)
    finally:
        guarded.guard.end()
    assert guarded.codes == []
    assert guarded.detached == ([] if name == "subprocess" else [77, 78])


def test_a_thread_of_an_executor(make: Make) -> None:
    """The process ends when the thread looks for its next work; what waits for it there is the parent's."""
    guarded = make(None)
    ended: list[bool] = []

    def work() -> None:
        try:
            fork()
        finally:
            items = concurrent.futures.thread._threads_queues[threading.current_thread()]  # type: ignore[attr-defined]
            try:
                items.get_nowait().run()
            except Left:
                ended.append(True)

    guarded.guard.begin()
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            executor.submit(bool).result(10)  # the executor knows its thread only after it has begun
            executor.submit(work).result(10)
    finally:
        guarded.guard.end()
    assert (ended, guarded.codes) == ([True], [0])


def test_work_of_the_parent_is_dropped(make: Make) -> None:
    guarded = make(None)
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()
    items.put("of the parent")
    guarded.guard._end_with_item(items)
    with pytest.raises(Left):
        items.get_nowait().run()
    assert items.empty()


def test_guarded_once(make: Make) -> None:
    """A process that the child forks has nothing of the worker's."""
    guarded = make(None)
    guarded.guard.begin()
    fork("subprocess")
    fork()
    assert guarded.detached == []
    guarded.guard.end()


def test_streams_are_flushed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a fork, or both processes would write what is in them; without a guard, they are left alone."""
    flushed: list[str] = []
    stream = types.SimpleNamespace(flush=lambda: flushed.append("now"))
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)
    forked._forks._before()
    assert flushed == []
    guarded = make(None)
    guarded.guard.begin()
    forked._forks._before()
    guarded.guard.end()
    assert flushed == ["now"]
    flush_streams()
    assert flushed == ["now", "now"]


@pytest.mark.parametrize("name", LOOPS)
def test_descriptors_of_a_loop(name: str) -> None:
    loop = new_loop(name)
    wakers, epolls = loop_descriptors(loop)
    assert all(fd >= 0 for fd in [*wakers, *epolls])
    assert len(epolls) == 1
    loop.close()
    assert loop_descriptors(object()) == ([], [])


def test_descriptor_of_a_transport() -> None:
    with socket.socket() as sock:
        assert forked._descriptor(types.SimpleNamespace(get_extra_info=lambda name: sock)) == sock.fileno()
    assert forked._descriptor(types.SimpleNamespace(get_extra_info=lambda name: None)) == -1
