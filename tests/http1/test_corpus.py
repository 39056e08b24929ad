"""Every file of tests/corpus, fed whole, byte by byte, and cut in two at every place."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from .reading import read_requests, single_bytes, splits, without_cut_data

CORPUS = Path(__file__).parent.parent / "corpus"
VALID = sorted((CORPUS / "valid").glob("*.http"))
INVALID = sorted((CORPUS / "invalid").glob("*.http"))


def meaning(path: Path) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = json.loads(path.with_suffix(".json").read_text())["messages"]
    return messages


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid(path: Path) -> None:
    data = path.read_bytes()
    expected = [{**message, "complete": True} for message in meaning(path)]
    assert read_requests([data], eof=True) == expected
    assert read_requests(single_bytes(data), eof=True) == expected
    for pieces in splits(data):
        assert read_requests(pieces, eof=True) == expected, pieces
    assert read_requests([data] * 4, eof=True) == expected * 4


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid(path: Path) -> None:
    data = path.read_bytes()
    status_code = int(path.stem.partition("-")[0])
    expected, known = without_cut_data(read_requests(single_bytes(data)))
    assert expected
    assert expected[-1] == status_code
    for pieces in ([data], *splits(data)):
        requests, cut = without_cut_data(read_requests(pieces))
        assert requests == expected, pieces
        assert known.startswith(cut), pieces


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_cut_requests(path: Path) -> None:
    """A connection that ends anywhere but between two requests has cut one (RFC 9112 section 8)."""
    data = path.read_bytes()
    whole = 0
    for before, _ in splits(data):
        requests = read_requests([before], eof=True)
        if requests and isinstance(requests[-1], int):
            assert requests[-1] == 400
        else:
            assert all(request["complete"] for request in requests)
            whole += 1
    assert whole <= 2 * len(meaning(path)) + 2 * data.count(b"\r\n\r\n\r\n")  # behind requests and empty lines


# Gunicorn's parser has other answers here, each for a reason.
NOT_AS_GUNICORN = {
    "close-in-list",  # it looks at one connection option only
    "close-in-second-line",
    "target-absolute-form-no-path",  # its path is empty then, not "/"
    "target-absolute-form-query-only",
    "empty-lines-first",  # it takes one
}


@pytest.mark.parametrize("path", [path for path in VALID if path.stem not in NOT_AS_GUNICORN], ids=lambda path: path.stem)
def test_gunicorn_reads_the_same(path: Path) -> None:
    """Whoever changes from Gunicorn's own workers to these has the same requests."""
    unreader = IterUnreader(iter([path.read_bytes()]))
    for number, message in enumerate(meaning(path), 1):
        request = Request(Config(), unreader, ("127.0.0.1", 1), number)
        assert (request.method, request.uri) == (message["method"], message["target"])
        assert (request.path, request.query) == (message["path"], message["query"])
        assert list(request.version) == message["version"]
        assert request.headers == [(name.upper(), value) for name, value in message["headers"] if "_" not in name]
        assert request.body.read() == message["body"].encode("latin-1")
        assert request.should_close() is not message["keep_alive"]


@pytest.mark.parametrize(("files", "heading"), [(VALID, "Valid\n-----"), (INVALID, "Invalid\n-------")], ids=["valid", "invalid"])
def test_the_table_is_complete(files: list[Path], heading: str) -> None:
    text = (CORPUS / "README.rst").read_text()
    table = text[text.index(heading) + len(heading) :].split("\n\n")[1]
    rows = table.splitlines()[3:-1]
    assert sorted(row.split()[0] for row in rows) == sorted(path.stem for path in files)
    for row in rows:
        assert re.search(r" RFC \d{4} \d", row), row


def test_every_valid_file_says_what_it_means() -> None:
    assert {path.stem for path in (CORPUS / "valid").glob("*.json")} == {path.stem for path in VALID}
