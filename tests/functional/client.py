"""A client that hides nothing: the bytes that went over the wire, and where they ended."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Address = tuple[str, int] | str
Headers = Sequence[tuple[str, str]]


class Cut(AssertionError):
    """The connection ended before what was waited for was complete; `data` is what came."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"connection ended after {data[-200:]!r}")
        self.data = data


@dataclass
class Response:
    """A response as it came. `complete` is False if the connection ended before the body did."""

    version: str
    status_code: int
    reason: str
    headers: list[tuple[str, str]]
    #: "length", "chunked", "close" or "none"
    framing: str = "none"
    body: bytes = b""
    complete: bool = True
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    #: the 1xx responses that came before
    informational: list[Response] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        """The value of a field that may come once at most."""
        values = self.values(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def says_close(self) -> bool:
        return (self.value("Connection") or "").lower() == "close"


class RawClient:
    """One connection. Every wait has a time limit of `timeout` seconds."""

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = 10.0,
        receive_buffer: int | None = None,
        segment: int | None = None,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if receive_buffer is not None:  # only before connect does it bound the window
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if segment is not None:  # as of a real network: loopback's are as large as a whole window
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        try:
            self.socket.connect(address)
            if not isinstance(address, str):
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname=server_hostname)
        except BaseException:
            self.socket.close()
            raise
        #: whether the other end broke the connection off (RST) instead of ending it
        self.was_reset = False
        self._buffer = b""
        self._methods: list[str] = []

    # What is sent

    def send(self, data: bytes | str) -> None:
        """Send all of the data as it is; a str is latin-1."""
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def send_some(self, data: bytes, timeout: float) -> int:
        """Send until the other end takes no more for `timeout` seconds; return how much."""
        before = self.socket.gettimeout()
        self.socket.settimeout(timeout)
        sent = 0
        try:
            while sent < len(data):
                sent += self.socket.send(data[sent : sent + 65536])
        except TimeoutError:
            pass
        finally:
            self.socket.settimeout(before)
        return sent

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        body: bytes | None = None,
        chunks: Iterable[bytes] | None = None,
        trailers: Headers = (),
        version: str = "1.1",
        host: str | None = "localhost",
    ) -> None:
        """Send a request. `body` sets Content-Length, `chunks` Transfer-Encoding."""
        lines = [f"{method} {target} HTTP/{version}"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        data = b""
        if chunks is not None:
            lines.append("Transfer-Encoding: chunked")
            data = b"".join(chunk_of(item) for item in chunks) + b"0\r\n"
            data += b"".join(f"{name}: {value}\r\n".encode() for name, value in trailers) + b"\r\n"
        self._methods.append(method)
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"") + data)

    def start_upload(self, target: str, headers: Headers = (), method: str = "POST") -> None:
        """Send the head of a chunked request; `send_chunk` and `end_upload` do the rest."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in headers]
        self._methods.append(method)
        self.send("\r\n".join([*lines, "", ""]))

    def send_chunk(self, data: bytes) -> None:
        self.send(chunk_of(data))

    def end_upload(self) -> None:
        self.send(b"0\r\n\r\n")

    def get(self, target: str, **arguments: object) -> Response:
        self.request("GET", target, **arguments)  # type: ignore[arg-type]
        return self.receive()

    def post(self, target: str, body: bytes, **arguments: object) -> Response:
        self.request("POST", target, body=body, **arguments)  # type: ignore[arg-type]
        return self.receive()

    # What comes back

    def receive(self) -> Response:
        """The whole next response, with the 1xx before it."""
        response = self.receive_head()
        if response.framing == "length":
            length = int(response.value("Content-Length") or "")
            try:
                response.body = self.receive_exactly(length)
            except Cut as cut:
                response.body, response.complete = cut.data, False
                self._buffer = b""
        elif response.framing == "chunked":
            try:
                while (chunk := self.receive_chunk()) != b"":
                    response.chunks.append(chunk)
                while (line := self._receive_line()) != b"":
                    response.trailers.append(_field(line))
            except Cut:
                response.complete = False
                self._buffer = b""
            response.body = b"".join(response.chunks)
        elif response.framing == "close":
            response.body = self.receive_until_close()
        return response

    def receive_head(self) -> Response:
        """The head of the next response that is not 1xx."""
        method = self._methods.pop(0) if self._methods else "GET"
        informational = []
        while True:
            response = self._receive_one_head()
            if 100 <= response.status_code < 200 and response.status_code != 101:
                informational.append(response)
                continue
            break
        response.informational = informational
        response.framing = self._framing(method, response)
        return response

    def receive_continue(self) -> Response:
        """One 1xx response, before the final one."""
        response = self._receive_one_head()
        assert 100 <= response.status_code < 200, response
        return response

    def receive_chunk(self) -> bytes:
        """One chunk of a chunked body (RFC 9112 section 7.1); b"" is the last."""
        line = self._receive_line()
        assert line and all(c in b"0123456789abcdefABCDEF" for c in line), line
        size = int(line, 16)
        if size == 0:
            return b""
        data = self.receive_exactly(size)
        assert self.receive_exactly(2) == b"\r\n"
        return data

    def receive_exactly(self, size: int) -> bytes:
        received = bytearray()
        try:
            while len(received) + len(self._buffer) < size:
                received += self._buffer  # not one bytes object after the other, each longer by a little
                self._buffer = b""
                self._receive_more()
        except Cut:
            raise Cut(bytes(received)) from None
        finally:
            self._buffer = bytes(received) + self._buffer
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def receive_until(self, separator: bytes) -> bytes:
        """Everything up to and with the separator."""
        while separator not in self._buffer:
            self._receive_more()
        data, found, self._buffer = self._buffer.partition(separator)
        return data + found

    def receive_until_close(self) -> bytes:
        """Everything up to the end of the connection."""
        with contextlib.suppress(Cut):
            while True:
                self._receive_more()
        data, self._buffer = self._buffer, b""
        return data

    def count_until_close(self) -> int:
        """The number of bytes up to the end of the connection, without keeping them."""
        count, self._buffer = len(self._buffer), b""
        while data := self.socket.recv(1 << 20):
            count += len(data)
        return count

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing comes, and no end either, for so long."""
        if self._buffer:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self._receive_more()
        except TimeoutError:
            return True
        except Cut:
            return False
        finally:
            self.socket.settimeout(before)
        return False

    def assert_closed(self) -> None:
        """The other end closed the connection and sent nothing more."""
        rest = self.receive_until_close()
        assert rest == b"", rest

    # The end

    def end_of_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with RST, as a process that was killed does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _receive_more(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            self.was_reset = True
            data = b""
        if not data:
            raise Cut(self._buffer)
        self._buffer += data

    def _receive_line(self) -> bytes:
        line = self.receive_until(b"\r\n")[:-2]
        assert b"\n" not in line and b"\r" not in line, line
        return line

    def _receive_one_head(self) -> Response:
        version, code, reason = self._receive_line().decode("latin-1").split(" ", 2)
        assert version in ("HTTP/1.0", "HTTP/1.1"), version
        assert len(code) == 3, code
        headers = []
        while (line := self._receive_line()) != b"":
            headers.append(_field(line))
        return Response(version[5:], int(code), reason, headers)

    def _framing(self, method: str, response: Response) -> str:
        """RFC 9112 section 6.3, and no mercy for what a server must not send."""
        length = response.value("Content-Length")
        coding = response.value("Transfer-Encoding")
        assert length is None or coding is None, response.headers
        code = response.status_code
        if code == 204 or code < 200:
            assert length is None and coding is None, response.headers  # RFC 9110 section 8.6
        if method == "HEAD" or code in (204, 304) or code < 200:
            return "none"
        if coding is not None:
            assert coding.lower() == "chunked" and response.version == "1.1", response.headers
            return "chunked"
        if length is not None:
            assert length.isascii() and length.isdigit(), length
            return "length"
        return "close"


def chunk_of(data: bytes) -> bytes:
    """The data as one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _field(line: bytes) -> tuple[str, str]:
    name, colon, value = line.decode("latin-1").partition(":")
    assert colon and name and name == name.strip(), line
    return name, value.strip(" \t")
