"""Bytes to and from sockets; nothing here knows HTTP."""
