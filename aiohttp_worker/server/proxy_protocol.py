"""PROXY protocol, versions 1 and 2: the address of the client, as a load balancer sends it.

A balancer that passes bytes on without reading them cannot add header fields.
It puts a header of its own before the first byte of the connection instead.
The specification is ``proxy-protocol.txt`` of HAProxy; section numbers below
are its. This is the receiver's side, for TCP.

The header stands for the whole connection, and nothing in it is true unless
the peer is allowed to send it.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass

from aiohttp_worker.http1.errors import RemoteProtocolError

_V1_PREFIX = b"PROXY "
_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

# Section 2.1: the longest line, with its CRLF, and a receiver must stop there.
_V1_LIMIT = 107
_V1_LINE = re.compile(
    rb"PROXY (?:(?P<unknown>UNKNOWN)(?: [^\r\n]*)?"
    rb"|(?P<protocol>TCP[46]) (?P<source>[0-9A-Fa-f:.]+) (?P<destination>[0-9A-Fa-f:.]+)"
    rb" (?P<source_port>0|[1-9][0-9]{0,4}) (?P<destination_port>0|[1-9][0-9]{0,4}))"
)

# Section 2.2: signature, version and command, family and transport, length.
_V2_HEAD_SIZE = len(_V2_SIGNATURE) + 4
_LOCAL, _PROXY = 0, 1
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_STREAM = 1

Address = tuple[str, int]


class ProxyProtocol(enum.Enum):
    """Versions that a listener accepts; Gunicorn's setting ``proxy_protocol``."""

    V1 = "v1"
    V2 = "v2"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A parsed PROXY header.

    :param protocol: ``TCP4``, ``TCP6``; or ``LOCAL``, ``UNKNOWN``, ``UNSPEC``,
        ``UNIX``, which leave the connection's own addresses as they are.
    :param source: address and port of the client.
    :param destination: address and port that the client connected to.
    """

    protocol: str
    source: Address | None = None
    destination: Address | None = None

    def environ(self) -> dict[str, str]:
        """Return the variables that the header adds to environ, or replaces there.

        Their names are Gunicorn's. Without addresses ``REMOTE_ADDR`` is not among them: the balancer has connected for itself,
        and its own address is that of the client.
        """
        variables = {"PROXY_PROTOCOL": self.protocol}
        if self.source is not None:
            variables["REMOTE_ADDR"] = self.source[0]
            variables["REMOTE_PORT"] = str(self.source[1])
        if self.destination is not None:
            variables["PROXY_ADDR"] = self.destination[0]
            variables["PROXY_PORT"] = str(self.destination[1])
        return variables


class ProxyHeaderReader:
    """Parser for the PROXY header at the beginning of a connection.

    A connection that begins with anything else is an ordinary one: balancers
    check the health of a server that way.

    :param versions: versions that are accepted.
    :param allowed: True if the peer may send a header.
    """

    __slots__ = ("_allowed", "_buffer", "_prefixes", "header", "rest")

    def __init__(self, versions: ProxyProtocol, *, allowed: bool) -> None:
        self._allowed = allowed
        self._prefixes = {
            ProxyProtocol.V1: (_V1_PREFIX,),
            ProxyProtocol.V2: (_V2_SIGNATURE,),
            ProxyProtocol.AUTO: (_V1_PREFIX, _V2_SIGNATURE),
        }[versions]
        self._buffer = b""
        #: The header, ``None`` without one; valid when :meth:`feed` has returned True.
        self.header: ProxyHeader | None = None
        #: The bytes behind the header, or all bytes without one.
        self.rest = b""

    def feed(self, data: bytes) -> bool:
        """Parse bytes as they arrive; not to be called again after it has returned True.

        :return: True if ``header`` and ``rest`` are valid.
        :raises RemoteProtocolError: 400, the header is malformed; 403, the
            peer may not send one.
        """
        buffer = self._buffer = self._buffer + data
        for prefix in self._prefixes:
            if buffer.startswith(prefix):
                break
            if prefix.startswith(buffer):
                return False
        else:
            self.rest, self._buffer = buffer, b""
            return True
        if not self._allowed:
            raise RemoteProtocolError("the peer may not send a PROXY protocol header", status_code=403)
        size = self._v1_size(buffer) if prefix is _V1_PREFIX else self._v2_size(buffer)
        if size is None:
            return False
        header = buffer[:size]
        self.header = _parse_v1(header) if prefix is _V1_PREFIX else _parse_v2(header)
        self.rest, self._buffer = buffer[size:], b""
        return True

    @staticmethod
    def _v1_size(buffer: bytes) -> int | None:
        end = buffer.find(b"\r\n", 0, _V1_LIMIT)
        if end >= 0:
            return end + 2
        if len(buffer) >= _V1_LIMIT:
            raise RemoteProtocolError(f"PROXY protocol: no end of line within {_V1_LIMIT} bytes")
        return None

    @staticmethod
    def _v2_size(buffer: bytes) -> int | None:
        if len(buffer) < _V2_HEAD_SIZE:
            return None
        size = _V2_HEAD_SIZE + int.from_bytes(buffer[14:16])
        return size if len(buffer) >= size else None


def _parse_v1(line: bytes) -> ProxyHeader:
    """Parse version 1, a line of text (section 2.1)."""
    match = _V1_LINE.fullmatch(line, 0, len(line) - 2)
    if match is None:
        raise RemoteProtocolError(f"PROXY protocol: malformed line {line[:-2]!r}")
    if match["unknown"]:
        # The rest of the line says nothing that may be used.
        return ProxyHeader("UNKNOWN")
    protocol = match["protocol"].decode("ascii")
    family = ipaddress.IPv4Address if protocol == "TCP4" else ipaddress.IPv6Address
    source, destination = match["source"].decode("ascii"), match["destination"].decode("ascii")
    try:
        family(source)
        family(destination)
    except ValueError:
        raise RemoteProtocolError(f"PROXY protocol: not {protocol} addresses in {line[:-2]!r}") from None
    source_port, destination_port = int(match["source_port"]), int(match["destination_port"])
    if source_port > 65535 or destination_port > 65535:
        raise RemoteProtocolError(f"PROXY protocol: no such port in {line[:-2]!r}")
    return ProxyHeader(protocol, (source, source_port), (destination, destination_port))


def _parse_v2(header: bytes) -> ProxyHeader:
    """Parse version 2, which is binary (section 2.2); bytes behind the addresses are ignored."""
    version, command = divmod(header[12], 16)
    family, transport = divmod(header[13], 16)
    if version != 2:
        raise RemoteProtocolError(f"PROXY protocol: version {version} behind the signature of version 2")
    if command not in (_LOCAL, _PROXY):
        raise RemoteProtocolError(f"PROXY protocol: unknown command {command}")
    if command == _LOCAL:
        # "The receiver must accept this connection as valid and must use the
        # real connection endpoints", whatever the family says.
        return ProxyHeader("LOCAL")
    if family == _UNSPEC and transport in (_UNSPEC, _STREAM):
        return ProxyHeader("UNSPEC")
    if transport != _STREAM:
        raise RemoteProtocolError(f"PROXY protocol: transport {transport} is not a stream")
    addresses = header[_V2_HEAD_SIZE:]
    if family == _INET:
        return _addresses("TCP4", addresses, 4)
    if family == _INET6:
        return _addresses("TCP6", addresses, 16)
    if family == _UNIX:
        if len(addresses) < 216:
            raise RemoteProtocolError("PROXY protocol: addresses cut short")
        # A path on the balancer's machine means nothing here.
        return ProxyHeader("UNIX")
    raise RemoteProtocolError(f"PROXY protocol: unknown address family {family}")


def _addresses(protocol: str, packed: bytes, size: int) -> ProxyHeader:
    """Parse two addresses of ``size`` bytes and two ports, in network order."""
    if len(packed) < 2 * size + 4:
        raise RemoteProtocolError("PROXY protocol: addresses cut short")
    return ProxyHeader(
        protocol,
        (_text(packed[:size]), int.from_bytes(packed[2 * size : 2 * size + 2])),
        (_text(packed[size : 2 * size]), int.from_bytes(packed[2 * size + 2 : 2 * size + 4])),
    )


def _text(packed: bytes) -> str:
    address = ipaddress.ip_address(packed)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        # Older Pythons write these in hexadecimal, the system's own functions never do.
        return f"::ffff:{address.ipv4_mapped}"
    return str(address)
