"""Settings that an HTTP/2 server announces, and the windows that follow from them."""

from __future__ import annotations

import struct

import pytest

from aiohttp_worker.http2.settings import HTTP2Settings

from .frames import SETTINGS, WINDOW_UPDATE
from .serving import Served


@pytest.mark.parametrize(
    ("streams", "window", "of_connection"), [(100, 65535, 13107000), (1, 1000, 65535), (1000, 1 << 30, (1 << 31) - 1)]
)
def test_all_streams_fit_into_the_window_of_the_connection(streams: int, window: int, of_connection: int) -> None:
    settings = HTTP2Settings(max_concurrent_streams=streams, initial_window_size=window)
    assert settings.connection_window == of_connection


def test_they_are_announced() -> None:
    served = Served(HTTP2Settings(7, 70000, 20000, 7000), opening=b"")
    announced, window = served.frames
    assert announced.type == SETTINGS
    pairs = dict(struct.iter_unpack(">HI", announced.payload))
    assert pairs == {3: 7, 4: 70000, 5: 20000, 6: 7000, 9: 1}
    assert (window.type, int.from_bytes(window.payload, "big")) == (WINDOW_UPDATE, 2 * 7 * 70000 - 65535)


def test_no_limit_of_header_lists_is_not_announced() -> None:
    served = Served(HTTP2Settings(max_header_list_size=0), opening=b"")
    assert 6 not in dict(struct.iter_unpack(">HI", served.frames[0].payload))
