"""HTTP/1.1 without input or output: bytes in, events out (RFC 9110, RFC 9112).

Nothing in this package knows asyncio, sockets or Gunicorn. The server and the
client share it.
"""
