"""Records in memory: bytes in, bytes out."""

from __future__ import annotations

import ssl

import pytest

from aiohttp_worker.transport.tls_records import RecordLayer
from tests.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(authority.issue("server", "/CN=localhost"))


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[RecordLayer, RecordLayer]:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(up, down, server_side=True)
    theirs = client.wrap_bio(down, up, server_hostname="localhost")
    unfinished = [theirs, ours]
    while unfinished:
        side = unfinished.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            unfinished.append(side)
    # From here on each side has an input of its own, for the test to fill.
    return RecordLayer(ours, up, down), RecordLayer(theirs, down, up)


@pytest.fixture
def both(server: ssl.SSLContext, authority: Authority) -> tuple[RecordLayer, RecordLayer]:
    return shake_hands(server, authority.client_context())


def test_every_split(both: tuple[RecordLayer, RecordLayer]) -> None:
    """No byte is kept back that could be decrypted, nor given before its record is complete."""
    ours, theirs = both
    for split in range(60):
        theirs.write(b"hello")
        record = theirs.seal()
        received = [ours.receive(part) for part in (record[:split], record[split:])]
        assert b"".join(received) == b"hello"
        assert len(received[1]) == (0 if split >= len(record) else 5)
    assert ours.failure is None
    assert not ours.ended


def test_many_records_at_once(both: tuple[RecordLayer, RecordLayer]) -> None:
    ours, theirs = both
    data = bytes(range(256)) * 1024
    theirs.write(data)
    assert theirs.waiting == len(data)
    sealed = []
    while theirs.waiting:
        sealed.append(theirs.seal())
    assert all(len(piece) < 90_000 for piece in sealed), "not all is encrypted at once"
    assert len(sealed) > 2
    assert ours.receive(b"".join(sealed)) == data
    assert theirs.seal() == b""


def test_order(both: tuple[RecordLayer, RecordLayer]) -> None:
    ours, theirs = both
    first = theirs.seal_alone(b"a")
    theirs.write(b"b")
    theirs.write(b"c")
    assert ours.receive(first + theirs.seal()) == b"abc"


def test_the_end_and_what_came_before(both: tuple[RecordLayer, RecordLayer]) -> None:
    ours, theirs = both
    theirs.write(b"last")
    sealed = theirs.seal()
    theirs.end()
    assert ours.receive(sealed + theirs.seal()) == b"last"
    assert ours.ended
    assert ours.failure is None


def test_a_broken_record_and_what_came_before(both: tuple[RecordLayer, RecordLayer]) -> None:
    ours, theirs = both
    good = theirs.seal_alone(b"good")
    bad = bytearray(theirs.seal_alone(b"bad"))
    bad[-1] ^= 1
    assert ours.receive(good + bytes(bad)) == b"good"
    assert isinstance(ours.failure, ssl.SSLError)
    assert ours.outgoing.pending, "an alert"


def test_what_waits_can_be_let_go(both: tuple[RecordLayer, RecordLayer]) -> None:
    ours, _ = both
    ours.outgoing.read()  # session tickets
    ours.write(b"x" * 100_000)
    ours.clear()
    assert ours.waiting == 0
    assert ours.seal() == b""
