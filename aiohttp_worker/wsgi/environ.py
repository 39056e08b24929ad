"""environ of PEP 3333, from a request's head and its connection's addresses.

The place where bytes on the wire have become native strings: latin-1, with
percent-encoding undone in ``PATH_INFO`` alone.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp_worker.http1.head_flags import ESCAPED, FORWARDED, MEANINGS, REFUSED
from aiohttp_worker.http1.head_scanner import joined
from aiohttp_worker.http1.messages import RequestHead

from .forwarded import FieldRule, ForwardingPolicy, field_rule, kept_headers, path_below, refuse_field, script_name, url_scheme

Environ = dict[str, object]

#: Where a parser puts the parts of a request line: method, protocol, path, query, and twice the target.
LINE_KEYS: Final = ("REQUEST_METHOD", "SERVER_PROTOCOL", "PATH_INFO", "QUERY_STRING", "RAW_URI", "REQUEST_URI")
# What the connection and the body fill in for every request.
_PLACES: Final = (
    "SERVER_NAME",
    "SERVER_PORT",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "wsgi.url_scheme",
    "wsgi.input",
    "wsgi.early_hints",
    "gunicorn.socket",
    "aiohttp_worker.client_disconnected",
)
_TAKEN: Final[Environ] = {}


class EnvironBuilder:
    """Makes environs for the connections of one worker that are trusted alike.

    :param policy: what fields of a front end count.
    :param trusted: whether the peers are front ends that may speak for others.
    :param base: what is the same in every environ of the worker.
    """

    __slots__ = ("_base", "_policy", "_trusted")

    def __init__(self, policy: ForwardingPolicy, trusted: bool, base: Environ) -> None:
        self._policy = policy
        self._trusted = trusted
        # With a place for every key: a dictionary that is copied and whose values
        # are replaced does not have to grow.
        presumed = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "", "SCRIPT_NAME": policy.script_name}
        self._base: Environ = dict.fromkeys(LINE_KEYS + _PLACES) | base | presumed

    def base(self) -> Environ:
        """Return what the environs of a connection begin as, for it to add its own.

        Without ``SERVER_NAME``, as on a unix socket, that follows from the Host field.
        """
        return self._base.copy()

    def learn_name(self, name: str) -> tuple[str, int]:
        """Decide what becomes of the fields of a name: the key of their values, "" for none, and what they say besides."""
        upper = name.upper()
        policy = self._policy
        meaning = MEANINGS.get(name.lower(), 0)
        if upper == "SCRIPT_NAME" or (self._trusted and upper in policy.secure_scheme_headers):
            meaning |= FORWARDED
        rule = field_rule(policy, upper, self._trusted)
        if rule is FieldRule.REFUSE:
            return "", REFUSED
        if rule is FieldRule.DROP:
            return "", meaning
        key = upper.replace("-", "_")
        return key if upper in ("CONTENT-TYPE", "CONTENT-LENGTH") else "HTTP_" + key, meaning

    def add_target(self, head: RequestHead) -> None:
        """Add method, version and target of a head that no parser of HTTP/1 has put into its table."""
        protocol = f"HTTP/{head.version[0]}.{head.version[1]}"
        for key, value in zip(LINE_KEYS, (head.method, protocol, head.path, head.query, head.target, head.target), strict=True):
            head.table[key] = value
        if "%" in head.path:
            head.flags |= ESCAPED

    def add_fields(self, head: RequestHead) -> None:
        """Add the fields of such a head, by the same rules."""
        environ = head.table
        for name, value in head.headers:
            key, meaning = self.learn_name(name)
            head.flags |= meaning
            if key:
                environ[key] = joined(meaning, environ[key], value) if key in environ else value

    def build(self, head: RequestHead) -> Environ:
        """Return the environ of a request: the table of its head, with what does not stand there.

        :raises RemoteProtocolError: 400 or 500, as the forwarding policy says.
        """
        memo = head.memo
        if memo is not None:
            return memo.copy()
        environ = head.table
        head.table = _TAKEN  # nobody else keeps alive what the application puts there
        flags = head.flags
        if flags & REFUSED:
            self._refuse(head)
        mount_point = self._policy.script_name
        if flags & FORWARDED:
            mount_point = self._take_forwarded(head, environ)
        if mount_point:
            environ["PATH_INFO"] = decoded_path(path_below(head.path, mount_point))
        elif flags & ESCAPED:
            environ["PATH_INFO"] = decoded_path(head.path)
        if environ["SERVER_NAME"] is None:
            host = environ.get("HTTP_HOST")
            _take_names_from_host(environ, host if isinstance(host, str) else None)
        if head.repeated:
            head.memo = environ.copy()
        return environ

    def _refuse(self, head: RequestHead) -> None:
        """Refuse the first field whose name has no unambiguous place.

        :raises RemoteProtocolError: always.
        """
        names = [name.upper() for name, _ in head.headers]
        raise refuse_field(next(name for name in names if field_rule(self._policy, name, self._trusted) is FieldRule.REFUSE))

    def _take_forwarded(self, head: RequestHead, environ: Environ) -> str:
        """Apply scheme and mount point that a front end's fields give, and return the mount point."""
        policy = self._policy
        received = [(name.upper(), value) for name, value in head.headers]
        scheme = url_scheme(policy, received, self._trusted, "")
        if scheme:
            environ["wsgi.url_scheme"] = scheme
        mount_point = script_name(policy, kept_headers(policy, received, self._trusted))
        environ["SCRIPT_NAME"] = mount_point
        return mount_point


def decoded_path(path: str) -> str:
    """Undo the percent-encoding of a path; its bytes become latin-1 (PEP 3333)."""
    return unquote_to_bytes(path).decode("latin-1") if "%" in path else path


def _take_names_from_host(environ: Environ, host: str | None) -> None:
    """Fill ``SERVER_NAME`` and ``SERVER_PORT``, which a unix socket has not, and which PEP 3333 says are never empty."""
    if environ["REMOTE_PORT"] is None:
        del environ["REMOTE_PORT"]
    name, port = host or "localhost", ""
    if not name.endswith("]"):
        before, colon, after = name.rpartition(":")
        if colon:
            name, port = before, after
    if not port:
        port = "443" if environ["wsgi.url_scheme"] == "https" else "80"
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = port
