"""Checks by Gunicorn's master: of the settings before a reload (HUP), and of the worker class with ``--check-config``.

At HUP it reads the settings, starts workers with them and ends the old ones, whatever becomes of the new. Here the settings are
read and checked before; what is wrong is logged, and the workers that serve go on. With ``--check-config`` it loads the
application and does not ask; once this file is loaded, it does.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from functools import partial, wraps
from typing import Any

import gunicorn
from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.errors import ConfigError


def check_before_reload() -> None:
    """Make the master of this process, if it is Gunicorn's own, check the settings before it reloads them."""
    arbiter = getattr(signal.getsignal(signal.SIGHUP), "__self__", None)
    # A master that reloads in a way of its own is left alone, as is one that is prepared already.
    if isinstance(arbiter, Arbiter) and type(arbiter).reload is Arbiter.reload and "reload" not in vars(arbiter):
        arbiter.reload = partial(_reload, arbiter)
        _start_again_as_module(arbiter.START_CTX["args"])


def _start_again_as_module(command: list[str]) -> None:
    """Make USR2 start ``python -m gunicorn`` again as a module.

    Gunicorn would run the file instead, whose folder is then the first that modules are looked for in: ``http`` would be
    Gunicorn's, and ``import http.client`` fail, in the application too.
    """
    if command[1:2] == [os.path.join(os.path.dirname(gunicorn.__file__), "__main__.py")]:
        command[1:2] = ["-m", "gunicorn"]


def check_with_option() -> None:
    """Make ``--check-config`` check the settings against the worker class, too."""
    run = Application.run
    if hasattr(run, "__wrapped__"):
        return

    @wraps(run)
    def checked_run(app: Any) -> None:
        if app.cfg.check_config:
            try:
                check_worker_class(app.cfg, logging.getLogger(__name__))
            except ConfigError as error:
                sys.stderr.write(f"\nError: {error}\n\n")
                sys.exit(1)
        run(app)

    Application.run = checked_run


def check_worker_class(cfg: Any, log: Any) -> None:
    """Check the settings against their worker class, as Gunicorn does only when it starts.

    :raises ConfigError: it refuses them, or there is no such class.
    """
    try:
        check = getattr(cfg.worker_class, "check_config", None)
        if check is not None:
            check(cfg, log)
    except RuntimeError as error:
        raise ConfigError(str(error)) from error


def log_refusal(log: Any, error: BaseException, explained: tuple[type[Exception], ...] = (ConfigError,)) -> None:
    """Log the error because of which nothing is reloaded.

    :param explained: kinds of errors whose text says all; others are logged with a traceback.
    """
    if isinstance(error, SystemExit):
        log.error("Nothing is reloaded: the configuration ended with code %s; its message is above.", error.code)
    elif isinstance(error, explained):
        log.error("Nothing is reloaded: %s", error)
    else:
        log.error("Nothing is reloaded", exc_info=error)


def _reload(arbiter: Any) -> None:
    app = arbiter.app
    before = app.cfg
    _unset_variables(before)  # as Gunicorn does: the file is to be read as at the start
    try:
        app.reload()
        check_worker_class(app.cfg, arbiter.log)
    except (Exception, SystemExit) as error:
        app.cfg = before
        os.environ.update(before.env)
        os.chdir(before.chdir)
        log_refusal(arbiter.log, error)
        return
    app.reload = _nothing  # the settings are read already
    try:
        Arbiter.reload(arbiter)
    finally:
        del app.reload


def _unset_variables(cfg: Any) -> None:
    """Unset the environment variables of ``raw_env``."""
    for name in cfg.env:
        if name in cfg.env_orig:
            os.environ[name] = cfg.env_orig[name]
        else:
            os.environ.pop(name, None)


def _nothing() -> None:
    pass
