"""Addresses of host names: asked for once, kept for a time, forgotten on demand."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from aiohttp.resolver import Resolver


def addresses(monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop, found: list[Any]) -> list[tuple[str, int]]:
    """Have the loop find these addresses for every name; return what it is asked for."""
    asked: list[tuple[str, int]] = []

    async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        asked.append((host, port))
        await asyncio.sleep(0)
        return found

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return asked


FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]


def test_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By requests at the same time, and until the addresses are forgotten."""

    async def scenario() -> None:
        asked = addresses(monkeypatch, asyncio.get_running_loop(), FOUND)
        resolver = Resolver(0, 100.0)
        both = await asyncio.gather(resolver.resolve("a", 80), resolver.resolve("a", 80))
        assert both == [FOUND, FOUND]
        await resolver.resolve("a", 80)
        assert asked == [("a", 80)]
        for forget in ((), ("a",), ("a", 80)):
            resolver.clear(*forget)
            await resolver.resolve("a", 80)
        assert len(asked) == 4
        resolver.clear("b")
        resolver.clear("a", 81)
        await resolver.resolve("a", 80)
        assert len(asked) == 4

    asyncio.run(scenario())


def test_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        addresses(monkeypatch, asyncio.get_running_loop(), [])
        with pytest.raises(OSError, match="no addresses for a"):
            await Resolver(0, 100.0).resolve("a", 80)

    asyncio.run(scenario())
