"""Walk of one request through the files of the server: ``python -m benchmarks.walk``.

A connection without a socket answers a kept-alive GET by a list of one item, uncompiled. Printed are the files in the order in
which they are entered, with the function that is called first, and how often control goes from one file to another.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tests.server.fakes import GET, FakeServer

PACKAGE = Path(__file__).resolve().parent.parent / "aiohttp_worker"


@dataclass
class Walk:
    """Calls between files, in their order.

    :ivar files: entered by calls, each once, with the function that was called first.
    :ivar changes: number of calls into another file and returns to one.
    :ivar calls: number of calls.
    """

    files: dict[str, str]
    changes: int
    calls: int


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with a list of one item."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def walk(requests_before: int = 5) -> Walk:
    """Return the walk of one GET.

    :param requests_before: on the same connection, so that what is remembered of them is there.
    """
    server = FakeServer(hello)
    for _ in range(requests_before):
        server.receive(GET % b"a")
    server.state.on_end = None
    server.take_sent()
    found = Walk({}, 0, 0)
    path: list[str] = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event not in ("call", "return"):
            return
        filename = Path(frame.f_code.co_filename)
        if PACKAGE not in filename.parents:
            return
        name = str(filename.relative_to(PACKAGE))
        if event == "return":
            path.pop()
            name = path[-1] if path else name
        else:
            path.append(name)
            found.calls += 1
            found.files.setdefault(name, frame.f_code.co_qualname)
        if places[-1] != name:
            places.append(name)

    places: list[str] = [""]
    connection, loop = server.connection, server.loop
    data = GET % b"a"
    with loop.running():
        sys.setprofile(profile)
        try:
            connection.data_received(data)
        finally:
            sys.setprofile(None)
    sys.setprofile(profile)
    try:
        loop.run_ready()
    finally:
        sys.setprofile(None)
    assert server.take_sent().endswith(b"hello")
    found.changes = len(places) - 1
    return found


def main() -> None:
    """Print the walk."""
    found = walk()
    for number, (name, function) in enumerate(found.files.items(), 1):
        print(f"{number:3} {name:32} {function}")
    print(f"{len(found.files)} files, {found.changes} changes of file, {found.calls} calls")


if __name__ == "__main__":
    main()
