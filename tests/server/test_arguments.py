"""Odd arguments for everything that applications call: the same outcome in both builds, and never in mypyc's words."""

from __future__ import annotations

import asyncio
import functools
import inspect
import io
import re
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from aiohttp_worker import AsyncBody, stream_input
from aiohttp_worker.http1.messages import Limits
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.response_encoder import HeadEncoder
from aiohttp_worker.http1.server_connection import ServerConnection
from aiohttp_worker.wsgi.blocking_reader import BlockingReader
from aiohttp_worker.wsgi.body_collector import BodyCollector
from aiohttp_worker.wsgi.input import FileReader, StreamReader
from aiohttp_worker.wsgi.start_response import StartResponse
from tests.functional.apps import arguments
from tests.http1.reading import new_request

from .fakes import GET, FakeLoop, FakeServer
from .outcomes import outcome

# What mypyc says when a value is not what an annotation promises.
MYPYC = re.compile(r"object expected; got|expected; got|or None object|attribute '\w+' of '\w+' undefined|expected \w+ object")

# A kind of exception alone stands where Python says the rest.
OUTCOMES = {
    "status/str": "200 OK 'data'",
    "status/Markup": "200 OK 'data'",
    "status/StrEnum": "200 OK 'data'",
    "status/str and Enum": "200 OK 'data'",
    "status/a liar": "200 OK 'data'",
    "status/no reason": "404  'data'",
    "status/space and no reason": "404  'data'",
    "status/latin-1": "200 Schön 'data'",
    "status/beyond latin-1": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: '200 \\u20ac'",
    "status/a tab": "200 a\tb 'data'",
    "status/CR LF": (
        "LocalProtocolError: the status must be like '200 OK', three digits and a reason: '200 OK\\r\\nX-Injected: 1'"
    ),
    "status/LF": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: '200 OK\\n'",
    "status/NUL": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: '200 \\x00'",
    "status/empty": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: ''",
    "status/no number": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: 'OK'",
    "status/two digits": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: '20 OK'",
    "status/four digits": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: '2000 OK'",
    "status/space before": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: ' 200 OK'",
    "status/no space": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: '200OK'",
    "status/999": "999 Odd 'data'",
    "status/interim": "LocalProtocolError: '100 Continue' is no final status (RFC 9110 section 15.2)",
    "status/switching": "LocalProtocolError: '101 Switching Protocols' is no final status (RFC 9110 section 15.2)",
    "status/below 100": "LocalProtocolError: the status must be like '200 OK', three digits and a reason: '099 Odd'",
    "status/other digits": (
        "LocalProtocolError: the status must be like '200 OK', three digits and a reason: '\\u0662\\u0660\\u0660 OK'"
    ),
    "status/bytes": "TypeError: the status must be str, not bytes: b'200 OK'",
    "status/int": "TypeError: the status must be str, not int: 200",
    "status/IntEnum": "TypeError: the status must be str, not HTTPStatus: <HTTPStatus.OK: 200>",
    "status/None": "TypeError: the status must be str, not NoneType: None",
    "status/list": "TypeError: the status must be str, not list: ['200 OK']",
    "status/float": "TypeError: the status must be str, not float: 200.0",
    "status/lazy": "TypeError: the status must be str, not Lazy: Lazy()",
    "headers/list": "200 OK X-A: b 'data'",
    "headers/empty": "200 OK 'data'",
    "headers/tuple": "200 OK X-A: b 'data'",
    "headers/items": "200 OK X-A: b 'data'",
    "headers/generator": "200 OK X-A: b 'data'",
    "headers/zip": "200 OK X-A: b 'data'",
    "headers/deque": "200 OK X-A: b 'data'",
    "headers/set": "200 OK X-A: b 'data'",
    "headers/indexed": "200 OK X-A: b 'data'",
    "headers/a class of list": "200 OK X-A: b 'data'",
    "headers/Werkzeug's": "200 OK X-A: b 'data'",
    "headers/multidict's items": "200 OK X-A: b 'data'",
    "headers/multidict": "TypeError: a header must be a pair (name, value), not 'X-A'",
    "headers/wsgiref's": "TypeError: the headers must be a list of pairs (name, value), not Headers: give its items()",
    "headers/wsgiref's items": "200 OK X-A: b 'data'",
    "headers/dict": "TypeError: the headers must be a list of pairs (name, value), not dict: give its items()",
    "headers/None": "TypeError: the headers must be a list of pairs (name, value), not None",
    "headers/int": "TypeError: the headers must be a list of pairs (name, value), not 5",
    "headers/str": "TypeError: the headers must be a list of pairs (name, value), not 'X-A: b'",
    "headers/bytes": "TypeError: the headers must be a list of pairs (name, value), not b'X-A: b'",
    "headers/generator that fails": "LookupError: no more headers",
    "headers/pairs that are lists": "200 OK X-A: b 'data'",
    "headers/lists and tuples": "200 OK X-A: b 'data'",
    "headers/named tuples": "200 OK X-A: b 'data'",
    "headers/pairs that are None": "TypeError: a header must be a pair (name, value), not None",
    "headers/pairs that are str": "TypeError: a header must be a pair (name, value), not 'X-A: b'",
    "headers/pairs of one": "TypeError: a header must be a pair (name, value), not tuple of 1: ('X-A',)",
    "headers/pairs of three": "TypeError: a header must be a pair (name, value), not tuple of 3: ('X-A', 'b', 'c')",
    "headers/lists of three": "TypeError: a header must be a pair (name, value), not list of 3: ['X-A', 'b', 'c']",
    "headers/name: bytes": "TypeError: a header's name and value must be str, not bytes and str (b'X-A')",
    "headers/name: int": "TypeError: a header's name and value must be str, not int and str (5)",
    "headers/name: None": "TypeError: a header's name and value must be str, not NoneType and str (None)",
    "headers/name: list": "TypeError: a header's name and value must be str, not list and str (['X-A'])",
    "headers/name: Markup": "200 OK X-A: b 'data'",
    "headers/name: a liar": "200 OK X-A: b 'data'",
    "headers/name: empty": "LocalProtocolError: invalid name of a header: ''",
    "headers/name: space": "LocalProtocolError: invalid name of a header: 'X A'",
    "headers/name: colon": "LocalProtocolError: invalid name of a header: 'X-A:'",
    "headers/name: beyond ASCII": "LocalProtocolError: invalid name of a header: 'X-Ä'",
    "headers/name: CR LF": "LocalProtocolError: invalid name of a header: 'X-A\\r\\nX-Injected'",
    "headers/value: bytes": "TypeError: a header's name and value must be str, not str and bytes ('X-A')",
    "headers/value: int": "TypeError: a header's name and value must be str, not str and int ('X-A')",
    "headers/value: bool": "TypeError: a header's name and value must be str, not str and bool ('X-A')",
    "headers/value: None": "TypeError: a header's name and value must be str, not str and NoneType ('X-A')",
    "headers/value: list": "TypeError: a header's name and value must be str, not str and list ('X-A')",
    "headers/value: lazy": "TypeError: a header's name and value must be str, not str and Lazy ('X-A')",
    "headers/value: Markup": "200 OK X-A: <b> 'data'",
    "headers/value: StrEnum": "200 OK X-A: 200 OK 'data'",
    "headers/value: str and Enum": "200 OK X-A: 200 OK 'data'",
    "headers/value: a liar": "200 OK X-A: b 'data'",
    "headers/value: empty": "200 OK X-A:  'data'",
    "headers/value: spaces around": "200 OK X-A: b 'data'",
    "headers/value: latin-1": "200 OK X-A: ä 'data'",
    "headers/value: beyond latin-1": "LocalProtocolError: invalid character in the value of the header 'X-A'",
    "headers/value: CR LF": "LocalProtocolError: invalid character in the value of the header 'X-A'",
    "headers/value: LF": "LocalProtocolError: invalid character in the value of the header 'X-A'",
    "headers/value: NUL": "LocalProtocolError: invalid character in the value of the header 'X-A'",
    "headers/Content-Length: int": "TypeError: a header's name and value must be str, not str and int ('Content-Length')",
    "headers/Content-Length: words": "LocalProtocolError: Content-Length is no length: 'four'",
    "headers/Content-Length: negative": "LocalProtocolError: Content-Length is no length: '-4'",
    "headers/Content-Length: list": "LocalProtocolError: Content-Length is no length: '4, 4'",
    "headers/Content-Length: two": "LocalProtocolError: two Content-Length headers that differ",
    "headers/Content-Length: twice": "200 OK 'data'",
    "exc_info/None": "AssertionError: start_response was called again, and without exc_info (PEP 3333)",
    "late exc_info/None": "200 OK 'first AssertionError: start_response was called again, and without exc_info (PEP 3333)'",
    "exc_info/empty": "AssertionError: start_response was called again, and without exc_info (PEP 3333)",
    "late exc_info/empty": "200 OK 'first AssertionError: start_response was called again, and without exc_info (PEP 3333)'",
    "exc_info/False": "AssertionError: start_response was called again, and without exc_info (PEP 3333)",
    "late exc_info/False": "200 OK 'first AssertionError: start_response was called again, and without exc_info (PEP 3333)'",
    "exc_info/str": "404 Not Found 'data'",
    "late exc_info/str": (
        "200 OK \"first TypeError: the head of the response is sent, and exc_info has no exception to raise: 'an error'\""
    ),
    "exc_info/True": "404 Not Found 'data'",
    "late exc_info/True": (
        "200 OK 'first TypeError: the head of the response is sent, and exc_info has no exception to raise: True'"
    ),
    "exc_info/sys.exc_info()": "404 Not Found 'data'",
    "late exc_info/sys.exc_info()": "200 OK 'first LookupError: the first attempt'",
    "exc_info/sys.exc_info() of nothing": "404 Not Found 'data'",
    "late exc_info/sys.exc_info() of nothing": (
        "200 OK 'first TypeError: the head of the response is sent, and exc_info has no exception to raise: (None, None, None)'"
    ),
    "exc_info/a list": "404 Not Found 'data'",
    "late exc_info/a list": "200 OK 'first LookupError: the first attempt'",
    "exc_info/a pair": "404 Not Found 'data'",
    "late exc_info/a pair": "200 OK 'first LookupError: the first attempt'",
    "exc_info/class only": "404 Not Found 'data'",
    "late exc_info/class only": "200 OK 'first LookupError: '",
    "exc_info/without traceback": "404 Not Found 'data'",
    "late exc_info/without traceback": "200 OK 'first LookupError: the first attempt'",
    "exc_info/message for a value": "404 Not Found 'data'",
    "late exc_info/message for a value": (
        '200 OK "first TypeError: the head of the response is sent, and exc_info has no exception to raise: '
        "(<class 'LookupError'>, 'the first attempt', None)\""
    ),
    "exc_info/an exception": "404 Not Found 'data'",
    "late exc_info/an exception": "200 OK 'first LookupError: the first attempt'",
    "write/bytes": "200 OK 'data'",
    "item/bytes": "200 OK 'data'",
    "second item/bytes": "200 OK 'first data'",
    "write/a class of bytes": "200 OK 'data'",
    "write/false bytes": "200 OK 'data'",
    "write/bytes with a length of their own": "200 OK 'data'",
    "item/a class of bytes": "200 OK 'data'",
    "item/false bytes": "200 OK 'data'",
    "item/bytes with a length of their own": "200 OK 'data'",
    "second item/a class of bytes": "200 OK 'first data'",
    "second item/false bytes": "200 OK 'first data'",
    "second item/bytes with a length of their own": "200 OK 'first data'",
    "write/empty": "200 OK ''",
    "item/empty": "200 OK ''",
    "second item/empty": "200 OK 'first '",
    "write/bytearray": "TypeError: write() takes bytes, not bytearray: bytearray(b'data')",
    "item/bytearray": "500: TypeError(\"the application yielded bytearray (bytearray(b'data')), expected bytes (PEP 3333)\")",
    "second item/bytearray": (
        "cut 'first ': TypeError(\"the application yielded bytearray (bytearray(b'data')), expected bytes (PEP 3333)\")"
    ),
    "write/memoryview": "TypeError: write() takes bytes, not memoryview: <memory>",
    "item/memoryview": "500: TypeError('the application yielded memoryview (<memory>), expected bytes (PEP 3333)')",
    "second item/memoryview": (
        "cut 'first ': TypeError('the application yielded memoryview (<memory>), expected bytes (PEP 3333)')"
    ),
    "write/str": "TypeError: write() takes bytes, not str: 'data'",
    "item/str": "500: TypeError(\"the application yielded str ('data'), expected bytes (PEP 3333): encode it\")",
    "second item/str": "cut 'first ': TypeError(\"the application yielded str ('data'), expected bytes (PEP 3333): encode it\")",
    "write/Markup": "TypeError: write() takes bytes, not Markup: Markup('data')",
    "item/Markup": "500: TypeError(\"the application yielded Markup (Markup('data')), expected bytes (PEP 3333): encode it\")",
    "second item/Markup": (
        "cut 'first ': TypeError(\"the application yielded Markup (Markup('data')), expected bytes (PEP 3333): encode it\")"
    ),
    "write/None": "TypeError: write() takes bytes, not NoneType: None",
    "item/None": (
        '500: TypeError("the application yielded NoneType (None), expected bytes '
        "(PEP 3333): to yield nothing, leave it out or yield b''\")"
    ),
    "second item/None": (
        "cut 'first ': TypeError(\"the application yielded NoneType (None), expected bytes "
        "(PEP 3333): to yield nothing, leave it out or yield b''\")"
    ),
    "write/int": "TypeError: write() takes bytes, not int: 5",
    "item/int": (
        "500: TypeError('the application yielded int (5), expected bytes (PEP 3333): "
        "bytes that were read stand behind `yield`, not `yield from`')"
    ),
    "second item/int": (
        "cut 'first ': TypeError('the application yielded int (5), expected bytes (PEP 3333): "
        "bytes that were read stand behind `yield`, not `yield from`')"
    ),
    "write/list": "TypeError: write() takes bytes, not list: [b'data']",
    "item/list": "500: TypeError(\"the application yielded list ([b'data']), expected bytes (PEP 3333)\")",
    "second item/list": "cut 'first ': TypeError(\"the application yielded list ([b'data']), expected bytes (PEP 3333)\")",
    "result/tuple": "200 OK 'data'",
    "result/empty list": "200 OK ''",
    "result/deque": "200 OK 'data'",
    "result/set": "200 OK 'data'",
    "result/dict": "200 OK 'data'",
    "result/indexed": "200 OK 'data'",
    "result/a file": "200 OK 'da\\nta'",
    "result/map": "200 OK 'data'",
    "result/a class of list": "200 OK 'data'",
    "result/str": ("500: TypeError('the application returned str, expected an iterable of bytes (PEP 3333): wrap it in a list')"),
    "result/bytes": (
        "500: TypeError('the application returned bytes, expected an iterable of bytes (PEP 3333): wrap it in a list')"
    ),
    "result/a class of bytes": (
        "500: TypeError('the application returned Data, expected an iterable of bytes (PEP 3333): wrap it in a list')"
    ),
    "result/bytearray": (
        "500: TypeError('the application returned bytearray, expected an iterable of bytes (PEP 3333): wrap it in a list')"
    ),
    "result/None": (
        "500: TypeError('the application returned NoneType, expected an iterable of bytes (PEP 3333): is a return missing?')"
    ),
    "result/int": "500: TypeError('the application returned int, expected an iterable of bytes (PEP 3333)')",
    "result/True": "500: TypeError('the application returned bool, expected an iterable of bytes (PEP 3333)')",
    "hints/list": "103 Link: </a> 200 OK 'data'",
    "hints/empty": "103 200 OK 'data'",
    "hints/tuple": "103 Link: </a> 200 OK 'data'",
    "hints/items": "103 Link: </a> 200 OK 'data'",
    "hints/generator": "103 Link: </a> 200 OK 'data'",
    "hints/pairs that are lists": "103 Link: </a> 200 OK 'data'",
    "hints/bytes": "103 Link: </a> 200 OK 'data'",
    "hints/Markup": "103 Link: </a> 200 OK 'data'",
    "hints/indexed": "103 Link: </a> 200 OK 'data'",
    "hints/None": "TypeError: the headers must be a list of pairs (name, value), not None",
    "hints/int": "TypeError: the headers must be a list of pairs (name, value), not 5",
    "hints/str": "TypeError: the headers must be a list of pairs (name, value), not 'Link: </a>'",
    "hints/dict": "TypeError: the headers must be a list of pairs (name, value), not dict: give its items()",
    "hints/pairs of three": "TypeError: a header must be a pair (name, value), not tuple of 3: ('Link', '</a>', 1)",
    "hints/pairs that are None": "TypeError: a header must be a pair (name, value), not None",
    "hints/value: int": "TypeError: a header's name and value must be str, not str and int ('Link')",
    "hints/value: None": "TypeError: a header's name and value must be str, not str and NoneType ('Link')",
    "hints/value: CR LF": "LocalProtocolError: invalid character in the value of the header 'Link'",
    "hints/value: CR LF in bytes": "LocalProtocolError: invalid character in the value of the header 'Link'",
    "hints/name: space": "LocalProtocolError: invalid name of a header: 'Li nk'",
    "block/8192": "200 OK 'data'",
    "block/3": "200 OK 'data'",
    "block/bool": "200 OK 'data'",
    "block/index": "200 OK 'data'",
    "block/None": "200 OK 'data'",
    "block/0": "200 OK 'data'",
    "block/negative": "200 OK 'data'",
    "block/huge": "200 OK 'data'",
    "block/float": "TypeError: the block size of wsgi.file_wrapper must be a whole number, not 3.0",
    "block/str": "TypeError: the block size of wsgi.file_wrapper must be a whole number, not '3'",
    "start/by name": "200 OK 'data'",
    "start/without headers": "TypeError",
    "start/changed afterwards": "200 OK X-A: b 'data'",
    "start/again after a refusal": "404 Not Found X-A: b 'data'",
    "start/never": ("500: AssertionError('the application gave a body without a start_response() that was accepted (PEP 3333)')"),
    "start/refused and not tried again": (
        "500: AssertionError('the application gave a body without a start_response() that was accepted (PEP 3333)')"
    ),
    "write/nothing": "TypeError",
    "hints/nothing": "TypeError",
    "hints/too late": "200 OK 'data'",
    "environ/cleared": "200 OK 'data'",
    "environ/odd": "200 OK 'data'",
    "disconnected/asked": "200 OK 'False'",
    "disconnected/asked too much": "TypeError",
    "file/by hand": "200 OK 'FileWrapper data'",
    "file/text": (
        "TypeError: wsgi.file_wrapper takes a file of bytes, and this one gives text; open it in mode 'rb': <_io.StringIO object>"
    ),
    "file/no file": "TypeError: wsgi.file_wrapper takes a file, something with read(size), not '/etc/hostname'",
}


def test_every_case_has_its_outcome() -> None:
    assert {name for name in arguments.CASES if not name.startswith("errors/")} == OUTCOMES.keys()


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome(name: str) -> None:
    server = FakeServer(arguments.application)
    server.receive(GET % quote(name).encode())
    found = outcome(server.take_sent(), "".join(server.logged).partition(": ")[2])
    expected = OUTCOMES[name]
    assert found == expected or (expected.isidentifier() and found.startswith(f"{expected}: "))
    assert MYPYC.search(found) is None


def start_response_of(encoder: HeadEncoder) -> StartResponse:
    connection = ServerConnection(HeadParser(Limits()), encoder)
    connection.expect(new_request())
    return StartResponse(connection)


@pytest.mark.parametrize("name", arguments.HEADERS)
def test_what_is_remembered_changes_no_outcome(name: str) -> None:
    """The tables know a field from the second time on, and a whole section from the third."""
    encoder = HeadEncoder("me")

    def head() -> bytes | str:
        response = start_response_of(encoder)
        try:
            response("200 OK", arguments.HEADERS[name]())
        except Exception as error:
            assert response.status is None
            return re.sub(" at 0x[0-9a-f]+", "", f"{type(error).__name__}: {error}")
        # And what is remembered of a class of its own is what it consists of.
        assert all(type(part) is str for pair in response.headers for part in pair)
        return b"".join(response.whole(b"data"))

    first = head()
    assert [head() for _ in range(5)] == [first] * 5


@pytest.mark.parametrize("name", arguments.STATUSES)
def test_a_status_is_the_same_each_time(name: str) -> None:
    encoder = HeadEncoder("me")
    outcomes = set()
    for _ in range(3):
        response = start_response_of(encoder)
        try:
            response(arguments.STATUSES[name], [])
        except Exception as error:
            outcomes.add(f"{type(error).__name__}: {error}")
        else:
            assert type(response.status) is str
            outcomes.add(response.status)
    assert len(outcomes) == 1


def test_nothing_is_taken_up_of_what_is_refused() -> None:
    response = start_response_of(HeadEncoder("me"))
    response("200 OK", [("X-A", "first")])
    for status, headers in (("404 Not Found", [("X-A", 5)]), ("no status", [])):
        with pytest.raises(Exception, match="must be"):
            response(status, headers, arguments.error())
        assert (response.status, response.status_code, response.headers) == ("200 OK", 200, [("X-A", "first")])


def test_what_applications_call_looks_like_functions() -> None:
    """Instrumentation looks at what it wraps."""
    seen = {}

    def application(environ: Any, start_response: Any) -> list[bytes]:
        functions = [start_response, environ["wsgi.early_hints"], environ["aiohttp_worker.client_disconnected"]]
        for function in [*functions, start_response("200 OK", [])]:
            assert weakref.ref(function)() is function
            assert functools.update_wrapper(functools.partial(function), function).__name__ == function.__name__
            assert function == function and hash(function) and function and callable(function)
            assert not inspect.iscoroutinefunction(function)
            seen[function.__name__] = list(inspect.signature(function).parameters)
        return []

    server = FakeServer(application)
    server.receive(GET % b"")
    assert server.logged == []
    assert seen == {
        "start_response": ["status", "headers", "exc_info"],
        "early_hints": ["headers"],
        "client_disconnected": [],
        "write": ["data"],
    }


# Reading.

DATA = b"one\ntwo\nthree"
LINES = [b"one\n", b"two\n", b"three"]


def in_memory() -> Any:
    return io.BytesIO(DATA)


ON_DISK: list[Any] = []


@pytest.fixture(autouse=True)
def all_closed() -> Iterator[None]:
    yield
    while ON_DISK:
        ON_DISK.pop().close()


def on_disk() -> Any:
    collector = BodyCollector(4, None)
    collector.feed(DATA)
    ON_DISK.append(collector.finish())
    return ON_DISK[-1]


def in_a_thread() -> Any:
    reader = BlockingReader(lambda: None, lambda: None)
    reader.feed(DATA)
    reader.feed_end()
    return reader


def stream() -> Any:
    reader = StreamReader(FakeLoop(), lambda: None, lambda: None)
    reader.feed(DATA)
    reader.feed_end()
    return reader


def collected_stream() -> Any:
    return FileReader(FakeLoop(), io.BytesIO(DATA))


FILES = [in_memory, on_disk, in_a_thread]
STREAMS = [stream, collected_stream]

SIZES: dict[str, Any] = {
    "None": None,
    "-1": -1,
    "-5": -5,
    "0": 0,
    "3": 3,
    "bool": True,
    "index": arguments.Index(),
    "more": 1 << 20,
}
WRONG_SIZES: dict[str, Any] = {"float": 3.0, "str": "3", "bytes": b"3", "list": [3]}
READ = dict(zip(SIZES, [DATA, DATA, DATA, b"", b"one", b"o", b"one", DATA], strict=True))
READ_LINE = dict(zip(SIZES, [LINES[0]] * 3 + [b"", b"one", b"o", b"one", LINES[0]], strict=True))
READ_LINES = dict(zip(SIZES, [LINES] * 4 + [LINES[:1]] * 3 + [LINES], strict=True))


def value(result: Any) -> Any:
    """What was read, be it a future of it."""
    return result.result() if isinstance(result, asyncio.Future) else result


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [*FILES, *STREAMS])
def test_sizes(make: Callable[[], Any], size: str) -> None:
    assert value(make().read(SIZES[size])) == READ[size]
    if make in FILES:
        assert make().readline(SIZES[size]) == READ_LINE[size]
        if size != "index":  # which BytesIO does not take here
            assert make().readlines(SIZES[size]) == READ_LINES[size]


@pytest.mark.parametrize("size", WRONG_SIZES)
@pytest.mark.parametrize("make", [*FILES, *STREAMS])
def test_sizes_that_are_refused(make: Callable[[], Any], size: str) -> None:
    methods = ["read", "readline", "readlines", "read1"] if make in FILES else ["read", "readexactly"]
    reader = make()
    for method in methods:
        with pytest.raises(TypeError) as raised:
            getattr(reader, method)(WRONG_SIZES[size])
        assert MYPYC.search(str(raised.value)) is None
    assert value(reader.read()) == DATA


@pytest.mark.parametrize("make", FILES)
def test_reading_into_buffers(make: Callable[[], Any]) -> None:
    target = bytearray(3)
    reader = make()
    assert (reader.readinto(target), target) == (3, b"one")
    assert (reader.readinto(memoryview(target)[:1]), target) == (1, b"\nne")
    assert reader.readinto(bytearray()) == 0
    for wrong in (b"xyz", memoryview(b"xyz"), "xyz", None, 3):
        with pytest.raises(TypeError) as raised:
            reader.readinto(wrong)
        assert MYPYC.search(str(raised.value)) is None
    assert reader.read() == DATA[4:]


@pytest.mark.parametrize("make", FILES)
def test_a_file_of_lines(make: Callable[[], Any]) -> None:
    assert list(make()) == LINES
    assert make().readlines() == LINES
    assert make().readline() == LINES[0]


@pytest.mark.parametrize("make", STREAMS)
def test_separators_and_exact_sizes(make: Callable[[], Any]) -> None:
    for separator in (b"t", bytearray(b"t"), memoryview(b"t"), arguments.Data(b"t")):
        assert value(make().readuntil(separator)) == b"one\nt"
    reader = make()
    for wrong, error in (("t", TypeError), (None, TypeError), (5, TypeError), (b"", ValueError), (bytearray(), ValueError)):
        with pytest.raises(error, match="the separator must"):
            reader.readuntil(wrong)
    for size, found in ((3, b"one"), (True, b"o"), (arguments.Index(), b"one"), (0, b"")):
        assert value(make().readexactly(size)) == found
    for wrong in (-1, None):
        with pytest.raises(ValueError, match="must not be negative"):
            reader.readexactly(wrong)
    assert value(reader.read()) == DATA


# What the package offers beside environ.


async def pieces() -> AsyncIterator[bytes]:
    yield b"data"


def test_marks_and_bodies() -> None:
    for wrong in (5, "application", [], object()):
        with pytest.raises(TypeError, match="stream_input marks a WSGI callable, not "):
            stream_input(wrong)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="when must be a callable that takes environ, not "):
            stream_input(when=wrong)  # type: ignore[call-overload]
    for wrong in (None, b"data", [b"data"], pieces, iter([b"data"]), 5):
        with pytest.raises(TypeError, match="AsyncBody takes an asynchronous iterable, "):
            AsyncBody(wrong)  # type: ignore[arg-type]
    AsyncBody(pieces())


def test_pieces_of_an_asynchronous_body() -> None:
    for name, item in arguments.ITEMS.items():

        async def body(item: Any = item) -> AsyncIterator[Any]:
            yield b"first "
            yield item

        def application(environ: Any, start_response: Any, body: Any = body) -> Any:
            start_response("200 OK", [arguments.TEXT])
            return AsyncBody(body())

        server = FakeServer(application)
        server.receive(GET % b"")
        found = outcome(server.take_sent(), "".join(server.logged).partition(": ")[2])
        assert found == OUTCOMES[f"second item/{name}"]


def generator_function(item: Any) -> Any:
    def application(environ: Any, start_response: Any) -> Iterator[Any]:
        start_response("200 OK", [arguments.TEXT])
        yield b"first "
        yield item

    return application


def returned_generator(item: Any) -> Any:
    function = generator_function(item)

    def application(environ: Any, start_response: Any) -> Any:
        return function(environ, start_response)

    return application


def coroutine_function(item: Any) -> Any:
    async def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [arguments.TEXT])
        return iter([b"first ", item])

    return application


@pytest.mark.parametrize("make", [generator_function, returned_generator, coroutine_function])
@pytest.mark.parametrize("name", [name for name in arguments.ITEMS if name != "None"])
def test_items_of_other_kinds_of_applications(make: Callable[[Any], Any], name: str) -> None:
    """``None`` alone may be a turn of the loop there."""
    server = FakeServer(make(arguments.ITEMS[name]))
    server.receive(GET % b"")
    found = outcome(server.take_sent(), "".join(server.logged).partition(": ")[2])
    assert found == OUTCOMES[f"second item/{name}"]


@pytest.mark.parametrize("name", arguments.HEADERS)
def test_headers_from_a_coroutine(name: str) -> None:
    """What is refused there is raised there."""

    async def application(environ: Any, start_response: Any) -> Any:
        return arguments.CASES[f"headers/{name}"](environ, start_response)

    server = FakeServer(application)
    server.receive(GET % b"")
    found = outcome(server.take_sent(), "".join(server.logged).partition(": ")[2])
    expected = OUTCOMES[f"headers/{name}"]
    assert found == expected or found.startswith(f"500: {expected.partition(': ')[0]}(")
