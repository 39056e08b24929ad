"""Facts that a worker process knows of itself, and the views of ``probe``."""

import asyncio
import gc
import grp
import json
import logging
import os
import pwd
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

import gate
import probe
from gate import query

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]

IMPORTED_BY = os.getpid()


def listeners() -> list[dict[str, Any]]:
    """The sockets of this process that listen."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as sock:
                if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    continue
                tcp = sock.family in (socket.AF_INET, socket.AF_INET6)
                # struct tcp_info: of a listening socket tcpi_sacked is the backlog that listen() was given.
                info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104) if tcp else b""
                found.append(
                    {
                        "name": sock.getsockname(),
                        "backlog": int.from_bytes(info[28:32], sys.byteorder) if tcp else None,
                        "reuse_port": sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) if tcp else 0,
                    }
                )
        except OSError:  # the descriptor of listdir itself
            continue
    return found


def held_files() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return found


def process(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    umask = os.umask(0)
    os.umask(umask)
    facts = {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "imported_by": IMPORTED_BY,
        "cwd": os.getcwd(),
        "umask": umask,
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "group": grp.getgrgid(os.getegid()).gr_name,
        "groups": os.getgroups(),
        "variables": dict(os.environ),
        "path": sys.path,
        "listeners": listeners(),
        "files": held_files(),
        "trace": sys.gettrace() is not None,
        "frozen": gc.get_freeze_count(),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]


def printed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    print(f"printed {query(environ, 'key')}", flush=True)
    print(f"complained {query(environ, 'key')}", file=sys.stderr, flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b""]


def logged(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    for level in ("debug", "info", "error"):
        getattr(logging.getLogger("gunicorn.error"), level)("%s of %s", level, query(environ, "key"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b""]


def sent_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The file path=... through wsgi.file_wrapper; nobody says how long it is."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](open(query(environ, "path"), "rb"), 65536)
    return wrapped


def dirty(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    from gunicorn.dirty import get_dirty_client

    answer = get_dirty_client().execute("dirty_app:Doubler", "double", int(query(environ, "number")))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(answer).encode()]


def certificate(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """What gunicorn.socket says of the connection, as JSON."""
    sock = environ["gunicorn.socket"]
    answer: dict[str, Any] = {
        "peername": sock.getpeername(),
        "sockname": sock.getsockname(),
        "fileno": sock.fileno() > 2,
        "tls": hasattr(sock, "getpeercert"),
    }
    if answer["tls"]:
        answer["certificate"] = sock.getpeercert()
        answer["binary"] = len(sock.getpeercert(binary_form=True) or b"")
        answer["cipher"] = sock.cipher()
        answer["version"] = sock.version()
        answer["alpn"] = sock.selected_alpn_protocol()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def hostile(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Runs a loop of its own that takes over signals, and leaves nothing as it was."""

    async def take_over() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        loop.remove_signal_handler(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(take_over())
    signal.signal(signal.SIGTERM, before)  # the wakeup descriptor is gone all the same
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]


def first_bytes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Reads a part of the body before there is more of it."""
    probe.say(f"first {environ['wsgi.input'].read(5)!r}")
    rest = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(5 + len(rest)).encode()]


VIEWS = {
    "/first-bytes": first_bytes,
    "/hostile": hostile,
    "/process": process,
    "/printed": printed,
    "/logged": logged,
    "/sent-file": sent_file,
    "/dirty": dirty,
    "/certificate": certificate,
}


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    for prefix in ("/events", "/upload"):  # places that a front end treats differently
        if environ["PATH_INFO"].startswith(prefix + "/"):
            environ["PATH_INFO"] = environ["PATH_INFO"][len(prefix) :]
    return VIEWS.get(environ["PATH_INFO"], probe.application)(environ, start_response)


async def on_the_loop(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Which loop it runs on."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [type(asyncio.get_running_loop()).__module__.encode()]


async def gated(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Waits on the loop until the test opens the gate, if it gave one."""
    if query(environ, "gate"):
        await gate.pass_through(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


async def waiting(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Waits for ever, and says when it is cancelled."""
    probe.say("waiting")
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        probe.say("cancelled")
        raise
    return [b""]


def paste_factory(global_conf: dict[str, str], **local_conf: str) -> Any:
    """An application for an ini: answers with its configuration."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"global": global_conf, "local": local_conf}).encode()]

    return application
