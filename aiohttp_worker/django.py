"""Streaming response for Django with an asynchronous body, under any server and within any middleware."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections
from django.http import StreamingHttpResponse

from .wsgi.async_body import AsyncBody


class AsyncStreamingHttpResponse(StreamingHttpResponse):  # type: ignore[misc]  # Django says nothing of its types
    """A ``StreamingHttpResponse`` whose content is asynchronous and gets through what iterates synchronously.

    Django's own collects an asynchronous iterable to its end where it is
    iterated synchronously: by WSGI servers, and by what instrumentation puts
    around an application (Sentry, New Relic). An event stream has no end, and
    nothing else is served meanwhile.

    Database connections that are lost or too old are closed before and after
    the body, in the thread that serves the ORM's asynchronous calls: Django
    itself does that at the beginning and the end of a request and in the
    request's own thread, so there a connection that was lost once would fail
    every body to come.

    :param streaming_content: asynchronous iterable of ``bytes`` or ``str``.
    :raises TypeError: *streaming_content* cannot be iterated asynchronously.
    """

    def __init__(self, streaming_content: AsyncIterable[bytes | str], *args: Any, **kwargs: Any) -> None:
        if not hasattr(type(streaming_content), "__aiter__"):
            raise TypeError(
                f"AsyncStreamingHttpResponse takes an asynchronous iterable, not {streaming_content!r};"
                " for an ordinary one there is StreamingHttpResponse"
            )
        super().__init__(_with_fresh_connections(streaming_content), *args, **kwargs)

    def _set_streaming_content(self, value: Any) -> None:
        # Middleware replaces the content by one made from it: asynchronous as a rule,
        # ordinary where the middleware knows no other.
        if hasattr(type(value), "__aiter__"):
            self._body = AsyncBody(_encode(value, self))
            self._iterator: Any = self._body
            self.is_async = True
            self._resource_closers.append(self._body.close)
        else:
            super()._set_streaming_content(value)

    @property
    def streaming_content(self) -> Any:
        """The content as an iterable of ``bytes``, for ``async for`` and for ``for``."""
        return self._body if self.is_async else super().streaming_content

    @streaming_content.setter
    def streaming_content(self, value: Any) -> None:
        self._set_streaming_content(value)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.streaming_content)

    def __aiter__(self) -> AsyncIterator[bytes]:
        # Django's own mistakes a TypeError raised by the content for a missing __aiter__.
        return aiter(self.streaming_content) if self.is_async else super().__aiter__()


async def _encode(content: AsyncIterable[bytes | str], response: AsyncStreamingHttpResponse) -> AsyncIterator[bytes]:
    iterator = aiter(content)
    try:
        async for part in iterator:
            yield response.make_bytes(part)
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


async def _with_fresh_connections(content: AsyncIterable[bytes | str]) -> AsyncIterator[bytes | str]:
    iterator = aiter(content)
    await _close_old_connections()
    try:
        async for part in iterator:
            yield part
    finally:
        try:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
        finally:
            await _close_old_connections()


async def _close_old_connections() -> None:
    if any(database.get("ENGINE") not in (None, "django.db.backends.dummy") for database in settings.DATABASES.values()):
        await sync_to_async(close_old_connections)()
