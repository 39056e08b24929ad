"""The demo under the worker it is written for: what a browser would see, without one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .client import RawClient
from .conftest import Serve
from .server import STREAM, Server

PIECE = 65536  # what the demo reads at once


@pytest.fixture(params=[1, 4])
def demo(shared_server: Serve, request: pytest.FixtureRequest) -> Server:
    return shared_server("aiohttp_worker.demo:main({})", worker_class=STREAM, threads=request.param)


def events(client: RawClient) -> Iterator[dict[str, Any]]:
    """The events of a stream whose head has come; every one is a chunk of its own."""
    while chunk := client.receive_chunk():
        match = re.fullmatch(rb"data: (.*)\n\n", chunk)
        assert match is not None, chunk
        yield json.loads(match[1])


def watch(demo: Server, path: str) -> tuple[RawClient, Iterator[dict[str, Any]]]:
    client = demo.connect()
    client.request("GET", path)
    head = client.receive_head()
    assert head.value("Content-Type") == "text/event-stream; charset=UTF-8"
    assert head.value("Cache-Control") == "no-store"
    return client, events(client)


def wait_for(events: Iterator[dict[str, Any]], found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    return next(event for event in events if found(event))


def test_coroutines_wait_together(demo: Server) -> None:
    clients = [demo.connect() for _ in range(20)]
    for client in clients:
        client.request("GET", "/wait")
    assert {client.receive().text for client in clients} == {'{"text":"waited for a second"}'}


def test_clock_counts_who_watches(demo: Server) -> None:
    first, ticks = watch(demo, "/clock")
    assert next(ticks)["watching"] == 1
    second, _ = watch(demo, "/clock")
    assert wait_for(ticks, lambda tick: tick["watching"] == 2)
    second.close()
    assert wait_for(ticks, lambda tick: tick["watching"] == 1)
    first.close()


def test_progress_is_seen_while_the_upload_arrives(demo: Server) -> None:
    watching, progress = watch(demo, "/upload/progress?id=half")
    assert next(progress) == {"received": 0}
    with demo.connect() as client:
        client.start_upload("/upload?id=half")
        client.send_chunk(1000 * b"a")
        wait_for(progress, lambda event: event["received"] == 1000)
        client.send_chunk(1000 * b"b")
        wait_for(progress, lambda event: event["received"] == 2000)
        client.end_upload()
        answer = json.loads(client.receive().body)
    assert answer == {"received": 2000, "sha256": hashlib.sha256(1000 * b"a" + 1000 * b"b").hexdigest()}
    assert wait_for(progress, lambda event: "ended" in event) == {"received": 2000, "ended": True}
    assert list(progress) == []
    watching.close()


def test_an_upload_that_is_broken_off_ends_its_progress(demo: Server) -> None:
    watching, progress = watch(demo, "/upload/progress?id=broken")
    client = demo.connect()
    client.start_upload("/upload?id=broken")
    client.send_chunk(b"data")
    wait_for(progress, lambda event: event["received"] == 4)
    client.close()
    assert wait_for(progress, lambda event: "ended" in event)["received"] == 4
    watching.close()


def test_the_application_chooses_the_pace(demo: Server) -> None:
    watching, progress = watch(demo, "/upload/progress?id=slow")
    with demo.connect() as client:
        client.request("POST", f"/upload?id=slow&pace={4 * PIECE}", body=2 * PIECE * b"x")
        wait_for(progress, lambda event: 0 < event["received"] < 2 * PIECE)  # a quarter of a second for each piece
        assert json.loads(client.receive().body)["received"] == 2 * PIECE
    watching.close()


@pytest.mark.parametrize("query", ["", "id=A", "id=" + 33 * "a", "id=a&pace=-1", "id=a&pace=fast", "id=a&pace=1234567890"])
def test_uploads_that_are_refused(demo: Server, query: str) -> None:
    with demo.connect() as client:
        assert client.post(f"/upload?{query}", b"data").status_code == 400
    if "pace" not in query:
        assert demo.get(f"/upload/progress?{query}").status_code == 400


def test_requests_to_itself(demo: Server) -> None:
    answer = json.loads(demo.get("/fetch").body)
    assert answer["answers"] == [200, 200, 200]
    assert answer["seconds"] < 2.5
    assert json.loads(demo.get("/fetch-in-steps").body)["text"] == "Hello, generator!"


def test_the_host_field_does_not_choose_whom_it_asks(demo: Server) -> None:
    with demo.connect() as client:
        response = client.get("/fetch-in-steps", host="127.0.0.1:9")
        assert json.loads(response.body)["text"] == "Hello, generator!"
