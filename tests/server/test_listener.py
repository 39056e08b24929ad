"""Accepting connections: in small batches, up to ``worker_connections``, and again when one has closed."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from aiohttp_worker.server import listener
from aiohttp_worker.server.listener import Listeners, _common_address
from aiohttp_worker.server.settings import Observers, ServerSettings
from aiohttp_worker.server.state import State

from .fakes import FakeLoop, FakeTransport, hello


class AcceptingLoop(FakeLoop):
    """Makes transports at once, or when it is told to; watches no descriptor by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[int, Callable[[], None]] = {}
        self.taken: list[socket.socket] = []
        self.holds: asyncio.Future[None] | None = None
        self.fails: OSError | None = None

    def add_reader(self, fd: Any, callback: Callable[..., Any], *arguments: Any) -> None:
        self.readers[fd] = lambda: callback(*arguments)

    def remove_reader(self, fd: Any) -> bool:
        return self.readers.pop(fd, None) is not None

    async def connect_accepted_socket(self, factory: Any, sock: socket.socket, **arguments: Any) -> Any:  # type: ignore[override]
        self.taken.append(sock)
        if self.holds is not None:
            await self.holds
        if self.fails is not None:
            raise self.fails
        protocol = factory()
        transport = FakeTransport()
        protocol.connection_made(transport)
        return transport, protocol

    def somebody_comes(self) -> None:
        """Call what waits for the listening sockets, as a loop does that finds them readable."""
        for callback in list(self.readers.values()):
            callback()


class Site:
    """Listeners on one socket, and those who come."""

    def __init__(self, limit: int, one_by_one: bool = False) -> None:
        self.logged: list[str] = []
        log = lambda message, *arguments, **_: self.logged.append(message % arguments)
        self.loop = AcceptingLoop()
        observers = Observers(log, log, log, lambda error, message: self.logged.append(message))
        self.state = State(self.loop, hello, ServerSettings(), {"wsgi.errors": None}, observers)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address = self.socket.getsockname()
        self.listeners = Listeners(self.state, [self.socket], limit, one_by_one, None, 20)
        self.clients: list[socket.socket] = []

    def come(self, count: int) -> None:
        self.clients += [socket.create_connection(self.address) for _ in range(count)]

    def leave(self, count: int) -> None:
        for connection in list(self.state.connections)[:count]:
            connection.connection_lost(None)

    def close(self) -> None:
        self.listeners.stop(take_rest=False)
        for sock in [*self.clients, self.socket, *self.loop.taken]:
            sock.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make_site(*arguments: Any, **named: Any) -> Site:
        sites.append(Site(*arguments, **named))
        sites[-1].listeners.start()
        return sites[-1]

    yield make_site
    for site in sites:
        site.close()


Make = Callable[..., Site]


def test_who_comes_is_connected(make: Make) -> None:
    site = make(100)
    site.come(3)
    site.loop.somebody_comes()
    assert len(site.state.connections) == site.listeners.open == 3
    peers = {connection.peername for connection in site.state.connections}
    assert peers == {client.getsockname() for client in site.clients}


def test_a_batch_at_a_time(make: Make) -> None:
    """The rest is left to siblings, or to the next turn of the loop."""
    site = make(100)
    site.come(20)
    site.loop.somebody_comes()
    assert site.listeners.open == 16
    site.loop.somebody_comes()
    assert site.listeners.open == 20


def test_one_at_a_time_beside_siblings(make: Make) -> None:
    """What a connection wants is looked at before the next is taken."""
    site = make(100, one_by_one=True)
    site.come(3)
    site.loop.somebody_comes()
    site.loop.somebody_comes()
    assert site.listeners.open == 1
    site.loop.run_ready()
    site.loop.somebody_comes()
    assert site.listeners.open == 2


def test_no_more_than_are_allowed(make: Make) -> None:
    site = make(2)
    site.come(4)
    site.loop.somebody_comes()
    assert site.listeners.open == 2
    assert not site.loop.readers  # the others wait in the backlog
    assert [line for line in site.logged if "all 2 worker_connections are in use" in line]
    site.leave(1)
    assert site.loop.readers  # there is room again
    site.loop.somebody_comes()
    assert site.listeners.open == 2
    assert len([line for line in site.logged if "worker_connections" in line]) == 1  # said once


def test_room_is_made_for_those_who_wait(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make(1)
    asked: list[int] = []
    monkeypatch.setattr(listener, "make_room", lambda connections, limits, most, now: asked.append(most))
    site.come(1)
    site.loop.somebody_comes()
    site.loop.somebody_comes()
    site.loop.fire_timers()
    assert asked == []  # nobody waits
    site.come(1)
    site.loop.fire_timers()
    assert asked == [1]
    site.leave(1)
    site.loop.somebody_comes()
    site.loop.fire_timers()
    assert asked == [1]


def test_a_client_that_left_before(make: Make) -> None:
    site = make(10)
    site.loop.fails = ConnectionResetError(errno.ECONNRESET, "reset")
    site.come(1)
    site.loop.somebody_comes()
    assert site.listeners.open == 0
    assert "could not be set up" in site.logged[-1]
    site.loop.fails = None
    site.come(1)
    site.loop.somebody_comes()
    assert site.listeners.open == 1


def test_no_descriptors_left(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepting pauses for a while, and then goes on."""
    site = make(10)

    def full(sock: socket.socket) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "accept", full)
        site.loop.somebody_comes()
    assert not site.loop.readers
    assert "cannot accept connections for a while" in site.logged[-1]
    site.loop.fire_timers()
    site.come(1)
    site.loop.somebody_comes()
    assert site.listeners.open == 1


def test_a_signal_stops_it_while_it_accepts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """QUIT closes the sockets at once; the callback that was about to accept finds them closed."""
    site = make(10)
    site.come(2)
    accept = socket.socket.accept

    def interrupted(sock: socket.socket) -> Any:
        site.listeners.stop(take_rest=False)
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", interrupted)
    site.loop.somebody_comes()
    assert site.listeners.open == 0


@pytest.mark.parametrize("take_rest", [True, False])
def test_stop(make: Make, take_rest: bool) -> None:
    """Without siblings, those who have come are taken first."""
    site = make(10)
    site.come(3)
    site.listeners.stop(take_rest)
    site.listeners.stop(take_rest)
    assert site.listeners.open == (3 if take_rest else 0)
    assert not site.loop.readers
    site.listeners.start()
    assert not site.loop.readers


def test_those_who_are_being_set_up_count(make: Make) -> None:
    site = make(2)
    site.loop.holds = site.loop.create_future()
    site.come(3)
    site.loop.somebody_comes()
    assert site.listeners.open == 2
    assert not site.state.connections
    site.loop.holds.set_result(None)
    site.loop.run_ready()
    assert len(site.state.connections) == site.listeners.open == 2


def test_those_who_are_being_set_up_can_be_given_up(make: Make) -> None:
    site = make(2)
    site.loop.holds = site.loop.create_future()
    site.come(1)
    site.loop.somebody_comes()
    site.listeners.abort_unfinished()
    assert site.listeners.open == 0
    assert site.loop.holds.cancelled()


def test_a_unix_socket(tmp_path: Any) -> None:
    """Its clients have no address, and all of one."""
    site = Site(10)
    path = f"{tmp_path}/socket"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        site.listeners = Listeners(site.state, [listener], 10, False, None, 20)
        site.listeners.start()
        client.connect(path)
        site.loop.somebody_comes()
        (connection,) = site.state.connections
        assert connection.peername in ("", b"")
        site.close()


@pytest.mark.parametrize(("host", "shared"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_local_address_of_connections(host: str, shared: bool) -> None:
    """Asked of each socket only if the listening one is bound to every interface."""
    with socket.create_server((host, 0)) as listener:
        assert _common_address(listener) == (listener.getsockname() if shared else None)


def test_hold_leaves_the_backlog_to_others(make: Make) -> None:
    site = make(10)
    site.listeners.hold()
    site.listeners.start()
    assert not site.loop.readers
    site.listeners.release()
    assert site.loop.readers


def test_descriptors(make: Make) -> None:
    site = make(10)
    assert site.listeners.descriptors() == [site.socket.fileno()]


def test_a_socket_that_has_no_address_any_more(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client has gone before it was asked."""
    site = make(10)
    site.listeners._addresses[site.socket] = None

    def gone(sock: socket.socket) -> Any:
        raise OSError(errno.ENOTCONN, "not connected")

    site.come(1)
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "getsockname", gone)
        site.loop.somebody_comes()
    assert site.listeners.open == 0
    assert "a connection could not be set up" in site.logged[-1]


def test_an_error_that_is_no_lack_of_descriptors(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make(10)

    def broken(sock: socket.socket) -> Any:
        raise OSError(errno.EINVAL, "not listening")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "accept", broken)
        with pytest.raises(OSError, match="not listening"):
            site.loop.somebody_comes()


def test_failed_handshakes(make: Make) -> None:
    """Those whose client has sent something are said at level WARNING, the others at DEBUG."""
    site = make(10)
    for begun in (True, False):
        handshake: Any = SimpleNamespace(peername=("192.0.2.1", 5), begun=begun, given_up=False)
        site.listeners._handshake_failed(handshake, ConnectionResetError("reset"))
        assert "TLS handshake with 192.0.2.1" in site.logged[-1]
    assert len(site.logged) == 2
