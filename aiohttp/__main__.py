"""``python -m aiohttp URL``: one request from the command line. ``--help`` lists what it can do."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

from . import (
    ClientResponse,
    ConnectionError,
    HttpException,
    SocketConnector,
    Timeout,
    TimeoutError,
    UnixSocketConnector,
    __version__,
    request,
)
from .header_text import encode_field
from .upload import measure

PIECE = 65536

Advance = Callable[[int], object]


@contextlib.contextmanager
def progress(wanted: bool, what: str, total: int | None) -> Iterator[Advance]:
    """A bar on standard error, if that is a terminal and tqdm is installed; gives what to call with bytes done."""
    bar: Any = None
    if wanted and sys.stderr is not None and sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            bar = import_module("tqdm").tqdm(total=total, desc=what, unit="B", unit_scale=True, unit_divisor=1024)
    if bar is None:
        yield lambda _: None
        return
    with bar:
        yield bar.update


async def watched(file: IO[bytes], advance: Advance) -> AsyncIterator[bytes]:
    """A file in pieces, as the connection takes them."""
    loop = asyncio.get_running_loop()
    while piece := await loop.run_in_executor(None, file.read, PIECE):
        yield piece
        advance(len(piece))


def pair(text: str, separator: str, what: str) -> tuple[str, str]:
    """Two parts of an argument. Raises ValueError if the separator is missing."""
    name, found, value = text.partition(separator)
    if not found:
        # What it has can be a password; a field that lacks its colon begins with its name.
        begun = f", not {text.partition(' ')[0]!r}" if what == "a header field" else ""
        raise ValueError(f"{what} is written NAME{separator}VALUE{begun}")
    return name, value


def standard(stream: TextIO | None, what: str) -> BinaryIO:
    """The bytes below standard input or output. Raises OSError if the shell has closed it (``<&-``, ``>&-``)."""
    if stream is None:
        raise OSError(errno.EBADF, f"standard {what} is closed")
    return stream.buffer


class Output:
    """Standard output, which may end at any time: a pipe to ``head``, a full disk."""

    def __init__(self) -> None:
        self._stream = standard(sys.stdout, "output")

    def write(self, data: bytes) -> None:
        """Write all of it. Raises OSError."""
        self._tried(self._stream.write, data)

    def flush(self) -> None:
        """Write everything out. Raises OSError."""
        self._tried(self._stream.flush)

    def _tried(self, call: Callable[..., object], *arguments: bytes) -> None:
        try:
            call(*arguments)
        except OSError as error:
            # What is left in the buffer would be tried once more, and complained of, when the interpreter ends.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
            raise OutputError(error.errno, f"cannot write to standard output: {error.strerror}") from error


class OutputError(OSError):
    """Standard output takes no more."""


def field_lines(chosen: argparse.Namespace, defaults: dict[str, Any]) -> list[tuple[str, Any]]:
    """The header fields that are asked for, each as often as it is there, and the defaults that they do not replace."""
    given: list[tuple[str, Any]] = []
    for field in chosen.header:
        name, value = pair(field, ":", "a header field")
        given.append((name.strip(), value.strip() or None))
    names = {name.lower() for name, _ in given}
    return [one for one in defaults.items() if one[0].lower() not in names] + given


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m aiohttp", description="Send one request and write the body of the response to standard output."
    )
    add = parser.add_argument
    add("url", help="http://… or https://…")
    add("-X", "--method", help="GET, or POST where there is something to send")
    add("-H", "--header", action="append", default=[], metavar="NAME:VALUE", help="a header field; without value: none of it")
    add("-p", "--param", action="append", default=[], metavar="NAME=VALUE", help="append to the query")
    add("-b", "--cookie", action="append", default=[], metavar="NAME=VALUE")
    add("-d", "--data", metavar="TEXT", help="send this text; @FILE for what is in a file, @- for standard input")
    add("-f", "--field", action="append", default=[], metavar="NAME=VALUE", help="send a form; NAME=@FILE uploads a file in it")
    add("-j", "--json", metavar="JSON", help="send this JSON")
    add("-T", "--upload", type=Path, metavar="FILE", help="send a file, with PUT unless -X says otherwise")
    add("-o", "--output", type=Path, metavar="FILE", help="write the body to a file")
    add("-i", "--include", action="store_true", help="write status and header fields before the body")
    add("-u", "--user", metavar="USER:PASSWORD")
    add("-x", "--proxy", metavar="URL", help="http, https, socks4 or socks5; otherwise the environment's")
    add("-m", "--timeout", type=float, metavar="SECONDS", help="for all of it, the body included")
    add("-k", "--insecure", action="store_true", help="accept any certificate")
    add("-z", "--compress", choices=("deflate", "gzip", "br", "zstd"), help="send the body in this coding")
    add("-q", "--quiet", action="store_true", help="no progress bar")
    add("--no-redirects", action="store_true", help="do not follow redirects")
    add("--fail", action="store_true", help="end with status 22 where the response's is 400 or more")
    add("--unix-socket", metavar="PATH", help="connect to this socket")
    add("--version", action="version", version=f"aiohttp-worker {__version__}")
    return parser


def body_options(chosen: argparse.Namespace, files: contextlib.ExitStack) -> dict[str, Any]:
    """Return the arguments of request() for the body."""
    options: dict[str, Any] = {}
    bodies = {
        "-d": chosen.data is not None,
        "-f": bool(chosen.field),
        "-j": chosen.json is not None,
        "-T": chosen.upload is not None,
    }
    given = [option for option, there in bodies.items() if there]
    if len(given) > 1:
        raise ValueError(f"a request has one body, but {' and '.join(given)} are given")
    if chosen.json is not None:
        options |= {"data": chosen.json.encode(), "headers": {"Content-Type": "application/json"}}
    if chosen.data is not None:
        if chosen.data == "@-":
            options["data"] = standard(sys.stdin, "input")
        elif chosen.data.startswith("@"):
            options["data"] = files.enter_context(Path(chosen.data[1:]).open("rb"))
        else:
            options["data"] = chosen.data
    fields = [pair(one, "=", "a field") for one in chosen.field]
    if fields:
        options["data"] = [(name, value) for name, value in fields if not value.startswith("@")]
        uploads = [(name, files.enter_context(Path(value[1:]).open("rb"))) for name, value in fields if value.startswith("@")]
        if uploads:
            options["files"] = uploads
    if chosen.upload is not None:
        file = files.enter_context(chosen.upload.open("rb"))
        size = measure(file)
        advance = files.enter_context(progress(not chosen.quiet, "sent", size))
        options["data"] = watched(file, advance)
        options["headers"] = {"Content-Type": "application/octet-stream"}
        if chosen.compress is None and size is not None:
            options["headers"]["Content-Length"] = size
    return options


def make_connector(chosen: argparse.Namespace) -> SocketConnector:
    """The connector that the command line asks for."""
    if chosen.unix_socket is not None:
        return UnixSocketConnector(chosen.unix_socket, verify_ssl=not chosen.insecure)
    return SocketConnector(verify_ssl=not chosen.insecure, trust_env=True, netrc=True, proxy=chosen.proxy)


async def save(response: ClientResponse, chosen: argparse.Namespace) -> None:
    """Write the response where it belongs."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as files:
        screen = Output() if chosen.output is None or chosen.include else None
        output: Any = screen if chosen.output is None else files.enter_context(chosen.output.open("wb"))
        if screen is not None and chosen.include:
            version = ".".join(map(str, response.version))
            screen.write(encode_field(f"HTTP/{version} {response.status} {response.reason}\r\n"))
            for name, value in response.raw_headers:
                screen.write(name + b": " + value + b"\r\n")
            screen.write(b"\r\n")
        length = response.get("content-length", "")
        total = int(length) if length.isdigit() and "content-encoding" not in response else None
        wanted = chosen.output is not None and not chosen.quiet
        advance = files.enter_context(progress(wanted, "received", total))
        async for piece in response.content.iter_any():
            await loop.run_in_executor(None, output.write, piece)
            advance(len(piece))
        output.flush()


async def run(chosen: argparse.Namespace) -> int:
    """Make the request; the exit status."""
    with contextlib.ExitStack() as files:
        options = body_options(chosen, files)
        headers: dict[str, Any] = options.pop("headers", {})
        if chosen.output is None or chosen.include:
            standard(sys.stdout, "output")  # before anything is sent
        sends = "data" in options or "files" in options
        method = chosen.method or ("PUT" if chosen.upload is not None else "POST" if sends else "GET")
        async with (
            make_connector(chosen) as connector,
            request(
                method,
                chosen.url,
                params=[pair(one, "=", "a parameter") for one in chosen.param],
                headers=field_lines(chosen, headers),
                cookies=[(name.strip(), value) for name, value in (pair(one, "=", "a cookie") for one in chosen.cookie)],
                auth=pair(chosen.user, ":", "a user") if chosen.user else None,
                allow_redirects=not chosen.no_redirects,
                timeout=Timeout(exchange=chosen.timeout),
                compress=chosen.compress if sends else None,
                connector=connector,
                **options,
            ) as response,
        ):
            await save(response, chosen)
            return 22 if chosen.fail and not response.ok else 0


def say(error: Exception, status: int) -> int:
    """Write the error to standard error, if there is one; returns the status."""
    if sys.stderr is not None:
        print(f"aiohttp: {error}", file=sys.stderr)  # noqa: T201
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors are one line on standard error and status 1, or 2 for bad arguments."""
    chosen = make_parser().parse_args(arguments)
    try:
        return asyncio.run(run(chosen))
    except OutputError as error:
        return 1 if error.errno == errno.EPIPE else say(error, 1)
    except (HttpException, ConnectionError, TimeoutError, OSError, RuntimeError) as error:
        # Before ValueError: a redirect that leads nowhere is one too, and no fault of the arguments.
        return say(error, 1)
    except ValueError as error:
        return say(error, 2)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
