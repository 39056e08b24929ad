"""WebSocket protocol of a server (RFC 6455): the opening handshake, and messages by bytes in and events out.

Nothing here knows a loop or a socket. ``websockets``, the library, reads and writes frames; it is needed as soon as one of
these modules but ``terms`` is imported.
"""
