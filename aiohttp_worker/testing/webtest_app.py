"""WebTest's ``TestApp`` for every application that the workers serve; the only module that imports WebTest."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from webtest import TestApp as _TestApp

from .memory import InMemoryServer, Response


class TestApp(_TestApp):  # type: ignore[misc]  # WebTest says nothing of its types
    """WebTest's class, above a server in memory; also for coroutines, generators, and bodies that are asynchronous.

    :param app: the WSGI callable; also what else WebTest takes, an address or the URI of an ini, which it serves itself.
    :param stream: False to serve it as ``AsyncNoStreamGunicornWorker`` does.
    :param timeout: seconds in which something has to come of the application whenever the test waits for it.
    :param arguments: those of WebTest's ``TestApp``.
    """

    __test__ = False  # pytest would collect it

    def __init__(self, app: Any, *arguments: Any, stream: bool = True, timeout: float = 5.0, **named: Any) -> None:
        super().__init__(app, *arguments, **named)
        if not isinstance(app, str | InMemoryServer):
            self.app: Any = InMemoryServer(app, stream=stream, timeout=timeout)

    def stream(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] = b"",
    ) -> Response:
        """Make a request whose response is read piece by piece, and whose client leaves with :meth:`Response.close`.

        Cookies are sent, and not kept. The status is not checked.

        :param body: of the request; an iterable is given piece by piece.
        """
        server = self.app
        if not isinstance(server, InMemoryServer):
            raise TypeError(f"only applications can be streamed from, not {server!r}")
        request = self.RequestClass.blank(url, environ=self._make_environ(), method=method, headers=dict(headers or {}))
        asked = urllib.request.Request(request.url)  # noqa: S310  it is not opened
        self.cookiejar.add_cookie_header(asked)
        cookie = asked.get_header("Cookie")
        if cookie is not None:
            request.headers.setdefault("Cookie", cookie)
        return server.request(request.environ, body)
