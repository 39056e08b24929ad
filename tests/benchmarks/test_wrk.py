"""wrk's command line and result, and the requests of a mix."""

import asyncio
import contextlib
import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from benchmarks import cores
from benchmarks.wrk import command, parse

OUTPUT = """Running 1s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
Requests/sec:  50000.00

RESULT {"requests": 100000, "microseconds": 2000000, "p50": 1500, "p99": 9000, "maximum": 10000, \
"connect_errors": 1, "read_errors": 2, "write_errors": 3, "timeouts": 4, "status_errors": 5}
"""


def test_the_result_is_in_seconds() -> None:
    load = parse(OUTPUT)
    assert load.rate == 50_000
    assert (load.seconds, load.p50, load.p99, load.maximum) == (2.0, 0.0015, 0.009, 0.01)


def test_all_kinds_of_errors_count() -> None:
    assert parse(OUTPUT).errors == 15


def test_without_a_result_the_output_is_the_reason() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


def test_wrk_gets_whole_seconds_and_its_core() -> None:
    line = command("http://127.0.0.1:1/", "browser", 64, 0.4, "1")
    assert line[:4] == ["taskset", "-c", "1", "wrk"]
    assert "1s" in line and line[-2:] == ["--", "browser"]


@dataclass
class Recorder:
    """A server that notes the heads it is sent, and the seconds between an answer and the next request."""

    heads: list[bytes] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0.0
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if answered:
                    self.pauses.append(time.monotonic() - answered)
                self.heads.append(head)
                if head.startswith(b"POST"):
                    assert len(await reader.readexactly(1000)) == 1000
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                answered = time.monotonic()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_mix() -> None:
    recorder = Recorder()

    async def load() -> None:
        async with await asyncio.start_server(recorder.serve, "127.0.0.1", 0, backlog=256) as server:
            port = server.sockets[0].getsockname()[1]
            line = command(f"http://127.0.0.1:{port}/", "mixed", 256, 2, cores.choose(os.sched_getaffinity(0)).load)
            process = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE)
            output, _ = await process.communicate()
            assert parse(output.decode()).errors == 0

    asyncio.run(load())
    times = Counter(recorder.heads)
    total = len(recorder.heads)
    assert total > 3 * 256  # all that would come if each connection rested after each answer
    assert sum(head.startswith(b"POST") for head in recorder.heads) / total == pytest.approx(0.1, abs=0.02)
    most = [head for head, _ in times.most_common(8)]
    assert sum(times[head] for head in most) / total == pytest.approx(0.3, abs=0.02)
    # 20,000 requests are what comes until a new one is sent again.
    assert all(count <= 1 + total // 20_000 for head, count in times.items() if head not in most)
    # One rest begins every eight milliseconds, and those of the first second are over in two.
    assert sum(pause >= 0.9 for pause in recorder.pauses) > 10
