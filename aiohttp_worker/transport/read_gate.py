"""Pausing and resuming the reading of a transport."""

from __future__ import annotations

import asyncio


class ReadGate:
    """Gate in front of a transport's input: open or shut, however often it is told so.

    :ivar open: True if the transport is being read from.
    """

    __slots__ = ("_transport", "open")

    def __init__(self, transport: asyncio.ReadTransport) -> None:
        self._transport = transport
        self.open = True

    def shut(self) -> None:
        """Stop reading from the socket."""
        if self.open and not self._transport.is_closing():
            self.open = False
            self._transport.pause_reading()

    def reopen(self) -> None:
        """Read from the socket again."""
        if not self.open and not self._transport.is_closing():
            self.open = True
            self._transport.resume_reading()
