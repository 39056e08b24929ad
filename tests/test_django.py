"""AsyncStreamingHttpResponse under other servers, in Django's test clients and with databases."""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django")

import django
from asgiref.sync import sync_to_async
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="of a test",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "not made yet", "CONN_MAX_AGE": None}},
        LOGGING_CONFIG=None,
    )
    django.setup()

from django.core.handlers.wsgi import WSGIHandler
from django.db import DatabaseError, connection, connections
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

from aiohttp_worker.django import AsyncStreamingHttpResponse

TEXT = b"one two three"
MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
]
ended: list[str] = []


async def pieces() -> AsyncIterator[bytes | str]:
    try:
        yield b"one "
        await asyncio.sleep(0)
        yield "two "
        yield b"three"
    except BaseException as error:
        ended.append(type(error).__name__)
        raise
    else:
        ended.append("end")


async def fails() -> AsyncIterator[bytes]:
    yield b"one "
    raise TypeError("planned failure")


def query() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'found'")
        (row,) = cursor.fetchall()
    text: str = row[0]
    return text


async def from_database() -> AsyncIterator[str]:
    yield await sync_to_async(query)()


urlpatterns = [
    path("pieces", lambda request: AsyncStreamingHttpResponse(pieces())),
    path("fails", lambda request: AsyncStreamingHttpResponse(fails())),
    path("nothing", lambda request: AsyncStreamingHttpResponse(pieces(), status=204)),
    path("database", lambda request: AsyncStreamingHttpResponse(from_database())),
]


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ended.clear()
    for one in connections.all():
        monkeypatch.setitem(one.settings_dict, "NAME", str(tmp_path / "database.sqlite3"))
    monkeypatch.setitem(connections.settings["default"], "NAME", str(tmp_path / "database.sqlite3"))
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE):
        yield
    asyncio.run(sync_to_async(connections.close_all)())
    connections.close_all()


def test_client_of_django() -> None:
    response: Any = Client().get("/pieces")
    assert response.streaming and response.is_async
    assert b"".join(response.streaming_content) == TEXT
    assert Client().get("/pieces").getvalue() == TEXT
    assert ended == ["end", "end"]


def test_asynchronous_client_of_django() -> None:
    async def get() -> bytes:
        response: Any = await AsyncClient().get("/pieces")
        return b"".join([part async for part in response.streaming_content])

    assert asyncio.run(get()) == TEXT


@pytest.mark.parametrize(("method", "target"), [("head", "/pieces"), ("get", "/nothing")])
def test_without_a_body(method: str, target: str) -> None:
    assert getattr(Client(), method)(target).getvalue() == b""


def test_compressed() -> None:
    response: Any = Client().get("/pieces", headers={"Accept-Encoding": "gzip"})
    assert response["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.getvalue()) == TEXT


def test_other_wsgi_servers() -> None:
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {"PATH_INFO": "/pieces"}
    setup_testing_defaults(environ)
    response = WSGIHandler()(environ, lambda status, headers: None)
    assert b"".join(response) == TEXT
    response.close()


def test_asgi_servers_stream_it() -> None:
    """As it comes, without the warning that Django gives for what is synchronous."""

    async def iterate() -> list[bytes]:
        response = AsyncStreamingHttpResponse(pieces())
        return [part async for part in response]

    assert asyncio.run(iterate()) == [b"one ", b"two ", b"three"]


@pytest.mark.parametrize("asynchronously", [False, True])
def test_failure_is_no_lack_of_an_iterator(asynchronously: bool) -> None:
    """Django takes TypeError for one, and begins anew."""

    async def iterate() -> None:
        async for _ in AsyncStreamingHttpResponse(fails()):
            pass

    with pytest.raises(TypeError, match="planned failure"):
        if asynchronously:
            asyncio.run(iterate())
        else:
            list(AsyncStreamingHttpResponse(fails()))


def test_text_is_encoded_as_the_response_says() -> None:
    async def texts() -> AsyncIterator[str]:
        yield "caf\xe9"

    response = AsyncStreamingHttpResponse(texts(), content_type="text/plain; charset=iso-8859-1")
    assert b"".join(response) == b"caf\xe9"
    assert response["Content-Type"] == "text/plain; charset=iso-8859-1"


def test_content_may_be_replaced_by_an_ordinary_one() -> None:
    response = AsyncStreamingHttpResponse(pieces())
    response.streaming_content = [b"another"]
    assert not response.is_async
    assert b"".join(response) == b"another"


def test_ordinary_content_is_refused() -> None:
    with pytest.raises(TypeError, match="StreamingHttpResponse"):
        AsyncStreamingHttpResponse([b"one"])  # type: ignore[arg-type]


# The database


def in_orm_thread(function: Any) -> Any:
    """Call where asynchronous calls of the ORM are served."""
    return asyncio.run(sync_to_async(function)())


def lose_connection() -> None:
    """As when the database is started anew."""
    connection.ensure_connection()
    connection.connection.close()


@pytest.fixture
def usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's connections are never asked whether they live; PostgreSQL's are so."""

    def is_usable(self: Any) -> bool:
        try:
            self.connection.execute("SELECT 1")
        except sqlite3.Error:
            return False
        return True

    monkeypatch.setattr(type(connections["default"]), "is_usable", is_usable)


@pytest.mark.usefixtures("usable")
def test_lost_connection_fails_one_body_at_most() -> None:
    assert Client().get("/database").getvalue() == b"found"
    in_orm_thread(lose_connection)
    with pytest.raises(DatabaseError):
        Client().get("/database").getvalue()
    assert Client().get("/database").getvalue() == b"found"


@pytest.mark.usefixtures("usable")
def test_connection_that_failed_elsewhere_is_closed_before_the_body() -> None:
    in_orm_thread(lose_connection)
    with pytest.raises(DatabaseError):
        in_orm_thread(query)
    assert Client().get("/database").getvalue() == b"found"


@pytest.mark.usefixtures("usable")
def test_lost_connection_fails_every_body_of_djangos_own() -> None:
    """Why this is needed."""

    async def iterate() -> None:
        async for _ in StreamingHttpResponse(from_database()):
            pass

    in_orm_thread(lose_connection)
    for _ in range(3):
        with pytest.raises(DatabaseError):
            asyncio.run(iterate())


def test_none_stays_open_that_is_not_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    in_orm_thread(connections.close_all)
    assert Client().get("/database").getvalue() == b"found"
    assert in_orm_thread(lambda: connection.connection) is None


def test_connections_are_closed_where_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def note() -> None:
        seen.append(threading.get_ident())

    monkeypatch.setattr("aiohttp_worker.django.close_old_connections", note)
    Client().get("/pieces").getvalue()
    expected = in_orm_thread(threading.get_ident)
    assert seen == [expected, expected]


def test_connections_are_closed_when_the_body_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr("aiohttp_worker.django.close_old_connections", lambda: seen.append(1))
    iterator: Any = iter(AsyncStreamingHttpResponse(pieces()))
    assert next(iterator) == b"one "
    iterator.close()
    assert ended == ["GeneratorExit"]
    assert seen == [1, 1]


def test_nothing_is_done_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr("aiohttp_worker.django.close_old_connections", lambda: seen.append(1))
    monkeypatch.setattr(settings, "DATABASES", {"default": {"ENGINE": "django.db.backends.dummy"}})
    assert b"".join(AsyncStreamingHttpResponse(pieces())) == TEXT
    assert seen == []
