"""Mistakes of applications, such as a forgotten return, and the sentence that helps."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .fakes import FakeServer

OK: tuple[str, list[tuple[str, str]]] = ("200 OK", [])
AWAIT = "is an await missing?"
CALL = "are its parentheses missing?"


async def later() -> bytes:
    return b"later"


def in_a_list(start_response: Any, value: Any) -> Any:
    start_response(*OK)
    return [value]


def in_an_iterator(start_response: Any, value: Any) -> Any:
    start_response(*OK)
    return iter([b"", value])


def in_a_lazy_iterable(start_response: Any, value: Any) -> Any:
    class Body:
        def __iter__(self) -> Iterator[Any]:
            return (one for one in [value])

    start_response(*OK)
    return Body()


@pytest.mark.parametrize("shape", [in_a_list, in_an_iterator, in_a_lazy_iterable])
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "to yield nothing, leave it out or yield b''"),
        (later, CALL),
        ("text", "encode it"),
        (5, "expected bytes (PEP 3333)"),
        ([b"x"], "expected bytes (PEP 3333)"),
    ],
)
def test_a_piece_that_is_none(shape: Callable[[Any, Any], Any], asynchronous: bool, value: Any, sentence: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        return shape(start_response, value)

    async def coroutine(environ: dict[str, Any], start_response: Any) -> Any:
        return shape(start_response, value)

    server = FakeServer(coroutine if asynchronous else application)
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert server.status_codes() == [500]
    (line,) = server.logged
    assert "ERROR Error handling request GET /" in line
    assert f"the application yielded {type(value).__name__} (" in line
    assert sentence in line


def returning(value: Callable[[], Any]) -> Callable[[Any], Any]:
    def returns(start_response: Any) -> Any:
        start_response(*OK)
        return value()

    return returns


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (lambda start_response: start_response(*OK)(later()) or [], AWAIT),
        (lambda start_response: start_response(*OK)(later) or [], CALL),
        (lambda start_response: start_response(later(), []) and [], AWAIT),
        (returning(lambda: None), "is a return missing?"),
        (returning(lambda: later), CALL),
        (returning(lambda: 5), "expected an iterable of bytes"),
    ],
)
def test_a_value_of_the_wrong_kind(use: Callable[[Any], Any], sentence: str) -> None:
    server = FakeServer(lambda environ, start_response: use(start_response))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # never awaited: that is what it is about
        server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        gc.collect()
    assert server.status_codes() == [500]
    assert sentence in server.logged[0]


def test_a_coroutine_that_is_a_piece_is_awaited() -> None:
    """It is no mistake there."""
    server = FakeServer(lambda environ, start_response: in_a_list(start_response, later()))
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"later" in server.take_sent()
    assert server.logged == []
