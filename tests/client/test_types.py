"""Findings of mypy in programs that use the client."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="the package mypy is not installed")
ROOT = Path(__file__).resolve().parents[2]

# A line that ends with a comment of this form has that error under ``mypy --strict``, with ``also:`` if the option
# ``--enable-error-code unused-awaitable`` is given too; every other line has none.
PROGRAM = """\
import asyncio
import http.client
import json
from collections.abc import Generator
from typing import Any

import aiohttp


async def good(connector: aiohttp.BaseConnector) -> bytes:
    async with aiohttp.request("GET", "http://localhost/", connector=connector, timeout=aiohttp.Timeout(read=1)) as response:
        text: str = await response.text()
        head: bytes = await response.content.read(2)
        parsed: list[int] = await response.read(decode=True)
        assert response.headers["X"] == text and parsed
        response.release()
        await response.release()
        response.close()
        async for line in response.content:
            head += line
    task = asyncio.create_task(aiohttp.request("GET", "http://localhost/"))
    other = await task
    both = await asyncio.gather(other.read(), other.read_and_close())
    return both[0] + both[1] + await other.content.readany()


def spelled(path: str) -> Generator[Any, Any, bytes]:
    response = yield from aiohttp.request("GET", "http://localhost" + path)
    try:
        more: bytes = yield from response.content.read()
    except (aiohttp.EofStream, aiohttp.BadRequestException, http.client.HTTPException):
        more = b""
    return more + (yield from response.read())


async def forgotten() -> bytes:
    response = aiohttp.request("GET", "http://localhost/")
    print(response.status)  # error: attr-defined
    with aiohttp.request("GET", "http://localhost/") as entered:  # error: attr-defined
        print(entered)
    got = await response
    body = got.read()
    print(len(body))  # error: arg-type
    print(body.decode())  # error: attr-defined
    json.loads(got.read_and_close())  # error: arg-type
    assert got.read() == b"body"  # error: comparison-overlap
    print(got.text().upper())  # error: attr-defined
    print(got.json()["name"])  # error: index
    for line in got.content.readline().splitlines():  # error: attr-defined
        print(line)
    aiohttp.request("POST", "http://localhost/")  # also: unused-awaitable
    got.read()  # also: unused-awaitable
    got.wait_for_close()  # also: unused-awaitable
    got.content.readexactly(2)  # also: unused-awaitable
    number: int = await got.read()  # error: assignment
    return got.read()  # error: return-value
"""


@pytest.mark.slow
@pytest.mark.parametrize("option", [None, "unused-awaitable"])
def test_a_forgotten_await_is_found(tmp_path: Path, option: str | None) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    words = [] if option is None else ["--enable-error-code", option]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", "--show-error-codes", *words,
         "--cache-dir", str(tmp_path / "cache"), str(program)],
        env={**os.environ, "MYPYPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    found = {(int(number), code) for number, code in re.findall(r"program\.py:(\d+): error: .*\[([a-z-]+)\]", run.stdout)}
    kinds = "error|also" if option else "error"
    expected = {
        (number, match[1])
        for number, line in enumerate(PROGRAM.splitlines(), 1)
        if (match := re.search(rf"# (?:{kinds}): ([a-z-]+)$", line))
    }
    assert found == expected, run.stdout + run.stderr
    assert len(found) == (15 if option else 11)
