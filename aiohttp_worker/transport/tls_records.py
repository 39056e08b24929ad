"""TLS records (RFC 8446 section 5) in memory, after the handshake.

What waits for a slow client waits as it was handed in, and is encrypted when it
can leave.
"""

from __future__ import annotations

import ssl
from collections import deque
from typing import Final

MOST_IN_RECORD: Final = 16384  # bytes of plaintext (RFC 8446 section 5.1)
_MOST_SEALED: Final = 64 * 1024  # plaintext that is encrypted for one system call
_MOST_TAKEN: Final = 64 * 1024  # ciphertext at a time: OpenSSL keeps a buffer as large as it ever was


class RecordLayer:
    """Both directions of a connection.

    :param tls: after its handshake, reading from *incoming*, writing to *outgoing*.
    :ivar ended: the peer has said close_notify.
    :ivar failure: what made it impossible to go on, or ``None``.
    :ivar outgoing: encrypted bytes that :meth:`seal` will return. After
        receiving, answers: to new keys (section 4.6.3), or an alert.
    :ivar waiting: bytes that were written and are not encrypted.
    """

    __slots__ = ("_decrypt", "_encrypt", "_incoming", "_queue", "ended", "failure", "outgoing", "tls", "waiting")

    def __init__(self, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self.tls = tls
        self._incoming = incoming
        self.outgoing = outgoing
        self._encrypt = tls.write
        self._decrypt = tls.read
        self._queue: deque[bytes | memoryview] = deque()
        self.waiting = 0
        self.ended = False
        self.failure: ssl.SSLError | None = None

    def receive(self, data: bytes | memoryview) -> bytes:
        """Return all that can be decrypted now: nothing is kept back unseen.

        Sets ``ended`` or ``failure`` when that comes behind it.

        :param data: as received; may be empty, for what came with the handshake.
        """
        if len(data) <= _MOST_TAKEN:
            return self._decrypt_all(data)
        view = memoryview(data)
        return b"".join([self._decrypt_all(view[start : start + _MOST_TAKEN]) for start in range(0, len(view), _MOST_TAKEN)])

    def _decrypt_all(self, data: bytes | memoryview) -> bytes:
        if self.ended or self.failure is not None:
            return b""
        pieces: list[bytes] = []
        incoming = self._incoming
        try:
            incoming.write(data)
            while True:
                piece = self._decrypt(MOST_IN_RECORD)
                if not piece:
                    self.ended = True
                    break
                pieces.append(piece)
                # A record is read as a whole, so OpenSSL keeps nothing of it.
                if not incoming.pending:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.failure = error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, data: bytes) -> None:
        """Take *data*, to be sent behind what was taken before."""
        self._queue.append(data)
        self.waiting += len(data)

    def seal_alone(self, data: bytes) -> bytes:
        """Encrypt *data*, when nothing waits before it, and return what can be sent."""
        try:
            self._encrypt(data)
        except ssl.SSLWantReadError:
            self.write(data)
        except ssl.SSLError as error:
            self.failure = error
        return self.outgoing.read()

    def seal(self) -> bytes:
        """Return the next encrypted bytes to send; sets ``failure``.

        Empty when there are none, or none before the peer has said more: keys
        are agreed on anew (RFC 5246 section 7.4.1.1).
        """
        queue = self._queue
        room = _MOST_SEALED
        try:
            while queue and room > 0:
                data = queue[0]
                size = self._encrypt(data if len(data) <= room else memoryview(data)[:room])
                self.waiting -= size
                room -= size
                if size < len(data):
                    queue[0] = memoryview(data)[size:]
                else:
                    queue.popleft()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.failure = error
        return self.outgoing.read()

    def end(self) -> None:
        """Say that nothing follows, so that a cut cannot be taken for the end (section 6.1)."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass  # the peer's own close_notify is not there, and is not waited for

    def clear(self) -> None:
        """Let go what waits."""
        self._queue.clear()
        self.waiting = 0
