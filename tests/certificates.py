"""Certificates for tests: read from tests/pem where that has them, else made by openssl.

The fast tests start no process, so all that they ask for is in tests/pem. ``python -m tests.certificates`` makes those anew,
valid for a century.
"""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """Files in PEM form."""

    certfile: Path
    keyfile: Path


STORE = Path(__file__).parent / "pem"
LOCALHOST = "DNS:localhost,IP:127.0.0.1"
ALICE = (
    "alice",
    "/C=CH/O=Tests, Ltd./OU=One/OU=Zwö+title=Dr/CN=Alice",
    "email:alice@tests.example,email:al@tests.example,DNS:alice.tests.example,IP:192.0.2.1",
)
# What the fast tests ask for: the authority, the name, the subject and the alternative names.
STORED = [
    ("authority", "server", "/CN=localhost", LOCALHOST),
    ("authority", "other", "/CN=other", LOCALHOST),
    ("authority", "alice", "/CN=Alice", LOCALHOST),
    ("authority", *ALICE),
    ("authority", "dialled", "/CN=localhost", "DNS:localhost,IP:127.0.0.1,IP:::1"),
    ("stranger", "stranger", "/CN=stranger", LOCALHOST),
]
PASSWORD = "secret"


class Authority:
    """A certificate authority, and the certificates that it signed.

    :param directory: where all files go.
    :param name: authorities of the same name are the same one.
    """

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        # Python 3.13 asks for the uses of a key (RFC 5280 section 4.2.1.3).
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        self._own = self._certificate(f"ca-{name}", f"/O=Tests/CN={name.capitalize()}", extensions)
        self.certfile = self._own.certfile

    def issue(self, name: str, subject: str, alternative_names: str = LOCALHOST) -> Certificate:
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
        """Return the context of a client that trusts the authority and may have a certificate."""
        context = ssl.create_default_context(cafile=str(self.certfile))
        if certificate is not None:
            context.load_cert_chain(certificate.certfile, certificate.keyfile)
        return context

    def server_context(self, certificate: Certificate) -> ssl.SSLContext:
        """Return the context of a server that asks clients for certificates of the authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.certfile))
        context.load_cert_chain(certificate.certfile, certificate.keyfile)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _certificate(self, name: str, subject: str, extensions: tuple[str, ...], *signer: str) -> Certificate:
        certificate = Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        # Two that differ in anything must not be taken for each other.
        digest = hashlib.sha256(repr((subject, extensions)).encode()).hexdigest()[:8]
        stored = STORE / f"{name}-{digest}.pem"
        if stored.exists():
            shutil.copy(stored, certificate.certfile)
            shutil.copy(stored.with_suffix(".key"), certificate.keyfile)
            return certificate
        storing = self._directory == STORE
        if storing:
            certificate = Certificate(stored, stored.with_suffix(".key"))
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"),
                *("-days", "36500" if storing else "30", "-utf8", "-multivalue-rdn", "-subj", subject),
                *(argument for extension in extensions for argument in ("-addext", extension)),
                *("-set_serial", str(int(digest, 16)), "-keyout", str(certificate.keyfile), "-out", str(certificate.certfile)),
                *signer,
            ],
            check=True,
            capture_output=True,
        )
        return certificate


def encrypted_key() -> Path:
    """Return the file with a key of the type EC that PASSWORD opens."""
    return STORE / "encrypted.key"


def _store() -> None:
    """Make all files in tests/pem anew."""
    for path in STORE.glob("*"):
        path.unlink()
    STORE.mkdir(exist_ok=True)
    authorities = {name: Authority(STORE, name) for name in ("authority", "stranger")}
    issued = [authorities[authority].issue(*arguments) for authority, *arguments in STORED]
    encrypt = ["openssl", "ec", "-aes128", "-passout", f"pass:{PASSWORD}", "-in", str(issued[0].keyfile), "-out"]
    subprocess.run([*encrypt, str(encrypted_key())], check=True, capture_output=True)


if __name__ == "__main__":
    _store()
