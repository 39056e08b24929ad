"""A Paste ini and its application, for the tests of what reads one."""

from __future__ import annotations

from pathlib import Path

# An application that shows its settings, and what the process knows.
APPLICATION = """\
import os
import sys

LOADED_IN = os.getpid()
TEXT = "first"


def main(global_conf, **settings):
    def application(environ, start_response):
        shown = {
            "/greeting": settings.get("greeting"),
            "/text": TEXT,
            "/variable": global_conf.get("variable"),
            "/file": global_conf["__file__"],
            "/in-worker": str(LOADED_IN == os.getpid()),
            "/directory": os.getcwd(),
            "/environment": os.environ.get("PROBE"),
            "/software": environ["SERVER_SOFTWARE"],
        }
        body = str(shown.get(environ["PATH_INFO"])).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    return application
"""
APP = """\
[app:main]
paste.app_factory = probe_app:main
greeting = hello
"""
SERVER = """\
[server:main]
use = egg:gunicorn#main
host = 127.0.0.1
port = 0
worker_class = sync
control_socket_disable = true
graceful_timeout = 5
"""
# For tests about the address.
UNBOUND = SERVER.replace("host = 127.0.0.1\nport = 0\n", "")

# Lines of ours in the place of Gunicorn's.
LOGGING = """\
[loggers]
keys = root, error

[handlers]
keys = console

[formatters]
keys = mine

[logger_root]
level = INFO
handlers = console

[logger_error]
level = INFO
handlers = console
qualname = gunicorn.error
propagate = 0

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = mine

[formatter_mine]
format = mine %(levelname)s %(message)s
"""


def write(directory: Path, server: str = SERVER, app: str = APP) -> Path:
    """Write x.ini as a whole: a reader sees the old one or the new one."""
    path = directory / "x.ini"
    path.with_suffix(".new").write_text(f"{app}\n{server}\n")
    path.with_suffix(".new").rename(path)
    return path
