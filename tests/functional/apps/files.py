"""Files of every kind, sent by the frameworks and by hand: ``/BY/KIND``."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import django
import flask
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.base import File as DjangoFile
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest
from django.urls import path
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wsgi import wrap_file

Environ = dict[str, Any]

LINES = b"".join(b"line %06d\n" % number for number in range(60_000))

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test", MIDDLEWARE=[])
django.setup()

_directory = tempfile.TemporaryDirectory()
_plain = Path(_directory.name, "plain")
_plain.write_bytes(LINES)


class Shouting(io.BufferedReader):
    """Reads otherwise than its descriptor."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size).upper()


def _packed(name: str, opener: Callable[..., Any]) -> Any:
    packed = Path(_directory.name, f"{name}-{os.getpid()}-{threading.get_ident()}")
    if not packed.exists():
        with opener(packed, "wb") as file:
            file.write(LINES)
    return opener(packed, "rb")


def _filled(file: Any) -> Any:
    file.write(LINES)
    file.seek(0)
    return file


def _member() -> Any:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.writestr("member", LINES)
    return zipfile.ZipFile(archive).open("member")


def _moved() -> Any:
    file = _plain.open("rb")
    file.seek(100_000)
    return file


KINDS: dict[str, Callable[[], Any]] = {
    "plain": lambda: _plain.open("rb"),
    "moved": _moved,
    "gzip": lambda: _packed("gzip", gzip.open),
    "bz2": lambda: _packed("bz2", bz2.open),
    "lzma": lambda: _packed("lzma", lzma.open),
    "zip": _member,
    "bytesio": lambda: io.BytesIO(LINES),
    "spooled": lambda: _filled(tempfile.SpooledTemporaryFile(1000)),
    "spooled-in-memory": lambda: _filled(tempfile.SpooledTemporaryFile()),
    "temporary": lambda: _filled(tempfile.NamedTemporaryFile()),
    "shouting": lambda: Shouting(io.FileIO(_plain)),
    "django": lambda: DjangoFile(_plain.open("rb")),
    "django-gzip": lambda: DjangoFile(_packed("gzip", gzip.open)),
    "django-content": lambda: ContentFile(LINES),
    "proc": lambda: open("/proc/version", "rb"),
}

flask_site = flask.Flask(__name__)


@flask_site.get("/<kind>")
def send(kind: str) -> Any:
    return flask.send_file(KINDS[kind](), "text/plain")


def respond(request: HttpRequest, kind: str) -> FileResponse:
    return FileResponse(KINDS[kind](), content_type="text/plain")


urlpatterns = [path("<kind>", respond)]


def by_hand(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """?length=N announces one, ?block=N is the block size, ?write=DATA comes before the file."""
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    file = KINDS[environ["PATH_INFO"][1:]]()
    length = query.get("length")
    write = start_response("200 OK", [("Content-Length", length)] if length else [])
    if "write" in query:
        write(query["write"].encode())
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file, int(query.get("block", 8192)))
    return wrapped


def by_werkzeug(environ: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return wrap_file(environ, KINDS[environ["PATH_INFO"][1:]]())


def in_middleware(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """A wrapper that extends the server's, and changes what it gives."""

    class Lower(environ["wsgi.file_wrapper"]):  # type: ignore[misc]
        def __next__(self) -> bytes:
            data: bytes = super().__next__()
            return data.replace(b"line", b"LINE")

    start_response("200 OK", [("Content-Type", "text/plain")])
    return Lower(KINDS[environ["PATH_INFO"][1:]]())


def text(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """A file that was opened as text."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    with _plain.open() as file:
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped


def missing(environ: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"missing"]


application = DispatcherMiddleware(
    missing,
    {
        "/flask": flask_site,
        "/django": get_wsgi_application(),
        "/hand": by_hand,
        "/werkzeug": by_werkzeug,
        "/middleware": in_middleware,
        "/text": text,
    },
)
