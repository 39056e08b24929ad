"""The WSGI applications of the workloads. Each does as little as it can: the server is measured."""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

HELLO = b"Hello, world!"
TEN_KB = b"x" * 10_000
PIECE = b"x" * 65_536
NUMBERS = itertools.count()
PAGES = [b"x" * size for size in (2_000, 3_000, 5_000, 8_000, 12_000, 20_000, 35_000, 60_000)]
TEXT = ("Content-Type", "text/plain")


def answer(start_response: StartResponse, body: bytes) -> list[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """13 bytes, with their length."""
    return answer(start_response, HELLO)


def varying(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """13 bytes, and a field that changes with every answer, as a cookie or an entity tag does."""
    fields = [TEXT, ("Content-Length", "13"), ("X-Request-Id", f"{next(NUMBERS):016x}")]
    start_response("200 OK", fields)
    return [HELLO]


def ten_kb(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """10,000 bytes in one piece."""
    return answer(start_response, TEN_KB)


def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """``/pages/N``: a page of a site, of 2 to 60 kB, with a new cookie in one answer of five; a form is read before."""
    if environ["REQUEST_METHOD"] == "POST":
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = PAGES[int(environ["PATH_INFO"].rpartition("/")[2] or 0) % len(PAGES)]
    fields = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body))), ("Vary", "Cookie")]
    number = next(NUMBERS)
    if number % 5 == 0:
        fields.append(("Set-Cookie", f"session={number:016x}; Path=/; HttpOnly; SameSite=Lax"))
    start_response("200 OK", fields)
    return [body]


def post(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the whole request body at once, answer with its size."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return answer(start_response, b"%d" % len(environ["wsgi.input"].read(length)))


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the request body in pieces of 64 KiB, answer with its size."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    read = environ["wsgi.input"].read
    size = 0
    while left > 0:
        data = read(min(left, 65_536))
        if not data:
            break
        size += len(data)
        left -= len(data)
    return answer(start_response, b"%d" % size)


def streamed(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """100 pieces of 10,000 bytes, without a length."""
    start_response("200 OK", [TEXT])
    return iter([TEN_KB] * 100)


def sleep(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Block for 10 ms, as a query to a database does."""
    time.sleep(0.01)
    return answer(start_response, HELLO)


def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The file named by BENCHMARK_FILE, through ``wsgi.file_wrapper`` where the server has one."""
    opened = open(os.environ["BENCHMARK_FILE"], "rb")
    length = os.fstat(opened.fileno()).st_size
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))])
    if "wsgi.file_wrapper" in environ:
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened, 65_536)
        return wrapped
    return pieces(opened)


def pieces(opened: Any) -> Iterator[bytes]:
    with opened:
        while data := opened.read(65_536):
            yield data


def download(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """``/N``: N bytes in pieces of 64 KiB, with their length."""
    length = int(environ["PATH_INFO"].strip("/") or 0)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))])
    return measured_pieces(length)


def measured_pieces(length: int) -> Iterator[bytes]:
    while length > 0:
        piece = PIECE if length >= len(PIECE) else PIECE[:length]
        length -= len(piece)
        yield piece


def record(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read an upload and note what was seen of it in BENCHMARK_RECORD: one line "raised" or "N bytes"."""
    try:
        size = 0
        while data := environ["wsgi.input"].read(65_536):
            size += len(data)
        seen = f"{size} bytes"
    except Exception as error:
        seen = f"raised {type(error).__name__}"
    with open(os.environ["BENCHMARK_RECORD"], "a") as notes:
        notes.write(f"{seen}\n")
    return answer(start_response, HELLO)


def probe(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The application of the robustness part.

    ``POST /record`` notes what it saw, any other ``POST`` is an upload; ``GET /N`` is a download, ``GET /`` a hello.
    """
    if environ["REQUEST_METHOD"] == "POST":
        return (record if environ["PATH_INFO"] == "/record" else upload)(environ, start_response)
    if environ["PATH_INFO"] != "/":
        return download(environ, start_response)
    return hello(environ, start_response)
