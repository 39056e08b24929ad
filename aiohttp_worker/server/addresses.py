"""Addresses of sockets: for environ, and as the log shows them."""

from __future__ import annotations

from typing import Any

from aiohttp_worker.wsgi.environ import Environ


def put_addresses(environ: Environ, peername: Any, sockname: Any) -> None:
    """Fill ``REMOTE_*`` and ``SERVER_*`` from the addresses of a socket.

    :param peername: of the client, as :meth:`socket.socket.accept` gives it.
    :param sockname: the one that the client connected to.
    """
    if isinstance(peername, tuple):
        environ["REMOTE_ADDR"] = peername[0]
        environ["REMOTE_PORT"] = str(peername[1])
    else:
        environ["REMOTE_ADDR"] = shown_address(peername) if peername else ""
    if isinstance(sockname, tuple):
        environ["SERVER_NAME"] = sockname[0]
        environ["SERVER_PORT"] = str(sockname[1])


def shown_address(address: Any) -> str:
    """Return the address of a peer for the log, without its port."""
    if isinstance(address, tuple):
        return str(address[0])
    if isinstance(address, bytes):
        return address.decode("utf-8", "replace")
    return str(address or "a unix socket")
