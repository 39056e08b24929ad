"""Start of each server: one function per server, from a deployment to a command line.

All run with keep-alive on where they have it, no access log, and limits and time-outs as the server's
authors set them, except where the number of connections in the workload would meet a limit.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from .environment import APPS, Environment

HOST = "127.0.0.1"
OURS = ("aiohttp-worker", "aiohttp-nostream", "aiohttp-plain", "aiohttp-threads")


@dataclass(frozen=True)
class Deployment:
    """What a server is asked to serve."""

    application: str  # module:attribute, in benchmarks/apps
    port: int
    interface: str = "wsgi"  # or "coroutine", "asgi", "static"
    workers: int = 1
    threads: int = 0  # 0: what suits the server
    tls: bool = False
    http2: bool = False  # by ALPN, beside HTTP/1.1
    keep_alive: int = 75  # seconds
    max_requests: int = 0
    connections: int = 20_000


Command = Callable[[Deployment, Environment], list[str]]


@dataclass(frozen=True)
class Server:
    """One way to run one server."""

    name: str
    command: Command
    interfaces: tuple[str, ...] = ("wsgi",)
    features: frozenset[str] = field(default_factory=frozenset)  # tls http2 threads workers reload max_requests
    form: str = ""  # of our distribution: "compiled" or "plain"
    requires: str = ""  # a command or module of the environment

    @property
    def is_ours(self) -> bool:
        return bool(self.form)


def gunicorn(worker: str, threads: int = 1) -> Command:
    """Return the command of Gunicorn with one of its worker classes, or one of ours."""

    def command(deployment: Deployment, environment: Environment) -> list[str]:
        arguments = [
            *(environment.script("gunicorn"), "--worker-class", worker, "--bind", f"{HOST}:{deployment.port}"),
            *("--workers", str(deployment.workers), "--threads", str(deployment.threads or threads)),
            *("--worker-connections", str(deployment.connections), "--backlog", "4096"),
            *("--keep-alive", str(deployment.keep_alive), "--log-level", "error", "--chdir", str(APPS)),
        ]
        if deployment.tls:
            arguments += ["--certfile", str(environment.certificate), "--keyfile", str(environment.key)]
        if deployment.http2:
            arguments += ["--http-protocols", "h2,h1"]
        if deployment.max_requests:
            arguments += ["--max-requests", str(deployment.max_requests)]
        return [*arguments, deployment.application]

    return command


def granian(deployment: Deployment, environment: Environment) -> list[str]:
    interface = "wsgi" if deployment.interface == "wsgi" else "asgi"
    arguments = [
        *(environment.script("granian"), "--interface", interface, "--host", HOST, "--port", str(deployment.port)),
        *("--workers", str(deployment.workers), "--backlog", "4096", "--no-ws", "--log-level", "error"),
        *("--backpressure", str(deployment.connections), "--working-dir", str(APPS)),
        *("--http", "auto" if deployment.http2 else "1"),
    ]
    if interface == "wsgi":
        arguments += ["--blocking-threads", str(deployment.threads or 1)]
    else:
        arguments += ["--loop", "uvloop"]
    if deployment.tls:
        arguments += ["--ssl-certificate", str(environment.certificate), "--ssl-keyfile", str(environment.key)]
    return [*arguments, deployment.application]


def waitress(deployment: Deployment, environment: Environment) -> list[str]:
    return [
        *(environment.script("waitress-serve"), f"--listen={HOST}:{deployment.port}", "--backlog=4096"),
        *(f"--threads={deployment.threads or 4}", f"--connection-limit={deployment.connections}", "--asyncore-use-poll"),
        *("--max-request-body-size=2147483648", deployment.application),
    ]


def uwsgi(deployment: Deployment, environment: Environment) -> list[str]:
    arguments = [
        *(environment.script("uwsgi"), "--master", "--die-on-term", "--need-app", "--disable-logging"),
        *("--processes", str(deployment.workers), "--listen", "4096", "--pythonpath", str(APPS)),
        *("--module", deployment.application, "--http-socket", f"{HOST}:{deployment.port}"),
    ]
    if deployment.threads:
        arguments += ["--threads", str(deployment.threads)]
    if deployment.max_requests:
        arguments += ["--max-requests", str(deployment.max_requests)]
    return arguments


def launched(name: str) -> Command:
    """Return the command of a server that ``apps/launch.py`` starts."""

    def command(deployment: Deployment, environment: Environment) -> list[str]:
        threads = deployment.threads or 10
        numbers = (str(deployment.port), str(deployment.workers), str(threads))
        return [str(environment.python), str(APPS / "launch.py"), name, deployment.application, HOST, *numbers]

    return command


def uvicorn(deployment: Deployment, environment: Environment) -> list[str]:
    return [
        *(environment.script("uvicorn"), "--host", HOST, "--port", str(deployment.port), "--http", "httptools"),
        *("--loop", "uvloop", "--ws", "none", "--no-access-log", "--log-level", "error", "--backlog", "4096"),
        *("--workers", str(deployment.workers), "--timeout-keep-alive", str(deployment.keep_alive)),
        *("--app-dir", str(APPS), deployment.application),
    ]


def hypercorn(deployment: Deployment, environment: Environment) -> list[str]:
    arguments = [
        *(
            environment.script("hypercorn"),
            "--bind",
            f"{HOST}:{deployment.port}",
            "--worker-class",
            "uvloop",
            "--backlog",
            "4096",
        ),
        *("--workers", str(deployment.workers), "--keep-alive", str(deployment.keep_alive), "--log-level", "error"),
    ]
    if deployment.tls:
        arguments += ["--certfile", str(environment.certificate), "--keyfile", str(environment.key)]
    return [*arguments, deployment.application]


NGINX = """
{user}daemon off; worker_processes {workers}; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout {keep_alive};
  default_type application/octet-stream;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen {host}:{port}; root {www}; location = / {{ try_files /file =404; }} }}
}}
"""


def nginx(deployment: Deployment, environment: Environment) -> list[str]:
    """Serve the folder with the file; the address of all workloads is ``/``."""
    folder = environment.folder / f"nginx-{deployment.port}"
    folder.mkdir(exist_ok=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NGINX.format(
            user="user root; " if os.geteuid() == 0 else "",  # a folder of root's may hold the file
            workers=deployment.workers,
            folder=folder,
            connections=deployment.connections,
            keep_alive=deployment.keep_alive,
            host=HOST,
            port=deployment.port,
            www=environment.folder / "www",
        )
    )
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(configuration)]


GUNICORN = frozenset(("workers", "tls", "reload", "max_requests"))
THREADS = frozenset(("threads",))
HTTP2 = frozenset(("http2",))
GUNICORN_THREADS = GUNICORN | THREADS | HTTP2

SERVERS = (
    Server("aiohttp-worker", gunicorn("aiohttp.worker.AsyncGunicornWorker"), ("wsgi", "coroutine"), GUNICORN_THREADS, "compiled"),
    Server("aiohttp-nostream", gunicorn("aiohttp.worker.AsyncNoStreamGunicornWorker"), ("wsgi",), GUNICORN_THREADS, "compiled"),
    Server("aiohttp-plain", gunicorn("aiohttp.worker.AsyncGunicornWorker"), ("wsgi", "coroutine"), GUNICORN_THREADS, "plain"),
    Server("aiohttp-threads", gunicorn("aiohttp.worker.AsyncGunicornWorker", 4), ("wsgi",), GUNICORN_THREADS, "compiled"),
    Server("sync", gunicorn("sync"), features=GUNICORN, requires="gunicorn"),
    Server("gthread", gunicorn("gthread", 4), features=GUNICORN_THREADS, requires="gunicorn"),
    Server("gevent", gunicorn("gevent"), features=GUNICORN, requires="gunicorn"),
    Server("granian", granian, ("wsgi",), frozenset(("workers", "tls", "http2", "threads", "reload")), requires="granian"),
    Server("waitress", waitress, ("wsgi",), THREADS, requires="waitress-serve"),
    Server("bjoern", launched("bjoern"), ("wsgi",), frozenset(("workers",)), requires="bjoern"),
    Server("fastpysgi", launched("fastpysgi"), ("wsgi",), frozenset(("workers",)), requires="fastpysgi"),
    Server("fastwsgi", launched("fastwsgi"), ("wsgi",), frozenset(("workers",)), requires="fastwsgi"),
    Server("freastal", launched("freastal"), ("wsgi",), frozenset(("workers",)), requires="freastal"),
    Server("cheroot", launched("cheroot"), ("wsgi",), THREADS, requires="cheroot"),
    Server("uwsgi", uwsgi, ("wsgi",), frozenset(("workers", "threads", "reload", "max_requests")), requires="uwsgi"),
    Server("uvicorn", uvicorn, ("asgi",), frozenset(("workers",)), requires="uvicorn"),
    Server("gunicorn-asgi", gunicorn("asgi"), ("asgi",), GUNICORN, requires="gunicorn"),
    Server("granian-asgi", granian, ("asgi",), frozenset(("workers", "tls", "http2")), requires="granian"),
    Server("hypercorn", hypercorn, ("asgi",), frozenset(("workers", "tls", "http2")), requires="hypercorn"),
    Server("nginx", nginx, ("static",), frozenset(("workers",))),
)


def find(names: list[str]) -> list[Server]:
    """Return the servers with these names, all if there are none.

    :raises KeyError: for a name that no server has.
    """
    by_name = {server.name: server for server in SERVERS}
    return [by_name[name] for name in names] if names else list(SERVERS)
