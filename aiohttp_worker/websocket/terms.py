"""Terms of a WebSocket: what a server agrees to in the handshake, and what it bears afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """Terms that a server offers.

    :ivar subprotocols: that the server speaks, the one that it likes most first.
    :ivar origins: pages that may connect, as in ``https://example.com``, or patterns that match in full; ``None`` among them
        for clients that send no ``Origin``. ``None`` instead of them: any page of any site may, with the cookies of whoever
        looks at it.
    :ivar compression: whether permessage-deflate (RFC 7692) is agreed to. The windows are 4 KiB then, in both directions.
    :ivar max_message_size: bytes of one message, decompressed; a longer one ends the connection with 1009.
    :ivar idle_frames: how many frames that carry nothing (pings, pongs, empty messages and fragments) may come at once; more
        end the connection with 1002.
    :ivar idle_frame_rate: how many of them may come each second, in the long run.
    """

    subprotocols: tuple[str, ...] = ()
    origins: tuple[str | re.Pattern[str] | None, ...] | None = None
    compression: bool = True
    max_message_size: int = 1024 * 1024
    idle_frames: int = 100
    idle_frame_rate: int = 10
