"""A process that an application forked from the worker, and how it ends.

It has a copy of everything: the loop, which waits at the same epoll instance, the connections, what is to be sent on them. It may
do what it likes, as long as it is the application's code that runs. When that code has come to its end, in whatever way, the
process ends too, and its parent has noticed nothing.
"""

from __future__ import annotations

import concurrent.futures.thread
import dis
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Final

from aiohttp_worker.errors import ClientDisconnectedError, IncompleteBodyError
from aiohttp_worker.transport.descriptors import detach

from .state import State

# Whose frames lie between the thread's first one and the application's.
_OURS: Final = frozenset(("aiohttp_worker", "asyncio", "concurrent", "threading", "uvloop"))
_NORMAL: Final = frozenset(dis.opmap[name] for name in ("RETURN_VALUE", "RETURN_CONST", "YIELD_VALUE") if name in dis.opmap)


class ForkGuard:
    """Keeps the processes that an application forks from what is the worker's.

    :param sockets: gives the descriptors, besides those of connections, that lead to somebody.
    :param epolls: gives those of epoll instances.
    :param log_exception: logs what the application's code raised in such a process.
    """

    def __init__(
        self,
        state: State,
        sockets: Callable[[], Iterable[int]],
        epolls: Callable[[], Iterable[int]],
        log_exception: Callable[[BaseException, str], None],
    ) -> None:
        self._state = state
        self._sockets = sockets
        self._epolls = epolls
        self._log_exception = log_exception
        self._ident = 0
        self._depth = 0
        self._raised: BaseException | None = None

    def begin(self) -> None:
        """Guard from now on; to be called in the loop's thread, where the loop will run."""
        self._ident = threading.get_ident()
        self._depth = len(_frames(sys._getframe(1)))
        _forks.guard(self)

    def end(self) -> None:
        """Guard no more: the worker ends."""
        _forks.guard(None)

    def in_child(self, frame: FrameType | None) -> None:
        """Prepare a process that was just forked, before the application's code goes on in it.

        :param frame: the one that has forked.
        """
        caller = "" if frame is None else str(frame.f_globals.get("__name__", ""))
        if caller == "subprocess":
            return  # it becomes another program, which inherits nothing
        signal.set_wakeup_fd(-1)
        state = self._state
        sockets = [*self._sockets(), *(_descriptor(connection.transport) for connection in state.connections)]
        detach([fd for fd in sockets if fd >= 0], [fd for fd in self._epolls() if fd >= 0])
        state.forsake(self.leave)
        if caller.startswith("multiprocessing."):
            return  # it never returns from there
        thread = threading.current_thread()
        if thread in concurrent.futures.thread._threads_queues:
            self._end_with_item(concurrent.futures.thread._threads_queues[thread])
        elif threading.get_ident() == self._ident and not state.running_loop.in_application:
            self._watch(frame)

    def leave(self, error: BaseException | None) -> None:
        """End the process: the application's code has ended, with or without an error."""
        code = 0
        if isinstance(error, SystemExit):
            if isinstance(error.code, int):
                code = error.code & 0xFF
            elif error.code is not None:
                code = 1
                sys.stderr.write(f"{error.code}\n")
        elif error is not None and not isinstance(error, ClientDisconnectedError | IncompleteBodyError):
            code = 1
            self._log_exception(error, "Error in a process that the application forked")
        flush_streams()
        os._exit(code)

    def _watch(self, frame: FrameType | None) -> None:
        """End the process with the application's outermost frame: the loop would run on below it.

        Tracing makes calls slower; so this is only for what runs on the loop.
        """
        frames = _frames(frame)
        frames = frames[: len(frames) - self._depth]
        while frames and str(frames[-1].f_globals.get("__name__", "")).partition(".")[0] in _OURS:
            frames.pop()
        if frames:
            frames[-1].f_trace = self._trace
            frames[-1].f_trace_lines = False
            # It is asked at each call for a tracer of the new frame, and answers None quickly: no frame has this attribute.
            sys.settrace(getattr)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "exception":
            self._raised = argument[1]
        elif event == "return":
            # There is no value with an exception, and None is one.
            normal = frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] in _NORMAL
            sys.settrace(None)
            self.leave(None if normal else self._raised)
        return self._trace

    def _end_with_item(self, items: Any) -> None:
        """Make a thread of an executor end the process when it looks for its next work."""
        try:
            while True:
                items.get_nowait()
        except queue.Empty:
            items.put(_LastItem(self.leave))


class _LastItem:
    """Work for a thread of an executor."""

    def __init__(self, leave: Callable[[BaseException | None], None]) -> None:
        self._leave = leave

    def run(self, *_: Any) -> None:
        """End the process."""
        self._leave(None)


class _Forks:
    """Callbacks at each fork of this process; registered once, because Python cannot unregister them."""

    def __init__(self) -> None:
        self._guard: ForkGuard | None = None
        self._registered = False

    def guard(self, guard: ForkGuard | None) -> None:
        self._guard = guard
        if not self._registered:
            self._registered = True
            os.register_at_fork(before=self._before, after_in_child=self._in_child)

    def _before(self) -> None:
        if self._guard is not None:
            flush_streams()  # or it would be written twice

    def _in_child(self) -> None:
        guard, self._guard = self._guard, None  # what is forked from there has nothing of the worker's any more
        if guard is not None:
            guard.in_child(sys._getframe(1))


_forks: Final = _Forks()


def loop_descriptors(loop: Any) -> tuple[list[int], list[int]]:
    """Return the sockets by which a loop wakes itself, and its epoll instance, as far as it tells."""
    if hasattr(loop, "_get_backend_id"):  # uvloop
        return [], [loop._get_backend_id()]
    selector: Any = getattr(loop, "_selector", None)
    sockets: list[Any] = [getattr(loop, name, None) for name in ("_ssock", "_csock")]
    wakers = [sock.fileno() for sock in sockets if sock is not None]
    return wakers, [selector.fileno()] if hasattr(selector, "fileno") else []


def flush_streams() -> None:
    """Write what is left to be written to standard output and error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue


def _frames(frame: FrameType | None) -> list[FrameType]:
    """Return a frame and those below it."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _descriptor(transport: Any) -> int:
    sock = transport.get_extra_info("socket")
    return -1 if sock is None else int(sock.fileno())
