"""What is checked before workers start, and what a worker guards while it boots.

``pserve`` and ``paster serve`` catch the ``SystemExit`` with which Gunicorn ends a forked worker. A worker that cannot boot then
ends with code 0, Gunicorn's master takes that for a normal end and starts the next one, about thirteen times a second, for ever.
`keep_exit_code` gives the process the code that Gunicorn meant, so that the master stops with "Worker failed to boot".
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError
from gunicorn.util import set_owner_process

from aiohttp_worker.transport.storage import try_storage


class Bootable(Protocol):
    """The part of a Gunicorn worker that tells how far it came."""

    booted: bool


class ForeignAiohttpError(RuntimeError):
    """The package ``aiohttp`` of PyPI is installed in the environment of this one.

    A `RuntimeError`, because Gunicorn prints those of its start as one line, without a traceback, and ends with code 1.
    """


def refuse_foreign_aiohttp() -> None:
    """Make sure that the import package ``aiohttp`` is the one that this distribution brings.

    Raises:
        ForeignAiohttpError: the distribution ``aiohttp`` is installed too; the files of the two overwrite each other.

    """
    try:
        found = version("aiohttp")
    except PackageNotFoundError:
        return
    raise ForeignAiohttpError(
        f"PyPI's package aiohttp ({found}) is installed beside aiohttp-worker, which brings a package named aiohttp itself, "
        f"and the two cannot share an environment: run `{sys.executable} -m pip uninstall aiohttp` and then "
        f"`{sys.executable} -m pip install --force-reinstall --no-deps aiohttp-worker`, or give each an environment of its own."
    )


def refuse_storage(directory: str, uid: int, gid: int, initgroups: bool) -> None:
    """Refuse a directory in which workers can store nothing.

    Args:
        directory: Gunicorn's ``tmp_upload_dir``.
        uid: the user that workers run as.
        gid: their group.
        initgroups: whether they have the other groups of that user.

    Raises:
        RuntimeError: it is missing, no directory, or not to be written by them.

    """
    if not os.path.isdir(directory):
        reason = os.strerror(errno.ENOTDIR if os.path.exists(directory) else errno.ENOENT)
    elif (uid, gid) == (os.geteuid(), os.getegid()):
        error = try_storage(directory)
        reason = "" if error is None else os.strerror(error.errno or errno.EIO)
    else:
        reason = _reason_as(uid, gid, initgroups, directory)
    if reason:
        raise RuntimeError(f"tmp_upload_dir = {directory!r}: workers cannot store bodies of requests there: {reason}")


def _reason_as(uid: int, gid: int, initgroups: bool, directory: str) -> str:
    """Try it in a process that has a worker's rights."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        code: Any = errno.EIO
        try:
            set_owner_process(uid, gid, initgroups=initgroups)
            error = try_storage(directory)
            code = 0 if error is None else error.errno or errno.EIO
        finally:
            os.write(writable, b"%d" % code)
            os._exit(0)
    os.close(writable)
    with open(readable, "rb") as pipe:
        code = int(pipe.read() or errno.EIO)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # Gunicorn has taken it for one of its own
    if not code:
        return ""
    return f"{os.strerror(code)} (for the user {uid} and the group {gid})"


@contextmanager
def keep_exit_code(worker: Bootable) -> Iterator[None]:
    """End the process with the code that Gunicorn gives to what is raised inside, even if a caller swallows its ``SystemExit``.

    To be used around the whole of ``init_process``, before the application is loaded: functions registered at exit run in
    reverse order, so those of the application still run, before the process ends here.

    Args:
        worker: its ``booted`` tells an error of booting (code 3, which stops the master) from a later one (code 255).

    """
    ending = _Ending()
    atexit.register(ending.leave)
    try:
        yield
    except BaseException as error:
        ending.exit_code = exit_code_of(error, booted=worker.booted)
        raise
    ending.exit_code = 0


def exit_code_of(error: BaseException, *, booted: bool) -> int:
    """Return the code, 0 to 255, with which Gunicorn's master ends a worker process that raised ``error``.

    Args:
        error: what came out of the worker's ``init_process``.
        booted: whether the worker had reached its main loop.

    """
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        return error.code & 0xFF if isinstance(error.code, int) else 1
    if isinstance(error, AppImportError):
        return int(Arbiter.APP_LOAD_ERROR)
    return 255 if booted else int(Arbiter.WORKER_BOOT_ERROR)


class _Ending:
    """Ends a process with a code of its own, at the interpreter's exit."""

    exit_code = 0

    def __init__(self) -> None:
        # A process that an application forks from the worker inherits the registration; its code is its own affair.
        self.pid = os.getpid()

    def leave(self) -> None:
        if self.exit_code and os.getpid() == self.pid:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (OSError, ValueError):
                    continue
            os._exit(self.exit_code)
