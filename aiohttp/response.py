"""The response as the user holds it."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload

from multidict import CIMultiDict, CIMultiDictProxy

from aiohttp_worker.http1.response_reader import ResponseHead

from .content import StreamReader
from .coroutines import Call
from .errors import HttpErrorException
from .header_text import decode_field, printable
from .incoming import Incoming
from .url import URL, join

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

    from .connection import ClientConnection

__all__ = ["ClientResponse"]


class _Released:
    """Result of ``release()``, which may be awaited and need not be."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield

    __iter__ = __await__


class ClientResponse:
    """Status, fields and body of a response (RFC 9110 section 15).

    The connection goes back by itself when the last byte of the body has arrived. Before that, ``read``, ``release`` or
    ``close``, or leaving a ``with`` or ``async with`` block, gives it back. Reading then what had not been read raises
    ClientConnectionError, whether it had arrived or not.
    """

    __slots__ = (
        "_body", "_connection", "_incoming", "_cookies", "_head", "_headers", "_in_block", "_loop", "_trace", "_url", "history",
        "method",
        "__weakref__",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        url: URL,
        head: ResponseHead,
        incoming: Incoming,
        connection: ClientConnection | None,
        loop: asyncio.AbstractEventLoop,
        history: tuple[ClientResponse, ...],
        trace: Any,
    ) -> None:
        self.method = method
        self._url = url
        self._head = head
        self._incoming = incoming
        self._connection = connection
        self._loop = loop
        self.history = history
        self._trace = trace
        self._headers: CIMultiDictProxy[str] | None = None
        self._cookies: SimpleCookie | None = None
        self._body: bytes | None = None
        self._in_block = False

    # -- the head -----------------------------------------------------------------------------------------------------

    @property
    def status(self) -> int:
        """The status code."""
        return self._head.status_code

    @property
    def reason(self) -> str:
        """The reason phrase, as the server spelled it; often empty."""
        return decode_field(self._head.reason)

    @property
    def version(self) -> tuple[int, int]:
        """(1, 1) or (1, 0)."""
        return self._head.version

    @property
    def url(self) -> str:
        """Address of the last request, after all redirects; without fragment and password."""
        return self._url.text

    @property
    def host(self) -> str:
        """The host of that."""
        return self._url.origin.host

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The header fields; names in any case, repeated ones in their order."""
        headers = self._headers
        if headers is None:
            headers = self._headers = CIMultiDictProxy(
                CIMultiDict([(name.decode("latin-1"), decode_field(value)) for name, value in self._head.headers])
            )
        return headers

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The header fields as received."""
        return tuple(self._head.headers)

    def __getitem__(self, name: str) -> str | None:
        return self.headers.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self.headers

    def __len__(self) -> int:
        return len(self._head.headers)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.headers)

    def get(self, name: str, default: Any = None) -> Any:
        """The first value of a field."""
        return self.headers.get(name, default)

    def get_all(self, name: str, default: Any = None) -> Any:
        """All values of a field, as a list."""
        return self.headers.getall(name, default)

    def keys(self) -> list[str]:
        """The names of all fields."""
        return list(self.headers.keys())

    def values(self) -> list[str]:
        """The values of all fields."""
        return list(self.headers.values())

    def items(self) -> list[tuple[str, str]]:
        """Names and values of all fields."""
        return list(self.headers.items())

    @property
    def content_type(self) -> str:
        """The media type without parameters, in small letters (RFC 9110 section 8.3)."""
        value = self.headers.get("content-type", "application/octet-stream")
        return value.partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset parameter of the Content-Type field."""
        value = self.headers.get("content-type", "")
        for parameter in value.split(";")[1:]:
            name, _, charset = parameter.partition("=")
            if name.strip().lower() == "charset":
                return charset.strip().strip("\"'").lower() or None
        return None

    def get_content_type(self) -> str:
        """The media type, as ``email.message.Message`` has it: ``text/plain`` where none is said or what is said is none."""
        value = str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()
        return value if value.count("/") == 1 else "text/plain"

    def get_content_charset(self, failobj: Any = None) -> Any:
        """The charset parameter of the Content-Type field in small letters, or ``failobj``."""
        return self.charset or failobj

    @property
    def ok(self) -> bool:
        """True if the status code is below 400."""
        return self.status < 400

    def raise_for_status(self) -> None:
        """Raise HttpErrorException if the status code is 400 or more.

        In a ``with`` or ``async with`` block the body can still be read; elsewhere the connection is given back.
        """
        if not self.ok:
            if not self._in_block:
                self.release()
            raise HttpErrorException(
                self.status, f"{self.method} {self.url}: {self.status} {printable(self.reason)}".rstrip(), self.headers
            )

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies that this response sets; one that cannot be read does not cost the others."""
        if self._cookies is None:
            from .cookies import response_cookies

            self._cookies = response_cookies(self.headers.getall("set-cookie", ()))
        return self._cookies

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """The Link fields by their relation, or by their URL where they have none (RFC 8288); URLs are absolute."""
        return _parse_links(self.headers.getall("link", ()), self._url)

    # -- the body -----------------------------------------------------------------------------------------------------

    @property
    def content(self) -> StreamReader:
        """The body as a stream."""
        return StreamReader(self._incoming, self)

    @overload
    def read(self, decode: Literal[False] = False) -> Call[bytes]: ...

    @overload
    def read(self, decode: bool) -> Call[Any]: ...

    def read(self, decode: bool = False) -> Call[Any]:
        """The whole body as bytes; asked again, the same bytes. With ``decode``, JSON is parsed.

        Raises IncompleteRead, whose ``partial`` is what arrived, if the body was cut short.
        """
        return Call(self._read(decode))

    @overload
    def read_and_close(self, decode: Literal[False] = False) -> Call[bytes]: ...

    @overload
    def read_and_close(self, decode: bool) -> Call[Any]: ...

    def read_and_close(self, decode: bool = False) -> Call[Any]:
        """The whole body; the response is closed afterwards, whatever happened."""
        return Call(self._read_and_close(decode))

    def text(self, encoding: str | None = None) -> Call[str]:
        """The body as text, in ``encoding``, else by the Content-Type field, a byte order mark, or as UTF-8.

        Bytes that are not in that charset become U+FFFD.
        """
        return Call(self._text(encoding))

    def json(self, *, encoding: str | None = None, loads: Callable[[Any], Any] = json.loads) -> Call[Any]:
        """The body parsed as JSON, whatever its media type. Raises ValueError if it is not JSON."""
        return Call(self._json(encoding, loads))

    async def _read(self, decode: bool = False) -> Any:
        body = self._body
        if body is None:
            body = self._body = await self._incoming.read_all()
        if decode and (self.content_type == "application/json" or self.content_type.endswith("+json")):
            return await self._json(None, json.loads)
        return body

    async def _read_and_close(self, decode: bool) -> Any:
        try:
            return await self._read(decode)
        finally:
            self.close()
            if self._connection is not None:
                await self._connection.writer_ended()

    async def _text(self, encoding: str | None) -> str:
        from .charset import decode_text

        return decode_text(await self._read(), encoding or self.charset)

    async def _json(self, encoding: str | None, loads: Callable[[Any], Any]) -> Any:
        body = await self._read()
        charset = encoding or self.charset
        if charset is None or charset in ("utf-8", "utf8"):
            return loads(body)
        return loads(await self._text(charset))

    # -- the end ------------------------------------------------------------------------------------------------------

    def set_deadline(self, when: float, seconds: float) -> None:
        """Let the exchange fail with TimeoutError if the body has not arrived at that time of the loop's."""
        if self._connection is not None and not self._incoming.complete():
            error = TimeoutError(f"{self.method} {self.url}: the body was not there within {seconds} s")
            self._incoming.set_deadline(self._loop.call_at(when, self._connection.fail_exchange, self._incoming, error))

    @property
    def closed(self) -> bool:
        """True if the connection has been given back."""
        return self._incoming.complete()

    def close(self, force: bool = False) -> None:
        """Give the connection back. If part of the body is missing, or with ``force``, it is closed."""
        unread = self._unread()
        if self._connection is not None:
            if not self._incoming.complete():
                self._connection.release()
            elif force:
                self._connection.close_if_idle()
        if unread:
            self._incoming.refuse("the response was closed")

    def release(self) -> Any:  # no awaitable to a type checker, who would ask for the ``await`` that it does not need
        """Give the connection back; a small rest of the body is read and dropped, a large one closes the connection."""
        unread = self._unread()
        if self._connection is not None and not self._incoming.complete():
            self._connection.abandon()
        if unread:
            self._incoming.refuse("the response was released")
        return _Released()

    def _unread(self) -> bool:
        if self._body is not None or not _may_have_body(self.method, self._head):
            return False
        return not self._incoming.read_out(self._head.content_length is not None)

    def wait_for_close(self) -> Call[None]:
        """Read and drop the rest of the body, then close."""
        return Call(self._wait_for_close())

    async def _wait_for_close(self) -> None:
        dropped = 0
        try:
            while data := await self._incoming.read_any():
                dropped += len(data)
        finally:
            self.close()
            if dropped:
                self._incoming.refuse("the response was closed")

    def __enter__(self) -> Self:
        self._in_block = True
        return self

    def __exit__(self, *error: Any) -> None:
        self._in_block = False
        if self._body is None:  # otherwise there is nothing to give back
            self.release()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__(*error)
        if self._connection is not None:
            await self._connection.writer_ended()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle what is here: everything but the connection, and a body that is not read."""
        url = URL(self._url.origin, self._url.path, None, self._url.fragment)  # without the password
        return _copied, (type(self), self.method, url, self._head, self.history, self._body)

    def __repr__(self) -> str:
        return f"<ClientResponse {self.status} {self.method} {self.url}>"

    def __del__(self, warn: Any = warnings.warn) -> None:
        content = getattr(self, "_incoming", None)
        if content is None or content.complete():
            return
        where = f"; it was made here:\n{''.join(self._trace)}" if self._trace is not None else ""
        warn(f"unclosed response: {self.method} {self.url}{where}", ResourceWarning, source=self)
        if self._connection is not None and not self._loop.is_closed():
            self._connection.release()


def _may_have_body(method: str, head: ResponseHead) -> bool:
    """True if there can be something to read (RFC 9112 section 6.3)."""
    return method != "HEAD" and head.status_code not in (204, 304) and head.content_length != 0


def _copied(
    kind: type[ClientResponse], method: str, url: URL, head: ResponseHead, history: tuple[ClientResponse, ...], body: bytes | None
) -> ClientResponse:
    """A response that has no connection."""
    nothing: Any = None
    incoming = Incoming(nothing, None, None, None)
    incoming.label = f"{method} {url.text}"
    incoming.end_without_body()
    response = kind(method, url, head, incoming, None, nothing, history, None)
    response._body = body
    if body is None and _may_have_body(method, head):
        incoming.refuse("this is a copy, which was made")
    return response


# RFC 8288 section 3
_LINK: Final = re.compile(r'<([^>]*)>((?:\s*;\s*[^\s;,=]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)')
_PARAMETER: Final = re.compile(r';\s*([^\s;,=]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?')


def _parse_links(fields: Iterable[str], base: URL) -> dict[str, dict[str, str]]:
    """Relation (or URL) to the parameters of the link, with its absolute URL as ``url``."""
    found: dict[str, dict[str, str]] = {}
    for field in fields:
        for link in _LINK.finditer(field):
            url = join(base, link[1].strip())
            parameters: dict[str, str] = {}
            for parameter in _PARAMETER.finditer(link[2]):
                quoted, plain = parameter[2], parameter[3]
                value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain or ""
                parameters.setdefault(parameter[1].lower(), value)
            parameters["url"] = url
            found[parameters.get("rel") or url] = parameters
    return found
