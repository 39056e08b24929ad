"""The head of a request: request line and field section (RFC 9112 section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a head, and the oddities in it that are let through.

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


class RequestHead:
    """The head of one request, and the framing that follows from it.

    Of HTTP/1 it has the bytes, and what is rarely asked for is read from them. Other protocols give *fields* instead.

    :param raw: all of the head, valid, its empty line included.
    :param table: what the parser made of line and fields, under the keys that it was given. Whoever
        builds a request of it takes it.
    :param flags: see ``head_flags``.
    """

    __slots__ = (
        "_fields",
        "_path",
        "_query",
        "_target",
        "chunked",
        "content_length",
        "expect_continue",
        "flags",
        "has_body",
        "keep_alive",
        "memo",
        "method",
        "minor",
        "raw",
        "repeated",
        "table",
        "version",
    )

    def __init__(self, raw: bytes, table: dict[str, object], flags: int) -> None:
        self.raw = raw
        self.table = table
        self.flags = flags
        #: The method, as received (or folded to upper case where that is set).
        self.method = "GET"
        #: Major and minor version, ``(1, 1)`` or ``(1, 0)`` as a rule.
        self.version = (1, 1)
        self.minor = True  # whether it is later than 1.0
        self._target: str | None = None
        self._path: str | None = None
        self._query: str | None = None
        self._fields: list[tuple[str, str]] | None = None
        #: Bytes of the body, ``None`` when the request does not say.
        self.content_length: int | None = None
        #: Whether the body comes in chunks (RFC 9112 section 7.1).
        self.chunked = False
        self.has_body = False
        self.keep_alive = True
        self.expect_continue = False
        # That its connection sends it again and again, and what whoever serves it makes of it then.
        self.repeated = False
        self.memo: dict[str, object] | None = None

    def set_version(self, major: int, minor: int) -> None:
        """Set the version."""
        self.version = (major, minor)
        self.minor = self.version >= (1, 1)

    def set_target(self, target: str, path: str, query: str) -> None:
        """Set the target and its parts, where they are not as most are."""
        self._target = target
        self._path = path
        self._query = query

    def set_fields(self, fields: list[tuple[str, str]]) -> None:
        """Set the fields, where they do not stand in ``raw``."""
        self._fields = fields

    @property
    def target(self) -> str:
        """The request target, as received (RFC 9112 section 3.2)."""
        target = self._target
        if target is None:
            target = self._target = self.raw.split(b" ", 2)[1].decode("latin-1")
        return target

    @property
    def path(self) -> str:
        """The target's path, still percent-encoded."""
        path = self._path
        if path is None:
            path = self._path = self.target.partition("?")[0]
        return path

    @property
    def query(self) -> str:
        """The target's query without its question mark."""
        query = self._query
        return self.target.partition("?")[2] if query is None else query

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values, latin-1, in the order and case received."""
        fields = self._fields
        if fields is None:
            lines = self.raw.decode("latin-1").split("\r\n")[1:-2]
            parts = [line.partition(":") for line in lines]
            fields = self._fields = [(name, value.strip(" \t")) for name, _, value in parts]
        return fields
