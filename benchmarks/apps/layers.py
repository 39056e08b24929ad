"""The pure layers in one process, without sockets or a loop: bytes → head → environ → answer's bytes.

``python layers.py time`` prints the microseconds of each case, ``python layers.py count CASE N`` runs one case N times,
for a program that counts instructions.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any

from wsgi import hello, varying

from aiohttp_worker.http1.messages import Limits, RequestHead
from aiohttp_worker.http1.request_reader import HeadParser, RequestReader
from aiohttp_worker.http1.response_encoder import HeadEncoder
from aiohttp_worker.http1.server_connection import ServerConnection
from aiohttp_worker.wsgi.environ import LINE_KEYS, EnvironBuilder
from aiohttp_worker.wsgi.forwarded import ForwardingPolicy
from aiohttp_worker.wsgi.start_response import StartResponse

PLAIN = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n%b\r\n"
BROWSER = (
    b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    b"Cache-Control: max-age=0\r\nConnection: keep-alive\r\nReferer: http://127.0.0.1/articles/2024/\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n%b\r\n"
)
POST = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Length: 1000\r\n%b\r\n" + b"x" * 1000
COOKIE = b"Cookie: session=%d5f2b7c9d1e3a; theme=dark; consent=1\r\n"
VARIANTS = 20_000  # requests that differ before one comes again
REPEATS = 5


def same(template: bytes) -> list[bytes]:
    return [template % (b"/", COOKIE % 1)]


def different(template: bytes) -> list[bytes]:
    return [template % (b"/items/%d?page=%d" % (number, number % 97), COOKIE % number) for number in range(VARIANTS)]


class Layers:
    """What a worker keeps for all its requests, and one connection."""

    def __init__(self) -> None:
        self.builder = EnvironBuilder(ForwardingPolicy(), False, {})
        self.parser = HeadParser(Limits(), self.builder.learn_name, LINE_KEYS)
        self.response = ServerConnection(self.parser, HeadEncoder("benchmark"))
        self.base: dict[str, object] = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": "40000",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_SOFTWARE": "benchmark",
        }
        self.reader = RequestReader(self.parser, self.builder.base() | self.base)

    def parse(self, request: bytes) -> RequestHead:
        """Return the head; a body is read to its end."""
        reader = self.reader
        reader.feed(request)
        head = reader.next_event()
        assert isinstance(head, RequestHead)
        if head.has_body:
            while isinstance(reader.next_event(), bytes):
                pass
        return head

    def environ(self, request: bytes) -> dict[str, object]:
        return self.builder.build(self.parse(request))

    def answer(self, request: bytes, application: Callable[..., Any]) -> bytes:
        head = self.parse(request)
        environ = self.builder.build(head)
        self.response.expect(head)
        start_response = StartResponse(self.response)
        (data,) = application(environ, start_response)
        return b"".join(start_response.whole(data))


def cases() -> dict[str, tuple[Callable[[bytes], Any], list[bytes]]]:
    """Return what is measured: a function of a request, and the requests."""
    layers = Layers()
    found: dict[str, tuple[Callable[[bytes], Any], list[bytes]]] = {}
    for name, requests, application in (
        ("hello", same(PLAIN), hello),
        ("browser", same(BROWSER), hello),
        ("hello-varying", different(PLAIN), varying),
        ("browser-varying", different(BROWSER), varying),
        ("post", same(POST), hello),
    ):
        found[f"{name}: head"] = layers.parse, requests
        found[f"{name}: head, environ"] = layers.environ, requests

        def whole(request: bytes, application: Callable[..., Any] = application) -> bytes:
            return layers.answer(request, application)

        found[f"{name}: head, environ, answer"] = whole, requests
    return found


def run(function: Callable[[bytes], Any], requests: Iterator[bytes]) -> float:
    """Return the seconds of CPU that all requests took: what else runs on the machine does not count."""
    taken = list(requests)
    started = time.process_time()
    for request in taken:
        function(request)
    return time.process_time() - started


def calibrate() -> float:
    """Return the seconds of a fixed piece of Python, to compare runs on different machines."""
    started = time.process_time()
    table: dict[int, str] = {}
    for number in range(20_000):
        table[number & 255] = str(number)
    return (time.process_time() - started) / 20_000


def measure() -> dict[str, float]:
    """Return the microseconds per request: the least of several repeats, which others on the machine disturb least."""
    count = VARIANTS
    figures = {"calibration": min(calibrate() for _ in range(REPEATS)) * 1e6}
    for name, (function, requests) in cases().items():
        repeats = [run(function, islice(cycle(requests), count)) for _ in range(REPEATS)]
        figures[name] = min(repeats) / count * 1e6
    return figures


def main() -> None:
    if sys.argv[1] == "time":
        print(json.dumps(measure()))
    else:
        function, requests = cases()[sys.argv[2]]
        run(function, islice(cycle(requests), int(sys.argv[3])))


if __name__ == "__main__":
    main()
