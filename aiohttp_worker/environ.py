"""A request's head and its connection's addresses → environ (PEP 3333).

The place where bytes on the wire have become native strings: latin-1, with
percent-encoding undone in ``PATH_INFO`` alone.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from .forwarding import (
    ForwardingPolicy,
    kept_headers,
    path_below,
    script_name,
    url_scheme,
)
from .http1.head import FieldSection, RequestHead, RequestLine

Environ = dict[str, object]


class EnvironBuilder:
    """Makes environs for the connections of one worker that are trusted alike.

    :param policy: what fields of a front end count.
    :param trusted: whether the peers are front ends that may speak for others.
    """

    __slots__ = ("_mounted", "_policy", "_trusted")

    def __init__(self, policy: ForwardingPolicy, trusted: bool) -> None:
        self._policy = policy
        self._trusted = trusted
        self._mounted = bool(policy.script_name)

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
        received = [(name.upper(), value) for name, value in fields.headers]
        headers = kept_headers(policy, received, self._trusted)
        environ: Environ = {}
        values: dict[str, list[str]] = {}
        for name, value in headers:
            if name == "CONTENT-TYPE":
                environ["CONTENT_TYPE"] = value
            elif name == "CONTENT-LENGTH":
                environ["CONTENT_LENGTH"] = value
            else:
                values.setdefault("HTTP_" + name.replace("-", "_"), []).append(value)
        for key, repeated in values.items():
            # RFC 9110 section 5.3; cookies alone are not joined by commas
            # (RFC 6265 section 5.4).
            environ[key] = ("; " if key == "HTTP_COOKIE" else ",").join(repeated)
        scheme = url_scheme(policy, received, self._trusted, "")
        if scheme:
            environ["wsgi.url_scheme"] = scheme
        mount_point = script_name(policy, headers)
        if mount_point != policy.script_name:
            fields.script_name = mount_point
        return environ


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
