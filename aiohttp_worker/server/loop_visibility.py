"""Hides the running event loop from synchronous applications."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

_set_running_loop: Final[Callable[[asyncio.AbstractEventLoop | None], None]] = asyncio._set_running_loop


class RunningLoop:
    """Keeps the loop out of the sight of ordinary applications.

    Django's ORM, ``asyncio.run`` and ``async_to_sync`` refuse to work where they
    see one. To hide it and to show it again takes two system calls for each
    piece of an application (``getpid``, up to Python 3.11), and before the first
    task nobody needs to see it: so it stays hidden until somebody makes one.

    :ivar in_application: whether a piece of an ordinary application runs now.
    :ivar occupant: whose piece that is.
    """

    __slots__ = ("_in_fork", "_loop", "_shown", "in_application", "occupant")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._shown = True
        self._in_fork: Callable[[], None] | None = None
        self.in_application = False
        self.occupant: object = None

    def forsake(self, leave: Callable[[], None]) -> None:
        """Handle a fork: in the child the loop must not go on.

        :param leave: ends the process; called when a piece of an application has ended, or would begin.
        """
        self._in_fork = leave
        self._shown = True  # so that it costs nothing where no process was forked

    def hide_until_task(self) -> None:
        """Hide it from everybody; call this on the running loop."""
        self._shown = False
        self._loop.set_task_factory(self._first_task)
        _set_running_loop(None)

    def _first_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **arguments: Any) -> asyncio.Task[Any]:
        loop.set_task_factory(None)
        self.show()
        return asyncio.Task(coroutine, loop=loop, **arguments)

    def show(self) -> None:
        """Show it from now on, to all but ordinary applications: a task is to be made."""
        if not self._shown:
            self._shown = True
            if not self.in_application and self._loop.is_running():
                _set_running_loop(self._loop)

    def enter_application(self, occupant: object = None) -> None:
        """Hide it: a piece of an ordinary application begins."""
        self.in_application = True
        self.occupant = occupant
        if self._shown:
            if self._in_fork is not None:
                self._in_fork()
            _set_running_loop(None)

    def leave_application(self) -> None:
        """Show it again: the piece has ended."""
        self.in_application = False
        self.occupant = None
        if self._shown:
            if self._in_fork is not None:
                self._in_fork()
            _set_running_loop(self._loop)
