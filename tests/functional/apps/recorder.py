"""Takes what the agents of observability tools send, in a process of its own: an HTTP server that prints the names it finds.

    python recorder.py NAME ...

Its first line is its port. Of each request it prints the path and those of the names that the decoded body has.
"""

from __future__ import annotations

import http.server
import sys
import zlib
from typing import Any

import brotli

NAMES = [name.encode() for name in sys.argv[1:]]


def decode(data: bytes, coding: str) -> bytes:
    if coding in ("gzip", "deflate"):
        return zlib.decompressobj(47).decompress(data)
    if coding == "br":
        decoded: bytes = brotli.decompress(data)
        return decoded
    return data


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        data = decode(self.read_body(), self.headers.get("Content-Encoding", ""))
        print(self.path, *(name.decode() for name in NAMES if name in data), flush=True)
        self.answer(200)

    def do_PUT(self) -> None:
        self.do_POST()

    def do_GET(self) -> None:
        self.answer(404)  # this is no agent of a newer kind

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def answer(self, status_code: int) -> None:
        self.send_response(status_code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments: Any) -> None:
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
