"""The client inside applications under our workers: the example in both spellings."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

import aiohttp
from tests.client.raw_server import Peer, RawServer

from .servers import ROOT, free_port, running

pytestmark = pytest.mark.slow


async def upstream(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(b"HTTP/1.1 203 Relay\xe9\r\nContent-Type: text/x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            await asyncio.sleep(0)
            await peer.send(b"7\r\npiece %d\r\n" % number)
        await peer.send(b"0\r\n\r\n")


@pytest.mark.parametrize("application", ["application", "generator_application"])
@pytest.mark.parametrize("worker", ["AsyncGunicornWorker", "AsyncNoStreamGunicornWorker"])
def test_relay(run: Any, tmp_path: Path, application: str, worker: str) -> None:
    port, back = free_port(), free_port()
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-k", f"aiohttp.worker.{worker}"]
    command += ["--chdir", str(ROOT / "examples"), f"relay:{application}"]
    variables = {"PYTHONPATH": str(ROOT), "UPSTREAM": f"http://127.0.0.1:{back}/"}

    async def main() -> None:
        async with RawServer(upstream, port=back), aiohttp.SocketConnector(limit=10) as connector:

            async def one() -> tuple[int, bytes]:
                async with aiohttp.request("GET", f"http://127.0.0.1:{port}/", connector=connector, timeout=20) as response:
                    assert (response["Content-Type"], response.reason) == ("text/x", "Relay\udce9")
                    return response.status, await response.read()

            assert await asyncio.gather(*[one() for _ in range(30)]) == [(203, b"piece 0piece 1piece 2")] * 30

    with running(command, port, folder=tmp_path, **variables):
        run(main)
