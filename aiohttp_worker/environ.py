"""A request's head and its connection's addresses → environ (PEP 3333).

The place where bytes on the wire have become native strings: latin-1, with
percent-encoding undone in ``PATH_INFO`` alone.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from .forwarding import FieldRule, ForwardingPolicy, field_rule, path_below, refuse_field, url_scheme
from .http1.head import FieldSection, RequestHead, RequestLine

Environ = dict[str, object]

_MOST_KEYS: Final = 512


class EnvironBuilder:
    """Makes environs for the connections of one worker that are trusted alike.

    :param policy: what fields of a front end count.
    :param trusted: whether the peers are front ends that may speak for others.
    """

    __slots__ = ("_keys", "_mounted", "_policy", "_scheme_names", "_trusted")

    def __init__(self, policy: ForwardingPolicy, trusted: bool) -> None:
        self._policy = policy
        self._trusted = trusted
        self._mounted = bool(policy.script_name)
        # Names as they are received → their keys, "" for what is dropped.
        self._keys: dict[str, str] = {}
        self._scheme_names: set[str] = set()

    def build(self, head: RequestHead, base: Environ, names_from_host: bool) -> Environ:
        """Return a new environ for one request.

        :param base: what is the same for all requests of the connection.
        :param names_from_host: whether ``SERVER_NAME`` and ``SERVER_PORT``
            follow from the Host field, as on unix sockets.
        :raises RemoteProtocolError: 400 or 500, as the forwarding policy says.
        """
        line = head.line
        fields = head.fields
        of_line = line.environ
        if of_line is None:
            of_line = line.environ = self._of_line(line)
        of_fields = fields.environ
        if of_fields is None:
            of_fields = fields.environ = self._of_fields(fields)
        environ = base.copy()
        environ.update(of_line)
        environ.update(of_fields)
        mount_point = fields.script_name
        if mount_point is not None:
            environ["SCRIPT_NAME"] = mount_point
            environ["PATH_INFO"] = _decoded(path_below(line.path, mount_point))
        elif self._mounted:
            # Not remembered with the line: an error is not to be raised once only.
            path_below(line.path, self._policy.script_name)
        if names_from_host:
            _take_names_from_host(environ, fields.host)
        return environ

    def _of_line(self, line: RequestLine) -> Environ:
        mount_point = self._policy.script_name
        path = line.path
        if mount_point and path.startswith(mount_point):
            path = path[len(mount_point) :]
        return {
            "REQUEST_METHOD": line.method,
            "SCRIPT_NAME": mount_point,
            "PATH_INFO": _decoded(path),
            "QUERY_STRING": line.query,
            "SERVER_PROTOCOL": f"HTTP/{line.version[0]}.{line.version[1]}",
            "RAW_URI": line.target,
            "REQUEST_URI": line.target,
        }

    def _of_fields(self, fields: FieldSection) -> Environ:
        policy = self._policy
        keys = self._keys
        environ: dict[str, object] = {}
        tells_scheme = False
        for name, value in fields.headers:
            key = keys.get(name)
            if key is None:
                key = self._learn_key(name)
            if name in self._scheme_names:
                tells_scheme = True
            if not key:
                continue
            if key in environ:
                # RFC 9110 section 5.3; cookies alone are not joined by commas
                # (RFC 6265 section 5.4).
                separator = "; " if key == "HTTP_COOKIE" else ","
                environ[key] = f"{environ[key]}{separator}{value}"
            else:
                environ[key] = value
        if tells_scheme:
            received = [(name.upper(), value) for name, value in fields.headers]
            environ["wsgi.url_scheme"] = url_scheme(policy, received, True, "http")
        mount_point = environ.get("HTTP_SCRIPT_NAME")
        if isinstance(mount_point, str):
            fields.script_name = mount_point
        return environ

    def _learn_key(self, name: str) -> str:
        """Decide, once for each spelling of a name, where its values go."""
        upper = name.upper()
        policy = self._policy
        if self._trusted and upper in policy.secure_scheme_headers:
            self._scheme_names.add(name)
        rule = field_rule(policy, upper, self._trusted)
        if rule is FieldRule.REFUSE:
            raise refuse_field(upper)
        key = upper.replace("-", "_")
        if rule is FieldRule.DROP:
            key = ""
        elif upper not in ("CONTENT-TYPE", "CONTENT-LENGTH"):
            key = "HTTP_" + key
        if len(self._keys) >= _MOST_KEYS:
            self._keys.clear()
            self._scheme_names.clear()
        self._keys[name] = key
        return key


def _decoded(path: str) -> str:
    return unquote_to_bytes(path).decode("latin-1") if "%" in path else path


def _take_names_from_host(environ: Environ, host: str | None) -> None:
    """Fill ``SERVER_NAME`` and ``SERVER_PORT``, which a unix socket has not."""
    name, port = host or "", ""
    if not name.endswith("]"):
        before, colon, after = name.rpartition(":")
        if colon:
            name, port = before, after
    if not port and host:
        port = "443" if environ["wsgi.url_scheme"] == "https" else "80"
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = port
