"""h2load: its command line, and the result in its log."""

import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from .figures import at
from .load import Load

VARIANTS = 20_000  # paths before one comes again
LONGEST_START = 60.0  # seconds, for the connections
# The fields of load.lua's browser that HTTP/2 has too.
BROWSER = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "en-GB,en;q=0.7,de;q=0.3",
    "cache-control": "max-age=0",
    "cookie": "session=5f2b7c9d1e3a4b6c8d0f; theme=dark; consent=1",
    "referer": "https://127.0.0.1/articles/2024/",
    "upgrade-insecure-requests": "1",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
}


@dataclass(frozen=True)
class Shape:
    """The requests: "plain" or "browser", streams at a time on each connection, bytes of a body."""

    name: str
    streams: int = 1
    body: int = 0


def command(url: str, shape: Shape, connections: int, seconds: float, cores: str, folder: Path) -> list[str]:
    """Return the command line.

    :param folder: for the file with the URIs, that with the body, and the log.
    """
    line = [
        *("taskset", "-c", cores, "h2load", "--threads", "1", "--clients", str(connections)),
        *("--max-concurrent-streams", str(shape.streams), "--duration", f"{round(seconds * 1000)}ms"),
        *("--npn-list", "h2", "--log-file", str(folder / "log")),
    ]
    if shape.body:
        (folder / "body").write_bytes(b"x" * shape.body)
        line += ["--data", str(folder / "body")]
    if shape.name == "browser":
        (folder / "uris").write_text("".join(f"{url}items/{number}?page={number % 97}\n" for number in range(VARIANTS)))
        fields = [f"--header={name}: {value}" for name, value in BROWSER.items()]
        return [*line, *fields, "--input-file", str(folder / "uris")]
    return [*line, url]


def parse(output: str, log: str) -> Load:
    """Read what h2load printed, and what it logged: the start in microseconds, the status and the microseconds of each request.

    :raises ValueError: if no HTTP/2 was spoken.
    """
    if "Application protocol: h2\n" not in output:
        raise ValueError(f"h2load spoke no HTTP/2: {output.strip()[-300:]}")
    requests = [tuple(map(int, line.split()[:3])) for line in log.splitlines()]
    if not requests:
        return Load(0, 0.0, 0.0, 0.0, 0.0, 0)
    began = min(start for start, _, _ in requests)
    ended = max(start + duration for start, _, duration in requests)
    taken = sorted(duration / 1e6 for _, status, duration in requests if 200 <= status < 400)  # -1: there was none
    errors = len(requests) - len(taken)
    return Load(len(taken), (ended - began) / 1e6, at(taken, 0.5), at(taken, 0.99), at(taken, 1.0), errors)


def run(url: str, shape: Shape, connections: int, seconds: float, cores: str) -> Load:
    """Run h2load for ``seconds``.

    :raises ValueError: if no HTTP/2 was spoken.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log"
        line = command(url, shape, connections, seconds, cores, folder)
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            limit = threading.Timer(seconds + LONGEST_START, process.kill)
            limit.start()
            assert process.stdout is not None
            output = ""
            for text in process.stdout:
                output += text
                # What is wanted is in the log by now. h2load itself would wait until the server has closed the connections,
                # which gthread never does.
                if text.startswith("Stopped all clients"):
                    process.kill()
            limit.cancel()
        return parse(output, log.read_text() if log.exists() else "")
