"""Frames of a client of HTTP/2, and what must hold for all of them.

Frames in; requests, data and ends out, or the end of the connection; never an exception. What is sent back is whole frames,
and no more streams are open than were announced. Where no stream is reset, what comes out does not depend on how the bytes
were cut; a frame behind a mistake may meet the stream before or after that was reset for it.
"""

import struct

from hypothesis import strategies as st

from aiohttp_worker.http2.events import BodyEnded, DataReceived, Event, RequestReceived, RequestRefused
from aiohttp_worker.http2.settings import HTTP2Settings
from tests.http2 import frames as f
from tests.http2.conformance import CASES
from tests.http2.serving import OPENING, Served

from .invariants import cut

STREAMS = 5
_NAMES = [
    *(b":method", b":path", b":scheme", b":authority", b"host", b"cookie", b"content-length"),
    *(b"expect", b"te", b"X", b"x_y", b""),
]
_VALUES = [
    *(b"GET", b"POST", b"CONNECT", b"/", b"*", b"/a?b=c", b"http", b"https", b"a", b"b=c"),
    *(b"5", b"0", b"100-continue", b"trailers", b"a\r\nb", b" a"),
]
_FIELDS = st.one_of(
    st.just(f.GET),
    st.just(f.POST),
    st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VALUES)), max_size=4).map(lambda more: [*f.GET, *more]),
    st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VALUES)), max_size=6),
)
_STREAM_IDS = st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5, 7, 9, 11, 13])


@st.composite
def one_frame(draw: st.DrawFn) -> bytes:
    """A frame that is well-formed, mostly."""
    stream_id = draw(_STREAM_IDS)
    kind = draw(st.integers(0, 12))
    if kind <= f.HEADERS + 2:
        return f.headers(draw(_FIELDS), stream_id, draw(st.sampled_from([4, 5, 5, 1, 0, 0x2D])))
    if kind == 4:
        return f.settings((draw(st.integers(0, 9)), draw(st.sampled_from([0, 1, 2, 100, 16384, 65535, 1 << 31]))))
    if kind == 5:
        return f.data(draw(st.binary(max_size=20)), stream_id, draw(st.booleans()))
    if kind == 6:
        return f.window_update(draw(st.sampled_from([0, 1, 1000, 0x7FFFFFFF])), stream_id)
    if kind == 7:
        return f.rst_stream(stream_id, draw(st.integers(0, 14)))
    if kind == 8:
        return f.frame(f.CONTINUATION, f.block(draw(_FIELDS)), stream_id, draw(st.sampled_from([0, 4])))
    if kind == 9:
        return f.goaway() if draw(st.booleans()) else f.ping(flags=draw(st.integers(0, 1)))
    if kind == 10:
        head = struct.pack(">BBI", draw(st.integers(0, 255)), draw(st.integers(0, 255)), stream_id)
        payload = draw(st.binary(max_size=30))
        return len(payload).to_bytes(3, "big") + head + payload
    return f.frame(draw(st.integers(0, 16)), draw(st.binary(max_size=12)), stream_id, draw(st.integers(0, 0x2F)))


def frame_sequences() -> st.SearchStrategy[bytes]:
    """Frames in any order, and at times something else."""
    return st.lists(st.one_of(one_frame(), one_frame(), one_frame(), st.binary(max_size=4)), max_size=12).map(b"".join)


def seeds() -> list[bytes]:
    """The frames of the cases of conformance that begin as others do."""
    return [case.sent for case in CASES if len(case.sent) < 600]


def check_frames(data: bytes, cuts: bytes) -> None:
    """Hold the invariant for what a client sends after its preface.

    :raises AssertionError: when it does not hold.
    """
    whole, apart = run([data]), run(cut(data, cuts))
    if whole is not None and apart is not None:
        assert whole == apart


def run(pieces: list[bytes]) -> list[object] | None:
    """Return what a server is told of pieces; ``None`` if it has reset a stream, or ended the connection."""
    served = Served(HTTP2Settings(max_concurrent_streams=STREAMS))
    connection = served.connection
    told: list[Event] = []
    for piece in pieces:
        told += connection.receive_data(piece, 0.0)
        assert connection.open_streams <= STREAMS
        served.flush()
        if connection.ended:
            assert connection.receive_data(OPENING, 0.0) == []
            break
    if served.resets or served.goaways or connection.ended:
        return None
    return [one for one in map(summary, told) if one is not None]


def summary(event: Event) -> object:
    """Return what an event says, but for the pieces that data came in."""
    if isinstance(event, RequestReceived):
        return (event.stream_id, event.head.method, event.head.target, tuple(event.head.headers), event.head.has_body)
    if isinstance(event, RequestRefused):
        return (event.stream_id, event.error.status_code)
    if isinstance(event, BodyEnded):
        return (event.stream_id, "end")
    assert not isinstance(event, DataReceived) or event.data
    return None
