"""Header fields of a front end that speaks for its clients: scheme, mount point, and which peers are trusted.

A reverse proxy tells the application of the scheme and the mount point in
header fields, and any client can send the same fields. Which of them count is
decided here, by the rules of Gunicorn's settings ``forwarded_allow_ips``,
``secure_scheme_headers``, ``forwarder_headers`` and ``header_map``, so that an
application sees the environ that Gunicorn's own workers would give it.

All functions are pure. ``headers`` are pairs of upper-case field name and
field value, as native strings. ``trusted`` is the answer of
:func:`peer_is_trusted`, which changes only with the connection: ask once.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from aiohttp_worker.http1.caches import remember
from aiohttp_worker.http1.errors import RemoteProtocolError

_MOST_VERDICTS: Final = 1024

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Of a connection as the socket knows it: an address and port (and more for
#: IPv6), the path of a unix socket, or ``None`` when it is not known any more.
Peername = tuple[object, ...] | str | bytes | None


class HeaderMap(enum.Enum):
    """Treatment of a field name with an underscore from an unknown peer.

    ``X_Real_IP`` and ``X-Real-IP`` get the same name in environ, so one of
    them could be slipped past a front end that only replaces the other.
    """

    DROP = "drop"
    REFUSE = "refuse"
    DANGEROUS = "dangerous"


class FieldRule(enum.Enum):
    """Treatment of a field, by its name alone."""

    KEEP = "keep"
    DROP = "drop"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class AddressList:
    """Addresses and networks that are allowed to do something.

    ``everyone`` is Gunicorn's ``*``.
    """

    networks: tuple[Network, ...] = ()
    everyone: bool = False
    # Of hosts that came before: to take an address apart costs more than the rest of a connection.
    _verdicts: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, addresses: Iterable[str]) -> AddressList:
        """Read what ``forwarded_allow_ips`` or ``proxy_allow_ips`` holds.

        :param addresses: addresses, networks in CIDR notation, or ``*``.
        :raises ValueError: one of them is neither.
        """
        listed = list(addresses)
        return cls(
            networks=tuple(ipaddress.ip_network(address) for address in listed if address != "*"),
            everyone="*" in listed,
        )

    def allows(self, peername: Peername) -> bool:
        """Return whether the peer is on the list.

        Who reached a unix socket passed the permissions of its file, and is
        always allowed. A peer that left before its address could be asked for
        is not: nothing is known of it.
        """
        if isinstance(peername, str | bytes):
            return True
        if self.everyone:
            return True
        if not peername:
            return False
        host = str(peername[0])
        verdict = self._verdicts.get(host)
        if verdict is None:
            verdict = self._includes(host)
            remember(self._verdicts, _MOST_VERDICTS, host, verdict)
        return verdict

    def _includes(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def _default_scheme_headers() -> Mapping[str, str]:
    return MappingProxyType(
        {
            "X-FORWARDED-PROTOCOL": "ssl",
            "X-FORWARDED-PROTO": "https",
            "X-FORWARDED-SSL": "on",
        }
    )


@dataclass(frozen=True, slots=True)
class ForwardingPolicy:
    """Gunicorn's settings on front ends, as plain values.

    :param allowed: ``forwarded_allow_ips``.
    :param secure_scheme_headers: upper-case field name to the one value that
        means https; every other value means http.
    :param forwarder_headers: upper-case names with an underscore that a
        trusted peer may set, or ``*`` for all.
    :param header_map: for the other names with an underscore.
    :param script_name: mount point where no field gives one; Gunicorn takes it
        from the environment variable ``SCRIPT_NAME``.
    """

    allowed: AddressList = field(default_factory=lambda: AddressList.parse(("127.0.0.1", "::1")))
    secure_scheme_headers: Mapping[str, str] = field(default_factory=_default_scheme_headers)
    forwarder_headers: frozenset[str] = frozenset(("SCRIPT_NAME", "PATH_INFO"))
    header_map: HeaderMap = HeaderMap.DROP
    script_name: str = ""


def peer_is_trusted(policy: ForwardingPolicy, peername: Peername) -> bool:
    """Return whether the peer may speak for others.

    :param peername: of the socket itself, never the one that a PROXY protocol
        header or a field claims.
    """
    return policy.allowed.allows(peername)


def field_rule(policy: ForwardingPolicy, field_name: str, trusted: bool) -> FieldRule:
    """Decide whether a field of this (upper-case) name reaches environ.

    The answer depends on nothing else, so that callers may remember it.
    """
    if "_" not in field_name:
        return FieldRule.KEEP
    if trusted and (field_name in policy.forwarder_headers or "*" in policy.forwarder_headers):
        return FieldRule.KEEP
    if policy.header_map is HeaderMap.DANGEROUS:
        return FieldRule.KEEP
    if policy.header_map is HeaderMap.DROP:
        return FieldRule.DROP
    return FieldRule.REFUSE


def refuse_field(field_name: str) -> RemoteProtocolError:
    """The error for a field whose rule is :attr:`FieldRule.REFUSE`."""
    return RemoteProtocolError(
        f"header field name {field_name!r} has no unambiguous place in environ",
        status_code=400,
    )


def kept_headers(policy: ForwardingPolicy, headers: Iterable[tuple[str, str]], trusted: bool) -> list[tuple[str, str]]:
    """The fields that reach environ, in their order.

    :raises RemoteProtocolError: 400, ``header_map`` is ``refuse`` and there is
        a name with an underscore that the peer may not set.
    """
    kept = []
    for pair in headers:
        rule = field_rule(policy, pair[0], trusted)
        if rule is FieldRule.REFUSE:
            raise refuse_field(pair[0])
        if rule is FieldRule.KEEP:
            kept.append(pair)
    return kept


def url_scheme(
    policy: ForwardingPolicy,
    headers: Iterable[tuple[str, str]],
    trusted: bool,
    scheme: str,
) -> str:
    """The scheme that the client used, ``http`` or ``https``.

    :param headers: all fields as received, before any is dropped.
    :param scheme: of the connection itself; stands unless a trusted peer's
        field says otherwise.
    :raises RemoteProtocolError: 400, two fields contradict each other.
    """
    if not trusted:
        return scheme
    secure_values = policy.secure_scheme_headers
    told: str | None = None
    for field_name, field_value in headers:
        if field_name in secure_values:
            this = "https" if field_value == secure_values[field_name] else "http"
            if told is not None and told != this:
                raise RemoteProtocolError(
                    "header fields contradict each other about the scheme",
                    status_code=400,
                )
            told = this
    return scheme if told is None else told


def script_name(policy: ForwardingPolicy, headers: Iterable[tuple[str, str]]) -> str:
    """The mount point: the last ``SCRIPT_NAME`` field, else the policy's.

    :param headers: what :func:`kept_headers` left.
    """
    found = policy.script_name
    for field_name, field_value in headers:
        if field_name == "SCRIPT_NAME":
            found = field_value
    return found


def path_below(path: str, mount_point: str) -> str:
    """The rest of ``path`` after the mount point (PEP 3333, ``PATH_INFO``).

    :param path: of the target, still percent-encoded.
    :param mount_point: what :func:`script_name` found; may be empty.
    :raises RemoteProtocolError: 500, the path is not below the mount point:
        the front end and this server are configured for different places.
    """
    if not mount_point:
        return path
    if not path.startswith(mount_point):
        raise RemoteProtocolError(
            f"path {path!r} does not start with SCRIPT_NAME {mount_point!r}",
            status_code=500,
        )
    return path[len(mount_point) :]
