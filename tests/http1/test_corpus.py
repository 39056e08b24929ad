"""Every file of tests/corpus, fed whole, byte by byte, and cut in two at every place."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.head import Limits, RequestHead
from aiohttp_worker.http1.reader import END, NEED_DATA, HeadParser, RequestReader

CORPUS = Path(__file__).parent.parent / "corpus"
VALID = sorted((CORPUS / "valid").glob("*.http"))
INVALID = sorted((CORPUS / "invalid").glob("*.http"))

# One for all: what it remembers of one request must not colour another.
HEAD_PARSER = HeadParser(Limits())


def outcome(pieces: Iterable[bytes], *, eof: bool = False) -> list[Any]:
    """What a connection makes of received pieces: messages, and the status of the fault that ended it."""
    reader = RequestReader(HEAD_PARSER)
    events: list[Any] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (event := reader.next_event()) is not NEED_DATA:
                if isinstance(event, RequestHead):
                    events.append(head_facts(event))
                elif event is END:
                    events[-1]["complete"] = True
                else:
                    assert isinstance(event, bytes)
                    assert event
                    events[-1]["body"] += event.decode("latin-1")
        if eof:
            reader.feed_eof()
    except RemoteProtocolError as error:
        assert "\n" not in str(error)
        assert "\r" not in str(error)
        assert str(error)
        events.append(error.status_code)
    return events


def without_cut_data(events: list[Any]) -> tuple[list[Any], str]:
    """Take out the data of the request that the fault cut: how much of it was handed on depends on how it arrived."""
    data = ""
    if len(events) > 1 and not events[-2]["complete"]:
        data = events[-2].pop("body")
    return events, data


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


def splits(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    # Long runs of one character have no inside: their first and last dozen of places stand for them.
    for place in range(1, len(data)):
        around = data[max(0, place - 12) : place + 12]
        if len(set(around)) > 1 or place < 12:
            yield data[:place], data[place:]


def single_bytes(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid(path: Path) -> None:
    data = path.read_bytes()
    messages = json.loads(path.with_suffix(".json").read_text())["messages"]
    expected = [{**message, "complete": True} for message in messages]
    assert outcome([data], eof=True) == expected
    assert outcome(single_bytes(data), eof=True) == expected
    for pair in splits(data):
        assert outcome(pair, eof=True) == expected, pair


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid(path: Path) -> None:
    data = path.read_bytes()
    status_code = int(path.stem.partition("-")[0])
    expected, known = without_cut_data(outcome(single_bytes(data)))
    assert expected[-1] == status_code
    for pieces in ([data], *splits(data)):
        events, cut = without_cut_data(outcome(pieces))
        assert events == expected, pieces
        assert known.startswith(cut), pieces


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_cut_is_noticed(path: Path) -> None:
    """A connection that ends anywhere but between two requests has cut one (RFC 9112 section 8)."""
    data = path.read_bytes()
    messages = json.loads(path.with_suffix(".json").read_text())["messages"]
    whole = 0
    for before, _ in splits(data):
        events = outcome([before], eof=True)
        if events and isinstance(events[-1], int):
            assert events[-1] == 400
        else:
            assert all(event["complete"] for event in events)
            whole += 1
    assert whole <= 4 * len(messages)  # at the end of each request, and within the empty lines between them


@pytest.mark.parametrize(("folder", "head"), [(VALID, "Valid\n-----"), (INVALID, "Invalid\n-------")], ids=["valid", "invalid"])
def test_the_table_is_complete(folder: list[Path], head: str) -> None:
    text = (CORPUS / "README.rst").read_text()
    table = text[text.index(head) + len(head) :].split("\n\n")[1]
    rows = [line for line in table.splitlines()[3:-1] if line]
    assert sorted(row.split()[0] for row in rows) == sorted(path.stem for path in folder)
    for row in rows:
        assert re.search(r"RFC \d{4} \d", row), row


def test_every_valid_file_says_what_it_means() -> None:
    assert {path.stem for path in (CORPUS / "valid").glob("*.json")} == {path.stem for path in VALID}
