"""Settings that a server announces (RFC 9113 section 6.5.2), and the limits on the rate of frames of a peer."""

from __future__ import annotations

from dataclasses import dataclass

# RFC 9113 section 6.9.1
MOST_WINDOW = 0x7FFFFFFF


@dataclass(frozen=True)
class HTTP2Settings:
    """Gunicorn's ``http2_…`` settings, and how often a peer may do what costs work and asks for nothing.

    A rate is a pair: so many at once, and so many a second after that.

    :ivar max_header_list_size: of a request's fields as section 10.5.1 counts them, answered with 431; 0 for no limit.
    :ivar resets: streams that the peer opens and resets (CVE-2023-44487), or has reset by mistakes in them (CVE-2025-8671). Some
        clients, such as hyper-h2, reset a stream again for each frame that comes after they have reset it.
    :ivar glitches: frames that are malformed or mean nothing here, such as PRIORITY and unknown ones.
    :ivar control_frames: PING, SETTINGS, DATA without data, and WINDOW_UPDATE beyond one for each KiB of data that is sent.
    """

    max_concurrent_streams: int = 100
    initial_window_size: int = 65535
    max_frame_size: int = 16384
    max_header_list_size: int = 65536
    resets: tuple[int, int] = (1000, 33)
    glitches: tuple[int, int] = (1000, 100)
    control_frames: tuple[int, int] = (1000, 100)

    @property
    def connection_window(self) -> int:
        """Bytes that the window of the connection has, so that bodies that nobody reads do not hold up the others.

        It is twice what all streams may have on their way, because the engine gives credit back in portions of half a window.
        """
        return min(MOST_WINDOW, max(65535, 2 * self.max_concurrent_streams * self.initial_window_size))
