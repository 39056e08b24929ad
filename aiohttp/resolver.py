"""Names to addresses, through the system's resolver in a thread, remembered for a short while."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import OrderedDict
from typing import Any, Final

__all__ = ["AddressInfo", "Resolver"]

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
_MOST_NAMES: Final = 1024


class Resolver:
    """A bounded cache of addresses. Several look-ups of one name at the same time are one."""

    def __init__(self, family: int = 0, seconds: float = 10.0) -> None:
        self._family = family
        self._seconds = seconds
        self._known: OrderedDict[tuple[str, int], tuple[float, list[AddressInfo]]] = OrderedDict()
        self._going_on: dict[tuple[str, int], asyncio.Task[list[AddressInfo]]] = {}

    def literal(self, host: str, port: int) -> list[AddressInfo] | None:
        """The address if the host is one already, so that nothing has to be asked."""
        if ":" in host:
            address, _, zone = host.partition("%")
            scope = 0
            if zone:
                scope = int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
            return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, scope))]
        if host[-1:].isdigit():
            try:
                socket.inet_pton(socket.AF_INET, host)
            except OSError:
                return None
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
        return None

    async def resolve(self, host: str, port: int) -> list[AddressInfo]:
        """All addresses, in the order of the system (RFC 6724). Raises OSError if there are none."""
        literal = self.literal(host, port)
        if literal is not None:
            return literal
        key = (host, port)
        known = self._known.get(key)
        if known is not None:
            if known[0] > time.monotonic():
                return known[1]
            del self._known[key]
        task = self._going_on.get(key)
        if task is None:
            task = self._going_on[key] = asyncio.get_running_loop().create_task(self._ask(key))
        # Whoever is cancelled leaves the look-up to the others.
        return await asyncio.shield(task)

    async def _ask(self, key: tuple[str, int]) -> list[AddressInfo]:
        host, port = key
        try:
            found: list[Any] = await asyncio.get_running_loop().getaddrinfo(
                host, port, family=self._family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
            if not found:
                raise OSError(f"no addresses for {host}")
            self._known[key] = (time.monotonic() + self._seconds, found)
            if len(self._known) > _MOST_NAMES:
                self._known.popitem(last=False)
            return found
        finally:
            del self._going_on[key]

    def clear(self, host: str | None = None, port: int | None = None) -> None:
        """Forget one name, or all of them."""
        if host is None:
            self._known.clear()
        elif port is not None:
            self._known.pop((host, port), None)
        else:
            for key in [key for key in self._known if key[0] == host]:
                del self._known[key]
