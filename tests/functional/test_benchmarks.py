"""Each part of the benchmark, for a second: what it says of this machine is nothing, that it runs is all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import client, cores, options, robustness, scale, speed, workloads
from benchmarks.checks import CHECKS, lifecycle, slow_loris, stalls, transfer
from benchmarks.environment import FILE_SIZE, ROOT, Environment
from benchmarks.workloads import WORKLOADS
from tests.certificates import Authority

Run = Callable[..., str]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The tests' own environment, with what the tree has, and no peers."""
    folder = tmp_path_factory.mktemp("benchmarks")
    authority = Authority(folder)
    certificate = authority.issue("server", "/CN=localhost")
    with certificate.certfile.open("ab") as file:
        file.write(authority.certfile.read_bytes())  # what the load trusts is what the server has
    (folder / "www").mkdir()
    with (folder / "www" / "file").open("wb") as file:
        file.truncate(FILE_SIZE)
    return Environment(Path(sys.executable), {"compiled": ROOT, "plain": ROOT}, certificate.certfile, certificate.keyfile, folder)


@pytest.fixture
def run(environment: Environment, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_part(part: Any, *arguments: str) -> str:
        chosen = options.parse(
            ["--servers", "aiohttp-worker", "--in-place", "--seconds", "1", "--output", str(tmp_path), *arguments]
        )
        part.run(chosen, environment, cores.choose(os.sched_getaffinity(0), "", ""))
        return capsys.readouterr().out

    return run_part


@pytest.mark.parametrize("workload", [one.name for one in WORKLOADS])
def test_speed(run: Run, workload: str) -> None:
    (chosen,) = workloads.find([workload])
    tool = "h2load" if chosen.http2 else "wrk"
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    if chosen.http2:
        pytest.importorskip("ngh2")
    assert re.search(r"aiohttp-worker +[\d,]+ .* 0\n", run(speed, "--workloads", workload, "--rounds", "1"))


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_scale(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "WORKING", (1, 64))
    monkeypatch.setattr(scale, "IDLE_SECONDS", 0.5)
    assert re.search(r"aiohttp-worker .* 50 ", run(scale, "--idle", "50"))


@pytest.mark.parametrize("check", CHECKS)
def test_robustness(run: Run, monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    monkeypatch.setattr(transfer, "SIZE", 1 << 24)
    monkeypatch.setattr(slow_loris, "SECONDS", 0.5)
    monkeypatch.setattr(slow_loris, "CONNECTIONS", 50)
    monkeypatch.setattr(lifecycle, "BEFORE", 0.2)
    monkeypatch.setattr(lifecycle, "AFTER", 0.5)
    monkeypatch.setattr(lifecycle, "CLIENTS", 4)
    for name in ("HEADS", "UPLOADS", "READERS", "IDLE"):
        monkeypatch.setattr(stalls, name, 20)
    assert "aiohttp-worker" in run(robustness, "--checks", check, "--runs", "1", "--patience", "1")


@pytest.mark.parametrize("scenario", client.SCENARIOS)
def test_client(capfd: pytest.CaptureFixture[str], scenario: str) -> None:
    ours = client.Measured("ours", sys.executable, "asyncio", {"PYTHONPATH": str(ROOT)})
    command = [sys.executable, "-P", str(client.HERE / "client_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        port = server.stdout.readline().strip()
        client.compare([ours], port, scenario, 0.3, 1)
        server.stdin.close()
    assert "ours" in capfd.readouterr().out
