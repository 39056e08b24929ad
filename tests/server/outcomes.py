"""Outcome of a case of ``arguments``, in one line."""

from __future__ import annotations

import http.client
import io
import re
from typing import Any

_OWN = {"date", "server", "connection", "transfer-encoding", "content-length"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def outcome(raw: bytes, logged: str = "") -> str:
    """Say what was sent, as ``200 OK X-A: b 'data'``, or which exception was raised.

    :param raw: all that the client got, interim responses included.
    :param logged: the error, where the server answered or cut.
    """
    hints = ""
    while raw.startswith(b"HTTP/1.1 103 "):
        head, _, raw = raw.partition(b"\r\n\r\n")
        hints += " ".join(["103", *head.decode().split("\r\n")[1:], ""])
    response = http.client.HTTPResponse(_Socket(raw))  # type: ignore[arg-type]
    try:
        response.begin()
    except http.client.HTTPException as error:
        return f"no response: {type(error).__name__}"
    try:
        body, cut = response.read(), False
    except http.client.IncompleteRead as error:
        body, cut = error.partial, True
    text = body.decode("latin-1")
    if response.status == 299:
        said = text
    elif cut:
        said = f"cut {text!r}: {logged}".rstrip(": ")
    elif response.status == 500 and "Internal Server Error" in text:
        said = f"500: {logged}".rstrip(": ")
    else:
        fields = [f"{name}: {value} " for name, value in _fields(response)]
        said = f"{hints}{response.status} {response.reason} {''.join(fields)}{text!r}"
    return _ADDRESS.sub("", said)


def _fields(response: Any) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in response.getheaders()
        if name.lower() not in _OWN and (name, value) != ("Content-Type", "text/plain")
    ]
