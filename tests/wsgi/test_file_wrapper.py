"""``wsgi.file_wrapper``: the bytes that ``read()`` gives are sent, those of plain files by the kernel."""

from __future__ import annotations

import bz2
import codecs
import enum
import functools
import gzip
import io
import lzma
import mmap
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.base import File as DjangoFile
from django.core.files.uploadedfile import UploadedFile
from werkzeug.datastructures import FileStorage

from aiohttp_worker.wsgi.file_wrapper import FileWrapper, plain_file, regular_part
from tests.server.fakes import GET, FakeServer

_KEPT: list[Any] = []
TEXT = b"".join(b"line %d\n" % number for number in range(20_000))


def kept(file: Any) -> Any:
    """Have something closed after the test: of what is left to the garbage collector, Python complains."""
    _KEPT.append(file)
    return file


@pytest.fixture(autouse=True)
def all_closed() -> Iterator[None]:
    yield
    while _KEPT:
        _KEPT.pop().close()


class Upper(io.BufferedReader):
    """Reads otherwise than the file below it."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size).upper()


class UpperBelow(io.FileIO):
    def readinto(self, buffer: Any, /) -> int:
        data = super().read(len(buffer)).upper()
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return super().readall().upper()


class UpperRaw(io.FileIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size).upper()


class DeletedOnClose(io.FileIO):
    """Does more than a file, but does not read otherwise."""

    def close(self) -> None:
        if not self.closed:
            os.unlink(self.name)
        super().close()


class Counted:
    """Not one of the standard library's; has a descriptor."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.fileno, self.tell, self.close = self._file.fileno, self._file.tell, self._file.close
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        self.count += 1
        return self._file.read(size).upper()


class Carrier:
    """Hands out the ``read`` of the file that it carries, as Werkzeug's and Django's wrappers do."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def patched(path: Path) -> Any:
    file: Any = path.open("rb")
    file.read = lambda size=-1: io.BufferedReader.read(file, size).upper()
    return file


def patched_below(path: Path) -> Any:
    raw: Any = io.FileIO(path)

    def readinto(buffer: Any) -> int:
        data = io.FileIO.read(raw, len(buffer)).upper()
        buffer[: len(data)] = data
        return len(data)

    raw.readinto = readinto
    raw.readall = lambda: io.FileIO.readall(raw).upper()
    return io.BufferedReader(raw)


def wrapped_by_functools(path: Path) -> Any:
    """A function that says of itself that it stands for the file's own."""
    file = path.open("rb")
    carrier = Carrier(file)

    @functools.wraps(file.read)
    def read(size: int = -1) -> bytes:
        return file.read(size).upper()

    carrier.read = read
    return carrier


def temporary_with_its_own_read(path: Path) -> Any:
    file = filled(tempfile.NamedTemporaryFile(), path)
    within = file.read

    @functools.wraps(within)
    def read(size: int = -1) -> bytes:
        return within(size).upper()

    file.read = read
    return file


def read_by_lines(path: Path) -> Any:
    file = path.open("rb")
    carrier = Carrier(file)
    carrier.read = file.readline
    return carrier


def filled(file: Any, path: Path) -> Any:
    file.write(path.read_bytes())
    file.seek(0)
    return file


def zip_member(path: Path) -> Any:
    archive = path.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.write(path, "member")
    return kept(zipfile.ZipFile(archive)).open("member")


def tar_member(path: Path) -> Any:
    archive = path.with_suffix(".tar")
    with tarfile.open(archive, "w") as writer:
        writer.add(path, "member")
    return kept(tarfile.open(archive)).extractfile("member")


def compressed(opener: Any, path: Path) -> Any:
    other = path.with_suffix(".packed")
    with opener(other, "wb") as writer:
        writer.write(path.read_bytes())
    return opener(other, "rb")


def pipe(path: Path) -> Any:
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    return os.fdopen(reading, "rb")


def mapped(path: Path) -> Any:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)


def recoded(path: Path) -> Any:
    path = path.with_suffix(".latin-1")
    path.write_bytes("é".encode("latin-1") * 1000)
    return codecs.EncodedFile(path.open("rb"), "utf-8", "latin-1")


def spooled(size: int, path: Path) -> Any:
    return filled(tempfile.SpooledTemporaryFile(max_size=size), path)


def uploaded(path: Path) -> Any:
    return UploadedFile(filled(tempfile.NamedTemporaryFile(), path), "name")


def hole(path: Path) -> Any:
    file = tempfile.TemporaryFile()
    file.truncate(300_000)
    return file


def unflushed(path: Path) -> Any:
    """Open for writing too: what was written is not in the file yet."""
    file = tempfile.TemporaryFile(buffering=1 << 20)
    file.write(b"x" * 10)
    file.flush()
    file.seek(4)
    file.write(b"y" * 3)
    return file


def moved(path: Path) -> Any:
    file = path.open("rb")
    file.read(5)
    file.seek(1000)
    return file


PLAIN: dict[str, Callable[[Path], Any]] = {
    "open": lambda path: path.open("rb"),
    "without a buffer": lambda path: path.open("rb", buffering=0),
    "for reading and writing": lambda path: path.open("r+b"),
    "of a descriptor": lambda path: os.fdopen(os.open(path, os.O_RDONLY), "rb"),
    "at an offset": moved,
    "written and not flushed": unflushed,
    "all hole": hole,
    "TemporaryFile": lambda path: filled(tempfile.TemporaryFile(), path),
    "NamedTemporaryFile": lambda path: filled(tempfile.NamedTemporaryFile(), path),
    "NamedTemporaryFile without a buffer": lambda path: filled(tempfile.NamedTemporaryFile(buffering=0), path),
    "a class that adds what does not read": DeletedOnClose,
    "below a buffer": lambda path: io.BufferedReader(DeletedOnClose(path)),
    "with more attributes": lambda path: with_attributes(path.open("rb")),
    "within another object": lambda path: Carrier(path.open("rb")),
    "Django's File": lambda path: DjangoFile(path.open("rb")),
    "Django's upload": uploaded,
    "Werkzeug's FileStorage": lambda path: FileStorage(path.open("rb")),
}

READ: dict[str, Callable[[Path], Any]] = {
    "gzip": lambda path: compressed(gzip.open, path),
    "bz2": lambda path: compressed(bz2.open, path),
    "lzma": lambda path: compressed(lzma.open, path),
    "gzip within another object": lambda path: Carrier(compressed(gzip.open, path)),
    "gzip in Django's File": lambda path: DjangoFile(compressed(gzip.open, path)),
    "gzip in a buffer": lambda path: io.BufferedReader(compressed(gzip.open, path)),
    "zip member": zip_member,
    "tar member": tar_member,
    "a read of its own": lambda path: Upper(io.FileIO(path)),
    "a read of its own below": lambda path: io.BufferedReader(UpperBelow(path)),
    "a read of its own without a buffer": UpperRaw,
    "another class": Counted,
    "a replaced read": patched,
    "a replaced read below": patched_below,
    "a wrapped read": wrapped_by_functools,
    "a replaced read of NamedTemporaryFile": temporary_with_its_own_read,
    "read that is readline": read_by_lines,
    "SpooledTemporaryFile in memory": lambda path: spooled(1 << 24, path),
    "SpooledTemporaryFile on disk": lambda path: spooled(1, path),
    "BytesIO": lambda path: io.BytesIO(TEXT),
    "Django's ContentFile": lambda path: ContentFile(TEXT),
    "mmap": mapped,
    "a pipe": pipe,
    "recoded": recoded,
    "a pair": lambda path: io.BufferedRWPair(io.FileIO(path), io.BytesIO()),  # type: ignore[type-var, arg-type]
    "/proc": lambda path: open("/proc/self/mountinfo", "rb"),
    "/proc without a buffer": lambda path: open("/proc/self/mountinfo", "rb", buffering=0),
    "/sys": lambda path: open("/sys/kernel/mm/transparent_hugepage/enabled", "rb"),
    "at its end": lambda path: at_its_end(path.open("rb")),
    "behind its end": lambda path: at_its_end(path.open("rb"), 100),
    "empty": lambda path: open(os.devnull, "rb"),
}


def with_attributes(file: Any) -> Any:
    file = io.BufferedReader(file.detach())
    file.close_too = file.filename = "name"
    return file


def at_its_end(file: Any, beyond: int = 0) -> Any:
    file.seek(len(TEXT) + beyond)
    return file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    return path


def opened(make: Callable[[Path], Any], path: Path) -> Any:
    try:
        return kept(make(path))
    except FileNotFoundError as error:
        if str(error.filename).startswith(("/proc", "/sys")):
            pytest.skip(f"no {error.filename} here")
        raise


class Answer:
    """What is sent for a file, without a socket."""

    def __init__(
        self,
        file: Any,
        *,
        method: bytes = b"GET",
        headers: Any = (),
        wrap: Any = FileWrapper,
        coroutine: bool = False,
        **settings: Any,
    ) -> None:
        def application(environ: dict[str, Any], start_response: Any) -> Any:
            start_response("200 OK", list(headers))
            return wrap(file, 8192)

        async def asynchronous(environ: dict[str, Any], start_response: Any) -> Any:
            return application(environ, start_response)

        self.server = FakeServer(asynchronous if coroutine else application, **settings)
        self.server.receive(GET.replace(b"GET", method) % b"")
        self.head, _, self.raw = self.server.take_sent().partition(b"\r\n\r\n")
        self.logged = self.server.logged

    @property
    def length(self) -> int | None:
        lines = [line for line in self.head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
        return int(lines[0][16:]) if lines else None

    @property
    def body(self) -> bytes:
        return self.raw if self.length is not None else b"".join(self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        rest = self.raw
        while True:
            line, _, rest = rest.partition(b"\r\n")
            size = int(line, 16)
            if not size:
                return
            yield rest[:size]
            rest = rest[size + 2 :]


@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN)
def test_plain_file_is_sent_by_the_kernel(path: Path, make: Callable[[Path], Any]) -> None:
    file = opened(make, path)
    assert plain_file(file) is not None
    part = regular_part(FileWrapper(file))
    assert part is not None
    answer = Answer(file)
    # Nothing was read: the position is still where it was.
    rest = file.read() if not file.closed else path.read_bytes() if path.exists() else TEXT
    expected = {"at an offset": TEXT[1000:], "written and not flushed": b"xxx", "all hole": bytes(300_000)}
    name = next(name for name, one in PLAIN.items() if one is make)
    assert (answer.length, answer.body) == (part[2], expected.get(name, TEXT))
    assert rest in (TEXT, expected.get(name))
    assert answer.logged == []


@pytest.mark.parametrize("make", READ.values(), ids=READ)
def test_bytes_of_read_are_sent(path: Path, make: Callable[[Path], Any]) -> None:
    expected = opened(make, path).read()
    file = opened(make, path)
    assert regular_part(FileWrapper(file)) is None
    answer = Answer(file)
    assert (answer.length or None, answer.logged) == (None, [])
    assert answer.body == (TEXT if make is read_by_lines else expected)


@pytest.mark.parametrize("make", [*PLAIN.values(), *READ.values()], ids=[*PLAIN, *READ])
def test_same_bytes_without_sendfile(path: Path, make: Callable[[Path], Any]) -> None:
    by_kernel = Answer(opened(make, path))
    path.write_bytes(TEXT)  # one of them deletes it
    assert Answer(opened(make, path), sendfile=False).body == by_kernel.body


@pytest.mark.parametrize("make", [PLAIN["open"], READ["gzip"]], ids=["plain", "gzip"])
def test_length_and_head(path: Path, make: Callable[[Path], Any]) -> None:
    whole = [("Content-Length", str(len(TEXT)))]
    assert Answer(make(path), headers=whole).body == TEXT
    assert Answer(make(path), headers=[("Content-Length", "1000")]).body == TEXT[:1000]
    head = Answer(make(path), headers=whole, method=b"HEAD")
    assert (head.length, head.raw, head.logged) == (len(TEXT), b"", [])
    longer = Answer(make(path), headers=[("Content-Length", str(len(TEXT) + 1))])
    assert (longer.body, longer.server.transport.closed) == (TEXT, True)
    assert "1 bytes shorter than its Content-Length" in longer.logged[0]


@pytest.mark.parametrize("sendfile", [True, False])
def test_grown_file_is_sent_up_to_its_length(path: Path, sendfile: bool) -> None:
    """The length was taken when there was more than when the file was opened, or before."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", str(len(TEXT) + 5))])
        wrapper = FileWrapper(path.open("rb"))
        part = regular_part(wrapper)
        assert part is not None and part[2] == len(TEXT)
        with path.open("ab") as file:
            file.write(b"grown")
        return wrapper

    server = FakeServer(application, sendfile=sendfile)
    server.receive(GET % b"")
    assert server.take_sent().endswith(b"\r\n\r\n" + TEXT + b"grown")


@pytest.mark.parametrize(
    "open_text",
    [
        lambda path: path.open(),
        lambda path: codecs.getreader("utf-8")(path.open("rb")),
        lambda path: gzip.open(path, "rt"),
        lambda path: io.StringIO("text"),
        lambda path: tempfile.NamedTemporaryFile("w+"),
        lambda path: DjangoFile(path.open()),
        lambda path: io.TextIOWrapper(path.open("rb")),
    ],
    ids=["open", "codecs", "gzip", "StringIO", "NamedTemporaryFile", "Django's File", "TextIOWrapper"],
)
def test_text_is_refused_at_the_call(path: Path, open_text: Callable[[Path], Any]) -> None:
    with pytest.raises(TypeError, match=r"this one gives text; open it in mode 'rb': <"):
        FileWrapper(opened(open_text, path))


def test_unknown_text_is_refused_when_it_is_read() -> None:
    class Text:
        def read(self, size: int = -1) -> str:
            return "text"

    for file in (Text(), filled_with_text(tempfile.SpooledTemporaryFile(mode="w+"))):
        answer = Answer(file)
        assert answer.head.startswith(b"HTTP/1.1 500 ")
        assert "open it in mode 'rb'" in answer.logged[0]


def filled_with_text(file: Any) -> Any:
    file.write("text")
    file.seek(0)
    return file


def test_object_without_read_is_refused_at_the_call() -> None:
    for value in ("/etc/passwd", b"data", None, 5, [b"data"]):
        with pytest.raises(TypeError, match=r"takes a file, something with read\(size\), not "):
            FileWrapper(value)


def test_closed_file(path: Path) -> None:
    for make in (lambda: path.open("rb"), lambda: io.BytesIO(b"data"), tempfile.NamedTemporaryFile):
        file: Any = make()
        file.close()
        answer = Answer(file)
        assert answer.head.startswith(b"HTTP/1.1 500 ")
        assert "closed file" in answer.logged[0]


class Size(enum.IntEnum):
    SMALL = 100


class Whole:
    def __index__(self) -> int:
        return 100


@pytest.mark.parametrize("size", [1, True, 100, Size.SMALL, Whole(), None, 0, -1, False, 10**9])
def test_block_sizes(size: Any) -> None:
    """Those that are none stand for one of ours: a size of 0 would end every body before it begins."""
    data = b"0123456789" * 50
    assert b"".join(FileWrapper(io.BytesIO(data), size)) == data
    assert next(FileWrapper(io.BytesIO(data), Whole())) == data[:100]


@pytest.mark.parametrize("size", ["8192", 8192.0, b"1", [1], io.BytesIO()])
def test_wrong_block_sizes_are_refused_at_the_call(size: Any) -> None:
    with pytest.raises(TypeError, match=r"the block size of wsgi.file_wrapper must be a whole number, not "):
        FileWrapper(io.BytesIO(b"data"), size)


def test_read_that_gives_none_ends_the_body() -> None:
    class Odd:
        def __init__(self, *gives: Any) -> None:
            self._gives = iter(gives)

        def read(self, size: int) -> Any:
            return next(self._gives)

    assert Answer(Odd(b"one", b"two", None)).body == b"onetwo"
    for item in (bytearray(b"one"), memoryview(b"one"), 5, [b"one"]):
        answer = Answer(Odd(item, None))
        assert answer.head.startswith(b"HTTP/1.1 500 ")
        assert f"the application yielded {type(item).__name__}" in answer.logged[0]


class Shouting(FileWrapper):
    """Middleware that extends what it found in environ."""

    def __next__(self) -> bytes:
        return super().__next__().upper()


def test_subclass_is_iterated(path: Path) -> None:
    assert Answer(opened(PLAIN["open"], path), wrap=Shouting).body == TEXT.upper()


def test_wrapper_within_another_iterable(path: Path) -> None:
    def wrap(file: Any, size: int) -> Iterator[bytes]:
        return (piece.upper() for piece in FileWrapper(file, size))

    assert Answer(opened(PLAIN["open"], path), wrap=wrap).body == TEXT.upper()


def test_wrapper_whose_file_was_replaced(path: Path) -> None:
    def wrap(file: Any, size: int) -> Any:
        wrapper: Any = FileWrapper(file, size)
        wrapper.note = "anything"
        wrapper.filelike = opened(READ["gzip"], path)
        return wrapper

    assert Answer(opened(PLAIN["open"], path), wrap=wrap).body == TEXT


@pytest.mark.parametrize("name", ["open", "gzip", "SpooledTemporaryFile on disk", "a read of its own"])
@pytest.mark.parametrize("stream", [True, False])
def test_file_from_a_coroutine(path: Path, name: str, stream: bool) -> None:
    expected = opened({**PLAIN, **READ}[name], path).read()
    answer = Answer(opened({**PLAIN, **READ}[name], path), coroutine=True, stream=stream)
    assert (answer.body, answer.logged) == (expected, [])


def test_close_is_that_of_the_file() -> None:
    class Closing(io.BytesIO):
        closings = 0

        def close(self) -> None:
            self.closings += 1

    file = Closing(b"data")
    assert Answer(file).body == b"data"
    assert file.closings == 1

    class WithoutClose:
        def read(self, size: int) -> bytes:
            return b""

    assert not hasattr(FileWrapper(WithoutClose()), "close")
    assert Answer(WithoutClose()).body == b""
