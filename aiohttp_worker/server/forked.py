"""Processes that an application forks from the worker: kept from its sockets, and ended with the application's code.

Such a process has a copy of everything: the loop, which waits at the same epoll instance, the connections, and the data that is
to be sent on them. It may do anything while code of the application runs. When that code has ended, in whatever way, the process
ends too, and the worker has noticed nothing.
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

# Packages whose frames lie between the first frame of a thread and those of the application.
_OURS: Final = frozenset(("aiohttp_worker", "asyncio", "concurrent", "threading", "uvloop"))
_NORMAL: Final = frozenset(dis.opmap[name] for name in ("RETURN_VALUE", "RETURN_CONST", "YIELD_VALUE") if name in dis.opmap)


class ForkGuard:
    """Detaches the processes that an application forks from the sockets of the worker.

    :param sockets: returns the descriptors of sockets and pipes, besides those of connections.
    :param epolls: returns the descriptors of epoll instances.
    :param log_exception: logs an error of the application in such a process.
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
        """Start guarding; to be called in the loop's thread, by the function that runs the loop."""
        self._ident = threading.get_ident()
        self._depth = len(_frames(sys._getframe(1)))
        _forks.guard(self)

    def end(self) -> None:
        """Stop guarding, because the worker ends."""
        _forks.guard(None)

    def in_child(self, frame: FrameType | None) -> None:
        """Prepare a process that was just forked, before the application's code goes on in it.

        :param frame: the frame that has forked.
        """
        caller = "" if frame is None else str(frame.f_globals.get("__name__", ""))
        if caller == "subprocess":
            return  # the process becomes another program, which inherits nothing
        signal.set_wakeup_fd(-1)
        state = self._state
        sockets = [*self._sockets(), *(_descriptor(connection.transport) for connection in state.connections)]
        detach([fd for fd in sockets if fd >= 0], [fd for fd in self._epolls() if fd >= 0])
        state.forsake(self.leave)
        if caller.startswith("multiprocessing."):
            return  # multiprocessing ends the process itself
        items = _executor_queue(frame)
        if items is not None:
            self._end_with_item(items)
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
        """Trace the outermost frame of the application, to end the process with it: the loop below would go on.

        Tracing makes calls slower, so it is only used for code that runs on the loop.
        """
        frames = _frames(frame)
        frames = frames[: len(frames) - self._depth]
        while frames and str(frames[-1].f_globals.get("__name__", "")).partition(".")[0] in _OURS:
            frames.pop()
        if frames:
            frames[-1].f_trace = self._trace
            frames[-1].f_trace_lines = False
            # Called as getattr(frame, "call", None) at each call: no frame has such an attribute, so nothing else is traced.
            sys.settrace(getattr)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "exception":
            self._raised = argument[1]
        elif event == "return":
            # The event of an exception that leaves the frame has the argument None, as has that of `return None`.
            normal = frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] in _NORMAL
            sys.settrace(None)
            self.leave(None if normal else self._raised)
        return self._trace

    def _end_with_item(self, items: Any) -> None:
        """Replace the work of an executor by an item that ends the process."""
        try:
            while True:
                items.get_nowait()
        except queue.Empty:
            items.put(_LastItem(self.leave))


class _LastItem:
    """Work item of an executor that ends the process."""

    def __init__(self, leave: Callable[[BaseException | None], None]) -> None:
        self._leave = leave

    def run(self, *_: Any) -> None:
        """End the process."""
        self._leave(None)


class _Forks:
    """Callbacks at each fork of this process, which cannot be unregistered; the guard that they call can be replaced."""

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
            flush_streams()  # or both processes would write what is in the buffers

    def _in_child(self) -> None:
        guard, self._guard = self._guard, None  # a process that the child forks is detached already
        if guard is not None:
            guard.in_child(sys._getframe(1))


_forks: Final = _Forks()


def _executor_queue(frame: FrameType | None) -> Any:
    """Return the queue of the executor whose thread a frame belongs to, None in other threads.

    The table that the executor's module keeps is emptied by a fork from Python 3.14 on, and filled after the thread's start.
    """
    while frame is not None:
        if frame.f_code is concurrent.futures.thread._worker.__code__:
            return frame.f_locals.get("work_queue")
        frame = frame.f_back
    return None


def loop_descriptors(loop: Any) -> tuple[list[int], list[int]]:
    """Return the descriptors of the sockets by which a loop wakes itself, and of its epoll instance, as far as they are known."""
    if hasattr(loop, "_get_backend_id"):  # uvloop
        return [], [loop._get_backend_id()]
    selector: Any = getattr(loop, "_selector", None)
    sockets: list[Any] = [getattr(loop, name, None) for name in ("_ssock", "_csock")]
    wakers = [sock.fileno() for sock in sockets if sock is not None]
    return wakers, [selector.fileno()] if hasattr(selector, "fileno") else []


def flush_streams() -> None:
    """Flush standard output and standard error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue


def _frames(frame: FrameType | None) -> list[FrameType]:
    """Return a frame and its callers, innermost first."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _descriptor(transport: Any) -> int:
    sock = transport.get_extra_info("socket")
    return -1 if sock is None else int(sock.fileno())
