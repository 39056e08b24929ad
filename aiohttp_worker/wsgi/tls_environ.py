"""TLS facts for the application: ``SSL_*`` variables and the client's certificate.

The variables have the names of Apache's ``mod_ssl``, which front ends and applications have shared for decades.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

RelativeName = tuple[tuple[str, str], ...]

# Short names of attribute types by RFC 4514 section 3, and by OpenSSL where that has none.
_SHORT_NAMES: Mapping[str, str] = {
    "commonName": "CN",
    "countryName": "C",
    "description": "D",
    "domainComponent": "DC",
    "emailAddress": "Email",
    "generationQualifier": "generationQualifier",
    "givenName": "G",
    "initials": "I",
    "localityName": "L",
    "organizationalUnitName": "OU",
    "organizationName": "O",
    "stateOrProvinceName": "ST",
    "streetAddress": "street",
    "surname": "S",
    "title": "T",
    "userId": "UID",
}

# The kinds of alternative names that mod_ssl passes on, as Python names them.
_ALTERNATIVE_NAMES: Mapping[str, str] = {"email": "Email", "DNS": "DNS"}

_SECONDS_PER_DAY = 86400


class TLSConnection(Protocol):
    """The methods of :class:`ssl.SSLObject` that are used here."""

    def getpeercert(self, binary_form: bool = False, /) -> Any:
        """Return the peer's certificate."""

    def cipher(self) -> tuple[str, str, int] | None:
        """Return name, protocol and secret bits."""

    def version(self) -> str | None:
        """Return the protocol, as in ``TLSv1.3``."""

    def selected_alpn_protocol(self) -> str | None:
        """Return the protocol agreed on (RFC 7301)."""


def _native(text: str) -> str:
    # PEP 3333: bytes in the guise of latin-1.
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _escaped_value(value: str) -> str:
    """Escape the value of an attribute (RFC 4514 section 2.4)."""
    escaped = "".join(
        f"\\{character}" if character in '"+,;<>\\' else "\\00" if character == "\0" else character for character in value
    )
    if escaped[:1] in ("#", " "):
        escaped = "\\" + escaped
    if value.endswith(" ") and len(value) > 1:
        escaped = escaped[:-1] + "\\ "
    return escaped


def distinguished_name(name: Iterable[RelativeName]) -> str:
    """Return a distinguished name as one string (RFC 4514), the most specific part first.

    :param name: as :meth:`ssl.SSLSocket.getpeercert` has it.
    """
    return ",".join(
        "+".join(f"{_SHORT_NAMES.get(kind, kind)}={_escaped_value(value)}" for kind, value in relative)
        for relative in reversed(list(name))
    )


def _name_variables(prefix: str, name: Iterable[RelativeName]) -> dict[str, str]:
    """Return the variable *prefix* with the whole name, and ``prefix_CN`` and the like with its parts."""
    name = list(name)
    variables = {prefix: _native(distinguished_name(name))}
    count: dict[str, int] = {}
    for relative in name:
        for kind, value in relative:
            key = f"{prefix}_{_SHORT_NAMES.get(kind, kind)}"
            index = count[key] = count.get(key, -1) + 1
            variables[f"{key}_{index}" if index else key] = _native(value)
    return variables


def client_certificate_environ(certificate: Mapping[str, Any], der: bytes, now: float) -> dict[str, str]:
    """Return the ``SSL_CLIENT_*`` variables of a certificate that was verified.

    :param certificate: as :meth:`ssl.SSLSocket.getpeercert` returns it.
    :param der: the same in its binary form.
    :param now: seconds since the epoch, for the days that remain.
    """
    variables = {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(der),
        "SSL_CLIENT_M_SERIAL": certificate["serialNumber"],
        "SSL_CLIENT_M_VERSION": str(certificate["version"]),
        "SSL_CLIENT_V_START": certificate["notBefore"],
        "SSL_CLIENT_V_END": certificate["notAfter"],
        "SSL_CLIENT_V_REMAIN": str(max(0, int(ssl.cert_time_to_seconds(certificate["notAfter"]) - now)) // _SECONDS_PER_DAY),
    }
    variables.update(_name_variables("SSL_CLIENT_S_DN", certificate["subject"]))
    variables.update(_name_variables("SSL_CLIENT_I_DN", certificate["issuer"]))
    count: dict[str, int] = {}
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in _ALTERNATIVE_NAMES:
            index = count[kind] = count.get(kind, -1) + 1
            variables[f"SSL_CLIENT_SAN_{_ALTERNATIVE_NAMES[kind]}_{index}"] = _native(value)
    return variables


def tls_environ(ssl_object: TLSConnection) -> dict[str, str]:
    """Return the environ variables that every request of a TLS connection gets.

    :param ssl_object: of a connection whose handshake is over.
    """
    variables = {"HTTPS": "on", "SSL_PROTOCOL": ssl_object.version() or ""}
    cipher = ssl_object.cipher()
    if cipher is not None:
        variables["SSL_CIPHER"] = cipher[0]
        variables["SSL_CIPHER_USEKEYSIZE"] = str(cipher[2])
    # Empty without a certificate, and for one that the context does not verify.
    certificate = ssl_object.getpeercert()
    if certificate:
        variables.update(client_certificate_environ(certificate, ssl_object.getpeercert(True), time.time()))
    else:
        variables["SSL_CLIENT_VERIFY"] = "NONE"
    return variables
