"""A client of HTTP/2 whose state machine is hyper-h2's, on a blocking socket."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from .server import PATIENCE, Server

Fields = list[tuple[str, str]]


@dataclass
class Answer:
    """What has come on one stream.

    :ivar interim: the fields of responses 1xx.
    :ivar reset: error code of RST_STREAM.
    """

    status_code: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    interim: list[dict[str, str]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class HTTP2Client:
    """One connection.

    :ivar goaways: last stream id and error code of each GOAWAY.
    :ivar closed: whether the server has closed the connection.
    """

    def __init__(self, server: Server, context: ssl.SSLContext | None = None, window: int = 65535, read: bool = True) -> None:
        assert isinstance(server.address, tuple)
        self.socket: socket.socket = socket.create_connection(server.address, PATIENCE)
        if context is not None:
            context.set_alpn_protocols(["h2", "http/1.1"])
            secured = context.wrap_socket(self.socket, server_hostname="localhost")
            assert secured.selected_alpn_protocol() == "h2"
            self.socket = secured
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="latin-1"))
        self.state.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.state.initiate_connection()
        self._reads = read
        self.scheme = "http" if context is None else "https"
        self.answers: dict[int, Answer] = {}
        self.goaways: list[tuple[int, int]] = []
        self.closed = False
        self.flush()

    def __enter__(self) -> HTTP2Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        self.socket.sendall(self.state.data_to_send())

    def request(self, target: str, method: str = "GET", headers: Fields | None = None, body: bytes | None = None) -> int:
        """Send a request, with a body that is complete or, if it is None, with none."""
        stream_id = self.begin(target, method, headers, ended=body is None)
        if body is not None:
            self.send(stream_id, body, ended=True)
        return stream_id

    def begin(self, target: str, method: str = "POST", headers: Fields | None = None, ended: bool = False) -> int:
        """Send the head of a request."""
        stream_id: int = self.state.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", self.scheme), (":authority", "localhost"), (":path", target)]
        self.answers[stream_id] = Answer()
        self.state.send_headers(stream_id, [*pseudo, *(headers or [])], end_stream=ended)
        self.flush()
        return stream_id

    def send(self, stream_id: int, data: bytes, ended: bool = False) -> None:
        """Send a piece of a body, as the windows allow it."""
        while data and not self.answers[stream_id].over:
            size = min(self.state.local_flow_control_window(stream_id), self.state.max_outbound_frame_size, len(data))
            if not size:
                self.receive()
                continue
            self.state.send_data(stream_id, data[:size])
            data = data[size:]
            self.flush()
        if ended and not self.answers[stream_id].over:
            self.state.end_stream(stream_id)
            self.flush()

    def reset(self, stream_id: int) -> None:
        self.state.reset_stream(stream_id, 8)
        self.flush()

    def receive(self) -> None:
        """Receive once, and take up what it is."""
        data = self.socket.recv(65536)
        if not data:
            self.closed = True
            return
        for event in self.state.receive_data(data):
            self._take(event)
        try:
            self.flush()
        except OSError:
            pass  # the server has closed it

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                answer = self.answers[event.stream_id]
                answer.headers = dict(event.headers)
                answer.status_code = int(answer.headers.pop(":status"))
            case h2.events.InformationalResponseReceived():
                self.answers[event.stream_id].interim.append(dict(event.headers))
            case h2.events.DataReceived():
                self.answers[event.stream_id].body += event.data
                if self._reads:
                    self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.answers[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.answers[event.stream_id].reset = int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goaways.append((event.last_stream_id, int(event.error_code)))
                # hyper-h2 takes no frame after it, and the other streams are still served.
                self.state.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN

    def wait(self, stream_id: int) -> Answer:
        """Receive until the answer is over."""
        answer = self.answers[stream_id]
        while not answer.over:
            self.receive()
            assert not self.closed or answer.over, "the server has closed the connection"
        return answer

    def get(self, target: str, **arguments: object) -> Answer:
        return self.wait(self.request(target, **arguments))  # type: ignore[arg-type]

    def wait_for_end(self) -> None:
        """Receive until the server closes the connection."""
        while not self.closed:
            self.receive()
