"""The head of a request: request line and field section (RFC 9112 section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How large a head may be, and which of its oddities are let through.

    The first three are Gunicorn's ``limit_request_line`` (bytes, 0 for no
    limit, answered with 414), ``limit_request_fields`` (number) and
    ``limit_request_field_size`` (bytes of a field line, both answered with
    431). The flags are Gunicorn's settings of the same names.
    """

    request_line: int = 4094
    fields: int = 100
    field_size: int = 8190
    permit_obsolete_folding: bool = False
    strip_header_spaces: bool = False
    permit_unconventional_http_method: bool = False
    permit_unconventional_http_version: bool = False
    casefold_http_method: bool = False


class RequestLine:
    """Method, target and version of a request (RFC 9112 section 3).

    It depends on the line's bytes alone and is shared by all requests that
    start with the same ones; ``environ`` is where the WSGI side keeps what it
    makes of it.
    """

    __slots__ = ("authority", "environ", "kept", "method", "minor", "path", "protocol", "query", "target", "version")

    def __init__(
        self,
        method: str,
        target: str,
        authority: str | None,
        path: str,
        query: str,
        version: tuple[int, int],
    ) -> None:
        self.method = method
        self.target = target
        self.authority = authority
        self.path = path
        self.query = query
        self.version = version
        # What a version is asked for most: whether it is later than 1.0.
        major, minor = version
        self.minor = major > 1 or (major == 1 and minor > 0)
        self.protocol = "HTTP/1.1" if major == 1 and minor == 1 else f"HTTP/{major}.{minor}"
        self.kept = False  # remembered, so that it pays to keep what is made of it
        self.environ: dict[str, object] | None = None


class FieldLine:
    """One field (RFC 9112 section 5): shared like :class:`RequestLine`.

    :param meaning: its name in lower case, if it says something to the server
        itself, otherwise empty.
    """

    __slots__ = ("close", "keep_alive", "key", "meaning", "name", "special", "value")

    def __init__(self, name: str, value: str, meaning: str) -> None:
        self.name = name
        self.value = value
        self.meaning = meaning
        # Of Connection (RFC 9110 section 7.6.1).
        self.close = False
        self.keep_alive = False
        # Of the WSGI side: the key in environ, "" for none, and whether more than a value hangs on it.
        self.key: str | None = None
        self.special = False


class FieldSection:
    """The fields of a request and what they say of its framing.

    Shared like :class:`RequestLine`.
    """

    __slots__ = (
        "chunked",
        "close",
        "content_length",
        "environ",
        "expect_continue",
        "has_type",
        "host",
        "keep_alive",
        "kept",
        "lines",
        "scheme",
        "script_name",
        "unknown_coding",
    )

    def __init__(self, lines: list[FieldLine]) -> None:
        self.lines = lines
        self.host: str | None = None
        self.content_length: int | None = None
        self.has_type = False
        self.chunked = False
        self.unknown_coding: str | None = None
        self.expect_continue = False
        self.close = False
        self.keep_alive = False
        self.environ: dict[str, object] | None = None
        self.kept = False  # remembered, so that it pays to keep what is made of it
        # Of the WSGI side, like environ.
        self.scheme = ""
        self.script_name: str | None = None


class RequestHead:
    """One request's line and fields, and the framing that follows from both.

    :param known: whether both came before, on whatever connection.
    """

    __slots__ = ("environ", "expect_continue", "fields", "has_body", "keep_alive", "known", "line", "repeated")

    def __init__(self, line: RequestLine, fields: FieldSection, keep_alive: bool, known: bool) -> None:
        self.line = line
        self.fields = fields
        self.keep_alive = keep_alive
        self.known = known
        # That its connection sends it again and again, and what the WSGI side makes of it there.
        self.repeated = False
        self.environ: dict[str, object] | None = None
        self.has_body = fields.chunked or bool(fields.content_length)
        # RFC 9110 section 10.1.1: to be ignored in a request of HTTP/1.0.
        self.expect_continue = fields.expect_continue and self.has_body and line.minor

    @property
    def method(self) -> str:
        """The method, as received (or folded to upper case where that is set)."""
        return self.line.method

    @property
    def target(self) -> str:
        """The request target, as received (RFC 9112 section 3.2)."""
        return self.line.target

    @property
    def path(self) -> str:
        """The target's path, still percent-encoded."""
        return self.line.path

    @property
    def query(self) -> str:
        """The target's query without its question mark."""
        return self.line.query

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version, ``(1, 1)`` or ``(1, 0)`` as a rule."""
        return self.line.version

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values, latin-1, in the order and case received."""
        return [(line.name, line.value) for line in self.fields.lines]

    @property
    def content_length(self) -> int | None:
        """Bytes of the body, ``None`` when the request does not say."""
        return self.fields.content_length

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks (RFC 9112 section 7.1)."""
        return self.fields.chunked
