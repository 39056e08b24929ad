"""Odd arguments for everything that applications call: each path is one case, and the answer tells what came of it.

It runs in a test without a server, and under real ones, Gunicorn's own among them.
"""

from __future__ import annotations

import collections
import enum
import http
import io
import sys
import wsgiref.headers
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from markupsafe import Markup
from multidict import CIMultiDict
from werkzeug.datastructures import Headers

Environ = dict[str, Any]
Case = Callable[[Environ, Any], Iterable[bytes]]

CASES: dict[str, Case] = {}
TEXT = ("Content-Type", "text/plain")


class Status(enum.StrEnum):
    OK = "200 OK"


class OldStatus(str, enum.Enum):  # noqa: UP042 - its str() is not what it consists of
    OK = "200 OK"


class Liar(str):
    """Says that it is something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return "500 Lie\r\nX-Injected: 1"

    __format__ = lambda self, spec: str(self)  # type: ignore[assignment]
    strip = lambda self, *_: str(self)  # type: ignore[assignment]
    encode = lambda self, *_: str(self).encode()  # type: ignore[assignment]


class Data(bytes):
    """Bytes of a class of their own."""


class Falsy(bytes):
    """Data that is false."""

    def __bool__(self) -> bool:
        return False


class Longer(bytes):
    """Data that says that it is longer than it is."""

    def __len__(self) -> int:
        return 100


class Pair(NamedTuple):
    name: str
    value: str


class Sequence:
    """Can be indexed, and nothing else."""

    def __init__(self, *items: Any) -> None:
        self._items = items

    def __getitem__(self, index: int) -> Any:
        return self._items[index]


class Index:
    """Stands for a number."""

    def __index__(self) -> int:
        return 3


class Lazy:
    """Becomes a string when it is asked to, as translations do."""

    def __str__(self) -> str:
        return "text"

    def __repr__(self) -> str:
        return "Lazy()"


def failing_generator() -> Iterator[tuple[str, str]]:
    yield TEXT
    raise LookupError("no more headers")


def error() -> Any:
    try:
        raise LookupError("the first attempt")
    except LookupError:
        return sys.exc_info()


STATUSES: dict[str, Any] = {
    "str": "200 OK",
    "Markup": Markup("200 OK"),
    "StrEnum": Status.OK,
    "str and Enum": OldStatus.OK,
    "a liar": Liar("200 OK"),
    "no reason": "404",
    "space and no reason": "404 ",
    "latin-1": "200 Schön",
    "beyond latin-1": "200 €",
    "a tab": "200 a\tb",
    "CR LF": "200 OK\r\nX-Injected: 1",
    "LF": "200 OK\n",
    "NUL": "200 \0",
    "empty": "",
    "no number": "OK",
    "two digits": "20 OK",
    "four digits": "2000 OK",
    "space before": " 200 OK",
    "no space": "200OK",
    "999": "999 Odd",
    "interim": "100 Continue",
    "switching": "101 Switching Protocols",
    "below 100": "099 Odd",
    "other digits": "٢٠٠ OK",
    "bytes": b"200 OK",
    "int": 200,
    "IntEnum": http.HTTPStatus.OK,
    "None": None,
    "list": ["200 OK"],
    "float": 200.0,
    "lazy": Lazy(),
}

HEADERS: dict[str, Callable[[], Any]] = {
    "list": lambda: [TEXT, ("X-A", "b")],
    "empty": list,
    "tuple": lambda: (TEXT, ("X-A", "b")),
    "items": lambda: dict([TEXT, ("X-A", "b")]).items(),
    "generator": lambda: (pair for pair in [TEXT, ("X-A", "b")]),
    "zip": lambda: zip(["X-A"], ["b"], strict=True),
    "deque": lambda: collections.deque([("X-A", "b")]),
    "set": lambda: {("X-A", "b")},
    "indexed": lambda: Sequence(TEXT, ("X-A", "b")),
    "a class of list": lambda: type("Listed", (list,), {})([("X-A", "b")]),
    "Werkzeug's": lambda: Headers([("X-A", "b")]),
    "multidict's items": lambda: CIMultiDict([("X-A", "b")]).items(),
    "multidict": lambda: CIMultiDict([("X-A", "b")]),
    "wsgiref's": lambda: wsgiref.headers.Headers([("X-A", "b")]),
    "wsgiref's items": lambda: wsgiref.headers.Headers([("X-A", "b")]).items(),
    "dict": lambda: {"X-A": "b"},
    "None": lambda: None,
    "int": lambda: 5,
    "str": lambda: "X-A: b",
    "bytes": lambda: b"X-A: b",
    "generator that fails": failing_generator,
    "pairs that are lists": lambda: [["X-A", "b"], list(TEXT)],
    "lists and tuples": lambda: [["X-A", "b"], TEXT],
    "named tuples": lambda: [Pair("X-A", "b")],
    "pairs that are None": lambda: [None],
    "pairs that are str": lambda: ["X-A: b"],
    "pairs of one": lambda: [("X-A",)],
    "pairs of three": lambda: [("X-A", "b", "c")],
    "lists of three": lambda: [["X-A", "b", "c"]],
    "name: bytes": lambda: [(b"X-A", "b")],
    "name: int": lambda: [(5, "b")],
    "name: None": lambda: [(None, "b")],
    "name: list": lambda: [(["X-A"], "b")],
    "name: Markup": lambda: [(Markup("X-A"), "b")],
    "name: a liar": lambda: [(Liar("X-A"), "b")],
    "name: empty": lambda: [("", "b")],
    "name: space": lambda: [("X A", "b")],
    "name: colon": lambda: [("X-A:", "b")],
    "name: beyond ASCII": lambda: [("X-Ä", "b")],
    "name: CR LF": lambda: [("X-A\r\nX-Injected", "b")],
    "value: bytes": lambda: [("X-A", b"b")],
    "value: int": lambda: [("X-A", 5)],
    "value: bool": lambda: [("X-A", True)],
    "value: None": lambda: [("X-A", None)],
    "value: list": lambda: [("X-A", ["b"])],
    "value: lazy": lambda: [("X-A", Lazy())],
    "value: Markup": lambda: [("X-A", Markup("<b>"))],
    "value: StrEnum": lambda: [("X-A", Status.OK)],
    "value: str and Enum": lambda: [("X-A", OldStatus.OK)],
    "value: a liar": lambda: [("X-A", Liar("b"))],
    "value: empty": lambda: [("X-A", "")],
    "value: spaces around": lambda: [("X-A", " \t b ")],
    "value: latin-1": lambda: [("X-A", "ä")],
    "value: beyond latin-1": lambda: [("X-A", "€")],
    "value: CR LF": lambda: [("X-A", "b\r\nX-Injected: 1")],
    "value: LF": lambda: [("X-A", "b\n")],
    "value: NUL": lambda: [("X-A", "\0")],
    "Content-Length: int": lambda: [("Content-Length", 4)],
    "Content-Length: words": lambda: [("Content-Length", "four")],
    "Content-Length: negative": lambda: [("Content-Length", "-4")],
    "Content-Length: list": lambda: [("Content-Length", "4, 4")],
    "Content-Length: two": lambda: [("Content-Length", "4"), ("content-length", "5")],
    "Content-Length: twice": lambda: [("Content-Length", "4"), ("content-length", "4")],
}

EXC_INFOS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "empty": tuple,
    "False": lambda: False,
    "str": lambda: "an error",
    "True": lambda: True,
    "sys.exc_info()": error,
    "sys.exc_info() of nothing": sys.exc_info,
    "a list": lambda: list(error()),
    "a pair": lambda: error()[:2],
    "class only": lambda: (LookupError, None, None),
    "without traceback": lambda: (*error()[:2], None),
    "message for a value": lambda: (LookupError, "the first attempt", None),
    "an exception": lambda: error()[1],
}

ITEMS: dict[str, Any] = {
    "bytes": b"data",
    "a class of bytes": Data(b"data"),
    "false bytes": Falsy(b"data"),
    "bytes with a length of their own": Longer(b"data"),
    "empty": b"",
    "bytearray": bytearray(b"data"),
    "memoryview": memoryview(b"data"),
    "str": "data",
    "Markup": Markup("data"),
    "None": None,
    "int": 5,
    "list": [b"data"],
}

RESULTS: dict[str, Callable[[], Any]] = {
    "tuple": lambda: (b"da", b"ta"),
    "empty list": list,
    "deque": lambda: collections.deque([b"da", b"ta"]),
    "set": lambda: {b"data"},
    "dict": lambda: {b"data": 1},
    "indexed": lambda: Sequence(b"da", b"ta"),
    "a file": lambda: io.BytesIO(b"da\nta"),
    "map": lambda: map(bytes, [b"da", b"ta"]),
    "a class of list": lambda: type("Listed", (list,), {})([b"data"]),
    "str": lambda: "data",
    "bytes": lambda: b"data",
    "a class of bytes": lambda: Data(b"data"),
    "bytearray": lambda: bytearray(b"data"),
    "None": lambda: None,
    "int": lambda: 5,
    "True": lambda: True,
}

HINTS: dict[str, Callable[[], Any]] = {
    "list": lambda: [("Link", "</a>")],
    "empty": list,
    "tuple": lambda: (("Link", "</a>"),),
    "items": {"Link": "</a>"}.items,
    "generator": lambda: (pair for pair in [("Link", "</a>")]),
    "pairs that are lists": lambda: [["Link", "</a>"]],
    "bytes": lambda: [(b"Link", b"</a>")],
    "Markup": lambda: [("Link", Markup("</a>"))],
    "indexed": lambda: Sequence(("Link", "</a>")),
    "None": lambda: None,
    "int": lambda: 5,
    "str": lambda: "Link: </a>",
    "dict": lambda: {"Link": "</a>"},
    "pairs of three": lambda: [("Link", "</a>", 1)],
    "pairs that are None": lambda: [None],
    "value: int": lambda: [("Link", 5)],
    "value: None": lambda: [("Link", None)],
    "value: CR LF": lambda: [("Link", "</a>\r\nX-Injected: 1")],
    "value: CR LF in bytes": lambda: [("Link", b"</a>\r\nX-Injected: 1")],
    "name: space": lambda: [("Li nk", "</a>")],
}

BLOCKS: dict[str, Any] = {
    "8192": 8192,
    "3": 3,
    "bool": True,
    "index": Index(),
    "None": None,
    "0": 0,
    "negative": -1,
    "huge": 1 << 40,
    "float": 3.0,
    "str": "3",
}


def case(name: str) -> Callable[[Case], Case]:
    def add(one: Case) -> Case:
        CASES[name] = one
        return one

    return add


def _add_cases() -> None:
    for name, status in STATUSES.items():
        CASES[f"status/{name}"] = lambda environ, start, status=status: (start(status, [TEXT]), [b"data"])[1]
    for name, make in HEADERS.items():
        CASES[f"headers/{name}"] = lambda environ, start, make=make: (start("200 OK", make()), [b"data"])[1]
    for name, make in EXC_INFOS.items():
        CASES[f"exc_info/{name}"] = lambda environ, start, make=make: started_again(start, make())
        CASES[f"late exc_info/{name}"] = lambda environ, start, make=make: started_late(start, make())
    for name, item in ITEMS.items():
        CASES[f"write/{name}"] = lambda environ, start, item=item: (start("200 OK", [TEXT])(item), [])[1]
        CASES[f"item/{name}"] = lambda environ, start, item=item: (start("200 OK", [TEXT]), [item])[1]
        CASES[f"second item/{name}"] = lambda environ, start, item=item: (start("200 OK", [TEXT]), iter([b"first ", item]))[1]
    for name, make in RESULTS.items():
        CASES[f"result/{name}"] = lambda environ, start, make=make: (start("200 OK", [TEXT]), make())[1]
    for name, make in HINTS.items():
        CASES[f"hints/{name}"] = lambda environ, start, make=make: (
            environ["wsgi.early_hints"](make()),
            start("200 OK", [TEXT]),
            [b"data"],
        )[2]
    for name, size in BLOCKS.items():
        CASES[f"block/{name}"] = lambda environ, start, size=size: (
            start("200 OK", [TEXT]),
            environ["wsgi.file_wrapper"](io.BytesIO(b"data"), size),
        )[1]


def started_again(start: Any, exc_info: Any) -> list[bytes]:
    """Start a response, and another one in its place, before anything is sent."""
    start("200 OK", [("X-A", "first")])
    start("404 Not Found", [TEXT], exc_info)
    return [b"data"]


def started_late(start: Any, exc_info: Any) -> list[bytes]:
    """The same when the head is sent."""
    start("200 OK", [TEXT])(b"first ")
    try:
        start("500 Error", [TEXT], exc_info)
    except Exception as raised:
        return [f"{type(raised).__name__}: {raised}".encode("latin-1", "backslashreplace")]
    return [b"nothing"]


_add_cases()


@case("start/by name")
def by_name(environ: Environ, start: Any) -> list[bytes]:
    start(status="200 OK", headers=[TEXT], exc_info=None)
    return [b"data"]


@case("start/without headers")
def without_headers(environ: Environ, start: Any) -> list[bytes]:
    start("200 OK")
    return [b"data"]


@case("start/changed afterwards")
def changed_afterwards(environ: Environ, start: Any) -> list[bytes]:
    headers = [TEXT, ("X-A", "b")]
    start("200 OK", headers)
    headers[:] = [("X-Late", "1")]
    return [b"data"]


@case("start/again after a refusal")
def again(environ: Environ, start: Any) -> list[bytes]:
    try:
        start("200 OK", [("X-A", 5)])
    except TypeError:
        start("404 Not Found", [("X-A", "b")], sys.exc_info())
    return [b"data"]


@case("start/never")
def never(environ: Environ, start: Any) -> list[bytes]:
    return [b"data"]


@case("start/refused and not tried again")
def refused(environ: Environ, start: Any) -> list[bytes]:
    try:
        start("200 OK", [("X-A", "\0")])
    except Exception:
        pass
    return [b"data"]


@case("write/nothing")
def write_nothing(environ: Environ, start: Any) -> list[bytes]:
    start("200 OK", [TEXT])()
    return []


@case("hints/nothing")
def hints_nothing(environ: Environ, start: Any) -> list[bytes]:
    environ["wsgi.early_hints"]()
    return []


@case("hints/too late")
def hints_late(environ: Environ, start: Any) -> list[bytes]:
    start("200 OK", [TEXT])(b"data")
    environ["wsgi.early_hints"]([("Link", "</a>")])
    return []


@case("environ/cleared")
def environ_cleared(environ: Environ, start: Any) -> list[bytes]:
    start("200 OK", [TEXT])
    environ.clear()
    return [b"data"]


@case("environ/odd")
def environ_odd(environ: Environ, start: Any) -> list[bytes]:
    start("200 OK", [TEXT])
    environ.update(dict.fromkeys(["REMOTE_ADDR", "PATH_INFO", "REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL", "wsgi.input"]))
    environ.update(
        {"HTTP_USER_AGENT": b"agent", "HTTP_REFERER": 5, "REMOTE_USER": object(), "wsgi.early_hints": 1, "other": None}
    )
    return [b"data"]


@case("disconnected/asked")
def disconnected(environ: Environ, start: Any) -> list[bytes]:
    start("200 OK", [TEXT])
    return [repr(environ["aiohttp_worker.client_disconnected"]()).encode()]


@case("disconnected/asked too much")
def disconnected_with(environ: Environ, start: Any) -> list[bytes]:
    environ["aiohttp_worker.client_disconnected"]("now")
    return []


@case("file/by hand")
def file_keyword(environ: Environ, start: Any) -> list[bytes]:
    start("200 OK", [TEXT])
    wrapper = environ["wsgi.file_wrapper"](io.BytesIO(b"data"), 2)
    return [type(wrapper).__name__.encode(), b" ", next(wrapper), next(iter(wrapper))]


@case("file/text")
def file_text(environ: Environ, start: Any) -> Any:
    start("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](io.StringIO("data"))


@case("file/no file")
def file_none(environ: Environ, start: Any) -> Any:
    start("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"]("/etc/hostname")


@case("errors/str")
def errors_str(environ: Environ, start: Any) -> list[bytes]:
    stream = environ["wsgi.errors"]
    stream.write("to the errors\n")
    stream.write(Markup("<b>\n"))
    stream.writelines(["one\n", Markup("two\n")])
    stream.flush()
    start("200 OK", [TEXT])
    return [b"data"]


@case("errors/bytes")
def errors_bytes(environ: Environ, start: Any) -> list[bytes]:
    environ["wsgi.errors"].write(b"bytes\n")
    return []


@case("errors/None")
def errors_none(environ: Environ, start: Any) -> list[bytes]:
    environ["wsgi.errors"].write(None)
    return []


@case("errors/writelines of None")
def errors_writelines(environ: Environ, start: Any) -> list[bytes]:
    environ["wsgi.errors"].writelines(None)
    return []


def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Run the case that the path names, and tell what it raised, if it did."""
    name = unquote(environ["PATH_INFO"][1:])
    try:
        return CASES[name](environ, start_response)
    except Exception as raised:
        text = f"{type(raised).__name__}: {raised}"
        start_response("299 Raised", [TEXT], sys.exc_info())
        return [text.encode("latin-1", "backslashreplace")]
