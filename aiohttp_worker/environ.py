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

    __slots__ = ("_base", "_keys", "_mounted", "_policy", "_scheme_keys", "_trusted")

    def __init__(self, policy: ForwardingPolicy, trusted: bool, base: Environ) -> None:
        self._policy = policy
        self._trusted = trusted
        self._mounted = bool(policy.script_name)
        # With a place for every key: a dictionary that is copied and whose values
        # are replaced does not have to grow.
        self._base = dict.fromkeys(_PLACES) | base
        self._keys: dict[str, str] = {}
        self._scheme_keys = {"HTTP_" + name.replace("-", "_") for name in policy.secure_scheme_headers}

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
        of_line = line.environ
        if of_line is None:
            of_line = line.environ = self._of_line(line)
        of_fields = fields.environ
        if of_fields is not None:
            environ = of_fields.copy()
        else:
            environ = self._of_fields(fields)
            if fields.kept:
                fields.environ = environ.copy()
        environ.update(of_connection)
        environ.update(of_line)
        if fields.scheme:
            environ["wsgi.url_scheme"] = fields.scheme
        mount_point = fields.script_name
        if mount_point is not None:
            environ["SCRIPT_NAME"] = mount_point
            environ["PATH_INFO"] = _decoded(path_below(line.path, mount_point))
        elif self._mounted:
            # Not remembered with the line: an error is not to be raised once only.
            path_below(line.path, self._policy.script_name)
        if environ["SERVER_NAME"] is None:
            _take_names_from_host(environ, fields.host)
        if head.repeated:
            head.environ = environ.copy()
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
            "SERVER_PROTOCOL": line.protocol,
            "RAW_URI": line.target,
            "REQUEST_URI": line.target,
        }

    def _of_fields(self, fields: FieldSection) -> Environ:
        policy = self._policy
        environ = self._base.copy()
        keys = self._keys
        for line in fields.lines:
            key = line.key
            if key is None:
                name = line.name
                key = keys.get(name)
                if key is None:
                    key = self._learn_key(name)
                line.key = key
            if not key:
                continue
            if key in environ:
                # RFC 9110 section 5.3; cookies alone are not joined by commas
                # (RFC 6265 section 5.4).
                separator = "; " if key == "HTTP_COOKIE" else ","
                environ[key] = f"{environ[key]}{separator}{line.value}"
            else:
                environ[key] = line.value
        if self._trusted and any([key in environ for key in self._scheme_keys]):  # noqa: C419, a generator costs more
            received = [(line.name.upper(), line.value) for line in fields.lines]
            fields.scheme = url_scheme(policy, received, True, "")
        if "HTTP_SCRIPT_NAME" in environ:
            # "Script-Name", which any client may send, has the same key and says nothing of mount points.
            for line in fields.lines:
                if line.key and line.name.upper() == "SCRIPT_NAME":
                    fields.script_name = line.value
        return environ

    def _learn_key(self, name: str) -> str:
        """Decide, once for a name, where the values of a field go, "" for nowhere."""
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
        if len(self._keys) >= _MOST_KEYS:
            self._keys.clear()
        self._keys[name] = key
        return key


def _decoded(path: str) -> str:
    return unquote_to_bytes(path).decode("latin-1") if "%" in path else path


def _take_names_from_host(environ: Environ, host: str | None) -> None:
    """Fill ``SERVER_NAME`` and ``SERVER_PORT``, which a unix socket has not."""
    if environ["REMOTE_PORT"] is None:
        del environ["REMOTE_PORT"]
    name, port = host or "", ""
    if not name.endswith("]"):
        before, colon, after = name.rpartition(":")
        if colon:
            name, port = before, after
    if not port and host:
        port = "443" if environ["wsgi.url_scheme"] == "https" else "80"
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = port
