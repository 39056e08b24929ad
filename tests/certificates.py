"""Certificates for tests: made by openssl when asked for, and gone with the directory."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """Files in PEM form."""

    certfile: Path
    keyfile: Path


class Authority:
    """An authority of its own, with what it signed.

    :param directory: where all files go.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._serial = 4095
        # Python 3.13 asks for the uses of a key (RFC 5280 section 4.2.1.3).
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        self._own = self._certificate("authority", "/O=Tests/CN=Authority", extensions)
        self.certfile = self._own.certfile

    def issue(self, name: str, subject: str, alternative_names: str = "DNS:localhost,IP:127.0.0.1") -> Certificate:
        """Sign a new certificate; `subject` is in openssl's form, as in ``/O=Tests/CN=somebody``."""
        extensions = (
            f"subjectAltName={alternative_names}",
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "authorityKeyIdentifier=keyid",
        )
        signer = ("-CA", str(self._own.certfile), "-CAkey", str(self._own.keyfile))
        return self._certificate(name, subject, extensions, *signer)

    def client_context(self, certificate: Certificate | None = None) -> ssl.SSLContext:
        """The context of a client that trusts the authority and may have a certificate."""
        context = ssl.create_default_context(cafile=str(self.certfile))
        if certificate is not None:
            context.load_cert_chain(certificate.certfile, certificate.keyfile)
        return context

    def server_context(self, certificate: Certificate) -> ssl.SSLContext:
        """The context of a server that asks clients for certificates of the authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.certfile))
        context.load_cert_chain(certificate.certfile, certificate.keyfile)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _certificate(self, name: str, subject: str, extensions: tuple[str, ...], *signer: str) -> Certificate:
        certificate = Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        self._serial += 1
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"),
                *("-days", "30", "-utf8", "-multivalue-rdn", "-subj", subject),
                *(argument for extension in extensions for argument in ("-addext", extension)),
                *("-set_serial", str(self._serial), "-keyout", str(certificate.keyfile), "-out", str(certificate.certfile)),
                *signer,
            ],
            check=True,
            capture_output=True,
        )
        return certificate
