"""Memory of messages that come; the rules themselves are tried by test_server_connection.py."""

from __future__ import annotations

from aiohttp_worker.http2.allowance import Allowance
from aiohttp_worker.websocket.messages import MessageProtocol

from .frames import CONTINUATION, TEXT, frame


def test_frames_are_not_kept() -> None:
    """The library keeps the frames that it has read until somebody asks for them."""
    from websockets.protocol import OPEN

    protocol = MessageProtocol(Allowance(10, 1, 0.0), 0.0, state=OPEN)
    for _ in range(100):
        protocol.receive_data(frame(TEXT, b"a", final=False) + frame(CONTINUATION, b"b"))
    assert protocol.received == ["ab"] * 100
    assert protocol.events == [] and protocol.writes == []
