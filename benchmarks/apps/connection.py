"""Requests through one connection, without a socket: ``python connection.py CASE N``, for a program that counts instructions.

The clock counts its calls, so that how often something is due does not depend on the machine.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

time.monotonic = itertools.count(1000.0, 1e-6).__next__

from tests.server.fakes import FakeServer  # noqa: E402  the clock comes first

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "5")]
HEAD = b"Host: a\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n"
GET = b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 2000\r\n\r\n"
BROWSER = (
    b"GET /items/%d?page=%d HTTP/1.1\r\nHost: shop.example\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    b"Cache-Control: max-age=0\r\nConnection: keep-alive\r\nReferer: https://shop.example/articles/2024/\r\n"
    b"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"X-Request-Id: %d-7f3a\r\nX-Forwarded-For: 198.51.%d.%d\r\nCookie: session=%d5f2b7c9d1e3a; theme=dark\r\n\r\n"
)

MOST = 2000  # requests
# Keys of a worker's environs that the fake server has not: how many there are says when a dictionary grows.
WORKER: dict[str, object] = {
    "wsgi.version": (1, 0),
    "wsgi.multithread": False,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}


def whole(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return [b"hello"]


def iterable(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return iter([b"hello"])


def reading(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", HEADERS)
    return [b"hello"]


def never_twice(number: int) -> list[bytes]:
    """The head of a browser, of which line, cookie, request id and address come once."""
    n = number + 10_000
    return [BROWSER % (n, n, n, n // 250 % 250, n % 250, n)]


# name → application, and what comes of one request, by its number
CASES: dict[str, tuple[Callable[..., Any], Callable[[int], list[bytes]]]] = {
    "get": (whole, lambda number: [GET]),
    "iterable": (iterable, lambda number: [GET]),
    "post": (reading, lambda number: [POST + b"x" * 1000, b"x" * 1000]),
    "vary": (whole, never_twice),
}


def main(case: str, count: int) -> None:
    application, requests = CASES[case]
    server = FakeServer(application)
    server.state.on_end = None
    server.connection.base.update(WORKER)
    # What is counted is the server: the transport keeps the last piece alone, and the loop just calls.
    sent: list[bytes] = [b""]
    server.transport.write = lambda data: sent.__setitem__(0, data)  # type: ignore[method-assign]
    receive = server.connection.data_received
    ready = server.loop.ready
    # As many in every run, so that what they take to make cancels out.
    for pieces in [requests(number) for number in range(MOST)][:count]:
        for data in pieces:
            receive(data)
        while ready:
            ready.popleft().run()
    assert sent[0].endswith(b"hello")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
