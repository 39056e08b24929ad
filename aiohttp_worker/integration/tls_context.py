"""TLS contexts from Gunicorn's settings, and errors that name the setting at fault.

OpenSSL names no file and no setting, and says ``PEM lib`` for half of all mistakes. So where a context cannot be made, the
settings are looked at one after the other.
"""

from __future__ import annotations

import os
import ssl
from typing import Any

import gunicorn.sock

from .settings import speaks_http2

_ALPN_NAMES = {"h1": "http/1.1", "h2": "h2"}


class TLSSettingsError(RuntimeError):
    """Error in the TLS settings; the text names the setting, its value and the mistake.

    A `RuntimeError`, because Gunicorn prints those of its start as one line, without a traceback, and ends with code 1.
    """


class TLSContexts:
    """TLS contexts of a worker class: made by each worker, and one kept from the master for workers that cannot make theirs.

    Files may be replaced while the server runs, one after the other, and may be readable by the master alone.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[Any, ...], ssl.SSLContext] | None = None

    def keep(self, cfg: Any) -> None:
        """Make the context in the master, before workers are forked.

        :raises TLSSettingsError: it cannot be made.
        """
        context = make_context(cfg)
        self._kept = None if context is None else (_described(cfg), context)

    def of_worker(self, cfg: Any, log: Any) -> ssl.SSLContext | None:
        """Return the context of a worker, ``None`` without TLS: from the files as they are now, or else the master's.

        :raises TLSSettingsError: it cannot be made, and the master has none.
        """
        try:
            return make_context(cfg)
        except TLSSettingsError as error:
            if self._kept is None or self._kept[0] != _described(cfg):
                raise
            say = log.debug if isinstance(error.__cause__, PermissionError) else log.error
            say("%s; this worker serves with what the master loaded before", error)
            return self._kept[1]


def make_context(cfg: Any) -> ssl.SSLContext | None:
    """Make the context of Gunicorn's settings, ``None`` without TLS.

    :raises TLSSettingsError: it cannot be made.
    """
    hook = cfg.settings["ssl_context"]
    by_hook = hook.get() is not hook.default
    if not cfg.is_ssl and not by_hook:
        return None
    if not by_hook:
        _check_files(cfg)  # at first, since OpenSSL would ask a terminal for the password of a key
    try:
        context = gunicorn.sock.ssl_context(cfg)
    except Exception as error:
        if by_hook:
            if cfg.is_ssl:
                _check_files(cfg)  # mostly it calls Gunicorn's own
            raise TLSSettingsError(f"ssl_context: the hook raised {type(error).__name__}: {_sentence(error)}") from error
        raise TLSSettingsError(f"the TLS settings make no context: {_sentence(error)}") from error
    if not isinstance(context, ssl.SSLContext):
        raise TLSSettingsError(f"ssl_context: the hook returned {type(context).__name__}, expected an ssl.SSLContext")
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise TLSSettingsError("ssl_context: the hook returned a context for clients; make it with ssl.PROTOCOL_TLS_SERVER")
    # Whatever a hook has the context offer for other servers: clients get a protocol that is spoken here (RFC 7301).
    context.set_alpn_protocols([_ALPN_NAMES[name] for name in cfg.http_protocols] if speaks_http2(cfg) else ["http/1.1"])
    return context


def _described(cfg: Any) -> tuple[Any, ...]:
    """Return the settings that a context is made of: one of other settings must not stand in for it."""
    names = ("certfile", "keyfile", "ca_certs", "ciphers", "cert_reqs", "ssl_context", "http_protocols")
    return tuple(cfg.settings[name].get() for name in names)


def _check_files(cfg: Any) -> None:
    """Find the first setting that is wrong.

    :raises TLSSettingsError: there is one.
    """
    if not cfg.certfile:
        raise TLSSettingsError(f"keyfile = {cfg.keyfile!r}: there is no certfile for it")
    for name in ("certfile", "keyfile", "ca_certs"):
        path = cfg.settings[name].get()
        if path:
            _check_readable(name, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in ("certfile", "ca_certs"):
        path = cfg.settings[name].get()
        if path:
            try:
                context.load_verify_locations(cafile=path)
            except ssl.SSLError as error:
                raise TLSSettingsError(f"{name} = {path!r}: the file holds no certificate in PEM form") from error
    _check_pair(context, cfg)
    if cfg.ciphers:
        try:
            context.set_ciphers(cfg.ciphers)
        except ssl.SSLError as error:
            raise TLSSettingsError(f"ciphers = {cfg.ciphers!r}: OpenSSL knows no such cipher for TLS 1.2 or older") from error


def _check_readable(name: str, path: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise TLSSettingsError(f"{name} = {path!r}: {error.strerror or error} (looked for in {os.getcwd()})") from error


def _check_pair(context: ssl.SSLContext, cfg: Any) -> None:
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return ""

    setting = f"keyfile = {cfg.keyfile!r}" if cfg.keyfile else f"certfile = {cfg.certfile!r}"
    try:
        context.load_cert_chain(cfg.certfile, cfg.keyfile, password)
    except ssl.SSLError as error:
        if asked:
            reason = (
                "the key is encrypted, and Gunicorn has no setting for a password; decrypt it, or load it in an ssl_context hook"
            )
        elif error.reason == "KEY_VALUES_MISMATCH":
            reason = (
                f"the key does not belong to the certificate in {cfg.certfile!r}"
                if cfg.keyfile
                else "its key and certificate differ"
            )
        elif error.reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
            setting = f"certfile = {cfg.certfile!r}"
            reason = f"OpenSSL refuses the certificate: {_sentence(error)}"
        else:
            reason = "the file holds no private key in PEM form" + ("" if cfg.keyfile else "; name the key's file with keyfile")
        raise TLSSettingsError(f"{setting}: {reason}") from error


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
