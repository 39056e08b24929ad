"""The application's side of the test's Gate: wait here until the test says go."""

import asyncio
import socket
from typing import Any
from urllib.parse import parse_qs


def query(environ: dict[str, Any], name: str, default: str = "") -> str:
    """The value of a parameter in the query string."""
    return parse_qs(environ["QUERY_STRING"]).get(name, [default])[0]


def wait(environ: dict[str, Any], name: str = "gate") -> None:
    """Block the thread until the test opens the gate."""
    with socket.create_connection(("127.0.0.1", int(query(environ, name)))) as connection:
        connection.recv(1)


async def pass_through(environ: dict[str, Any], name: str = "gate") -> None:
    """Wait on the loop until the test opens the gate."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(query(environ, name)))
    try:
        await reader.read(1)
    finally:
        writer.close()
