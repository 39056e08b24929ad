"""Bytes of a request that an environ describes (PEP 3333 backwards)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

# What the server says of itself and of the way, whatever a test thinks.
_OF_THE_SERVER: Final = frozenset(
    (
        "SERVER_PROTOCOL",
        "SERVER_SOFTWARE",
        "aiohttp_worker.client_disconnected",
        "gunicorn.socket",
        "wsgi.early_hints",
        "wsgi.file_wrapper",
        "wsgi.input",
        "wsgi.input_terminated",
        "wsgi.multiprocess",
        "wsgi.multithread",
        "wsgi.run_once",
        "wsgi.version",
    )
)
# Framing follows from the body, and the connection is that of one request.
_OF_THE_FRAMING: Final = frozenset(("HTTP_TRANSFER_ENCODING", "HTTP_CONNECTION", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"))
_SAFE: Final = "/:@!$&'()*+,;=~"


def left_over(environ: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of *environ* that the application gets as they are: all but those of the server and of the framing."""
    left_out = _OF_THE_SERVER | _OF_THE_FRAMING | {"CONTENT_LENGTH"}
    return {name: value for name, value in environ.items() if name not in left_out}


def read_input(environ: Mapping[str, Any]) -> bytes:
    """Read the whole body of an environ."""
    file = environ.get("wsgi.input")
    length = str(environ.get("CONTENT_LENGTH") or "")
    if file is None:
        return b""
    if length:
        data = file.read(int(length))
    else:
        data = file.read() if environ.get("wsgi.input_terminated") else b""
    if not isinstance(data, bytes):
        raise TypeError(f"environ['wsgi.input'].read() returned {type(data).__name__}, expected bytes")
    return data


def request_head(environ: Mapping[str, Any], length: int | None) -> bytes:
    """Encode the head of the request that an environ describes (RFC 9112 section 3).

    :param length: bytes of the body; ``None`` if it comes in chunks.
    """
    method = str(environ.get("REQUEST_METHOD", "GET"))
    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}" or "/"
    query = str(environ.get("QUERY_STRING") or "")
    target = quote(path.encode("latin-1"), safe=_SAFE) + (f"?{query}" if query else "")
    fields: list[tuple[str, str]] = []
    if "HTTP_HOST" not in environ:
        fields.append(("Host", _host(environ)))
    for name, value in environ.items():
        if name.startswith("HTTP_") and name not in _OF_THE_FRAMING:
            fields.append((name[5:].replace("_", "-").title(), str(value)))
    if environ.get("CONTENT_TYPE"):
        fields.append(("Content-Type", str(environ["CONTENT_TYPE"])))
    if length is None:
        fields.append(("Transfer-Encoding", "chunked"))
    elif length or str(environ.get("CONTENT_LENGTH") or ""):
        fields.append(("Content-Length", str(length)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunks(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Encode a body, one chunk for each piece that is not empty (RFC 9112 section 7.1)."""
    for piece in pieces:
        if not isinstance(piece, bytes):
            raise TypeError(f"a body of a request consists of bytes, not of {type(piece).__name__}: {piece!r:.60}")
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _host(environ: Mapping[str, Any]) -> str:
    name = str(environ.get("SERVER_NAME") or "localhost")
    port = str(environ.get("SERVER_PORT") or "80")
    return name if port in ("80", "443") else f"{name}:{port}"
