"""Every listing of the pages about the client, every example, and the command line, against a server in a thread."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shlex
import subprocess
import sys
import termios
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiohttp.__main__ import main as command

from .raw_server import Peer, RawServer

ROOT = Path(__file__).resolve().parents[2]
TEXT = "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("client.rst", "spelling-of-2014.rst"))


def blocks(language: str) -> list[str]:
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", TEXT)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in found]


def reply(body: bytes, *fields: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = "".join(f"{field}\r\n" for field in ("Content-Type: text/plain", *fields))
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n{lines}\r\n".encode() + body


REPLIES = {
    "/lines": reply(b"".join(b"line %d\n" % number for number in range(100))),
    "/moved": reply(b"", "Location: /hello", status="302 Found"),
    "/login": reply(b"", "Set-Cookie: session=abc; Path=/"),
    "/missing": reply(b"none", status="404 Not Found"),
}


async def demo(peer: Peer) -> None:
    """What the listings ask for."""
    while True:
        head, body = await peer.request()
        line, *fields = head.decode("latin-1").split("\r\n")[:-2]
        target = re.sub(r"^http://[^/]*", "", line.split()[1])
        headers = {field.split(": ", 1)[0].lower(): field.split(": ", 1)[1] for field in fields}
        path = target.partition("?")[0]
        if path in REPLIES:
            await peer.send(REPLIES[path])
        elif path == "/echo":
            seen = {"target": target, "headers": headers, "body": body.decode("latin-1"), "method": line.split()[0]}
            await peer.send(reply(json.dumps(seen).encode(), "X-Echo: yes"))
        elif path == "/lines-sent":
            await peer.send(reply(head))
        elif path == "/cut":
            await peer.send(reply(b"half", length=8))
            return
        elif path == "/silence":
            await peer.reader.read()
        elif path == "/stalled":
            await peer.send(reply(b"half", length=8))
            await peer.reader.read()
        elif path == "/endless":
            await peer.send(reply(b"", length=1 << 40))
            while True:
                await peer.send(bytes(65536))
        else:
            await peer.send(reply(b"hello"))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The demo server in a thread with a loop of its own."""
    ready: list[Any] = []
    started = threading.Event()

    async def serve() -> None:
        stop = asyncio.Event()
        async with RawServer(demo) as server:
            ready.extend([server.url, asyncio.get_running_loop(), stop])
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    yield ready[0]
    ready[1].call_soon_threadsafe(ready[2].set)
    thread.join(10)


@pytest.mark.parametrize("listing", blocks("python"), ids=lambda listing: f"{zlib.crc32(listing.encode()):08x}")
def test_listing(url: str, listing: str) -> None:
    exec(compile(listing.replace("http://127.0.0.1:8080", url), "docs/client.rst", "exec"), {"__name__": "__main__"})


def test_commands_of_the_page(url: str, tmp_path: Path, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("sh") for line in block.splitlines() if line]
    outputs = []
    for line in lines:
        words = shlex.split(line.replace("http://127.0.0.1:8080", url))
        assert words[:3] == ["python", "-m", "aiohttp"]
        assert command(words[3:]) == 0
        outputs.append(capfdbinary.readouterr().out)
    assert outputs[0] == b"hello"
    assert outputs[1].startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nX-Echo: yes\r\n" in outputs[1]
    seen = json.loads(outputs[1].partition(b"\r\n\r\n")[2])
    assert (seen["target"], seen["method"], seen["body"], seen["headers"]["x-token"]) == ("/echo?q=1", "POST", '{"a": 1}', "abc")
    assert (tmp_path / "page.html").read_bytes().startswith(b"line 0\n")


@pytest.mark.parametrize(
    ("words", "method", "body"),
    [
        (["-d", "text"], "POST", "text"),
        (["-X", "PATCH", "-d", "@FILE"], "PATCH", "from a file"),
        (["-T", "/proc/version"], "PUT", Path("/proc/version").read_text()),
        (["-f", "a=b", "-f", "c=d"], "POST", "a=b&c=d"),
        (["-T", "FILE"], "PUT", "from a file"),
        (["-u", "user:pass", "-b", "c=d", "-H", "User-Agent:"], "GET", ""),
    ],
)
def test_command_sends(url: str, tmp_path: Path, capfdbinary: Any, words: list[str], method: str, body: str) -> None:
    path = tmp_path / "file"
    path.write_text("from a file")
    assert command([*(word.replace("FILE", str(path)) for word in words), f"{url}/echo"]) == 0
    seen = json.loads(capfdbinary.readouterr().out)
    assert (seen["method"], seen["body"]) == (method, body)
    if "-u" in words:
        assert seen["headers"]["authorization"] == "Basic dXNlcjpwYXNz"
        assert seen["headers"]["cookie"] == "c=d"
        assert "user-agent" not in seen["headers"]


def test_command_keeps_blanks(url: str, capfdbinary: Any) -> None:
    words = ["-f", " a = b ", "-f", "at= @no", "-p", "q= x ", "-b", "c= d; e", "-u", "user : pass ", "-H", " X-Blank :  y "]
    assert command([*words[:6], *words[8:], f"{url}/echo"]) == 0
    seen = json.loads(capfdbinary.readouterr().out)
    assert seen["body"] == "+a+=+b+&at=+%40no"
    assert seen["target"] in ("/echo?q=+x+", "/echo?q=%20x%20")
    assert base64.b64decode(seen["headers"]["authorization"].split()[1]) == b"user : pass "
    assert seen["headers"]["x-blank"] == "y"
    assert command(["-b", "c= d e", "-b", "c=f", f"{url}/echo"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["headers"]["cookie"] == "c= d e; c=f"


def test_command_sends_every_field(url: str, capfdbinary: Any) -> None:
    """The server joins nothing: it keeps the last of a name, and the raw ones are counted."""
    words = ["-H", "X-One: 1", "-H", "x-one: 2", "-H", "X-One: 3", "-H", "Accept:", "-j", "{}", "-H", "content-type: a/b"]
    assert command([*words, f"{url}/lines-sent"]) == 0
    lines = capfdbinary.readouterr().out.decode().split("\r\n")
    assert [line for line in lines if line.lower().startswith("x-one")] == ["X-One: 1", "x-one: 2", "X-One: 3"]
    assert [line for line in lines if line.lower().startswith("content-type")] == ["content-type: a/b"]
    assert not [line for line in lines if line.lower().startswith("accept:")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "status", "out", "said"),
    [
        ("URL/hello <&-", 0, b"hello", ""),
        ("-d @- URL/echo <&-", 1, b"", "aiohttp: [Errno 9] standard input is closed\n"),
        ("-d text URL/hello <&-", 0, b"hello", ""),
        ("URL/hello >&-", 1, b"", "aiohttp: [Errno 9] standard output is closed\n"),
        ("-o FILE -i URL/hello >&-", 1, b"", "aiohttp: [Errno 9] standard output is closed\n"),
        ("-o FILE URL/hello >&- <&-", 0, b"", ""),
        ("-T FILE URL/hello 2>&-", 0, b"hello", ""),
        ("URL/cut 2>&-", 1, b"half", ""),
        ("URL/endless | head -c 5 | wc -c", 0, b"5\n", ""),
        ("URL/lines >/dev/full", 1, b"", "aiohttp: [Errno 28] cannot write to standard output: No space left on device\n"),
        ("-i URL/hello | :", 0, b"", ""),
    ],
)
def test_command_with_closed_streams(url: str, tmp_path: Path, line: str, status: int, out: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_text("something")
    script = f'"$PYTHON" -X dev -W error -m aiohttp {line.replace("URL", url).replace("FILE", str(path))}'
    run = subprocess.run(
        ["sh", "-c", script], env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}, cwd=tmp_path,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    errors = re.sub(r"(?m)^Executing <.*\n", "", run.stderr.decode())  # a step that took long on a busy machine
    assert (run.returncode, run.stdout, errors) == (status, out, said)
    if "-o FILE URL" in line:
        assert path.read_bytes() == b"hello"


@pytest.mark.slow
def test_command_into_a_pipe_that_ends(url: str) -> None:
    """Status 1, and no word of it: whoever closed the pipe knows."""
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "aiohttp", f"{url}/endless"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(5)) == 5
        process.stdout.close()
        assert re.sub(rb"(?m)^Executing <.*\n", b"", process.stderr.read()) == b""
        assert process.wait(30) == 1


def test_command_uploads_in_a_form(url: str, tmp_path: Path, capfdbinary: Any) -> None:
    path = tmp_path / "file.txt"
    path.write_text("inside")
    assert command(["-f", "a=b", "-f", f"up=@{path}", f"{url}/echo"]) == 0
    seen = json.loads(capfdbinary.readouterr().out)
    assert 'name="up"; filename="file.txt"' in seen["body"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--fail", "URL/missing"], 22, ""),
        (["URL/missing"], 0, ""),
        (["URL/cut"], 1, "4 bytes before the end"),
        (["-m", "0.05", "URL/silence"], 1, "no response within 0.05 s"),
        (["-m", "0.2", "URL/stalled"], 1, "the body was not there within 0.2 s"),
        (["-m", "0", "URL/"], 2, "positive number"),
        (["not-a-url"], 2, "not-a-url"),
        (["-H", "nonsense", "URL/"], 2, "nonsense"),
        (["-d", "a", "-j", "{}", "URL/"], 2, "one body, but -d and -j are given"),
        (["-f", "a=b", "-T", "/etc/hostname", "URL/"], 2, "one body, but -f and -T are given"),
        (["-T", "/nonexistent/file", "URL/"], 1, "/nonexistent/file"),
        (["--no-redirects", "-i", "URL/moved"], 0, ""),
    ],
)
def test_command_ends(url: str, capfdbinary: Any, words: list[str], status: int, said: str) -> None:
    assert command([word.replace("URL", url) for word in words]) == status
    captured = capfdbinary.readouterr()
    assert said in captured.err.decode()
    assert captured.err.count(b"\n") == bool(said)
    assert b"Traceback" not in captured.err


@pytest.mark.slow
def test_progress_bars(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, with tqdm."""
    pytest.importorskip("tqdm", reason="the package tqdm is not installed")
    main, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    run = subprocess.run(
        [sys.executable, "-m", "aiohttp", "-T", str(path), "-o", str(tmp_path / "out"), f"{url}/echo"],
        check=False, cwd=ROOT, stderr=terminal, stdout=subprocess.PIPE, timeout=30,
    )  # fmt: skip
    os.close(terminal)
    shown = os.read(main, 65536).decode()
    os.close(main)
    assert run.returncode == 0, shown
    assert "sent" in shown
    assert "97.7k" in shown


EXAMPLES = {
    "get.py": ("URL/hello",),
    "generators.py": ("URL/hello",),
    "many.py": ("URL/hello",),
    "download.py": ("URL/lines", "FILE"),
    "upload.py": ("URL/echo", "FILE"),
}


def test_every_example_is_run() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {*EXAMPLES, "relay.py"}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_example(url: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    path.write_text("something")
    words = [word.replace("URL", url).replace("FILE", str(path)) for word in EXAMPLES[name]]
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(ROOT / "examples" / name), *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout
    # On a busy machine the debug mode complains of a step that took long.
    assert not [said for said in run.stderr.splitlines() if not said.startswith("Executing <")]
