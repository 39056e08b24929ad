"""An application that keeps to PEP 3333, inside two programs that check whether the server does."""

import sys
from collections.abc import Iterable
from typing import Any
from wsgiref.validate import validator

from probe import PLAIN, Environ
from webtest.lint import middleware


def conforming(environ: Environ, start_response: Any) -> Iterable[bytes]:
    name = environ["PATH_INFO"]
    if name == "/written":
        write = start_response("200 OK", PLAIN)
        write(b"one ")
        write(b"two ")
        return [b"three"]
    if name == "/replaced":
        start_response("200 OK", PLAIN)
        try:
            raise ValueError
        except ValueError:
            start_response("503 Service Unavailable", PLAIN, sys.exc_info())
        return [b"replaced"]
    if name == "/empty":
        start_response("204 No Content", [])
        return []
    if name == "/errors":
        environ["wsgi.errors"].write("written\n")
        environ["wsgi.errors"].writelines(["line\n"])
        environ["wsgi.errors"].flush()
    if name == "/file":
        start_response("200 OK", PLAIN)
        wrapper = environ["wsgi.file_wrapper"]
        return wrapper(open(__file__, "rb"))  # type: ignore[no-any-return]
    file = environ["wsgi.input"]
    match name:
        case "/read":
            data = file.read(5) + file.read(1000)
        case "/readline":
            data = file.readline() + file.readline(3) + file.read(1000)
        case "/readlines":
            data = b"".join(file.readlines())
        case "/iterated":
            data = b"".join(file)
        case _:
            data = b"Hello, world!\n"
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(data)))])
    return [data[:3], data[3:]]


validated = validator(conforming)
linted = middleware(conforming)
