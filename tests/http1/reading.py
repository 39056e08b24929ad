"""Outcome of a connection, for comparison: the requests or responses in received pieces, or the fault."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.messages import Limits, RequestHead
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.request_reader import END, NEED_DATA, RequestReader

# One for all, as in a worker: what it remembers of one request must not colour another.
HEAD_PARSER = HeadParser(Limits())


def read_requests(pieces: Iterable[bytes], *, eof: bool = False, head_parser: HeadParser = HEAD_PARSER) -> list[Any]:
    """Return the requests in *pieces*, and behind them the status of the fault that ended the connection, if any.

    Any other exception than RemoteProtocolError comes out: there must be none.
    """
    reader = RequestReader(head_parser)
    requests: list[Any] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (event := reader.next_event()) is not NEED_DATA:
                if isinstance(event, RequestHead):
                    requests.append(head_facts(event))
                elif event is END:
                    requests[-1]["complete"] = True
                else:
                    assert isinstance(event, bytes)
                    assert event
                    requests[-1]["body"] += event.decode("latin-1")
        if eof:
            reader.feed_eof()
    except RemoteProtocolError as error:
        fault = error
    else:
        return requests
    assert str(fault).isprintable(), "one line that may go into a log"
    assert str(fault)
    return [*requests, fault.status_code]


def new_request(method: str = "GET", version: tuple[int, int] = (1, 1)) -> RequestHead:
    """The head of a request for nothing in particular."""
    head = RequestHead(b"", {}, 0)
    head.method = method
    head.set_version(*version)
    head.set_target("/", "/", "")
    return head


def head_facts(head: RequestHead) -> dict[str, Any]:
    return {
        "method": head.method,
        "target": head.target,
        "path": head.path,
        "query": head.query,
        "version": list(head.version),
        "headers": [list(field) for field in head.headers],
        "body": "",
        "has_body": head.has_body,
        "keep_alive": head.keep_alive,
        "expect_continue": head.expect_continue,
        "complete": not head.has_body,
    }


def status_of(*pieces: bytes, limits: Limits | None = None) -> int | None:
    """The status of the fault in *pieces*, for a worker of its own."""
    result = read_requests(pieces, head_parser=HeadParser(limits or Limits()))
    return result[-1] if result and isinstance(result[-1], int) else None


def without_cut_data(requests: list[Any]) -> tuple[list[Any], str]:
    """Take out the data of a request that a fault cut: how much of it was handed on depends on how it arrived."""
    if len(requests) < 2 or not isinstance(requests[-1], int) or requests[-2]["complete"]:
        return requests, ""
    cut = dict(requests[-2])
    data: str = cut.pop("body")
    return [*requests[:-2], cut, requests[-1]], data


def single_bytes(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def splits(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Cut *data* in two at every place.

    Long repetitions have no inside: a dozen of places with the same surroundings stand for the others.
    """
    seen: Counter[bytes] = Counter()
    for place in range(1, len(data)):
        surroundings = data[max(place - 12, 0) : place + 12]
        seen[surroundings] += 1
        if seen[surroundings] <= 12:
            yield data[:place], data[place:]
