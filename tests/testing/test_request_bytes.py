"""Requests made from an environ."""

from __future__ import annotations

import io

import pytest

from aiohttp_worker.testing.request_bytes import chunks, left_over, read_input, request_head


def test_the_least_environ() -> None:
    assert request_head({}, 0) == b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_everything_that_goes_into_a_head() -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/site",
        "PATH_INFO": "/\xc3\xa9 ?#%",
        "QUERY_STRING": "a=%20b",
        "HTTP_HOST": "example.org",
        "HTTP_X_REQUEST_ID": "7",
        "HTTP_CONNECTION": "close",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "99",
    }
    assert request_head(environ, 3).split(b"\r\n") == [
        b"POST /site/%C3%A9%20%3F%23%25?a=%20b HTTP/1.1",
        b"Host: example.org",
        b"X-Request-Id: 7",
        b"Content-Type: text/plain",
        b"Content-Length: 3",
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    ("environ", "length", "field"),
    [
        ({}, None, b"Transfer-Encoding: chunked"),
        ({"CONTENT_LENGTH": "0"}, 0, b"Content-Length: 0"),
        ({"SERVER_NAME": "example.org", "SERVER_PORT": "8080"}, 0, b"Host: example.org:8080"),
        ({"SERVER_NAME": "example.org", "SERVER_PORT": "443"}, 0, b"Host: example.org"),
    ],
)
def test_fields_that_follow(environ: dict[str, str], length: int | None, field: bytes) -> None:
    assert field in request_head(environ, length).split(b"\r\n")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, b""),
        ({"wsgi.input": io.BytesIO(b"abcdef"), "CONTENT_LENGTH": "3"}, b"abc"),
        ({"wsgi.input": io.BytesIO(b"abcdef"), "CONTENT_LENGTH": ""}, b""),
        ({"wsgi.input": io.BytesIO(b"abcdef"), "wsgi.input_terminated": True}, b"abcdef"),
    ],
    ids=["none", "length", "no length", "terminated"],
)
def test_input(environ: dict[str, object], expected: bytes) -> None:
    assert read_input(environ) == expected


def test_input_of_text() -> None:
    with pytest.raises(TypeError, match="returned str, expected bytes"):
        read_input({"wsgi.input": io.StringIO("abc"), "CONTENT_LENGTH": "3"})


def test_chunks() -> None:
    assert list(chunks([b"abc", b"", b"x" * 16])) == [b"3\r\nabc\r\n", b"10\r\n" + b"x" * 16 + b"\r\n", b"0\r\n\r\n"]


def test_chunks_of_text() -> None:
    with pytest.raises(TypeError, match="consists of bytes, not of str: 'abc'"):
        list(chunks(["abc"]))  # type: ignore[list-item]


def test_left_over() -> None:
    environ = {"REMOTE_USER": "me", "wsgi.errors": 1, "wsgi.input": 2, "CONTENT_LENGTH": "3", "SERVER_PROTOCOL": "HTTP/1.0"}
    assert left_over(environ) == {"REMOTE_USER": "me", "wsgi.errors": 1}
