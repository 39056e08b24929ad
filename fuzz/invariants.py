"""Invariants that hold for all bytes, of requests and of responses.

Requests: bytes in; requests, or a RemoteProtocolError with a status, out; never another exception. What comes out does
not depend on how the bytes were cut into pieces, nor on what the same HeadParser has seen before.

Responses: bytes in; heads, data and ends, or a RemoteProtocolError, out; never another exception. What comes out does
not depend on how the bytes were cut into pieces.
"""

from typing import Any

from aiohttp_worker.http1.errors import RemoteProtocolError
from aiohttp_worker.http1.messages import Limits
from aiohttp_worker.http1.request_parser import HeadParser
from aiohttp_worker.http1.response_reader import END, ResponseHead, ResponseReader, ResponseSyntaxError
from tests.http1.reading import read_requests, without_cut_data

SHARED = HeadParser(Limits())
SMALL = Limits(request_line=60, fields=4, field_size=40)
SHARED_SMALL = HeadParser(SMALL)

REFUSALS = {400, 414, 417, 431, 501, 505}
FAULTS = {"ResponseSyntaxError", "ResponseTooLargeError"}
METHODS = ("GET", "HEAD", "POST", "CONNECT")


def cut(data: bytes, cuts: bytes) -> list[bytes]:
    """Cut *data* into pieces as long as the numbers in *cuts* say, over and over; 0 stands for the rest."""
    pieces = []
    position = number = 0
    while position < len(data):
        length = (cuts[number % len(cuts)] if cuts else 0) or len(data)
        pieces.append(data[position : position + length])
        position += length
        number += 1
    return pieces


def check_requests(data: bytes, cuts: bytes) -> None:
    """Hold the invariant for what a client sends.

    :raises AssertionError: when it does not hold.
    """
    for shared, limits in ((SHARED, SHARED.limits), (SHARED_SMALL, SMALL)):
        if limits is SMALL:
            data += b"\r\n\r\n"  # limits may be noticed late, but no later than at the end of a head
        compare_requests(cut(data, cuts), shared)
        compare_requests([data] * 3, shared)  # as a program sends that polls


def compare_requests(pieces: list[bytes], shared: HeadParser) -> None:
    """Hold it for bytes that come in *pieces*, against a reader that gets all at once and has seen nothing before.

    :raises AssertionError: when it does not hold.
    """
    data = b"".join(pieces)
    for eof in (False, True):
        whole, known = without_cut_data(read_requests([data], eof=eof, head_parser=HeadParser(shared.limits)))
        apart, other = without_cut_data(read_requests(pieces, eof=eof, head_parser=shared))
        assert known.startswith(other) or other.startswith(known), pieces
        if whole and isinstance(whole[-1], int):
            # Of two faults the one that is seen first names the status.
            assert whole[-1] in REFUSALS, (whole, pieces)
            assert apart, (whole, pieces)
            assert apart[-1] in REFUSALS, (whole, apart, pieces)
            whole, apart = whole[:-1], apart[:-1]
        assert whole == apart, (whole, apart, pieces)


def read_responses(pieces: list[bytes], method: str) -> list[Any]:
    """Return heads, joined data, ends and the fault that ended the connection."""
    reader = ResponseReader()
    reader.start(method)
    events: list[Any] = []

    def take(new: list[Any]) -> None:
        for event in new:
            if isinstance(event, ResponseHead):
                events.append((event.version, event.status_code, event.reason, event.headers, event.keep_alive))
            elif event is END:
                events.append("end")
            else:
                assert isinstance(event, bytes)
                assert event
                if events and isinstance(events[-1], bytes):
                    events[-1] += event
                else:
                    events.append(event)

    try:
        for piece in pieces:
            take(reader.feed(piece))
        take(reader.feed_eof())
    except RemoteProtocolError as error:
        fault = error
    else:
        return events
    if isinstance(fault, ResponseSyntaxError):
        take(fault.events)
    assert fault.status_code == 502
    assert str(fault)
    return [*events, type(fault).__name__]


def without_last_data(events: list[Any]) -> tuple[list[Any], bytes]:
    """Take out the data right before a fault: how much of it was handed on depends on how it arrived."""
    if len(events) > 1 and events[-1] in FAULTS and isinstance(events[-2], bytes):
        return [*events[:-2], events[-1]], events[-2]
    return events, b""


def check_responses(data: bytes, cuts: bytes) -> None:
    """Hold the invariant for what a server sends.

    :raises AssertionError: when it does not hold.
    """
    for method in METHODS:
        whole, known = without_last_data(read_responses([data], method))
        pieces, other = without_last_data(read_responses(cut(data, cuts), method))
        assert known.startswith(other) or other.startswith(known), (method, data, cuts)
        assert whole == pieces, (method, whole, pieces, data, cuts)
