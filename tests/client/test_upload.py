"""Files of every kind as a body: a length only where it can be known, and each byte that a read gives."""

from __future__ import annotations

import array
import bz2
import gzip
import io
import lzma
import mmap
import os
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aiohttp
from aiohttp.upload import FileBody, measure, plain_file

from .raw_server import RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WHOLE = bytes(range(256)) * 1200  # more than one piece, and much less when packed


class Upper(io.BufferedReader):
    """A filter over a file."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size).replace(b"a", b"AA")


class Slow(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(10)


class Bare:
    """No more than a ``read``."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        return piece


class Telling(Bare):
    """One that says where it is, but cannot go anywhere else."""

    def tell(self) -> int:
        return 7


def packed_by(module: Any) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        with module.open(folder / "packed", "wb") as file:
            file.write(WHOLE)
        return module.open(folder / "packed", "rb")

    return make


def member_of_a_tar(folder: Path) -> Any:
    with tarfile.open(folder / "x.tar", "w:gz") as archive:
        member = tarfile.TarInfo("member")
        member.size = len(WHOLE)
        archive.addfile(member, io.BytesIO(WHOLE))
    archive = tarfile.open(folder / "x.tar")
    opened = archive.extractfile("member")
    assert opened is not None
    opened.archive = archive  # type: ignore[attr-defined]  # which closes with it
    return opened


def member_of_a_streamed_tar(folder: Path) -> Any:
    member_of_a_tar(folder).archive.close()
    archive = tarfile.open(folder / "x.tar", "r|gz")
    member = archive.next()
    assert member is not None
    opened = archive.extractfile(member)
    assert opened is not None
    opened.archive = archive  # type: ignore[attr-defined]
    return opened


def member_of_a_zip(folder: Path) -> Any:
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", WHOLE)
    archive = zipfile.ZipFile(folder / "x.zip")
    opened = archive.open("member")
    opened.archive = archive  # type: ignore[attr-defined]
    return opened


def piped(make: Callable[[int], Any]) -> Any:
    reading, writing = os.pipe()

    def fill() -> None:
        with open(writing, "wb") as file:
            file.write(WHOLE)

    threading.Thread(target=fill).start()
    return make(reading)


def a_fifo(folder: Path) -> Any:
    os.mkfifo(folder / "fifo")

    def fill() -> None:
        with (folder / "fifo").open("wb") as file:
            file.write(WHOLE)

    threading.Thread(target=fill).start()
    return (folder / "fifo").open("rb")


def mapped(folder: Path) -> Any:
    (folder / "plain").write_bytes(WHOLE)
    with (folder / "plain").open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def overridden(folder: Path) -> Any:
    file = io.BufferedReader(io.FileIO(write(folder, b"xx")))
    rest = [WHOLE]
    file.read = lambda size=-1: rest.pop() if rest else b""  # type: ignore[method-assign,assignment]
    return file


def write(folder: Path, data: bytes) -> str:
    (folder / "plain").write_bytes(data)
    return str(folder / "plain")


def spooled(size: int) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=size)
    file.write(WHOLE)
    file.seek(0)
    return file


def temporary() -> Any:
    file = tempfile.NamedTemporaryFile()
    file.write(WHOLE)
    file.seek(0)
    return file


def unflushed(folder: Path) -> Any:
    """Opened for both; the last write is still in its buffer when the body is made."""
    file = open(write(folder, WHOLE[:-3]), "r+b")
    file.seek(0, os.SEEK_END)
    file.write(WHOLE[-3:])
    os.lseek(file.fileno(), 0, os.SEEK_CUR)
    file.seek(0)
    return file


UNMEASURED: dict[str, tuple[Callable[[Path], Any], bytes]] = {
    "gzip": (packed_by(gzip), WHOLE),
    "bz2": (packed_by(bz2), WHOLE),
    "lzma": (packed_by(lzma), WHOLE),
    "tar": (member_of_a_tar, WHOLE),
    "streamed tar": (member_of_a_streamed_tar, WHOLE),
    "zip": (member_of_a_zip, WHOLE),
    "fifo": (a_fifo, WHOLE),
    "pipe": (lambda folder: piped(lambda reading: open(reading, "rb")), WHOLE),
    "unbuffered pipe": (lambda folder: piped(lambda reading: open(reading, "rb", buffering=0)), WHOLE),
    "filter": (lambda folder: Upper(io.FileIO(write(folder, b"banana" * 20_000))), b"bAAnAAnAA" * 20_000),
    "overridden": (overridden, WHOLE),
    "subclass of BytesIO": (lambda folder: Slow(WHOLE[:1000]), WHOLE[:1000]),
    "bare": (lambda folder: Bare(WHOLE), WHOLE),
    "telling": (lambda folder: Telling(WHOLE), WHOLE),
    "text": (lambda folder: open(write(folder, "ü\r\n€".encode()), encoding="utf-8"), "ü\n€".encode()),
    "temporary text": (lambda folder: text_in_a_temporary_file(), "ü€".encode()),
    "mmap": (mapped, WHOLE),
    "buffered BytesIO": (lambda folder: io.BufferedReader(io.BytesIO(WHOLE)), WHOLE),  # type: ignore[arg-type]
    "/proc": (lambda folder: open("/proc/self/limits", "rb"), Path("/proc/self/limits").read_bytes()),
}


def text_in_a_temporary_file() -> Any:
    file = tempfile.NamedTemporaryFile("w+", encoding="utf-8")
    file.write("ü€")
    file.seek(0)
    return file


PLAIN: dict[str, Callable[[Path], Any]] = {
    "open": lambda folder: open(write(folder, WHOLE), "rb"),
    "unbuffered": lambda folder: open(write(folder, WHOLE), "rb", buffering=0),
    "both ways": unflushed,
    "BytesIO": lambda folder: io.BytesIO(WHOLE),
    "spooled in memory": lambda folder: spooled(len(WHOLE) * 2),
    "spooled in a file": lambda folder: spooled(10),
    "temporary": lambda folder: temporary(),
}


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Make a file and close it in the end, with the archive that it is in."""
    made: list[Any] = []

    def make_it(how: Callable[[Path], Any]) -> Any:
        made.append(how(tmp_path))
        return made[-1]

    yield make_it
    for file in made:
        archive = getattr(file, "archive", None)
        if hasattr(file, "close"):
            file.close()
        if archive is not None:
            archive.close()


@pytest.mark.parametrize("kind", UNMEASURED)
@pytest.mark.parametrize("how", ["data", "files", "compress", "1.0"])
def test_read_to_the_end(run: Any, make: Any, kind: str, how: str) -> None:
    opened, expected = UNMEASURED[kind]

    async def main() -> None:
        async with RawServer(OK) as server:
            file = make(opened)
            options: dict[str, Any] = {"files": {"f": ("n", file)}} if how == "files" else {"data": file}
            if how == "compress":
                options["compress"] = "gzip"
            elif how == "1.0":
                options["version"] = "1.0"
            async with aiohttp.request("POST", server.url, **options) as response:
                assert await response.read() == b"ok"
            head, body = server.heads[0].lower(), server.bodies[0]
            if how == "files":
                assert b"\r\n\r\n" + expected + b"\r\n--" in body
            else:
                assert (gzip.decompress(body) if how == "compress" else body) == expected
            if how == "1.0":
                assert b"content-length: %d\r\n" % len(expected) in head
            else:
                assert b"transfer-encoding: chunked" in head
                assert b"content-length" not in head

    run(main)


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("how", ["data", "files"])
@pytest.mark.parametrize("skipped", [0, 5])
def test_a_plain_file_has_a_length(run: Any, make: Any, kind: str, how: str, skipped: int) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            file = make(PLAIN[kind])
            file.seek(skipped)
            options: dict[str, Any] = {"files": {"f": ("n", file)}} if how == "files" else {"data": file}
            async with aiohttp.request("POST", server.url, **options) as response:
                assert await response.read() == b"ok"
            assert b"content-length: " in server.heads[0].lower()
            if how == "data":
                assert server.bodies[0] == WHOLE[skipped:]
            else:
                assert b"\r\n\r\n" + WHOLE[skipped:] + b"\r\n--" in server.bodies[0]

    run(main)


@pytest.mark.parametrize("path", ["/sys/kernel/mm/transparent_hugepage/enabled", "/sys/devices/system/cpu/online"])
def test_sysfs_has_no_length(path: str) -> None:
    """Its files say 4096."""
    if not os.access(path, os.R_OK):
        pytest.skip(f"{path} is not there")
    with open(path, "rb") as file:
        assert measure(file) is None


def test_an_empty_file_has_a_length(tmp_path: Path) -> None:
    with open(write(tmp_path, b""), "rb") as file:
        assert FileBody(file, None, "utf-8").length == 0
        file.seek(5)
        assert FileBody(file, None, "utf-8").length == 0


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_a_device_has_no_length(name: str) -> None:
    with open(name, "rb") as file:
        assert FileBody(file, None, "utf-8").length is None


def test_what_is_plain(tmp_path: Path) -> None:
    class Mine(io.FileIO):
        pass

    with open(write(tmp_path, WHOLE), "rb") as file, Mine(file.fileno(), closefd=False) as mine:
        assert plain_file(file) is file
        assert plain_file(mine) is None
        with io.BufferedReader(mine) as over:
            assert plain_file(over) is None
    assert plain_file(io.StringIO()) is None


def test_a_packed_file_is_sent_again(run: Any, make: Any) -> None:
    """From where it was, after a redirect that asks for the same request."""

    async def main() -> None:
        redirect = b"HTTP/1.1 307 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"
        async with RawServer([redirect, OK]) as server:
            file = make(packed_by(gzip))
            file.seek(5)
            async with aiohttp.request("PUT", server.url, data=file) as response:
                assert response.status == 200
            assert server.bodies == [WHOLE[5:], WHOLE[5:]]
        async with RawServer([redirect, OK]) as server:
            with pytest.raises(aiohttp.ClientConnectionError, match="cannot be sent again"):
                await aiohttp.request("PUT", server.url, data=Telling(WHOLE))
            assert server.bodies == [WHOLE]

    run(main)


@pytest.mark.parametrize("size", [10, 300_000])
def test_where_a_file_is_afterwards(run: Any, tmp_path: Path, size: int) -> None:
    """At its end, whoever sent it: given again, it is an empty body each time, and not a copy of the first one."""

    async def main(file: Any) -> None:
        async with RawServer(OK) as server:
            for left in (size - 3, 0):
                async with aiohttp.request("POST", server.url, data=file) as response:
                    assert await response.read() == b"ok"
                assert len(server.bodies[-1]) == left
                assert file.tell() == size

    with open(write(tmp_path, bytes(size)), "rb") as file:
        file.seek(3)
        run(lambda: main(file))


def test_one_file_twice_in_a_form(run: Any, make: Any) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            file = make(PLAIN["open"])
            async with aiohttp.request("POST", server.url, files=[("a", ("a", file)), ("b", ("b", file))]):
                assert server.bodies[0].count(WHOLE) == 2

    run(main)


@pytest.mark.parametrize("now", [len(WHOLE) * 20 - 1000, len(WHOLE) * 20 + 1000, 0])
@pytest.mark.parametrize("how", ["data", "files", "chunked", "compress"])
def test_a_file_that_changes_while_it_is_sent(run: Any, tmp_path: Path, now: int, how: str) -> None:
    """It shrinks, or grows, as a log does: an error that says so, whichever way it is sent."""
    path = Path(write(tmp_path, WHOLE * 20))

    def change(method: str, url: str) -> str:
        # The body is made before anybody is asked who he is.
        os.truncate(path, now)
        return "Token x"

    async def main(file: Any) -> None:
        async with RawServer(OK) as server:
            options: dict[str, Any] = {"files": {"f": file}} if how == "files" else {"data": file}
            if how == "chunked":
                options["chunked"] = True
            elif how == "compress":
                options["compress"] = True
            said = f"plain' changed while it was sent: it had {len(WHOLE) * 20} bytes, then {now}"
            with pytest.raises(ValueError, match=said):
                await aiohttp.request("POST", server.url, auth=change, **options)

    with path.open("rb") as file:
        run(lambda: main(file))


@pytest.mark.parametrize("now", [0, 3, 7])
def test_a_small_file_that_changes(run: Any, tmp_path: Path, now: int) -> None:
    for old in (b"12345", b""):
        if len(old) == now:
            continue
        path = Path(write(tmp_path, old))

        async def main(path: Path = path, old: bytes = old) -> None:
            async with RawServer(OK) as server:
                with path.open("rb") as file:
                    auth = lambda method, url: str(os.truncate(path, now))
                    with pytest.raises(ValueError, match=f"it had {len(old)} bytes, then {now}"):
                        await aiohttp.request("POST", server.url, data=file, auth=auth)

        run(main)


def test_memory_that_changes(run: Any) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            memory = io.BytesIO(b"12345")
            with pytest.raises(ValueError, match="a BytesIO changed while it was sent: it had 5 bytes, then 2; 2 of 5 bytes"):
                await aiohttp.request("POST", server.url, data=memory, auth=lambda *_: str(memory.truncate(2)))

    run(main)


def test_a_file_that_cannot_be_read_is_refused_at_once(run: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with RawServer(OK) as server:
            with (tmp_path / "out").open("wb") as file:
                with pytest.raises(ValueError, match="out' cannot be sent: the file is not open for reading"):
                    await aiohttp.request("POST", server.url, data=file)
            with pytest.raises(ValueError, match="out' cannot be sent: the file is closed"):
                await aiohttp.request("POST", server.url, files={"f": file})
            assert server.peers == []

    run(main)


def test_a_pipe_that_does_not_block(run: Any) -> None:
    """That nothing is there now is not its end."""

    async def main() -> None:
        async with RawServer(OK) as server:
            with pytest.raises(ValueError, match="does not block, and has nothing to read now"):
                await aiohttp.request("POST", server.url, data=file)

    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb", buffering=0) as file, open(writing, "wb"):
        run(main)


def test_a_read_that_gives_something_else(run: Any) -> None:
    class Odd:
        def read(self, size: int) -> Any:
            return 5

    async def main() -> None:
        async with RawServer(OK) as server:
            with pytest.raises(ValueError, match="must be bytes, not int"):
                await aiohttp.request("POST", server.url, data=Odd())

    run(main)


def test_a_length_of_the_users_own(run: Any, make: Any) -> None:
    """Who knows how long the content of a packed file is may say so; what is not true is an error."""

    async def main() -> None:
        async with RawServer(OK) as server:
            for length, right in ((len(WHOLE), True), (len(WHOLE) - 1, False), (len(WHOLE) + 1, False)):
                file = make(packed_by(gzip))
                headers = {"Content-Length": str(length)}
                if right:
                    async with aiohttp.request("POST", server.url, data=file, headers=headers):
                        assert server.bodies[0] == WHOLE
                else:
                    with pytest.raises(ValueError, match=str(length)):
                        await aiohttp.request("POST", server.url, data=file, headers=headers)

    run(main)


class Views(io.BytesIO):
    """A file that gives views of numbers."""

    def read(self, size: int | None = -1, /) -> Any:
        return memoryview(array.array("I", super().read(None if size is None else size // 4 * 4)))


@pytest.mark.parametrize("how", ["data", "pieces", "async", "generator", "file", "files", "compress", "http10"])
@pytest.mark.parametrize("numbers", [2, 50000, 300000])
@pytest.mark.parametrize("step", [1, 2])
def test_a_view_of_numbers_is_its_octets(run: Any, how: str, numbers: int, step: int) -> None:
    """A view counts elements, which may be larger than an octet, or not side by side; a body counts octets."""
    view = memoryview(array.array("I", range(numbers)))[::step]
    octets = view.tobytes()

    async def pieces() -> Any:
        yield view

    def generator() -> Any:
        yield view

    options: dict[str, Any] = {
        "data": lambda: {"data": view},
        "pieces": lambda: {"data": iter([view])},
        "async": lambda: {"data": pieces()},
        "generator": lambda: {"data": generator()},
        "file": lambda: {"data": Views(octets)},
        "files": lambda: {"files": {"a": view}},
        "compress": lambda: {"data": iter([view]), "compress": True},
        "http10": lambda: {"data": pieces(), "version": (1, 0)},
    }[how]()

    async def main() -> None:
        async with RawServer(OK) as server, aiohttp.request("POST", server.url, **options) as response:
            assert await response.read() == b"ok"
        received = server.bodies[0]
        if how == "files":
            assert received.count(octets) == 1
        else:
            assert (zlib.decompress(received) if how == "compress" else received) == octets

    run(main)
