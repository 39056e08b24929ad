"""Wrong TLS settings, each with one sentence that names the setting."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config

from aiohttp_worker.integration.tls_context import TLSContexts, TLSSettingsError, make_context
from tests.certificates import Authority, Certificate, encrypted_key

LOG = logging.getLogger("tests")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def pair(authority: Authority, tmp_path: Path) -> Certificate:
    """One of its own for each test, with a key that does not belong to it and other files beside."""
    issued = authority.issue("server", "/CN=localhost")
    ours = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    shutil.copy(issued.certfile, ours.certfile)
    shutil.copy(issued.keyfile, ours.keyfile)
    shutil.copy(authority.issue("other", "/CN=other").keyfile, tmp_path / "other.pem")
    (tmp_path / "empty.pem").touch()
    (tmp_path / "nonsense.pem").write_text("nonsense")
    (tmp_path / "folder").mkdir()
    (tmp_path / "half.pem").write_bytes(issued.certfile.read_bytes()[:400])
    (tmp_path / "both.pem").write_bytes(issued.certfile.read_bytes() + issued.keyfile.read_bytes())
    shutil.copy(encrypted_key(), tmp_path / "secret.pem")
    return ours


def settings(directory: Path, **values: Any) -> Any:
    """Gunicorn's settings; names of files are in the directory."""
    cfg = Config()
    for name in ("certfile", "keyfile", "ca_certs"):
        if values.get(name):
            values[name] = str(directory / values[name])
    for name, value in values.items():
        cfg.set(name, value)
    return cfg


def raising(conf: Any, factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    raise KeyError("vault")


def nonsense(conf: Any, factory: Callable[[], ssl.SSLContext]) -> Any:
    return "cert.pem"


def nothing(conf: Any, factory: Callable[[], ssl.SSLContext]) -> Any:
    factory()


def client(conf: Any, factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    return ssl.create_default_context()


def passing(conf: Any, factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    return factory()


PAIR = {"certfile": "cert.pem", "keyfile": "key.pem"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {**PAIR, "keyfile": "other.pem"},
            r"keyfile = '.*other\.pem': the key does not belong to the certificate in '.*cert\.pem'",
        ),
        ({**PAIR, "keyfile": "missing.pem"}, r"keyfile = '.*missing\.pem': No such file or directory"),
        ({**PAIR, "certfile": "missing.pem"}, r"certfile = '.*missing\.pem': No such file or directory"),
        ({**PAIR, "certfile": "folder"}, r"certfile = '.*folder': Is a directory"),
        ({**PAIR, "keyfile": "folder"}, r"keyfile = '.*folder': Is a directory"),
        ({**PAIR, "ca_certs": "folder"}, r"ca_certs = '.*folder': Is a directory"),
        ({**PAIR, "certfile": "empty.pem"}, r"certfile = '.*empty\.pem': the file holds no certificate in PEM form"),
        ({**PAIR, "certfile": "half.pem"}, r"certfile = '.*half\.pem': the file holds no certificate in PEM form"),
        ({**PAIR, "certfile": "key.pem"}, r"certfile = '.*key\.pem': the file holds no certificate in PEM form"),
        ({**PAIR, "keyfile": "empty.pem"}, r"keyfile = '.*empty\.pem': the file holds no private key in PEM form"),
        ({**PAIR, "keyfile": "nonsense.pem"}, r"keyfile = '.*nonsense\.pem': the file holds no private key in PEM form"),
        ({**PAIR, "keyfile": "cert.pem"}, r"keyfile = '.*cert\.pem': the file holds no private key in PEM form"),
        ({**PAIR, "keyfile": "secret.pem"}, r"keyfile = '.*secret\.pem': the key is encrypted, .* ssl_context hook"),
        ({"certfile": "cert.pem"}, r"certfile = '.*cert\.pem': the file holds no private key in PEM form; name .* with keyfile"),
        ({"keyfile": "key.pem"}, r"keyfile = '.*key\.pem': there is no certfile for it"),
        ({**PAIR, "ca_certs": "nonsense.pem"}, r"ca_certs = '.*nonsense\.pem': the file holds no certificate in PEM form"),
        ({**PAIR, "ca_certs": "missing.pem"}, r"ca_certs = '.*missing\.pem': No such file or directory"),
        ({**PAIR, "ciphers": "NO-SUCH-CIPHER"}, r"ciphers = 'NO-SUCH-CIPHER': OpenSSL knows no such cipher"),
        ({"ssl_context": raising}, r"ssl_context: the hook raised KeyError: 'vault'"),
        ({"ssl_context": nonsense}, r"ssl_context: the hook returned str, expected an ssl\.SSLContext"),
        ({**PAIR, "ssl_context": nothing}, r"ssl_context: the hook returned NoneType, expected an ssl\.SSLContext"),
        ({"ssl_context": client}, r"ssl_context: the hook returned a context for clients"),
        ({"ssl_context": passing}, r"ssl_context: the hook raised TypeError: "),
        ({**PAIR, "keyfile": "other.pem", "ssl_context": passing}, r"keyfile = '.*other\.pem': the key does not belong"),
    ],
)
def test_what_is_wrong(pair: Certificate, tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TLSSettingsError, match=sentence) as caught:
        make_context(settings(tmp_path, **values))
    assert "\n" not in str(caught.value)


def test_a_key_that_is_not_for_us(pair: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is forbidden to root, so this is played."""

    def forbid(path: str, mode: str) -> Any:
        if path == str(pair.keyfile):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return open(path, mode)

    monkeypatch.setattr("aiohttp_worker.integration.tls_context.open", forbid, raising=False)
    with pytest.raises(TLSSettingsError, match=r"keyfile = '.*key\.pem': Permission denied"):
        make_context(settings(tmp_path, **PAIR))


@pytest.mark.parametrize(
    "values",
    [
        PAIR,
        {"certfile": "both.pem"},
        {**PAIR, "ca_certs": "cert.pem", "cert_reqs": 2},
        {**PAIR, "ciphers": "ECDHE+AESGCM"},
        {**PAIR, "ssl_context": passing},
    ],
)
def test_what_is_right(pair: Certificate, tmp_path: Path, values: dict[str, Any]) -> None:
    assert isinstance(make_context(settings(tmp_path, **values)), ssl.SSLContext)


def test_without_tls(tmp_path: Path) -> None:
    assert make_context(settings(tmp_path)) is None


def test_a_worker_makes_its_own(pair: Certificate, tmp_path: Path) -> None:
    """So that a new certificate holds from the next worker on."""
    contexts = TLSContexts()
    cfg = settings(tmp_path, **PAIR)
    contexts.keep(cfg)
    one, other = contexts.of_worker(cfg, LOG), contexts.of_worker(cfg, LOG)
    assert one is not other


def test_a_pair_that_is_being_replaced(pair: Certificate, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that starts meanwhile serves with what the master has, and says why."""
    contexts = TLSContexts()
    cfg = settings(tmp_path, **PAIR)
    contexts.keep(cfg)
    shutil.copy(tmp_path / "other.pem", pair.keyfile)
    kept = contexts.of_worker(cfg, LOG)
    assert kept is contexts.of_worker(cfg, LOG)
    assert "does not belong" in caplog.text
    with pytest.raises(TLSSettingsError):
        contexts.keep(cfg)
    assert contexts.of_worker(cfg, LOG) is kept


def test_what_is_kept_stands_for_no_other_settings(pair: Certificate, tmp_path: Path) -> None:
    contexts = TLSContexts()
    contexts.keep(settings(tmp_path, **PAIR))
    with pytest.raises(TLSSettingsError, match="missing"):
        contexts.of_worker(settings(tmp_path, certfile="cert.pem", keyfile="missing.pem"), LOG)
    contexts.keep(settings(tmp_path))
    with pytest.raises(TLSSettingsError, match="belong"):
        contexts.of_worker(settings(tmp_path, certfile="cert.pem", keyfile="other.pem"), LOG)
