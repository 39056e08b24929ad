"""``files=``: what a part is called, and what is not a file."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from multidict import MultiDict

import aiohttp
from aiohttp.multipart import make_multipart

from .raw_server import RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def body(files: Any, data: Any = None, encoding: str = "utf-8") -> bytes:
    return b"".join([bytes(piece) async for piece in make_multipart(data, files, encoding).pieces()])


def parts(whole: bytes) -> list[tuple[str, str | None, bytes]]:
    """Disposition, type and content of each part."""
    boundary = whole.split(b"\r\n", 1)[0]
    found = []
    for part in whole.split(boundary)[1:-1]:
        head, _, content = part[2:-2].partition(b"\r\n\r\n")
        kind = re.search(rb"Content-Type: (.*)", head)
        disposition = re.search(rb"form-data; (.*)", head)
        assert disposition is not None
        found.append((disposition[1].decode().strip(), kind[1].decode().strip() if kind else None, content))
    return found


TEXT, OCTETS = "text/plain", "application/octet-stream"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"f": (None, "value")}, [('name="f"', None, b"value")]),
        ({"f": [None, "value"]}, [('name="f"', None, b"value")]),
        ([("f", (None, b"value"))], [('name="f"', None, b"value")]),
        ({"f": (None, "{}", "application/json")}, [('name="f"', "application/json", b"{}")]),
        ({"f": (None, "x", None, {"X": "y"})}, [('name="f"', None, b"x")]),
        (lambda: {"f": (None, io.BytesIO(b"x"))}, [('name="f"', None, b"x")]),
        ({"f": ("", b"x")}, [('name="f"; filename=""', OCTETS, b"x")]),
        ({"f": ("a.txt", "x")}, [('name="f"; filename="a.txt"', TEXT, b"x")]),
        (
            lambda: {"f": [("a.txt", "x"), ("b.bin", b"y", TEXT), io.BytesIO(b"z")]},
            [('name="f"; filename="a.txt"', TEXT, b"x"), ('name="f"; filename="b.bin"', TEXT, b"y"),
             ('name="f"; filename="f"', OCTETS, b"z")],
        ),
        ([("f", [b"x", b"y"])], [('name="f"; filename="f"', OCTETS, b"x"), ('name="f"; filename="f"', OCTETS, b"y")]),
        ({"f": []}, []),
        (
            MultiDict([("f", ("a", b"x")), ("f", ("b", b"y"))]),
            [('name="f"; filename="a"', OCTETS, b"x"), ('name="f"; filename="b"', OCTETS, b"y")],
        ),
        ({"f": ("a", b"x")}.items(), [('name="f"; filename="a"', OCTETS, b"x")]),
        (b"x", [('name="unknown"; filename="unknown"', OCTETS, b"x")]),
        ({"ü": ("€", b"x")}, [('name="ü"; filename="€"', OCTETS, b"x")]),
    ],
)  # fmt: skip
def test_parts(run: Any, files: Any, expected: Any) -> None:
    whole = run(lambda: body(files() if callable(files) else files))
    assert parts(whole) == expected
    assert whole.endswith(b"--\r\n")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"f": None}, "field 'f' has no file, but None"),
        ({"f": ("n", None)}, "field 'f' has no file, but None"),
        ({"f": {"a": 1}}, "field 'f' has no file, but dict"),
        ({"f": ("n", ["secret"])}, "field 'f' has no file, but list"),
        ({"f": ("n",)}, r"field 'f' is given as .* not as \(str\)"),
        ({"f": ("n", b"x", "t", {}, 5)}, r"not as \(str, bytes, str, dict, int\)"),
        ({"f": [["a", b"x"]]}, "not of lists"),
        ({"f": (b"n", b"x")}, "file name in the field 'f' must be str or None, not bytes"),
        ({5: b"x"}, "name of a field with a file must be str, not int"),
        ([("f", b"x", "t", "secret")], r"not as \(str, bytes, str, str\)"),
        ({"f": ("n", b"x", "t", {"a b": "c"})}, "not the name of a field: 'a b'"),
        ({"f": ("n", b"x", "t\r\nX: y")}, r"field Content-Type cannot have '\\r'"),
        (5, "int"),
    ],
)
def test_refused(files: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        make_multipart(None, files, "utf-8")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("files", [{}, [], (), MultiDict()])
@pytest.mark.parametrize(("data", "kind"), [({"a": "b"}, b"x-www-form-urlencoded"), (b"raw", b"octet-stream"), (None, None)])
def test_no_files_are_no_multipart(run: Any, files: Any, data: Any, kind: bytes | None) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            async with aiohttp.request("POST", server.url, files=files, data=data):
                assert server.bodies[0] == {b"octet-stream": b"raw", None: b""}.get(kind, b"a=b")
                assert (kind or b"Content-Type") in server.heads[0] or kind is None
                assert b"multipart" not in server.heads[0]
            async with aiohttp.request("POST", server.url, files=files, json=[]):
                assert server.bodies[1] == b"[]"

    run(main)


def test_a_file_that_says_it_is_empty(run: Any) -> None:
    class Counted(io.BytesIO):
        def __len__(self) -> int:
            return 0

    async def main() -> None:
        async with RawServer(OK) as server:
            async with aiohttp.request("POST", server.url, files=Counted(b"content")):
                assert b"\r\n\r\ncontent\r\n" in server.bodies[0]

    run(main)


def test_the_name_of_a_file_in_octets(run: Any, tmp_path: Any) -> None:
    path = str(tmp_path).encode() + b"/\xff.txt"
    with open(path, "wb+") as file:
        assert b'filename="\xff.txt"' in run(lambda: body({"f": file}))


NOTHING: list[Any] = [None, {"b": 1}, {1}, object(), iter([]), lambda: 1]


@pytest.mark.parametrize("value", NOTHING, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("where", ["params", "data", "cookies", "files"])
def test_a_value_that_has_no_text(run: Any, where: str, value: Any) -> None:
    """None, and what Python can only describe, is in nobody's query, form or cookie."""

    async def main() -> None:
        async with RawServer(OK) as server:
            options: dict[str, Any] = {where: {"a": value}}
            if where == "files":
                options = {"files": {"f": b"x"}, "data": {"a": value}}
            with pytest.raises(ValueError, match="a value for 'a' is"):
                await aiohttp.request("POST", server.url, **options)
            if where in ("params", "data"):
                with pytest.raises(ValueError, match="a value for 'a name' is"):
                    await aiohttp.request("POST", server.url, **{where: [(value, "x")]})
                with pytest.raises(ValueError, match="a value for 'a' is"):
                    await aiohttp.request("POST", server.url, **{where: {"a": ["x", value]}})
            assert server.peers == []

    run(main)


def test_values_that_have_a_text(run: Any) -> None:
    from decimal import Decimal
    from pathlib import PurePosixPath
    from uuid import UUID

    async def main() -> None:
        async with RawServer(OK) as server:
            values = [
                1,
                1.5,
                True,
                Decimal("1.10"),
                PurePosixPath("/a"),
                UUID(int=5),
                "ü",
                b"\xff",
                bytearray(b"x"),
                memoryview(b"y"),
            ]
            async with aiohttp.request(
                "POST", server.url, params={"a": values}, data={"a": values}, cookies={"a": Decimal("1.10")}
            ):
                query = b"a=1&a=1.5&a=True&a=1.10&a=%2Fa&a=00000000-0000-0000-0000-000000000005&a=%C3%BC&a=%FF&a=x&a=y"
                assert server.heads[0].startswith(b"POST /?" + query + b" ")
                assert server.bodies[0] == query
                assert b"\r\nCookie: a=1.10\r\n" in server.heads[0]

    run(main)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")], {"a": {"b": [float("nan")]}}, {float("nan"): 1}])
def test_json_has_no_nan(run: Any, value: Any) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            with pytest.raises(ValueError, match=r"json cannot be sent: .*not JSON compliant"):
                await aiohttp.request("POST", server.url, json=value)
            assert server.peers == []

    run(main)
