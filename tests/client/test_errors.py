"""Errors can be pickled and copied with everything that they carry."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

import aiohttp
from aiohttp import errors

from .raw_server import RawServer

FIELDS = CIMultiDictProxy(CIMultiDict([("Set-Cookie", "a"), ("set-cookie", "b\udcff")]))


def refused() -> aiohttp.OsConnectionError:
    error = aiohttp.OsConnectionError("h: cannot connect: refused")
    error.errno = 111
    return error


ERRORS: dict[str, Callable[[], Exception]] = {
    "BadStatusLine": lambda: aiohttp.BadStatusLine("bad"),
    "BodyTooLargeError": lambda: aiohttp.BodyTooLargeError("large", b"part"),
    "ClientConnectionError": lambda: aiohttp.ClientConnectionError("broke"),
    "ConnectionError": lambda: aiohttp.ConnectionError("broke"),
    "ContentEncodingError": lambda: aiohttp.ContentEncodingError("bad"),
    "HttpBadRequest": lambda: aiohttp.HttpBadRequest("bad"),
    "HttpErrorException": lambda: aiohttp.HttpErrorException(404, "GET h: 404", FIELDS),
    "HttpException": lambda: aiohttp.HttpException("bad"),
    "IncompleteRead": lambda: aiohttp.IncompleteRead(b"part", 5),
    "InvalidHeader": lambda: aiohttp.InvalidHeader("bad"),
    "LineTooLong": lambda: aiohttp.LineTooLong("long"),
    "OsConnectionError": refused,
    "ProxyConnectionError": lambda: aiohttp.ProxyConnectionError("refused", 407),
    "RedirectError": lambda: aiohttp.RedirectError("nowhere", None, "ftp://x"),
    "TimeoutError": lambda: aiohttp.TimeoutError("late"),
    "UnrepeatableBodyError": lambda: aiohttp.UnrepeatableBodyError("again", None, "/x"),
}
DUPLICATES: list[Any] = [copy.copy, copy.deepcopy, *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(3, 6))]


def attributes(error: Exception) -> dict[str, Any]:
    of_its_own = ("errno", "strerror", "filename", "code", "headers", "message", "partial", "expected", "status_code", "url")
    names = (*vars(error), *of_its_own)
    return {name: getattr(error, name, None) for name in names}


def test_all_errors_are_here() -> None:
    kinds = {name for name in errors.__all__ if getattr(errors, name).__name__ == name}
    assert kinds == set(ERRORS)


@pytest.mark.parametrize("duplicate", DUPLICATES)
@pytest.mark.parametrize("kind", ERRORS)
def test_whole(kind: str, duplicate: Any) -> None:
    error = ERRORS[kind]()
    error.add_note("a note of the user's")
    error.mine = [1]  # type: ignore[attr-defined]
    again = duplicate(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.args == error.args
    assert attributes(again) == attributes(error)
    assert type(getattr(again, "headers", None)) is type(getattr(error, "headers", None))
    assert type(duplicate(again)) is type(error)


class Mine(aiohttp.ProxyConnectionError):
    """One with a constructor of its own."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}", 500)
        self.two = two


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_a_subclass(duplicate: Any) -> None:
    again = duplicate(Mine(1, 2))
    assert (type(again), str(again), again.status_code, again.two) == (Mine, "1 and 2", 500, 2)


def test_those_that_happen(run: Any) -> None:
    """As requests raise them."""

    async def main() -> list[Exception]:
        caught: list[Exception] = []
        replies = [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]
        replies += [b"HTTP/1.1 404 No\r\nX: \xff\r\n\r\n", b""]
        async with RawServer(replies) as server:
            for _ in replies:
                try:
                    async with aiohttp.request("GET", server.url) as response:
                        response.raise_for_status()
                        await response.read()
                except Exception as error:
                    caught.append(error)
        try:
            await aiohttp.request("GET", server.url)
        except aiohttp.OsConnectionError as error:
            caught.append(error)
        return caught

    caught = run(main)
    assert [type(error).__name__ for error in caught] == [
        "BadStatusLine", "IncompleteRead", "HttpErrorException", "ClientConnectionError", "OsConnectionError",
    ]  # fmt: skip
    for error in caught:
        for duplicate in DUPLICATES:
            again = duplicate(error)
            assert attributes(again) == attributes(error)
            assert str(again) == str(error)
    assert caught[-1].errno  # type: ignore[attr-defined]
