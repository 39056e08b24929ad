"""Ordinary WSGI views, one for each rule of PEP 3333 that a test asks about.

Tests look at the answer, and where the answer cannot tell, at lines that the application writes to
the error log with `say`.
"""

import contextvars
import io
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gate
from gate import query

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
PLAIN = [("Content-Type", "text/plain")]

request_variable: contextvars.ContextVar[str] = contextvars.ContextVar("request_variable")


def say(text: str) -> None:
    """One line to the standard error, in one piece whatever else is written there."""
    os.write(2, f"{text}\n".encode())


class Recorder:
    """An iterable that says what is done to it."""

    def __init__(self, key: str, pieces: Iterable[bytes], fail_after: int | None = None) -> None:
        self.key = key
        self._pieces = iter(pieces)
        self._left = fail_after

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._left is not None:
            if self._left == 0:
                raise RuntimeError(f"planned failure {self.key}")
            self._left -= 1
        return next(self._pieces)

    def close(self) -> None:
        say(f"closed {self.key}")


# Bodies


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [b"Hello, world!\n"]


def empty_list(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return []


def many_items(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [b"one ", b"", b"two ", b"three"]


def tuple_of_one(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return (b"in a tuple",)


def list_of_empty(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [b""]


def with_length(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*PLAIN, ("Content-Length", "11")])
    return [b"hello ", b"world"]


def late_start(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    class Late:
        started = False

        def __iter__(self) -> "Late":
            return self

        def __next__(self) -> bytes:
            if self.started:
                raise StopIteration
            self.started = True
            start_response("201 Created", [*PLAIN, ("X-Late", "yes")])
            return b"late"

    return Late()


def generator(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Calls start_response when it is stepped first."""
    start_response("200 OK", [*PLAIN, ("X-Late", "yes")])
    yield b"one "
    yield b""
    yield b"two"


def late_after_empty(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """PEP 3333 lets an application yield empty strings before it starts the response."""
    yield b""
    start_response("202 Accepted", PLAIN)
    yield b""
    yield b"done"


def empty_generator(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    yield from ()


def repeated_headers(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*PLAIN, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [b"cookies"]


def latin1_header(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 Tr\xe8s bien", [*PLAIN, ("X-Name", "caf\xe9")])
    return [b""]


def own_date_and_server(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*PLAIN, ("Server", "mine"), ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")])
    return [b"own"]


def says_close(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*PLAIN, ("Connection", "close")])
    return [b"bye"]


def recorded(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """pieces=N of them, fail=K raises at the K-th step."""
    fail = query(environ, "fail")
    start_response("200 OK", PLAIN)
    pieces = (b"piece %d;" % number for number in range(int(query(environ, "pieces", "3"))))
    return Recorder(query(environ, "key"), pieces, int(fail) if fail else None)


def recorded_with_length(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """length=N in the head, size=M bytes in the body, in pieces of piece=P."""
    length, size = query(environ, "length"), int(query(environ, "size"))
    piece = int(query(environ, "piece", str(size or 1)))
    start_response("200 OK", [*PLAIN, ("Content-Length", length)])
    pieces = (b"x" * min(piece, size - start) for start in range(0, size, piece))
    return Recorder(query(environ, "key"), pieces)


def list_with_length(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*PLAIN, ("Content-Length", query(environ, "length"))])
    return [b"x" * int(query(environ, "size"))]


def endless(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """status=... and length=N as given; the iterable never ends."""

    def pieces() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    length = query(environ, "length")
    headers = [("Content-Length", length)] if length else []
    start_response(query(environ, "status", "200 OK"), [*PLAIN, *headers])
    return Recorder(query(environ, "key"), pieces())


def two_steps(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The second piece does not exist before the test has opened the gate."""

    def pieces() -> Iterator[bytes]:
        yield b"first"
        gate.wait(environ)
        yield b"second"

    start_response("200 OK", PLAIN)
    return Recorder(query(environ, "key"), pieces())


def big(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """size=N bytes in pieces of 64 KiB, telling in the end."""
    size = int(query(environ, "size"))
    key = query(environ, "key")

    def pieces() -> Iterator[bytes]:
        piece = b"x" * 65536
        for produced in range(0, size, len(piece)):
            say(f"produced {key} {produced}")
            yield piece[: size - produced]

    headers = [("Content-Length", str(size))] if query(environ, "length") else []
    start_response("200 OK", [*PLAIN, *headers])
    return Recorder(key, pieces())


def big_list(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [b"x" * int(query(environ, "size"))]


# The write callable


def written(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", PLAIN)
    write(b"one ")
    write(b"")
    write(b"two ")
    return [b"three"]


def written_only(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [*PLAIN, ("Content-Length", "7")])
    write(b"written")
    return []


def written_then_failed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", PLAIN)
    write(b"written")
    raise RuntimeError("planned failure after write")


def write_text(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", PLAIN)
    write("text")  # type: ignore[arg-type]
    return []


def write_big(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    number = int(query(environ, "pieces"))
    length = [("Content-Length", str(number * 16384 + 4))] if query(environ, "length") else []
    write = start_response("200 OK", PLAIN + length)
    for i in range(number):
        write(bytes([i % 256]) * 16384)
    say(f"written {query(environ, 'key')}")
    return [b"last"]


def endless_write(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Writes until it is told that nobody reads, but not for ever."""
    write = start_response("200 OK", PLAIN)
    try:
        for _ in range(int(query(environ, "pieces"))):
            write(b"x" * 16384)
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        say(f"write raised {query(environ, 'key')} {'ConnectionError' in kinds}")
        raise
    return []


# start_response


def exc_info_before(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*PLAIN, ("X-First", "1")])
    try:
        raise ValueError("before the head")
    except ValueError:
        start_response("503 Second", [*PLAIN, ("X-Second", "2")], sys.exc_info())
    return [b"second"]


def exc_info_after(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """The head is on its way, so start_response has to raise what it is given."""
    start_response("200 OK", PLAIN)
    yield b"started"
    try:
        raise ValueError("planned failure after the head")
    except ValueError as error:
        try:
            start_response("500 Second", PLAIN, sys.exc_info())
        except ValueError as same:
            say(f"raised again {query(environ, 'key')} {same is error}")
            raise
    say(f"went on {query(environ, 'key')}")
    yield b"never"


def start_twice(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    try:
        start_response("201 Created", PLAIN)
    except Exception as error:
        return [type(error).__name__.encode()]
    return [b"allowed"]


def never_started(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return [b"no head"]


def never_started_empty(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return []


def failed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError(f"planned failure {query(environ, 'key')}")


def failed_started(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*PLAIN, ("X-First", "1")])
    raise RuntimeError("planned failure with the head not sent")


class FailingClose(Recorder):
    def close(self) -> None:
        super().close()
        raise RuntimeError(f"planned failure of close {self.key}")


def failing_close(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return FailingClose(query(environ, "key"), [b"one ", b"two"])


def failing_iter(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    class Body(Recorder):
        def __iter__(self) -> Iterator[bytes]:
            raise RuntimeError(f"planned failure of iter {self.key}")

    start_response("200 OK", PLAIN)
    return Body(query(environ, "key"), [])


def stop_iteration(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    raise StopIteration(f"planned {query(environ, 'key')}")


def indexed(environ: Environ, start_response: StartResponse) -> Any:
    """Iterable by the old protocol."""

    class Body:
        def __getitem__(self, index: int) -> bytes:
            return (b"a", b"b", b"c")[index]

    start_response("200 OK", PLAIN)
    return Body()


def subclasses(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    class Text(str):  # noqa: SLOT000
        pass

    class Data(bytes):
        pass

    class Items(list[bytes]):
        def close(self) -> None:
            say(f"closed {query(environ, 'key')}")

    start_response("200 OK", [(Text("X-Name"), Text("value")), *PLAIN])
    return Items([Data(b"sub"), Data(b"classes")])


def exits(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise SystemExit(3)


def status_and_headers(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """status=..., name=..., value=... as given, percent-decoded."""
    headers = [("Content-Type", "text/plain"), (query(environ, "name"), query(environ, "value"))]
    start_response(query(environ, "status", "200 OK"), headers)
    return [b"body"]


WRONG_STARTS: dict[str, tuple[Any, Any]] = {
    "status-bytes": (b"200 OK", PLAIN),
    "status-number": (200, PLAIN),
    "status-without-code": ("OK", PLAIN),
    "status-four-digits": ("2000 OK", PLAIN),
    "status-informational": ("100 Continue", PLAIN),
    "status-crlf": ("200 OK\r\nX-Injected: 1", PLAIN),
    "headers-none": ("200 OK", None),
    "headers-dict": ("200 OK", {"Content-Type": "text/plain"}),
    "header-name-bytes": ("200 OK", [(b"Content-Type", "text/plain")]),
    "header-value-bytes": ("200 OK", [("Content-Type", b"text/plain")]),
    "header-value-number": ("200 OK", [("Content-Length", 4)]),
    "header-three": ("200 OK", [("Content-Type", "text/plain", "x")]),
    "header-name-empty": ("200 OK", [("", "x")]),
    "header-name-space": ("200 OK", [("X Y", "x")]),
    "header-name-colon": ("200 OK", [("X:Y", "x")]),
    "header-name-crlf": ("200 OK", [("X\r\nX-Injected", "1")]),
    "header-value-crlf": ("200 OK", [("X-A", "a\r\nX-Injected: 1")]),
    "header-value-cr": ("200 OK", [("X-A", "a\rX-Injected: 1")]),
    "header-value-lf": ("200 OK", [("X-A", "a\nX-Injected: 1")]),
    "header-value-nul": ("200 OK", [("X-A", "a\0b")]),
    "header-value-unicode": ("200 OK", [("X-A", "\u20ac")]),
    "length-negative": ("200 OK", [("Content-Length", "-1")]),
    "length-word": ("200 OK", [("Content-Length", "four")]),
    "length-twice": ("200 OK", [("Content-Length", "4"), ("Content-Length", "5")]),
    "hop-by-hop": ("200 OK", [("Transfer-Encoding", "chunked")]),
}


def wrong_start(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    status, headers = WRONG_STARTS[query(environ, "case")]
    start_response(status, headers)
    return Recorder(query(environ, "key"), [b"body"])


WRONG_ITEMS: dict[str, Any] = {
    "text": "text",
    "number": 7,
    "none": None,
    "list": [b"x"],
    "bytearray": bytearray(b"x"),
}


def wrong_item(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """case=... is what is yielded, after=N good pieces."""
    item = WRONG_ITEMS[query(environ, "case")]
    good = int(query(environ, "after", "0"))
    start_response("200 OK", PLAIN)
    return Recorder(query(environ, "key"), [*[b"good"] * good, item])


WRONG_RESULTS: dict[str, Any] = {"none": None, "number": 7, "text": "text", "object": object()}


def wrong_result(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", PLAIN)
    return WRONG_RESULTS[query(environ, "case")]


def no_body(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """status=..., and a body that must not be sent."""
    start_response(query(environ, "status"), [("X-A", "1")])
    return Recorder(query(environ, "key"), [b"a body ", b"that must not leave"])


# Requests


def environ_as_json(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Every key whose value is a string, number or tuple; the type's name for the others."""
    plain = {
        key: value if isinstance(value, str | int | float | tuple | list | None) else type(value).__name__
        for key, value in environ.items()
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(plain).encode()]


def path_info(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [ascii(environ["PATH_INFO"]).encode()]


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [environ["wsgi.input"].read()]


def read_calls(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Does to wsgi.input what the query string says and answers with what came back."""
    file = environ["wsgi.input"]
    results: list[Any] = []
    for call in query(environ, "calls").split(","):
        name, *arguments = call.split(":")
        if name == "iter":
            results.append(list(file))
        elif name == "next":
            results.append(next(iter(file), None))
        elif name == "readinto":
            buffer = bytearray(int(arguments[0]))
            count = file.readinto(buffer)
            results.append(bytes(buffer[:count]))
        elif name == "buffered":
            results.append(io.BufferedReader(file).read())
        elif name == "type":
            results.append(type(file.read(1)) is bytes)
        else:
            given = [None if argument == "None" else int(argument) for argument in arguments]
            results.append(getattr(file, name)(*given))
    start_response("200 OK", PLAIN)
    return [repr(results).encode()]


def body_facts(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    facts = {
        "body": body.decode("latin-1"),
        "content_length": environ.get("CONTENT_LENGTH"),
        "transfer_encoding": environ.get("HTTP_TRANSFER_ENCODING"),
        "input_terminated": environ.get("wsgi.input_terminated"),
        "trailers": [key for key in environ if "TRAILER" in key.upper() or "CHECKSUM" in key],
        "type": type(environ["wsgi.input"]).__name__,
    }
    start_response("200 OK", PLAIN)
    return [json.dumps(facts).encode()]


def body_size(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    size = 0
    while data := environ["wsgi.input"].read(65536):
        size += len(data)
    start_response("200 OK", PLAIN)
    return [str(size).encode()]


def unread(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    say(f"called {query(environ, 'key')}")
    start_response("200 OK", PLAIN)
    return [b"not read"]


def spooled(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """How many files in the directory for uploads this process holds open."""
    directory = os.environ["UPLOADS"]
    held = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            held += os.readlink(f"/proc/self/fd/{name}").startswith(directory)
        except OSError:  # the descriptor of listdir itself
            continue
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", PLAIN)
    return [json.dumps({"held": held, "size": size}).encode()]


def context(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """What the context variable holds at the call and at a step, then sets it."""
    before = request_variable.get("unset")
    request_variable.set(query(environ, "value"))
    start_response("200 OK", PLAIN)

    class Body:
        sent = False

        def __iter__(self) -> "Body":
            return self

        def __next__(self) -> bytes:
            if self.sent:
                raise StopIteration
            self.sent = True
            return f"{before} {request_variable.get('unset')}".encode()

        def close(self) -> None:
            say(f"context at close {request_variable.get('unset')}")

    return Body()


def early(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload; as=style")])
    start_response("200 OK", PLAIN)
    return [b"hinted"]


def early_wrong(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.early_hints"]([("Link", "a\r\nX-Injected: 1")])
    start_response("200 OK", PLAIN)
    return [b"hinted"]


class NamedFile(io.FileIO):
    """A file that says that it was closed."""

    def __init__(self, path: str, key: str) -> None:
        super().__init__(path)
        self._key = key

    def close(self) -> None:
        if not self.closed:
            say(f"file closed {self._key}")
        super().close()


def wrapped_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """path=..., offset=N where reading starts, length=N in the head."""
    file = NamedFile(query(environ, "path"), query(environ, "key"))
    file.seek(int(query(environ, "offset", "0")))
    length = query(environ, "length")
    start_response("200 OK", [*PLAIN, *([("Content-Length", length)] if length else [])])
    wrapper = environ["wsgi.file_wrapper"]
    return wrapper(file, 8192)  # type: ignore[no-any-return]


def wrapped_memory(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A file without a descriptor."""
    start_response("200 OK", PLAIN)
    wrapper = environ["wsgi.file_wrapper"]
    return wrapper(io.BytesIO(b"0123456789" * 3000))  # type: ignore[no-any-return]


def wrapped_temporary(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A file object of another class, with a descriptor and an offset."""
    file = tempfile.TemporaryFile()
    file.write(b"0123456789" * 3000)
    file.flush()
    file.seek(10)
    start_response("200 OK", PLAIN)
    wrapper = environ["wsgi.file_wrapper"]
    return wrapper(file)  # type: ignore[no-any-return]


def errors(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    stream = environ["wsgi.errors"]
    stream.write("written to wsgi.errors\n")
    stream.writelines(["line one\n", "line two \u20ac\n"])
    stream.flush()
    print("printed", file=stream)
    start_response("200 OK", PLAIN)
    return [b""]


def thread(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The thread of the call, of each step and of close."""
    ident = threading.get_ident()

    class Body:
        left = 3

        def __iter__(self) -> "Body":
            return self

        def __next__(self) -> bytes:
            if not self.left:
                raise StopIteration
            self.left -= 1
            return b"same " if threading.get_ident() == ident else b"other "

        def close(self) -> None:
            main = threading.get_ident() == threading.main_thread().ident
            same = threading.get_ident() == ident
            say(f"close {query(environ, 'key')} same={same} main={main}")

    start_response("200 OK", PLAIN)
    return Body()


def at_gate(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Blocks in the call until the test opens the gate."""
    gate.wait(environ)
    start_response("200 OK", PLAIN)
    return [b"through"]


def close_at_gate(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Gives all of its body, of the length it says or of an unknown one, and is blocked in close()."""
    length = query(environ, "length")
    start_response("200 OK", [*PLAIN, ("Content-Length", length)] if length else PLAIN)

    class Body(Recorder):
        def close(self) -> None:
            gate.wait(environ)
            super().close()

    return Body(query(environ, "key"), [b"all of it"])


def size_after_gate(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Reads its body only when the test has opened the gate."""
    gate.wait(environ)
    return body_size(environ, start_response)


def asks(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Asks whether the client is there, until it is not."""
    gone = environ["aiohttp_worker.client_disconnected"]
    say(f"asked first {query(environ, 'key')} {gone()}")
    gate.wait(environ)
    while not gone():
        time.sleep(0.001)  # the only way to ask in a thread is again and again
    say(f"asked last {query(environ, 'key')} True")
    start_response("200 OK", PLAIN)
    return []


def pid(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [str(os.getpid()).encode()]


def view_named(views: dict[str, Any], environ: Environ) -> Any:
    """The view that the first segment of the path names."""
    return views[environ["PATH_INFO"].strip("/").partition("/")[0].replace("-", "_")]


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    name = environ["PATH_INFO"].strip("/").partition("/")[0].replace("-", "_") or "hello"
    view = globals().get(name)
    if environ["PATH_INFO"] == "*":
        view = environ_as_json
    if view is None:
        start_response("404 Not Found", PLAIN)
        return [b"no such view"]
    result: Iterable[bytes] = view(environ, start_response)
    return result
