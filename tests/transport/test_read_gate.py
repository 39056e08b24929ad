"""Pausing and resuming of reading, once each, and never on a transport that closes."""

from __future__ import annotations

from aiohttp_worker.transport.read_gate import ReadGate
from tests.server.fakes import FakeTransport


def test_it_pauses_once() -> None:
    transport = FakeTransport()
    gate = ReadGate(transport)  # type: ignore[arg-type]
    for _ in range(2):
        gate.shut()
        assert not transport.reading
        assert not gate.open
    for _ in range(2):
        gate.reopen()
        assert transport.reading
        assert gate.open


def test_a_closing_transport_is_left_alone() -> None:
    transport = FakeTransport()
    gate = ReadGate(transport)  # type: ignore[arg-type]
    transport.close()
    gate.shut()
    assert transport.reading
    assert gate.open


def test_a_transport_that_closes_is_not_resumed() -> None:
    transport = FakeTransport()
    gate = ReadGate(transport)  # type: ignore[arg-type]
    gate.shut()
    transport.close()
    gate.reopen()
    assert not transport.reading
