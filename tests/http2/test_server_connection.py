"""HTTP/2 connections of a server: requests, responses, flow control, limits and ends."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import pytest

from aiohttp_worker.http1.messages import Limits
from aiohttp_worker.http2.events import (
    BodyEnded,
    DataReceived,
    PeerAnswered,
    PeerLeaving,
    RequestReceived,
    RequestRefused,
    StreamClosed,
)
from aiohttp_worker.http2.settings import HTTP2Settings

from . import frames as f
from .frames import GET, POST, data, frame, headers, ping, rst_stream, settings, window_update
from .serving import OPENING, Served

OPEN = f.END_HEADERS  # a body follows
STREAMS = range(1, 1 << 30, 2)


def kinds(served: Served) -> list[str]:
    return [type(event).__name__ for event in served.events]


def begin(served: Served, stream_id: int = 1, *, body: bool = False) -> None:
    """Have a request received and its answer begun."""
    served.receive(headers(POST if body else GET, stream_id, OPEN if body else OPEN | f.END_STREAM))
    served.connection.send_head(stream_id, [(b":status", b"200")])
    served.flush()


# Requests and answers.


def test_request_and_answer() -> None:
    served = Served()
    served.answer(served.receive(headers(GET)), b"hello")
    head, body = served.frames[-2:]
    assert (head.type, head.flags, head.payload) == (f.HEADERS, f.END_HEADERS, b"\x88")
    assert (body.type, body.flags, body.payload) == (f.DATA, f.END_STREAM, b"hello")
    assert kinds(served) == ["RequestReceived", "StreamClosed"]
    assert served.connection.open_streams == 0


def test_body() -> None:
    served = Served()
    events = served.receive(headers(POST, flags=OPEN), data(b"a" * 5000), data(b"b" * 5000, end=True))
    assert [type(event) for event in events] == [RequestReceived, DataReceived, DataReceived, BodyEnded]
    assert [event.data[:1] for event in events if isinstance(event, DataReceived)] == [b"a", b"b"]


def test_small_pieces_that_come_together_are_joined() -> None:
    """A piece for each octet would take a hundred times the memory of the octet."""
    served = Served()
    served.receive(headers(POST, flags=OPEN))
    events = served.receive(data(b"a") * 500 + data(b"", end=True))
    assert [type(event) for event in events] == [DataReceived, BodyEnded]


def test_trailers_end_a_body_and_are_thrown_away() -> None:
    served = Served()
    events = served.receive(headers(POST, flags=OPEN), data(b"a"), headers([(b"x-sum", b"1")]))
    assert [type(event) for event in events] == [RequestReceived, DataReceived, BodyEnded]


@pytest.mark.parametrize("field", [(b"authorization", b"x"), (b"x", b"a" * 9000)], ids=["authorization", "long"])
def test_trailers_that_must_not_be(field: tuple[bytes, bytes]) -> None:
    served = Served()
    events = served.receive(headers(POST, flags=OPEN), headers([field]))
    assert served.resets == [f.PROTOCOL_ERROR]
    assert [type(event) for event in events] == [RequestReceived, StreamClosed]
    assert not served.connection.ended


def test_a_head_that_is_refused() -> None:
    served = Served()
    (event,) = served.receive(headers([*GET, (b"host", b"b")]))
    assert isinstance(event, RequestRefused)
    assert event.error.status_code == 400
    served.connection.send_head(1, [(b":status", b"400")], True)
    served.answer(served.receive(headers(GET, 3)))
    assert served.heads == 2


def test_the_body_of_a_refused_request_is_thrown_away() -> None:
    served = Served()
    served.receive(headers([*POST, (b"expect", b"tea")], flags=OPEN))
    assert served.receive(*[data(bytes(16000))] * 20, data(b"", end=True)) == []
    assert served.goaways == []


def test_malformed_requests_are_told_of_and_others_served() -> None:
    served = Served()
    served.answer(served.receive(headers([*GET, (b"X", b"y")]) + headers(GET, 3)))
    (closed,) = [event for event in served.events if isinstance(event, StreamClosed) and event.error_code]
    assert (closed.stream_id, closed.error_code, closed.by_peer) == (1, f.PROTOCOL_ERROR, False)
    assert served.body(3) == b"ok"


def test_what_the_peer_resets() -> None:
    served = Served()
    begin(served)
    served.connection.send_data(1, bytes(100_000), True)
    served.flush()
    (closed,) = served.receive(rst_stream())
    assert isinstance(closed, StreamClosed)
    assert (closed.error_code, closed.by_peer) == (f.CANCEL, True)
    assert served.connection.unsent(1) == 0
    served.connection.send_data(1, b"more", True)  # nobody is there
    served.connection.send_head(1, [(b":status", b"200")])
    served.connection.reset(1, f.CANCEL)
    assert served.flush() == []


def test_what_we_reset() -> None:
    served = Served()
    begin(served)
    served.connection.send_data(1, b"part", False)
    served.flush()
    served.connection.reset(1, f.INTERNAL_ERROR)
    served.connection.send_data(1, b"more", True)
    served.flush()
    assert (served.body(), served.resets) == (b"part", [f.INTERNAL_ERROR])
    (closed,) = [event for event in served.events if isinstance(event, StreamClosed)]
    assert (closed.ours, closed.by_peer) == (True, False)


def test_an_answer_before_the_end_of_the_request() -> None:
    """RFC 9113 section 8.1: the peer is told that the rest is not wanted, and that nothing went wrong."""
    served = Served()
    begin(served, body=True)
    served.connection.send_data(1, b"early", True)
    served.flush()
    assert [(one.type, one.flags) for one in served.frames[-2:]] == [(f.DATA, f.END_STREAM), (f.RST_STREAM, 0)]
    assert served.resets == [f.NO_ERROR]
    served.receive(data(b"what was on its way", end=True))
    assert served.goaways == []


def test_an_answer_without_a_body_before_the_end_of_the_request() -> None:
    served = Served()
    served.receive(headers(POST, flags=OPEN))
    served.connection.send_head(1, [(b":status", b"204")], True)
    served.flush()
    assert [(one.type, one.flags) for one in served.frames[-2:]] == [(f.HEADERS, f.END_HEADERS | f.END_STREAM), (f.RST_STREAM, 0)]
    assert served.connection.open_streams == 0


def test_a_large_answer_is_sent_before_the_rest_of_the_request_is_refused() -> None:
    served = Served()
    begin(served, body=True)
    served.connection.send_data(1, bytes(100_000), True)
    served.flush()
    assert served.resets == []
    served.receive(window_update(100_000), window_update(100_000, 1))
    assert (len(served.body()), served.resets) == (100_000, [f.NO_ERROR])


def test_ping_of_ours() -> None:
    served = Served()
    served.connection.ping()
    (sent,) = served.flush()
    assert [type(event) for event in served.receive(ping(sent.payload, f.ACK))] == [PeerAnswered]


def test_interim_responses() -> None:
    served = Served()
    served.receive(headers(GET))
    served.connection.send_interim(1, [(b":status", b"103"), (b"link", b"</a>")])
    served.answer([RequestReceived(1, served.events[0].head)])  # type: ignore[attr-defined]
    assert served.heads == 2


# Windows.


def test_an_answer_waits_for_the_window_of_its_stream() -> None:
    served = Served(opening=f.PREFACE + settings((f.INITIAL_WINDOW_SIZE, 10)))
    begin(served)
    served.connection.send_data(1, b"0123456789abcdef", True)
    served.flush()
    assert served.body() == b"0123456789"
    assert (served.connection.unsent(1), served.connection.sent(1)) == (6, 10)
    served.receive(window_update(3, 1))
    assert served.body() == b"0123456789abc"
    served.receive(settings((f.INITIAL_WINDOW_SIZE, 14)))
    assert served.body() == b"0123456789abcdef"
    assert served.of(f.DATA)[-1].flags == f.END_STREAM


def test_a_negative_window() -> None:
    """RFC 9113 section 6.9.2."""
    served = Served(opening=f.PREFACE + settings((f.INITIAL_WINDOW_SIZE, 10)))
    begin(served)
    served.connection.send_data(1, bytes(20), True)
    served.flush()
    served.receive(settings((f.INITIAL_WINDOW_SIZE, 2)), window_update(8, 1))
    assert len(served.body()) == 10
    served.receive(window_update(1, 1))
    assert len(served.body()) == 11


def test_an_answer_waits_for_the_window_of_the_connection() -> None:
    served = Served(opening=f.PREFACE + settings((f.INITIAL_WINDOW_SIZE, 1 << 20)))
    for stream_id in (1, 3):
        begin(served, stream_id)
        served.connection.send_data(stream_id, bytes(60_000), True)
    served.flush()
    assert len(served.body(1)) + len(served.body(3)) == 65535
    served.receive(window_update(100_000))
    assert (len(served.body(1)), len(served.body(3))) == (60_000, 60_000)


def test_an_end_needs_no_window() -> None:
    served = Served(opening=f.PREFACE + settings((f.INITIAL_WINDOW_SIZE, 1 << 20)))
    for stream_id in (1, 3):
        begin(served, stream_id)
    served.connection.send_data(1, bytes(70_000), True)
    served.connection.send_data(3, b"", True)
    served.flush()
    assert served.of(f.DATA, 3)[-1].flags == f.END_STREAM


def test_drained_streams_are_told_of() -> None:
    served = Served()
    begin(served)
    served.connection.send_data(1, bytes(70_000), False)
    served.flush()
    assert served.connection.drained == []
    served.receive(window_update(70_000), window_update(70_000, 1))
    assert served.connection.drained == [1]


def test_the_window_of_a_stream_grows_as_its_body_is_read() -> None:
    served = Served(HTTP2Settings(initial_window_size=40_000))
    served.receive(headers(POST, flags=OPEN), data(bytes(16_000)), data(bytes(16_000)))
    assert served.of(f.WINDOW_UPDATE, 1) == []
    served.connection.credit(1, 32_000)
    assert [int.from_bytes(one.payload, "big") for one in served.flush() if one.stream_id == 1] == [32_000]


def test_a_body_that_nobody_reads_does_not_hold_up_others() -> None:
    """All streams but one are full, and stay so."""
    served = Served(HTTP2Settings(max_concurrent_streams=10))
    for stream_id in (1, 3, 5, 7, 9, 11, 13, 15, 17):
        served.receive(headers(POST, stream_id, OPEN), *[data(bytes(16_383), stream_id)] * 4)
    served.receive(headers(POST, 19, OPEN))
    for _ in range(20):
        served.receive(data(bytes(16_383), 19))
        served.connection.credit(19, 16_383)
        served.flush()
    assert served.goaways == []


@pytest.mark.parametrize("ours", [True, False])
def test_what_a_closed_stream_had_taken_of_the_window_comes_back(ours: bool) -> None:
    served = Served(HTTP2Settings(max_concurrent_streams=1))
    for stream_id in itertools.islice(STREAMS, 50):
        served.receive(headers(POST, stream_id, OPEN), data(bytes(16_000), stream_id))
        if ours:
            served.connection.reset(stream_id, f.CANCEL)
            served.flush()
        else:
            served.receive(rst_stream(stream_id))
    assert served.goaways == []
    returned = sum(int.from_bytes(one.payload, "big") for one in served.of(f.WINDOW_UPDATE, 0))
    assert returned >= 49 * 16_000 - 65535


# Turns.


def test_streams_take_turns() -> None:
    served = Served(opening=f.PREFACE + settings((f.INITIAL_WINDOW_SIZE, 1 << 20)) + window_update(1 << 20))
    for stream_id in (1, 3, 5):
        begin(served, stream_id)
    for stream_id in (1, 3, 5):
        served.connection.send_data(stream_id, bytes(100_000), True)
    served.flush(98_000)
    sizes = [len(served.body(stream_id)) for stream_id in (1, 3, 5)]
    assert sum(sizes) >= 98_000 - 16_384
    assert max(sizes) - min(sizes) <= 16_384


def test_a_small_answer_overtakes_a_large_one() -> None:
    served = Served(opening=f.PREFACE + settings((f.INITIAL_WINDOW_SIZE, 1 << 20)) + window_update(1 << 20))
    for stream_id in (1, 3):
        begin(served, stream_id)
    served.connection.send_data(1, bytes(500_000), True)
    served.flush(50_000)
    served.connection.send_data(3, b"small", True)
    served.flush(20_000)
    assert served.body(3) == b"small"
    assert len(served.body(1)) < 100_000


def test_streams_take_turns_in_a_window_that_opens_slowly() -> None:
    served = Served(opening=f.PREFACE + settings((f.INITIAL_WINDOW_SIZE, 1 << 20)))
    for stream_id in (1, 3, 5):
        begin(served, stream_id)
    for stream_id in (1, 3, 5):
        served.connection.send_data(stream_id, bytes(200_000), True)
    served.flush()
    for _ in range(30):
        served.receive(window_update(1000))
    sizes = [len(served.body(stream_id)) for stream_id in (1, 3, 5)]
    assert max(sizes) - min(sizes) <= 16_384
    assert sum(sizes) == 65535 + 30_000


def test_small_pieces_leave_in_large_frames() -> None:
    served = Served()
    begin(served)
    for _ in range(1000):
        served.connection.send_data(1, b"0123456789", False)
    served.flush()
    assert served.body() == b"0123456789" * 1000
    assert len(served.of(f.DATA)) == 1


def test_output_comes_in_parts() -> None:
    served = Served(opening=f.PREFACE + settings((f.INITIAL_WINDOW_SIZE, 1 << 20)) + window_update(1 << 20))
    begin(served)
    served.connection.send_data(1, bytes(300_000), True)
    pieces, _ = served.connection.data_to_send(65536, 0.0)
    assert 65536 - 16384 <= sum(map(len, pieces)) <= 65536 + 16384


# Ends.


def test_goaway_twice() -> None:
    """RFC 9113 section 6.8: first that no more is to come, then what the last one was."""
    served = Served()
    begin(served)
    served.connection.announce_goaway()
    served.flush()
    served.receive(headers(GET, 3))  # it was on its way
    served.connection.goaway()
    served.flush()
    assert [int.from_bytes(one.payload[:4], "big") for one in served.of(f.GOAWAY)] == [0x7FFFFFFF, 3]
    assert served.receive(headers(GET, 5)) == []
    served.connection.send_data(1, b"ok", True)
    served.answer([event for event in served.events if event.stream_id == 3])
    assert (served.body(1), served.body(3)) == (b"ok", b"ok")
    assert served.connection.ended
    assert served.end is not None
    assert (served.end.error_code, served.end.reason) == (f.NO_ERROR, "")


def test_a_peer_that_leaves_is_still_answered() -> None:
    served = Served()
    begin(served)
    assert [type(event) for event in served.receive(f.goaway())] == [PeerLeaving]
    served.connection.send_data(1, b"ok", True)
    served.flush()
    assert served.body() == b"ok"
    assert served.end is not None
    assert served.end.reason == ""


def test_termination() -> None:
    served = Served()
    begin(served)
    served.connection.terminate(f.NO_ERROR)
    served.connection.send_data(1, b"late", True)
    served.connection.announce_goaway()
    served.flush()
    assert served.goaways == [f.NO_ERROR]
    assert served.connection.ended
    assert served.receive(headers(GET, 3)) == []
    assert served.flush() == []


def test_the_reason_of_an_end() -> None:
    served = Served()
    served.receive(frame(f.PING, b"short"))
    assert served.end is not None
    assert served.end.reason == "FRAME_SIZE_ERROR"


def test_an_upgraded_request_is_stream_1() -> None:
    """RFC 7540 section 3.2: its settings hold, and its answer comes on stream 1."""
    served = Served(opening=b"")
    connection = type(served.connection)(
        HTTP2Settings(), served.connection._engine._connection.config, served.parser, served.parser.base, 0.0, b"\0\x04\0\0\0\x05"
    )
    served.connection = connection
    served.frames.clear()
    served.receive(OPENING)
    connection.send_head(1, [(b":status", b"200")])
    connection.send_data(1, b"0123456789", True)
    served.flush()
    assert served.body() == b"01234"
    served.answer(served.receive(headers(GET, 3)))
    assert served.body(3) == b"ok"


# Hostile peers: how many frames of each kind are taken before the connection is ended.


def rapid_reset() -> Iterator[bytes]:
    for number in STREAMS:
        yield headers(GET, number) + rst_stream(number)


def provoked_reset() -> Iterator[bytes]:
    """CVE-2025-8671: the server resets, for a mistake within the stream."""
    for number in STREAMS:
        yield headers(POST, number, OPEN) + window_update(0x7FFFFFFF, number)


def malformed() -> Iterator[bytes]:
    for number in STREAMS:
        yield headers([*GET, (b"X", b"y")], number)


def continuations() -> Iterator[bytes]:
    """CVE-2024-27316."""
    yield frame(f.HEADERS, f.block(GET), 1, f.END_STREAM)
    while True:
        yield frame(f.CONTINUATION, b"", 1)


def large_continuations() -> Iterator[bytes]:
    yield frame(f.HEADERS, f.block(GET), 1, f.END_STREAM)
    while True:
        yield frame(f.CONTINUATION, f.block([(b"x", b"a" * 16_000)]), 1)


def empty_data() -> Iterator[bytes]:
    """CVE-2019-9518."""
    yield headers(POST, 1, OPEN)
    while True:
        yield data(b"")


def padding() -> Iterator[bytes]:
    yield headers(POST, 1, OPEN)
    while True:
        yield frame(f.DATA, b"\xff" + bytes(255), 1, f.PADDED)


def small_updates() -> Iterator[bytes]:
    yield headers(POST, 1, OPEN)
    while True:
        yield window_update(1, 1)


def compressed_bomb() -> Iterator[bytes]:
    """One entry of the table, named ten thousand times."""
    yield frame(f.HEADERS, b"\x82\x86\x84\x41\x01a\x40" + f.hpack_string(b"x") + f.hpack_string(b"a" * 4000), 1, 5)
    yield frame(f.HEADERS, b"\x82\x86\x84\x01\x01a" + b"\xbe" * 10_000, 3, 5)


def empty_fields() -> Iterator[bytes]:
    """CVE-2019-9516, and many of them."""
    yield frame(f.HEADERS, f.block([*GET, *[(b"x", b"")] * 2000]), 1, 5)


FLOODS = {
    "rapid-reset": (rapid_reset, 1001),
    "provoked-reset": (provoked_reset, 1001),
    "malformed": (malformed, 1001),
    "continuations": (continuations, 18),
    "large-continuations": (large_continuations, 10),
    "ping": (lambda: itertools.repeat(ping()), 1001),
    "ping-ack": (lambda: itertools.repeat(ping(flags=f.ACK)), 1001),
    "settings": (lambda: itertools.repeat(settings((f.INITIAL_WINDOW_SIZE, 65535))), 501),
    "settings-ack": (lambda: itertools.repeat(frame(f.SETTINGS, b"", 0, f.ACK)), 2),
    "empty-data": (empty_data, 1002),
    "padding": (padding, 1002),
    "priority": (lambda: itertools.repeat(frame(f.PRIORITY, b"\0\0\0\0\x10", 1)), 1001),
    "priority-update": (lambda: itertools.repeat(frame(f.PRIORITY_UPDATE, b"\0\0\0\x01u=1")), 1001),
    "unknown": (lambda: itertools.repeat(frame(0x77, b"x" * 100)), 1001),
    "small-updates": (small_updates, 1002),
    "compressed-bomb": (compressed_bomb, 2),
    "empty-fields": (empty_fields, 1),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_floods_end_the_connection(flood: str) -> None:
    """Each with so many frames at most, and at once, since time allows for more."""
    make, most = FLOODS[flood]
    served = Served()
    # The engine's clock cannot be stopped, and allows for more on a slow machine.
    assert served.receive_each(make(), 20_000) <= most * 2
    assert served.connection.ended
    assert served.goaways[-1] in (f.ENHANCE_YOUR_CALM, f.INTERNAL_ERROR, f.PROTOCOL_ERROR, f.FLOW_CONTROL_ERROR)
    assert served.end is not None
    assert served.end.reason


@pytest.mark.parametrize("flood", ["rapid-reset", "ping", "settings", "empty-data", "priority", "small-updates"])
def test_what_floods_do_at_a_usual_rate_is_let_through(flood: str) -> None:
    make, _ = FLOODS[flood]
    served = Served()
    for number, piece in enumerate(itertools.islice(make(), 150)):
        served.now = number / 10
        served.receive(piece)
    assert served.goaways == []


def test_updates_of_who_reads_are_let_through() -> None:
    """A client that reads a large answer sends an update for every few KiB of it, and has sent thousands."""
    served = Served()
    begin(served)
    served.connection.send_data(1, bytes(20_000_000), True)
    served.flush()
    for _ in range(9_900):
        served.receive(window_update(2000) + window_update(2000, 1))
    assert served.goaways == []
    assert len(served.body()) > 19_000_000


def test_half_open_streams_of_who_may_not_know_the_limit() -> None:
    """RFC 9113 section 5.1.2: before the client has acknowledged it, it may try again."""
    served = Served(HTTP2Settings(max_concurrent_streams=10), opening=f.PREFACE + settings())
    for stream_id in itertools.islice(STREAMS, 110):
        served.receive(headers(POST, stream_id, OPEN))
    assert served.connection.open_streams == 10
    assert served.resets == [f.REFUSED_STREAM] * 100
    assert not served.connection.ended
    served.receive(*[rst_stream(stream_id) for stream_id in itertools.islice(STREAMS, 10)])
    served.answer(served.receive(headers(GET, 1001)))
    assert served.body(1001) == b"ok"


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_thousand_half_open_streams(acknowledged: bool) -> None:
    """None more is kept than is allowed; who knows the limit and goes beyond it is ended."""
    served = Served(HTTP2Settings(max_concurrent_streams=10), opening=OPENING if acknowledged else f.PREFACE + settings())
    for stream_id in itertools.islice(STREAMS, 1000):
        served.receive(headers(POST, stream_id, OPEN))
        assert served.connection.open_streams <= 10
    assert served.connection.ended is acknowledged


@pytest.mark.parametrize(("size", "refused", "ended"), [(6_000, False, False), (9_000, True, False), (90_000, False, True)])
def test_header_lists_beyond_the_limit(size: int, refused: bool, ended: bool) -> None:
    """Beyond the limit they are answered with 431, and what is much larger is not read."""
    served = Served(HTTP2Settings(max_header_list_size=8_000), Limits(field_size=100_000))
    pieces = f.block([*GET, (b"x", b"a" * size)])
    sent = [pieces[at : at + 16_000] for at in range(0, len(pieces), 16_000)]
    served.receive(frame(f.HEADERS, sent[0], 1, f.END_STREAM | (0 if sent[1:] else f.END_HEADERS)))
    for piece in sent[1:]:
        served.receive(frame(f.CONTINUATION, piece, 1, f.END_HEADERS if piece is sent[-1] else 0))
    assert served.connection.ended is ended
    assert [event.error.status_code for event in served.events if isinstance(event, RequestRefused)] == [431] * refused


def test_unread_answers_of_a_flood_are_bounded() -> None:
    """A peer that asks, and does not read what comes of it: who takes nothing from here makes it wait."""
    served = Served()
    connection = served.connection
    for _ in range(3000):
        connection.receive_data(ping(), 0.0)
    assert connection.ended


def test_memory_of_a_connection() -> None:
    """After a thousand requests nothing of them is kept."""
    served = Served()
    for stream_id in itertools.islice(STREAMS, 100):
        served.answer(served.receive(headers(GET, stream_id)))
        served.frames.clear()
        served.events.clear()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for stream_id in itertools.islice(STREAMS, 100, 1100):
        served.answer(served.receive(headers(GET, stream_id)))
        served.frames.clear()
        served.events.clear()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 8 * 1024
