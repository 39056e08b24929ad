"""A request's head and its connection's addresses → environ (PEP 3333).

The place where bytes on the wire have become native strings: latin-1, with
percent-encoding undone in ``PATH_INFO`` alone.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp_worker.http1.caches import remember
from aiohttp_worker.http1.messages import FieldSection, RequestHead, RequestLine

from .forwarded import FieldRule, ForwardingPolicy, field_rule, kept_headers, path_below, refuse_field, script_name, url_scheme

Environ = dict[str, object]

_MOST_KEYS: Final = 512

# What the request line, the connection and the body fill in for every request.
_PLACES: Final = (
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "SERVER_PROTOCOL",
    "RAW_URI",
    "REQUEST_URI",
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


class EnvironBuilder:
    """Makes environs for the connections of one worker that are trusted alike.

    :param policy: what fields of a front end count.
    :param trusted: whether the peers are front ends that may speak for others.
    :param base: what is the same in every environ of the worker.
    """

    __slots__ = ("_base", "_keys", "_mounted", "_policy", "_trusted")

    def __init__(self, policy: ForwardingPolicy, trusted: bool, base: Environ) -> None:
        self._policy = policy
        self._trusted = trusted
        self._mounted = bool(policy.script_name)
        # With a place for every key: a dictionary that is copied and whose values
        # are replaced does not have to grow.
        self._base = dict.fromkeys(_PLACES) | base
        # Of a field name: where its values go, "" for nowhere, and whether more hangs on them.
        self._keys: dict[str, tuple[str, bool]] = {}

    def build(self, head: RequestHead, of_connection: Environ) -> Environ:
        """Return a new environ for one request.

        :param of_connection: the keys that are the same for all requests of
            the connection; without ``SERVER_NAME``, as on a unix socket, it
            follows from the Host field.
        :raises RemoteProtocolError: 400 or 500, as the forwarding policy says.
        """
        known = head.environ
        if known is not None:
            return known.copy()
        line = head.line
        fields = head.fields
        of_fields = fields.environ
        if of_fields is not None:
            environ = of_fields.copy()
        else:
            environ = self._of_fields(fields)
            if fields.kept:
                fields.environ = environ.copy()
        environ.update(of_connection)
        of_line = line.environ
        if of_line is not None:
            environ.update(of_line)
        else:
            self._take_line(line, environ)
            if line.kept:
                line.environ = of_line = {}
                self._take_line(line, of_line)
        if fields.scheme:
            environ["wsgi.url_scheme"] = fields.scheme
        mount_point = fields.script_name
        if mount_point is not None:
            environ["SCRIPT_NAME"] = mount_point
            environ["PATH_INFO"] = decoded_path(path_below(line.path, mount_point))
        elif self._mounted:
            # Not remembered with the line: an error is not to be raised once only.
            path_below(line.path, self._policy.script_name)
        if environ["SERVER_NAME"] is None:
            _take_names_from_host(environ, fields.host)
        if head.repeated:
            head.environ = environ.copy()
        return environ

    def _take_line(self, line: RequestLine, environ: Environ) -> None:
        mount_point = self._policy.script_name
        path = line.path
        if mount_point and path.startswith(mount_point):
            path = path[len(mount_point) :]
        target = line.target
        environ["REQUEST_METHOD"] = line.method
        environ["SCRIPT_NAME"] = mount_point
        environ["PATH_INFO"] = decoded_path(path)
        environ["QUERY_STRING"] = line.query
        environ["SERVER_PROTOCOL"] = line.protocol
        environ["RAW_URI"] = target
        environ["REQUEST_URI"] = target

    def _of_fields(self, fields: FieldSection) -> Environ:
        environ = self._base.copy()
        keys = self._keys
        special = False
        size = len(environ)
        for line in fields.lines:
            key = line.key
            if key is None:
                learned = keys.get(line.name)
                if learned is None:
                    learned = self._learn_key(line.name)
                line.key, line.special = learned
                key = learned[0]
            if line.special:
                special = True
            if not key:
                continue
            environ.setdefault(key, line.value)
            if len(environ) > size:
                size += 1
            else:
                # RFC 9110 section 5.3; cookies alone are not joined by commas
                # (RFC 6265 section 5.4).
                separator = "; " if key == "HTTP_COOKIE" else ","
                environ[key] = f"{environ[key]}{separator}{line.value}"
        if special:
            self._take_special(fields)
        return environ

    def _take_special(self, fields: FieldSection) -> None:
        """Take up what fields say beyond their values: the scheme, and where the application is mounted."""
        policy = self._policy
        received = [(line.name.upper(), line.value) for line in fields.lines]
        fields.scheme = url_scheme(policy, received, self._trusted, "")
        mount_point = script_name(policy, kept_headers(policy, received, self._trusted))
        if mount_point != policy.script_name:
            fields.script_name = mount_point

    def _learn_key(self, name: str) -> tuple[str, bool]:
        """Decide, once for a name, what becomes of a field."""
        upper = name.upper()
        policy = self._policy
        rule = field_rule(policy, upper, self._trusted)
        if rule is FieldRule.REFUSE:
            raise refuse_field(upper)
        key = upper.replace("-", "_")
        if rule is FieldRule.DROP:
            key = ""
        elif upper not in ("CONTENT-TYPE", "CONTENT-LENGTH"):
            key = "HTTP_" + key
        learned = (key, upper == "SCRIPT_NAME" or (self._trusted and upper in policy.secure_scheme_headers))
        remember(self._keys, _MOST_KEYS, name, learned)
        return learned


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
