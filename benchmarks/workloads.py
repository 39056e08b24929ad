"""Workloads: the application, the requests, and the servers that can take part."""

from dataclasses import dataclass, field

from .servers import HTTP2, THREADS, Server


@dataclass(frozen=True)
class Workload:
    """One application under one kind of request."""

    name: str
    title: str
    applications: dict[str, str]  # interface → module:attribute in benchmarks/apps
    shape: str = "plain"  # of the requests, in load.lua or h2load.py
    connections: int = 64
    threads: int = 0
    workers: int = 1
    tls: bool = False
    http2: bool = False  # loaded by h2load instead of wrk
    streams: int = 1  # at a time on each connection, over HTTP/2
    needs: frozenset[str] = field(default_factory=frozenset)  # features a server must have
    without: frozenset[str] = field(default_factory=frozenset)  # servers it makes no sense for
    size: int = 13  # bytes of the answer's body; an answer of another size is no result
    body: int = 0  # bytes of the request's body

    def interface(self, server: Server) -> str | None:
        """Return how this server runs the workload: the first of its interfaces there is an application for."""
        if server.name in self.without or not self.needs <= server.features:
            return None
        return next((interface for interface in self.applications if interface in server.interfaces), None)


WSGI_HELLO = {"wsgi": "wsgi:hello"}
WSGI_VARYING = {"wsgi": "wsgi:varying"}
FLASK = {"wsgi": "flask_hello:application"}
DJANGO = {"wsgi": "django_hello:application"}
HTTP2_HELLO = {"wsgi": "wsgi:hello", "asgi": "asgi:hello"}
# A second form of ours that differs only where threads or an upload are at work.
ONLY_SPECIAL = frozenset(("aiohttp-threads",))
PLAIN_TOO = ONLY_SPECIAL | {"aiohttp-nostream"}
ONE_FORM = PLAIN_TOO | {"aiohttp-plain"}
HTTP2_WITHOUT = ONE_FORM | {"granian-asgi"}


def over_http2(name: str, title: str, applications: dict[str, str], shape: str = "plain", **others: int) -> Workload:
    """Return a workload of HTTP/2 as browsers have it: by ALPN over TLS."""
    return Workload(
        name, title, applications, shape, tls=True, http2=True, needs=HTTP2 | {"tls"}, without=HTTP2_WITHOUT, **others
    )


WORKLOADS = (
    Workload(
        "vary",
        "hello, a browser's twelve fields; path, query, cookie, request id and forwarded address are new each time",
        WSGI_HELLO,
        "vary",
        without=ONLY_SPECIAL,
    ),
    Workload(
        "mixed",
        "a site: 7 heads of 10 new, pages of 2 to 60 kB, a POST in 10, a new cookie in 5, 256 connections, half of them at rest",
        {"wsgi": "wsgi:page"},
        "mixed",
        connections=256,
        size=2000,
        without=ONLY_SPECIAL,
    ),
    Workload("hello", "hello, the same request again and again", WSGI_HELLO),
    Workload("browser", "hello, a browser's ten fields, the same again and again", WSGI_HELLO, "browser", without=ONLY_SPECIAL),
    Workload(
        "hello-varying",
        "hello, path, cookie and an answer's field change with every request",
        WSGI_VARYING,
        "plain_varying",
        without=ONLY_SPECIAL,
    ),
    Workload(
        "browser-varying",
        "the same with a browser's ten fields",
        WSGI_VARYING,
        "browser_varying",
        without=ONLY_SPECIAL,
    ),
    Workload("10kB", "10 kB body", {"wsgi": "wsgi:ten_kb"}, size=10_000, without=ONLY_SPECIAL),
    Workload("post", "1 kB POST", {"wsgi": "wsgi:post"}, "post_1_kb", size=4, body=1000),
    Workload("streamed", "100 × 10 kB streamed", {"wsgi": "wsgi:streamed"}, size=1_000_000, without=PLAIN_TOO),
    Workload("coroutine", "coroutine hello", {"coroutine": "coroutine:hello", "asgi": "asgi:hello"}, without=PLAIN_TOO),
    Workload(
        "coroutine-sleep",
        "10 ms asyncio.sleep, 1,000 connections",
        {"coroutine": "coroutine:sleep", "asgi": "asgi:sleep"},
        connections=1000,
        without=ONE_FORM,
    ),
    Workload(
        "blocking",
        "10 ms time.sleep in 64 threads, 256 connections",
        {"wsgi": "wsgi:sleep"},
        connections=256,
        threads=64,
        needs=THREADS,
        without=ONE_FORM - {"aiohttp-nostream"},
    ),
    Workload(
        "upload-buffered",
        "1 MB upload, read at once",
        {"wsgi": "wsgi:post"},
        "post_1_mb",
        connections=16,
        size=7,
        body=1_000_000,
        without=frozenset(("aiohttp-plain", "aiohttp-threads")),
    ),
    Workload(
        "upload-streamed",
        "1 MB upload, read as it arrives",
        {"coroutine": "coroutine:upload", "wsgi": "wsgi:upload", "asgi": "asgi:upload"},
        "post_1_mb",
        connections=16,
        size=7,
        body=1_000_000,
        without=frozenset(("aiohttp-plain", "aiohttp-nostream")),
    ),
    Workload(
        "file",
        "10 MB file, wsgi.file_wrapper",
        {"wsgi": "wsgi:file", "static": "static"},
        connections=8,
        size=10_000_000,
        without=frozenset(("aiohttp-plain", "aiohttp-nostream")),
    ),
    Workload("tls", "hello over TLS", WSGI_HELLO, tls=True, needs=frozenset(("tls",)), without=ONE_FORM),
    Workload("flask", "Flask hello", FLASK, without=ONE_FORM),
    Workload("flask-vary", "Flask hello, requests as in vary", FLASK, "vary", without=ONE_FORM),
    Workload("django", "Django hello", DJANGO, without=ONE_FORM),
    Workload("django-vary", "Django hello, requests as in vary", DJANGO, "vary", without=ONE_FORM),
    Workload("threads-hello", "hello, 4 threads", WSGI_HELLO, threads=4, needs=THREADS, without=ONE_FORM),
    Workload("threads-flask", "Flask hello, 4 threads", FLASK, threads=4, needs=THREADS, without=ONE_FORM),
    Workload("threads-django", "Django hello, 4 threads", DJANGO, threads=4, needs=THREADS, without=ONE_FORM),
    Workload("two-workers", "hello, 2 workers", WSGI_HELLO, workers=2, needs=frozenset(("workers",)), without=ONE_FORM),
    over_http2("h2-hello", "hello over HTTP/2 and TLS", HTTP2_HELLO),
    over_http2("h2-browser", "the same with a browser's fields, the path is new each time", HTTP2_HELLO, "browser"),
    over_http2("h2-post", "1 kB POST over HTTP/2 and TLS", {"wsgi": "wsgi:post", "asgi": "asgi:upload"}, size=4, body=1000),
    over_http2("h2-streams", "hello over HTTP/2 and TLS, 32 streams on 16 connections", HTTP2_HELLO, connections=16, streams=32),
)


def find(names: list[str]) -> list[Workload]:
    """Return the workloads with these names, all if there are none.

    :raises KeyError: for a name that no workload has.
    """
    by_name = {workload.name: workload for workload in WORKLOADS}
    return [by_name[name] for name in names] if names else list(WORKLOADS)
