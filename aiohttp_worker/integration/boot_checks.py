"""Checks before workers start, and the exit code of a worker that cannot boot.

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
from typing import Any, Protocol

from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError
from gunicorn.util import set_owner_process

from aiohttp_worker.transport.storage import try_storage
from aiohttp_worker.wsgi.forwarded import AddressList

from .distributions import refuse_damage
from .event_loop import has_uvloop
from .settings import read_options, speaks_http2


class Bootable(Protocol):
    """A Gunicorn worker, as far as its boot is concerned."""

    booted: bool


def check_settings(cls: type, cfg: Any, log: Any) -> None:
    """Refuse settings that the worker classes cannot honour, and warn about those that have no effect.

    :param cls: the worker class.
    :param cfg: Gunicorn's settings.
    :param log: Gunicorn's logger, for the warnings.
    :raises RuntimeError: a setting or an environment variable has a value that cannot be honoured.
    :raises OverlayError: files of PyPI's package aiohttp were overwritten.
    """
    refuse_damage()
    try:
        # Workers have the variables of raw_env as well.
        read_options(cls, {**os.environ, **(cfg.env or {})})
    except ValueError as error:
        raise RuntimeError(str(error)) from None
    if cfg.tmp_upload_dir is not None:
        refuse_storage(cfg.tmp_upload_dir, cfg.uid, cfg.gid, cfg.initgroups)
    if cfg.protocol != "http":
        raise RuntimeError(f"protocol = {cfg.protocol!r}: {cls.__name__} speaks HTTP only")
    if cfg.http_parser != "auto":
        log.warning("http_parser = %r: %s always parses with its own parser", cfg.http_parser, cls.__name__)
    _check_http2(cls, cfg, log)
    if getattr(cfg, "root_path", ""):
        log.warning("root_path is for ASGI; for WSGI set SCRIPT_NAME in the environment")
    if cfg.is_ssl and not cfg.suppress_ragged_eofs:
        log.warning("suppress_ragged_eofs = False has no counterpart in asyncio's TLS")
    if cfg.asgi_loop == "uvloop" and not has_uvloop():
        raise RuntimeError("asgi_loop = 'uvloop', but uvloop is not installed: pip install uvloop, or asgi_loop = 'auto'")
    if cfg.worker_connections < 1:
        raise RuntimeError(f"worker_connections = {cfg.worker_connections}: no connection would ever be accepted; 1 is the least")
    try:
        AddressList.parse(cfg.forwarded_allow_ips)
        AddressList.parse(cfg.proxy_allow_ips)
    except ValueError as error:
        raise RuntimeError(f"forwarded_allow_ips or proxy_allow_ips: {error}") from None


def _check_http2(cls: type, cfg: Any, log: Any) -> None:
    """Refuse or warn of settings of HTTP/2, as :func:`check_settings` does."""
    if "h2" not in cfg.http_protocols:
        if cfg.http2_cleartext != "off":
            log.warning("http2_cleartext = %r has no effect without h2 in http_protocols", cfg.http2_cleartext)
        return
    if not speaks_http2(cfg):
        log.warning(
            "http_protocols: for h2 %s needs the package ngh2, and speaks HTTP/1.1 alone without it:"
            " pip install 'aiohttp-worker[http2]'",
            cls.__name__,
        )
    if cfg.http2_cleartext in ("upgrade", "both") and not cfg.is_ssl:
        log.warning("http2_cleartext = %r: an Upgrade from HTTP/1.1 to HTTP/2 is ignored", cfg.http2_cleartext)
    if cfg.http2_initial_window_size < 1:
        raise RuntimeError("http2_initial_window_size = 0: no body of a request could ever be received")


def refuse_storage(directory: str, uid: int, gid: int, initgroups: bool) -> None:
    """Refuse a directory in which workers can store nothing.

    :param directory: Gunicorn's ``tmp_upload_dir``.
    :param uid: the user that workers run as.
    :param gid: their group.
    :param initgroups: whether they have the other groups of that user.
    :raises RuntimeError: it is missing, no directory, or not to be written by them.
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
    """Return why a process with a worker's rights cannot store files in a directory; empty if it can."""
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
        pass  # Gunicorn's handler of CHLD has waited for it
    if not code:
        return ""
    return f"{os.strerror(code)} (for the user {uid} and the group {gid})"


@contextmanager
def keep_exit_code(worker: Bootable) -> Iterator[None]:
    """End the process with the code that Gunicorn gives to what is raised inside, even if a caller swallows its ``SystemExit``.

    To be used around the whole of ``init_process``, before the application is loaded: functions registered at exit run in
    reverse order, so those of the application still run, before the process ends here.

    :param worker: its ``booted`` tells an error of booting (code 3, which stops the master) from a later one (code 255).
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

    :param error: what came out of the worker's ``init_process``.
    :param booted: whether the worker had reached its main loop.
    """
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        return error.code & 0xFF if isinstance(error.code, int) else 1
    if isinstance(error, AppImportError):
        return int(Arbiter.APP_LOAD_ERROR)
    return 255 if booted else int(Arbiter.WORKER_BOOT_ERROR)


class _Ending:
    """Ends the process with the worker's exit code, at the interpreter's exit."""

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
